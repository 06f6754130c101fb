/**
 * The leases of a manager, and the only place that changes the state of one. It looks up the transition, sets the state,
 * applies the consequences, and then emits the event.
 */
import { isActive, type LeaseState, type LossReason, transition } from '../rules/lease-state.ts'
import { deadlineOf } from '../rules/timing.ts'
import { LeaseLostError } from '../errors.ts'
import { Demand } from './demand.ts'
import type { LeaseEvents } from './events.ts'
import type { Lease } from './lease.ts'
import type { LeaseCohort, LeaseRecord } from './lease-record.ts'
import { LeaseRecords } from './lease-records.ts'
import { Losses } from './losses.ts'
import { howEnded, notHeld, takeWaiters, endOf, stateOf, rejectWaiters, limitsOf, closedUnder } from './record-facts.ts'
import { Reservations } from './reservations.ts'
import type { LeaseTableParts, RecordInput } from './lease-table-parts.ts'

export type { Scheduled, Subscribers } from './lease-table-parts.ts'

export class LeaseTable {
  readonly #parts: LeaseTableParts
  /** Leases and reservations. A reservation has no cohort yet. */
  readonly #records: LeaseRecords
  readonly reservations: Reservations
  readonly #losses: Losses
  readonly #cohorts = new Set<LeaseCohort>()
  /** What its cohorts need. */
  readonly demand: Demand = new Demand()
  #jeopardy = 0
  #closing = false

