/**
 * How a manager closes:
 *
 *     elections, claims and shares end ──▶ callers are rejected ──▶ drain: the work of `using` goes on, and its leases are renewed ──▶ signals are aborted ──a turn later──▶ all is
 *       released ──answered, or its time is over──▶ the backend is closed ──▶ the last losses are emitted, and the timer is cancelled
 */
import type { Adoptions } from '../acquire/adoption.ts'
import type { BulkAcquisitions } from '../acquire/bulk-acquisition.ts'
import type { FirstAttempts } from '../acquire/first-attempt.ts'
import type { Backend } from '../backend.ts'
import type { Standings } from '../claims/standings.ts'
import { ManagerClosedError } from '../errors.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import type { CloseSettings } from '../options/settings.ts'
import type { Members } from '../overview/members.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import { within } from '../requests/within.ts'
import { type Clock, nextTurn } from '../time/clock.ts'
import type { Scheduler } from '../time/scheduler.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'
import type { Connectivity } from './connectivity.ts'
import type { Usages } from './usages.ts'

/** ms that a backend may take to close its connections before the manager stops waiting. */
const CLOSE_BACKEND_TIMEOUT = 1_000

export interface ClosingParts {
  readonly clock: Clock
  readonly backend: Backend
  readonly connectivity: Pick<Connectivity, 'end'>
  readonly scheduler: Scheduler<Scheduled>
  readonly dispatch: Dispatch
  readonly bulks: BulkAcquisitions
  readonly attempts: FirstAttempts
  readonly lines: WaitingLines
  readonly adoptions: Adoptions
  readonly usages: Usages
  readonly table: LeaseTable
  readonly releaser: Releaser
  readonly members: Members
  readonly standings: Standings
  readonly keeper?: { close(): Promise<void> } | undefined
  readonly onFault: (fault: unknown) => void
}

/** Runs once per manager, and never rejects. */
export class Closing {
  readonly #parts: ClosingParts
  readonly #settings: CloseSettings
  /** The time for releases is over. */
  #over = false

  constructor(parts: ClosingParts, settings: CloseSettings) {
    this.#parts = parts
    this.#settings = settings
  }

  async run(): Promise<void> {
    const { backend, connectivity, scheduler, table, releaser, members, standings, keeper, usages, onFault } =
      this.#parts
    if (standings.size > 0) usages.include(standings.close())
    this.#rejectCallers()
    await this.#drain()
    // Keys without an answer in time expire.
    await within(scheduler, this.#settings.timeout, () => this.#release()).catch(() => undefined)
    this.#over = true
    releaser.close()
    // Without an answer the announcement expires.
    await within(scheduler, CLOSE_BACKEND_TIMEOUT, () => members.close()).catch(() => undefined)
    connectivity.end()
    if (keeper) await within(scheduler, CLOSE_BACKEND_TIMEOUT, () => keeper.close()).catch(onFault)
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
    // Listeners of the signals stop their work before the locks are released.
    await nextTurn(clock)
  }

  async #release(): Promise<void> {
    const { dispatch, clock, releaser } = this.#parts
    await this.#releaseAll()
    // Earlier requests may still be granted; their keys are then given back.
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
    // An earlier request may bring another lease meanwhile.
    while (table.size > 0 && !this.#over) {
      await releaser.releaseEach(table.values(), onSettled, () => this.#over)
      // The timer that ends this loop needs its turn.
      await nextTurn(clock)
    }
  }
}
