/** What `inspect` reports. */
import type { MemberLockView } from '../backend.ts'
import type { JointMode } from '../rules/sharing.ts'
import type { Lease } from './lease.ts'

/** Who holds a lock, as `inspect` reports it. */
export interface LockInspection {
  /** The token on the key; empty if several may hold it. */
  readonly token: string
  /** Who holds it: the `owner` of a manager, or undefined if the token names none. */
  readonly owner: string | undefined
  /** When it was acquired, by the clock of the machine that acquired it; undefined if the token does not say. */
  readonly since: Date | undefined
  /** What is left of its ttl, in ms; Infinity if it has none. */
  readonly remaining: number
  /** How many members of a quorum have the token; undefined if the backend is no quorum. */
  readonly votes?: number
  /** What each member of a quorum has on the key; undefined if the backend is no quorum. */
  readonly members?: readonly MemberLockView[]
  /** The lease of this manager, if this manager holds the lock. */
  readonly lease: Lease | undefined
  /** Given if several may hold the key. */
  readonly joint?: JointInspection
}

/** Who holds permits of a key, reads under it or writes. */
export interface JointInspection {
  /** Undefined if nobody holds the key, but some wait for it. */
  readonly mode: JointMode | undefined
  /** In the order in which their ttls end. */
  readonly holders: readonly HolderInspection[]
}

/** One of the holders. Its `since` says when it asked, which may be long before it was granted. */
export interface HolderInspection extends Omit<LockInspection, 'joint'> {
  /** How many permits it takes; 1 for readers and writers. */
  readonly weight: number
}
