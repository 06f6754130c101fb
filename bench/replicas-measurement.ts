/** Promises what one process is told to do for `replicas`, and what it tells in return. */

export interface ReplicasJob {
  readonly url: string
  readonly locks: number
  readonly seconds: number
  /** How many locks are acquired and released one after the other. */
  readonly pairs: number
  /** How many replicas have to acknowledge what counts. */
  readonly replicas: number
}

export interface ReplicasMeasurement {
  readonly renewalsPerSecond: number
  /** Per renewal, in µs. */
  readonly nodeCpu: number
  readonly redisCpu: number
  /** ms for an acquire and a release. */
  readonly pair: number
}
