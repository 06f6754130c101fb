/**
 * How a manager closes:
 *
 *     callers are rejected ──▶ drain: the work of `using` goes on, and its leases are renewed ──▶ signals are aborted ──a turn later──▶ all is
 *       released ──answered, or its time is over──▶ the backend is closed ──▶ the last losses are told, and the timer is taken back
 */
import type { Adoptions } from '../acquire/adoption.ts'
import type { BulkAcquisitions } from '../acquire/bulk-acquisition.ts'
import type { FirstAttempts } from '../acquire/first-attempt.ts'
import type { Backend } from '../backend.ts'
import { ManagerClosedError } from '../errors.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { CloseSettings } from '../options/settings.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import { within } from '../requests/within.ts'
import { type Clock, nextTurn } from '../time/clock.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'
import type { Usages } from './usages.ts'

/** ms that a backend may take to close its connections before it is left to itself. */
const CLOSE_BACKEND_TIMEOUT = 1_000

export interface ClosingParts {
  readonly clock: Clock
  readonly backend: Backend
  readonly scheduler: Scheduler<Scheduled>
  readonly dispatch: Dispatch
  readonly bulks: BulkAcquisitions
  readonly attempts: FirstAttempts
  readonly lines: WaitingLines
  readonly adoptions: Adoptions
  readonly usages: Usages
  readonly table: LeaseTable
  readonly releaser: Releaser
  readonly onFault: (fault: unknown) => void
}

/** Once for each manager. Never rejects. */
export class Closing {
  readonly #parts: ClosingParts
  readonly #settings: CloseSettings
  /** There is no more time for releases. */
  #over = false

  constructor(parts: ClosingParts, settings: CloseSettings) {
    this.#parts = parts
    this.#settings = settings
  }

  async run(): Promise<void> {
    const { backend, scheduler, table, releaser, onFault } = this.#parts
    this.#rejectCallers()
    await this.#drain()
    // What is not answered in time is left to expire.
    await within(scheduler, this.#settings.timeout, () => this.#release()).catch(() => undefined)
    this.#over = true
    releaser.close()
    await within(scheduler, CLOSE_BACKEND_TIMEOUT, () => backend.close()).catch(onFault)
    table.tellLosses()
    scheduler.close()
  }

  #rejectCallers(): void {
    const { bulks, attempts, lines, adoptions } = this.#parts
    const reasonFor = (key: string): ManagerClosedError => new ManagerClosedError(key)
    bulks.cancelAll(new ManagerClosedError())
    attempts.cancelAll(reasonFor)
    lines.cancelAll(reasonFor)
    adoptions.cancelAll(reasonFor)
  }

  async #drain(): Promise<void> {
    const { usages, table, clock } = this.#parts
    await usages.drain()
    table.beginClosing()
    if (usages.size === 0) return
    usages.forewarn()
    // Who listens to its signal ends before its lock is given back.
    await nextTurn(clock)
  }

  async #release(): Promise<void> {
    const { dispatch, clock, releaser } = this.#parts
    await this.#releaseAll()
    // What was asked for before may still be granted, and is then given back.
    await dispatch.acquiresSettled()
    await nextTurn(clock)
    await releaser.idle()
  }

  async #releaseAll(): Promise<void> {
    const { table, releaser, clock } = this.#parts
    const { onProgress } = this.#settings
    const total = table.size
    let done = 0
    const onSettled = (count: number): void => {
      done += count
      onProgress?.({ done: Math.min(done, total), total })
    }
    // A listener may acquire something meanwhile, by what was asked for before.
    while (table.size > 0 && !this.#over) {
      await releaser.releaseEach(table.values(), onSettled, () => this.#over)
      // Whatever is left: the event loop is not kept from the timer that ends this.
      await nextTurn(clock)
    }
  }
}
