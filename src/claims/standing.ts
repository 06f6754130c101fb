/** What elections, claims and shares need from their manager, and what it needs from them. */
import type { Catalogue } from '../catalogue.ts'
import type { Lease } from '../lease/lease.ts'
import type { LockInspection } from '../lease/lock-inspection.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { LossReason } from '../rules/lease-state.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'

/** Something that holds locks for as long as it stands. */
export interface Standing {
  /** Gives back what it holds, at most `drain` ms after the work under it was told to stop. Idempotent, and never rejects. */
  close(): Promise<void>
  /** The manager closes. @param reason of the signals. */
  onManagerClosing(reason: Error): Promise<void>
}

/** Learns how a lease ended that it did not give back itself. */
export interface Follower {
  /** @param reason `released` if somebody else gave the lease back, or detached it. */
  onEnded(reason: LossReason | 'released', error: Error): void
}

export interface StandingPort {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly random: () => number
  /** Makes one attempt for each key, in batches. @throws UnavailableError: it then holds none of them. */
  readonly tryEach: (keys: readonly string[], settings: AcquireSettings) => Promise<(Lease | null)[]>
  /** Waits for one key. */
  readonly waitFor: (key: string, settings: AcquireSettings) => Promise<Lease>
  /** Releases leases, in batches. Never rejects. */
  readonly giveBack: (leases: readonly Lease[]) => Promise<void>
  readonly inspect: (key: string) => Promise<LockInspection | null>
  /** Whether the members of a group learn of each other. On a quorum they might not all see the same group. */
  readonly hasGroups: () => boolean
  readonly askCatalogue: <T>(work: (catalogue: Catalogue) => Promise<T>) => Promise<T>
  /** Emits a fault as `error`. */
  readonly report: (fault: unknown) => void
  /** Tells the follower how the lease ends. */
  readonly follow: (lease: Lease, follower: Follower) => void
  /** The follower ends the lease itself. */
  readonly unfollow: (lease: Lease) => void
  /** It is closed: the manager forgets it. */
  readonly onClosed: (standing: Standing) => void
}
