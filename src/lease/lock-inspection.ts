/** What `inspect` reports. */
import type { MemberLockView } from '../backend.ts'
import type { Lease } from './lease.ts'

/** Who holds a lock, as `inspect` reports it. */
export interface LockInspection {
  /** The token on the key. */
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
}
