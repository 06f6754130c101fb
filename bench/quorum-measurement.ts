/** Promises what one process that acquires locks on a quorum is told to do, and what it tells in return. */
import type { LibraryName } from './library-name.ts'

export interface QuorumJob {
  readonly library: LibraryName
  /** See `joinMembers`. */
  readonly url: string
  /** The process of the member that is to hang. */
  readonly pid: number
  /** Acquires, each with its release, of each turn. */
  readonly pairs: number
  /** In ms. */
  readonly ttl: number
  /** In ms: after this a caller gives up. */
  readonly patience: number
}

/** Of the acquires of one turn. */
export interface TurnMeasurement {
  /** From the call to the lock, in µs; without those that were given up. */
  readonly latencies: readonly number[]
  /** Pairs that were not done in time. After the first of them the turn is over. */
  readonly stuck: number
}

export interface QuorumMeasurement {
  /** The turns with all members, all together, and those with one that hangs. */
  readonly whole: TurnMeasurement
  readonly hung: TurnMeasurement
}
