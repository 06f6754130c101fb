/**
 * The channels of `node:diagnostics_channel` on which managers report what they do. If nobody subscribes, a call costs one check, and nothing is
 * allocated.
 */
import { channel, tracingChannel } from 'node:diagnostics_channel'
import type { UnacquiredCause } from '../stats.ts'

/** What `leasewheel:acquire` reports of a call for locks. `wait` and `outcome` are set at its end. */
export interface AcquireTrace {
  /** The `LeaseManager`. */
  readonly leases: object
  readonly method: 'tryAcquire' | 'acquire' | 'acquireMany' | 'acquireAll'
  /** The keys that the caller asked for, without the prefix. */
  readonly keys: readonly string[]
  /** ms from the call to its end. */
  wait?: number
  /** `granted` if the caller got all of the keys. Otherwise why it did not. */
  outcome?: 'granted' | UnacquiredCause
  /** What the call returned: a `Lease` or null, or one of them for each key. Node sets it. */
  readonly result?: unknown
  /** What the call threw. Node sets it. */
  readonly error?: unknown
}

/** What `leasewheel:using` reports. */
export interface UsingTrace {
  readonly leases: object
  readonly key: string
  readonly result?: unknown
  readonly error?: unknown
}

/** What `leasewheel:release` reports of a call of `lease.release()`. */
export interface ReleaseTrace {
  readonly leases: object
  readonly key: string
  readonly fence: number
  /** Whether the backend confirmed that it deleted the key. Node sets it. */
  readonly result?: unknown
}

/** The names of ioredis' channels have the same form. */
export const ACQUIRE_CHANNEL = 'leasewheel:acquire'
export const USING_CHANNEL = 'leasewheel:using'
export const RELEASE_CHANNEL = 'leasewheel:release'

const acquires = tracingChannel<unknown, AcquireTrace>(ACQUIRE_CHANNEL)
const usings = tracingChannel<unknown, UsingTrace>(USING_CHANNEL)
const releases = tracingChannel<unknown, ReleaseTrace>(RELEASE_CHANNEL)
const lost = channel('leasewheel:lost')
const jeopardy = channel('leasewheel:jeopardy')

/** Events of leases that have a channel of their own. */
export type TracedEvent = 'lost' | 'jeopardy'

/** Whether anybody subscribes to calls for locks. */
export function isAcquireTraced(): boolean {
  return acquires.hasSubscribers
}

/** @param work sets `wait` and `outcome` before it settles. */
export function traceAcquire<T>(trace: AcquireTrace, work: () => Promise<T>): Promise<T> {
  return acquires.tracePromise(work, trace)
}

export function traceUsing<T>(leases: object, key: string, work: () => Promise<T>): Promise<T> {
  if (!usings.hasSubscribers) return work()
  return usings.tracePromise(work, { leases, key })
}

/** Whether anybody subscribes to releases. */
export function isReleaseTraced(): boolean {
  return releases.hasSubscribers
}

export function traceRelease<T>(
  leases: object,
  lease: Pick<ReleaseTrace, 'key' | 'fence'>,
  work: () => Promise<T>,
): Promise<T> {
  return releases.tracePromise(work, { leases, key: lease.key, fence: lease.fence })
}

/** Whether anybody subscribes to this event of leases, beside the listeners of their manager. */
export function isEventTraced(event: string): event is TracedEvent {
  return (event === 'lost' && lost.hasSubscribers) || (event === 'jeopardy' && jeopardy.hasSubscribers)
}

/** Publishes an event of a lease, and whose it is. */
export function publishEvent(event: TracedEvent, leases: object, payload: object): void {
  const target = event === 'lost' ? lost : jeopardy
  target.publish({ leases, ...payload })
}
