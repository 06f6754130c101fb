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
  readonly lost: LossReason | undefined
}

/** Of one shard in one stretch of time. */
export interface Stretch {
  readonly renewals: number
  /** Of the renewals: by how much more than a third of the ttl they came after the one before, 99 of 100 of them at most. ms. */
  readonly lag: number
  /** Leases that were in jeopardy, or lost, and overloads told of. */
  readonly events: number
}

export type MessageToHolder =
  /** A new stretch begins. */
  { readonly type: 'stretch' } | { readonly type: 'report' }

export type MessageFromHolder =
  | { readonly type: 'ready' }
  | { readonly type: 'stretch'; readonly ended: Readonly<Record<Shard, Stretch>> }
  | { readonly type: 'report'; readonly outcomes: Readonly<Record<Shard, readonly ClusterOutcome[]>> }
