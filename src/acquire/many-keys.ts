/** Calls for many keys at once: each independently, or all of them or none. */
import type { Lease } from '../lease/lease.ts'
import { checkDistinctKeys, checkKey, listOfKeys } from '../options/keys.ts'
import type { AcquireManySettings, AcquireSettings } from '../options/settings.ts'
import type { Clock } from '../time/clock.ts'
import { forEachIndex } from '../time/slices.ts'
import type { AbortWatch } from './abort-watch.ts'
import { acquireAll } from './acquire-all.ts'
import type { BulkSettings } from './acquire-batch.ts'
import type { BulkAcquisitions } from './bulk-acquisition.ts'
import type { Calls } from './calls.ts'
import type { FirstAttempts } from './first-attempt.ts'

export interface ManyKeysParts {
  readonly clock: Clock
  readonly calls: Calls
  readonly aborts: AbortWatch
  readonly attempts: FirstAttempts
  readonly bulks: BulkAcquisitions
}

/** What the manager refuses. Both throw. */
export interface Refusals {
  /** A key that the backend needs for itself. */
  readonly ofKey: (key: string) => unknown
  /** Any call, once the manager is closed. @param key of the call, if it has one. */
  readonly ofClosed: (key?: string) => void
}

export class ManyKeys {
  readonly #parts: ManyKeysParts
  readonly #refusals: Refusals

  constructor(parts: ManyKeysParts, refusals: Refusals) {
    this.#parts = parts
    this.#refusals = refusals
  }

  /** See `LeaseManager.acquireMany`. */
  async acquireMany(keys: Iterable<string>, settings: AcquireManySettings): Promise<(Lease | null)[]> {
    const list = listOfKeys(keys)
    const { calls, clock } = this.#parts
    const checking = forEachIndex(list.length, clock, (index) => {
      this.#refusals.ofKey(checkKey(list[index]))
    })
    if (checking) await checking
    const checked = list as readonly string[]
    return calls.many('acquireMany', checked, settings, () => this.#tryEach(checked, { ...settings, allOrNone: false }))
  }

  /** See `LeaseManager.acquireAll`. */
  async acquireAll(keys: Iterable<string>, settings: AcquireSettings): Promise<Lease[]> {
    const { calls, clock, aborts } = this.#parts
    const startedAt = clock.now()
    const list = checkDistinctKeys(keys)
    for (const key of list) this.#refusals.ofKey(key)
    const all = {
      keys: list,
      wait: settings.wait,
      waited: () => clock.now() - startedAt,
      tryEach: (some: readonly string[]) =>
        this.#tryEach(some, { ...settings, wait: 0, onProgress: undefined, allOrNone: true }),
      waitFor: (key: string, wait: number) => this.#waitFor(key, { ...settings, wait, part: true }),
      unlessCancelled: (released: Promise<void>) => aborts.race(settings.signal, released),
    }
    return calls.many('acquireAll', list, settings, () => acquireAll(all))
  }

  async #waitFor(key: string, settings: AcquireSettings): Promise<Lease> {
    this.#refusals.ofClosed(key)
    return this.#parts.attempts.acquire(key, settings)
  }

  async #tryEach(keys: readonly string[], settings: BulkSettings): Promise<(Lease | null)[]> {
    this.#refusals.ofClosed()
    return this.#parts.bulks.run(keys, settings)
  }
}
