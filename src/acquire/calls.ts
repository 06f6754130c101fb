/**
 * Counts the calls for locks that bring none, and traces calls if anybody subscribes. A call for one key gets no promise of its own for that, unless
 * it is traced.
 */
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Tally, UnacquiredCause } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import { type AcquireTrace, isAcquireTraced, traceAcquire } from '../tracing/channels.ts'
import { REFUSED } from './failures.ts'

/** What matters here of a call's settings. */
export type CallSettings = Pick<AcquireSettings, 'wait' | 'part'>

export interface CallsParts {
  readonly clock: Clock
  readonly tally: Tally
  /** The manager, for those who trace it. */
  readonly leases: object
}

type Method = AcquireTrace['method']

export class Calls {
  readonly #parts: CallsParts

  constructor(parts: CallsParts) {
    this.#parts = parts
  }

  /** Traces a call for one key. The caller of this method counts its failure. */
  one<T>(method: Method, key: string, settings: CallSettings, work: () => Promise<T>): Promise<T> {
    return this.#trace(method, [key], settings, work, (lease) => lease !== null)
  }

  /** Counts and traces a call for many keys. */
  many<L extends Lease | null>(
    method: Method,
    keys: readonly string[],
    settings: CallSettings,
    work: () => Promise<L[]>,
  ): Promise<L[]> {
    const counted = async (): Promise<L[]> => {
      try {
        const leases = await work()
        let missing = 0
        for (const lease of leases) if (lease === null) missing += 1
        if (missing > 0) this.onFailed(REFUSED, settings, missing)
        return leases
      } catch (error) {
        this.onFailed(error, settings, method === 'acquireMany' ? keys.length : 1)
        throw error
      }
    }
    if (!isAcquireTraced()) return counted()
    return this.#trace(method, keys, settings, counted, (leases) => leases.every((lease) => lease !== null))
  }

  /** A caller did not get `count` locks. */
  onFailed(error: unknown, settings: CallSettings, count = 1): void {
    if (!settings.part) this.#parts.tally.unacquired[causeOf(error, settings)] += count
  }

  #trace<T>(
    method: Method,
    keys: readonly string[],
    settings: CallSettings,
    work: () => Promise<T>,
    isGranted: (result: T) => boolean,
  ): Promise<T> {
    const { clock, leases } = this.#parts
    const startedAt = clock.now()
    const trace: AcquireTrace = { leases, method, keys }
    const end = (outcome: 'granted' | UnacquiredCause): void => {
      trace.wait = clock.now() - startedAt
      trace.outcome = outcome
    }
    return traceAcquire(trace, async () => {
      try {
        const result = await work()
        end(isGranted(result) ? 'granted' : causeOf(REFUSED, settings))
        return result
      } catch (error) {
        end(causeOf(error, settings))
        throw error
      }
    })
  }
}

function causeOf(error: unknown, { wait }: CallSettings): UnacquiredCause {
  if (error === REFUSED || error instanceof LockNotAcquiredError) return wait > 0 ? 'timedOut' : 'refused'
  return error instanceof UnavailableError ? 'unavailable' : 'cancelled'
}
