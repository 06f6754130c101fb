/**
 * The leases that a keeper renews while the event loop is blocked: the manager's side. It writes down what is held, shows that the event loop is free,
 * and reads what the keeper has confirmed.
 *
 * The two threads share a steady clock, which stands still while the machine sleeps. What the keeper confirmed before the manager's clock noticed a
 * sleep does not count: nobody can say whether the sleep came before or after it.
 */
import type { KeeperSettings, LedgerPart, StartedKeeper } from '../backend.ts'
import type { LeaseKeeper } from '../lease/lease-table-parts.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import { beatEvery, isBeat } from '../rules/keeping.ts'
import { deadlineOf } from '../rules/timing.ts'
import type { KeeperStats } from '../stats.ts'
import type { SystemClock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import { LedgerWriter } from './ledger.ts'

export interface KeptLeasesParts {
  readonly clock: Pick<SystemClock, 'steady' | 'ahead'>
  readonly scheduler: Alarms
  readonly driftFactor: number
  /** The ttl of most leases, in ms. */
  readonly ttl: number
  /** Starts the keeper with this memory. */
  readonly start: (memory: Pick<KeeperSettings, 'head' | 'parts'>) => StartedKeeper
}

const NEVER = Number.NEGATIVE_INFINITY

export class KeptLeases implements LeaseKeeper {
  readonly #parts: KeptLeasesParts
  readonly #ledger: LedgerWriter
  readonly #keeper: StartedKeeper
  #count = 0
  #shortestTtl: number
  #alarm: Alarm | undefined
  /** When the next beat is due, on the steady clock. */
  #due = NEVER
  /** See `SystemClock.ahead`, and when it was last found to have grown. */
  #ahead: number
  #aheadSince = NEVER
  #closed = false

  constructor(parts: KeptLeasesParts) {
    this.#parts = parts
    this.#ahead = parts.clock.ahead
    this.#ledger = new LedgerWriter((part: LedgerPart) => this.#keeper.add(part))
    this.#shortestTtl = parts.ttl
    this.#ledger.shortestTtl = parts.ttl
    this.#keeper = parts.start({ head: this.#ledger.head, parts: [] })
  }

  get refusals(): number {
    return this.#ledger.refusals
  }

  get stats(): KeeperStats {
    const { connected, renewals } = this.#ledger
    return { connected: connected && !this.#closed, kept: this.#count, renewals }
  }

  onHeld(record: LeaseRecord): void {
    const cohort = record.cohort as LeaseCohort
    const { ttl, autoRenew } = cohort.terms
    // A listener of another lease's end may have closed the manager.
    // The keeper knows plain locks only.
    if (!autoRenew || record.joint || this.#closed) return
    if (cohort.keptAs === -1) cohort.keptAs = this.#ledger.openCohort(ttl, this.#steady(cohort.confirmedAt))
    const { retireAt } = record.has
    const end = retireAt === undefined ? Number.POSITIVE_INFINITY : this.#steady(retireAt)
    if (ttl < this.#shortestTtl) {
      this.#shortestTtl = ttl
      this.#ledger.shortestTtl = ttl
      // The next beat was planned for longer ttls: the keeper would take the event loop for silent.
      if (this.#count > 0) this.#hurry()
    }
    this.#count += 1
    // Before the keeper sees the lease: the last beat may be old.
    if (this.#count === 1) this.#begin()
    const slot = this.#ledger.open(record.key, record.token, cohort.keptAs, end)
    if (slot === -1) this.#forgetOne()
    else record.own.slot = slot
  }

  onEnded(record: LeaseRecord): void {
    const { slot } = record.has
    if (slot === -1) return
    record.own.slot = -1
    this.#ledger.end(slot)
    this.#forgetOne()
  }

  onFormed(cohort: LeaseCohort): void {
    // Parts of a cohort that was split.
    this.#move(cohort, cohort)
  }

  onConfirmed({ keptAs, confirmedAt }: LeaseCohort): void {
    if (keptAs !== -1) this.#ledger.confirmCohort(keptAs, this.#steady(confirmedAt))
  }

  onDismissed(cohort: LeaseCohort, survivor: LeaseCohort | undefined): void {
    if (cohort.keptAs === -1) return
    if (survivor) this.#move(cohort, survivor)
    this.#ledger.closeCohort(cohort.keptAs)
    cohort.keptAs = -1
  }

  until({ has: { slot }, ttl }: LeaseRecord): number {
    if (slot === -1) return NEVER
    const confirmedAt = this.#ledger.confirmedAt(slot)
    this.#noticeSleep()
    const { driftFactor } = this.#parts
    return confirmedAt < this.#aheadSince ? NEVER : deadlineOf(confirmedAt + this.#ahead, ttl, driftFactor)
  }

  refusalOf({ has: { slot } }: LeaseRecord): 'taken' | 'missing' | undefined {
    return slot === -1 ? undefined : this.#ledger.refusalOf(slot)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#ledger.close()
    await this.#keeper.close()
  }

  #move({ members }: LeaseCohort, to: LeaseCohort): void {
    for (const { has } of members) {
      if (has.slot === -1) continue
      if (to.keptAs === -1) to.keptAs = this.#ledger.openCohort(to.terms.ttl, this.#steady(to.confirmedAt))
      this.#ledger.move(has.slot, to.keptAs)
    }
  }

  #forgetOne(): void {
    this.#count -= 1
    if (this.#count > 0) return
    this.#alarm?.cancel()
    this.#alarm = undefined
  }

  #begin(): void {
    const now = this.#parts.clock.steady()
    this.#noticeSleep()
    this.#plan(now)
    this.#ledger.beat(now)
  }

  #plan(now: number): void {
    const every = beatEvery(this.#shortestTtl)
    this.#due = now + every
    this.#alarm = this.#parts.scheduler.after(every, () => this.#onAlarm())
  }

  #onAlarm(): void {
    const now = this.#parts.clock.steady()
    const late = now - this.#due
    // A sleep long ago must not look like one in the next block.
    this.#noticeSleep()
    this.#plan(now)
    if (isBeat(late, this.#shortestTtl)) this.#ledger.beat(now)
  }

  #hurry(): void {
    this.#alarm?.cancel()
    this.#onAlarm()
  }

  #noticeSleep(): void {
    const { clock } = this.#parts
    if (clock.ahead === this.#ahead) return
    this.#ahead = clock.ahead
    this.#aheadSince = clock.steady()
  }

  /** A time of the manager's clock on the steady clock. */
  #steady(time: number): number {
    return time - this.#parts.clock.ahead
  }
}
