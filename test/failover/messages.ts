/** What a measurement and its two child processes say to each other. Times are those of `machineTime`. */
import type { LossReason } from 'leasewheel'

/** What a child is told when it is started. */
export interface Task {
  readonly role: 'holder' | 'rival'
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  readonly name: string
  /** ms. */
  readonly ttl: number
  /** How many leases the holder takes. */
  readonly leases: number
  /** For how many of them the rival waits. */
  readonly waiters: number
}

/** What became of a lease. */
export interface Outcome {
  /** Its number: the lock's key is `keyOf(set, number)`. */
  readonly number: number
  readonly acquiredAt: number
  /** The last moment at which it is proven to have been held. */
  readonly heldAt: number
  readonly lost: LossReason | undefined
}

export type MessageToChild =
  /** The rival takes fresh locks until it is told to stop that. */
  { readonly type: 'begin' } | { readonly type: 'pause' } | { readonly type: 'report' }

export type MessageFromChild =
  | { readonly type: 'ready' }
  /** A fresh lock was acquired. */
  | { readonly type: 'acquired'; readonly number: number; readonly at: number }
  /** A waiter got a lock of the holder's. */
  | { readonly type: 'granted'; readonly number: number; readonly at: number }
  | { readonly type: 'report'; readonly outcomes: readonly Outcome[] }

/** `held`: the locks that were acquired before the failover. `fresh`: those taken during it. */
export function keyOf(set: 'held' | 'fresh', number: number): string {
  return `${set}:${number}`
}
