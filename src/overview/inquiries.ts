/** What a manager asks the backend about locks and managers, whoever they are. */
import type { AbortWatch } from '../acquire/abort-watch.ts'
import { asError } from '../as-error.ts'
import type { Backend, LockView, Routing } from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import { UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { LockInspection } from '../lease/lock-inspection.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import { ownerOf, sinceOf } from '../lease/token.ts'
import type { AcquireSettings, ListSettings } from '../options/settings.ts'
import { within } from '../requests/within.ts'
import { isActive } from '../rules/lease-state.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'
import { keyText } from './key-text.ts'
import { type Clock, dateOf, wallTime } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'
import { type ListedLock, listLocks } from './listing.ts'

export interface InquiryParts {
  readonly backend: Backend
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly routeOf: (key: string) => number | undefined
  readonly faultOf: (key: string) => Error | undefined
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly aborts: Pick<AbortWatch, 'race'>
  readonly table: LeaseTable
  readonly lines: Pick<WaitingLines, 'get'>
  readonly tryDefaults: Pick<AcquireSettings, 'timeout'>
}

export class Inquiries {
  readonly #parts: InquiryParts

  constructor(parts: InquiryParts) {
    this.#parts = parts
  }

  /** The lease that this manager holds on a key, if there is one. */
  leaseOn(key: string): Lease | undefined {
    const { table } = this.#parts
    const record = table.get(key)
    return record && isActive(table.observe(record)) ? record.handle : undefined
  }

  async inspect(key: string): Promise<LockInspection | null> {
    const { backend } = this.#parts
    const view = await this.#ask(`Lock \`${key}\` could not be inspected`, key, () => backend.inspect(key))
    if (view === null) return null
    const { joint, ...holder } = view
    if (joint === undefined) return this.#describe(key, holder)
    const holders = joint.holders.map((one) => this.#describe(key, one))
    holders.sort((a, b) => a.remaining - b.remaining)
    return { ...this.#describe(key, holder), joint: { mode: joint.mode, holders } }
  }

  #describe<H extends LockView>(key: string, holder: H): H & Pick<LockInspection, 'owner' | 'since' | 'lease'> {
    const { token } = holder
    return {
      ...holder,
      owner: ownerOf(token),
      since: dateOf(sinceOf(token, wallTime())),
      lease: this.#leaseOf(key, token),
    }
  }

  /** What a key that is no text is called. */
  nameOf(key: Uint8Array): string {
    return keyText(key).key
  }

  /** @param key bytes for a key that is no text. */
  forceRelease(key: string | Uint8Array): Promise<boolean> {
    const { backend } = this.#parts
    if (typeof key !== 'string') {
      return this.askCatalogue(`Lock \`${keyText(key).key}\` could not be released`, (catalogue) =>
        catalogue.remove(key),
      )
    }
    return this.#ask(`Lock \`${key}\` could not be released`, key, () => backend.forceRelease(key))
  }

  /** @param throwIfClosed called before each page. */
  list(settings: ListSettings, throwIfClosed: () => void): AsyncGenerator<ListedLock, void> {
    const { aborts, clock } = this.#parts
    const ask = <T>(work: (catalogue: Catalogue) => Promise<T>): Promise<T> =>
      this.askCatalogue('Locks could not be listed', work)
    const leaseOf = (key: string, token: string): Lease | undefined => this.#leaseOf(key, token)
    const waitersFor = (key: string): number => this.#parts.lines.get(key)?.size ?? 0
    return listLocks({ aborts, clock, ask, leaseOf, waitersFor, throwIfClosed }, settings)
  }

  /** @param failure what the error says. @throws UnavailableError. */
  askCatalogue<T>(failure: string, work: (catalogue: Catalogue) => Promise<T>): Promise<T> {
    return this.#ask(failure, undefined, () => {
      const { catalogue } = this.#parts.backend
      if (catalogue) return work(catalogue)
      return Promise.reject(new UnavailableError('this backend has no catalogue', undefined, { final: true }))
    })
  }

  #leaseOf(key: string, token: string): Lease | undefined {
    const { table } = this.#parts
    for (const record of [table.get(key), ...table.records.jointsOf(key)]) {
      if (record?.token === token && isActive(table.observe(record))) return record.handle
    }
    return undefined
  }

  #ask<T>(failure: string, key: string | undefined, ask: () => Promise<T>): Promise<T> {
    const { backend, routing, routeOf, faultOf, scheduler, tryDefaults } = this.#parts
    const whenReady = async (): Promise<T> => {
      // A catalogue of several servers waits for each of them itself.
      if (key !== undefined || routing === undefined) await backend.ready(key === undefined ? undefined : routeOf(key))
      return ask()
    }
    const fault = (): Error | undefined => routing && (key === undefined ? backend.fault : faultOf(key))
    return within(scheduler, tryDefaults.timeout, whenReady, fault).catch((error: unknown) => {
      const cause = asError(error)
      throw new UnavailableError(`${failure}: ${cause.message}`, key, { cause })
    })
  }
}
