/** What a measurement in a cluster and its holder say to each other. Times are those of `machineTime`. */
import type { LossReason } from 'leasewheel'

/** What the holder is told when it is started. */
export interface ClusterTask {
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  /** ms. */
  readonly ttl: number
  /** On the master that will be replaced, and on the others. Without the manager's prefix. */
  readonly keys: { readonly own: readonly string[]; readonly others: readonly string[] }
}

export type Shard = keyof ClusterTask['keys']

/** What became of a lease. */
export interface ClusterOutcome {
  readonly key: string
  readonly token: string
  /** The last moment at which it is proven to have been held. */
  readonly heldAt: number
  /** When its last renewal was told of; undefined if there was none. */
  readonly renewedAt: number | undefined
  readonly lost: LossReason | undefined
  readonly lostAt: number | undefined
}

/** Of one shard in one stretch of time. */
export interface Stretch {
  readonly renewals: number
  /** Of the renewals: by how much more than a third of the ttl they came after the one before, 99 of 100 of them at most. ms. */
  readonly lag: number
  /** Leases that were in jeopardy, or lost, and overloads told of. */
  readonly events: number
}

/** The shards in one stretch of time. */
export interface Ended extends Readonly<Record<Shard, Stretch>> {
  /** For how long the holder's event loop stood still at most. ms. */
  readonly pause: number
}

export type MessageToHolder =
  /** A new stretch begins. */
  { readonly type: 'stretch' } | { readonly type: 'report' }

export type MessageFromHolder =
  | { readonly type: 'ready' }
  | { readonly type: 'stretch'; readonly ended: Ended }
  | { readonly type: 'report'; readonly outcomes: Readonly<Record<Shard, readonly ClusterOutcome[]>> }