  constructor(parts: LeaseTableParts) {
    this.#parts = parts
    this.#records = new LeaseRecords(parts.seed)
    this.reservations = new Reservations(this.#records, parts.isQueued)
    this.#losses = new Losses(parts.clock, ({ record, reason, error }) => {
      record.has.controller?.abort(error)
      this.#tell('lost', record, (lease) => ({ lease, reason, error }))
    })
  }

  get size(): number {
    return this.#records.size - this.reservations.placed
  }

  /** Leases whose last renewal failed. */
  get jeopardy(): number {
    return this.#jeopardy
  }

  /** Whether this manager holds a lease on the key. */
  isHeld(key: string): boolean {
    const record = this.get(key)
    return record !== undefined && isActive(this.observe(record))
  }

  /** Whether this manager holds a lease on the key, or has reserved it. */
  isTaken(key: string): boolean {
    const record = this.#records.get(key)
    return record !== undefined && (record.reserving || isActive(this.observe(record)))
  }

  get(key: string): LeaseRecord | undefined {
    const record = this.#records.get(key)
    return record?.reserving ? undefined : record
  }

  /** What is known of keys that several may hold, too. */
  get records(): Pick<LeaseRecords, 'jointsOf' | 'of'> {
    return this.#records
  }

  /** In no particular order. Some may have ended before the iterator reaches them. */
  *values(): Generator<LeaseRecord, undefined> {
    for (const record of this.#records.values()) if (!record.reserving) yield record
  }

  /** All cohorts with members. Cohorts may come and go during the iteration. */
  cohorts(): IterableIterator<LeaseCohort> {
    return this.#cohorts.values()
  }

  /** Adds a new cohort, with an entry in the wheel. */
  enlist(cohort: LeaseCohort): void {
    cohort.alarm = this.#parts.scheduler.add(cohort)
    this.#cohorts.add(cohort)
    this.#parts.keeper?.onFormed(cohort)
  }

  /** Removes a cohort that has no members any more. @param survivor is about to take over its members, if it has any. */
  dismiss(cohort: LeaseCohort, survivor?: LeaseCohort): void {
    this.#parts.keeper?.onDismissed(cohort, survivor)
    this.#parts.scheduler.remove(cohort.alarm)
    this.#cohorts.delete(cohort)
  }

  /**
   * Puts a lease that was just granted or adopted into the table. The caller lets it join a cohort and announces it before anything else.
   *
   * @returns whether listeners of another lease's end may have run.
   */
  place(record: LeaseRecord): boolean {
    const told = this.tellLosses()
    this.reservations.forgetDisplaced(record)
    if (!record.reserving) return this.#displace(record) || told
    // While a key is reserved, no other lease of this manager has it.
    this.reservations.onTaken(record)
    return told
  }

  /** Emits `acquired` for a lease that has its place and its cohort. */
  announce(record: LeaseRecord): void {
    this.#parts.tally.acquired += 1
    this.#parts.keeper?.onHeld(record)
    this.#tell('acquired', record, (lease) => ({ lease }))
  }

  /** Ends a placed lease at `retireAt`. */
  limit(record: LeaseRecord, retireAt: number): void {
    const { scheduler } = this.#parts
    const { own } = record
    own.retireAt = retireAt
    own.alarm = scheduler.add(record)
    scheduler.schedule(own.alarm, retireAt + scheduler.tick)
  }

  /**
   * Something threw while a lease was made: no caller has it (P31). An announced lease ends like one whose release was not answered; any other
   * ends without an event.
   */
  withdraw(record: LeaseRecord, announced: boolean): void {
    const { cohort } = record
    if (announced) {
      this.apply(record, { type: 'release', now: cohort?.confirmedAt ?? Number.NEGATIVE_INFINITY })
      this.apply(record, { type: 'undecided' })
      return
    }
    record.state = 'released'
    if (cohort) this.#vacate(record, undefined)
    else this.#records.delete(record)
  }

  /** Replaces any entry of the key. @returns whether a lease had the key. */
  #displace(record: LeaseRecord): boolean {
    const other = this.get(record.key)
    // The grant proves that the other lease is over. Its listeners run before the new lease has its place, and may do anything.
    if (other) this.apply(other, { type: 'refused', now: this.#parts.clock.now(), reason: 'taken' })
    const present = this.#records.set(record)
    if (present?.reserving) {
      this.reservations.onDisplaced(present)
    } else if (present) {
      this.apply(present, { type: 'refused', now: this.#parts.clock.now(), reason: 'taken' })
    }
    return (other ?? present) !== undefined
  }

  /**
   * The state now. A passed deadline takes effect before this returns, but no user code runs: every read of a lease ends here, and reads emit
   * nothing (P30). Listeners run in a turn of their own.
   */
  observe(record: LeaseRecord): LeaseState {
    if (record.cohort) {
      const { clock, keeper } = this.#parts
      const now = clock.now()
      if (now >= endOf(record)) {
        this.#change(record, { type: 'observed', now })
        this.#losses.tellSoon()
      } else if (keeper && keeper.refusals > 0) {
        const reason = keeper.refusalOf(record)
        if (reason) this.#change(record, { type: 'refused', now, reason })
        if (reason) this.#losses.tellSoon()
      }
    }
    return stateOf(record)
  }

  /** A deadline has passed. The keeper may have renewed some members of the cohort meanwhile; the others are lost. */
  #catchUp(cohort: LeaseCohort, now: number): void {
    const { keeper } = this.#parts
    if (keeper === undefined || now < cohort.deadline) return
    let kept = Number.POSITIVE_INFINITY
    for (const record of cohort.members) {
      const until = keeper.until(record)
      if (now < until) kept = Math.min(kept, until)
      else this.#settle(record, { type: 'observed', now })
    }
    if (kept !== Number.POSITIVE_INFINITY) cohort.keptUntil = kept
  }

  /** See `Losses.tell`. */
  tellLosses(): boolean {
    return this.#losses.tell()
  }

  /** Applies what happened to a lease, and emits the losses that follow. */
  apply(record: LeaseRecord, input: RecordInput): void {
    this.#change(record, input)
    this.#losses.tell()
  }

  #change(record: LeaseRecord, input: RecordInput): void {
    if (record.cohort && 'now' in input) this.#catchUp(record.cohort, input.now)
    this.#settle(record, input)
  }

  #settle(record: LeaseRecord, input: RecordInput): void {
    const before = stateOf(record)
    const next = transition(before, limitsOf(record), input)
    if (next.to === before || next.to === 'held' || next.to === 'jeopardy') return
    record.state = next.to
    const lastFailure = record.cohort?.failure
    if (isActive(before)) {
      if ('now' in input) this.#parts.tally.measure('hold', input.now - record.grantedAt, input.now)
      this.#vacate(record, input.type === 'release' && next.to === 'releasing' ? input.now : undefined)
    }
    if (input.type === 'release' || input.type === 'detach') this.#onGivenBack(record)
    if (next.notice === 'lost') {
      this.#lose(record, next.reason as LossReason, lastFailure)
    } else if (next.notice === 'released') {
      this.#parts.tally.released += 1
      const [confirmed, detached] = [input.type === 'deleted', input.type === 'detach']
      this.#tell('released', record, (lease) => ({ lease, confirmed, detached }))
    }
    if (next.notice) record.has.ending?.resolve(howEnded(record))
  }

  /** From now on, releases count as those of the closing manager. */
  beginClosing(): void {
    this.#closing = true
  }

  /** Aborts the signal of a lease before the closing manager gives its lock back. Listeners of the signal may do anything. */
  forewarn(record: LeaseRecord): void {
    if (!isActive(this.observe(record)) || record.has.givenBack) return
    const reason = closedUnder(record.key)
    record.own.givenBack = reason
    record.has.controller?.abort(reason)
  }

  /** The state is set and nothing is sent yet: work under the lock sees the abort before the server deletes the key. */
  #onGivenBack(record: LeaseRecord): void {
    if (record.state === 'lost') return
    const closing = this.#closing && record.state === 'releasing'
    if (closing) record.markClosed()
    if (record.has.givenBack || !(this.#parts.isInUse(record) || (closing && record.has.controller))) return
    const reason = closing ? closedUnder(record.key) : notHeld(record)
    record.own.givenBack = reason
    record.has.controller?.abort(reason)
  }

  /** The backend confirmed a renewal that was sent at `sentAt`. @returns whether the answer came in time. */
  confirm(cohort: LeaseCohort, sentAt: number): boolean {
    const { clock, driftFactor, tally } = this.#parts
    const now = clock.now()
    this.#catchUp(cohort, now)
    const next = transition(cohort.state, cohort, { type: 'confirmed', now, sentAt })
    if (next.extends === undefined) {
      this.expire(cohort)
      return false
    }
    if (cohort.state === 'jeopardy') this.#jeopardy -= cohort.size
    cohort.state = 'held'
    cohort.confirmedAt = sentAt
    cohort.deadline = deadlineOf(sentAt, cohort.terms.ttl, driftFactor)
    cohort.failures = 0
    cohort.failure = undefined
    this.#parts.keeper?.onConfirmed(cohort)
    tally.renewals += cohort.size
    for (const { waiter } of takeWaiters(cohort)) waiter.resolve()
    if (next.notice) this.#tellMembers(next.notice as 'renewed' | 'safe', cohort, (lease) => ({ lease }))
    return true
  }

  /** A renewal of a cohort failed or is overdue. */
  fail(cohort: LeaseCohort, error: Error): void {
    const { clock, tally } = this.#parts
    const now = clock.now()
    this.#catchUp(cohort, now)
    tally.failures += cohort.size
    cohort.failures += 1
    cohort.failure = error
    const next = transition(cohort.state, cohort, { type: 'unanswered', now, error })
    if (next.to === 'lost') {
      this.expire(cohort)
      return
    }
    if (next.notice === undefined) return
    cohort.state = 'jeopardy'
    this.#jeopardy += cohort.size
    const remaining = cohort.deadline - now
    this.#tellMembers('jeopardy', cohort, (lease) => ({ lease, error, remaining }))
  }

  /** Ends the members if their deadline has passed. @returns whether any is left. */
  expire(cohort: LeaseCohort): boolean {
    const now = this.#parts.clock.now()
    if (now < cohort.deadline) return cohort.size > 0
    this.#catchUp(cohort, now)
    // All members end before the first `lost` is emitted.
    for (const record of cohort.members) this.observe(record)
    this.tellLosses()
    return cohort.size > 0
  }

  #vacate(record: LeaseRecord, givenBack: number | undefined): void {
    const { scheduler, onVacated } = this.#parts
    const cohort = record.cohort as LeaseCohort
    this.#parts.keeper?.onEnded(record)
    cohort.remove(record)
    if (cohort.state === 'jeopardy') this.#jeopardy -= 1
    if (cohort.size === 0) this.dismiss(cohort)
    if (record.has.alarm !== -1) scheduler.remove(record.has.alarm)
    this.#records.delete(record)
    this.reservations.onVacated(record)
    onVacated(record, givenBack)
    if (record.state !== 'lost') rejectWaiters(record)
  }

  /** The consequences of a loss that run no user code; the others wait for `tellLosses`. */
  #lose(record: LeaseRecord, reason: LossReason, cause: Error | undefined): void {
    const error = new LeaseLostError(record.key, reason, cause && { cause })
    record.own.loss = error
    this.#parts.tally.lost[reason] += 1
    rejectWaiters(record)
    if (reason === 'expired' || reason === 'maxHold' || record.has.doubt) this.#parts.onAbandoned(record)
    this.#losses.add({ record, reason, error })
  }

  /** Builds a payload only if somebody listens. */
  #tell<E extends keyof LeaseEvents>(
    event: E,
    record: LeaseRecord,
    payload: (lease: Lease) => LeaseEvents[E][0],
  ): void {
    const { subscribers } = this.#parts
    if (subscribers.listenerCount(event) > 0) subscribers.emit(event, payload(record.handle as Lease))
  }

  /** A listener may be slow, or end a lease: each lease is observed again before its event. */
  #tellMembers<E extends 'renewed' | 'safe' | 'jeopardy'>(
    event: E,
    cohort: LeaseCohort,
    payload: (lease: Lease) => LeaseEvents[E][0],
  ): void {
    if (this.#parts.subscribers.listenerCount(event) === 0) return
    for (const record of cohort.members) {
      if (isActive(this.observe(record))) this.#tell(event, record, payload)
    }
  }
}
