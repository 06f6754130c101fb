/** Renewals: collects the cohorts that are due, sends them in batches, applies the answers, and repeats failed renewals. */
import { asError } from '../as-error.ts'
import type { Backend, ChangeOutcome, Routing } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { type CohortTerms, mergeCohorts } from '../lease/cohort.ts'
import { renewalDue, renewalRetryDelay } from '../rules/timing.ts'
import { type Joining, joiningOf } from './joining.ts'
import { type Lane, Lanes } from './lanes.ts'
import type { Loads } from './loads.ts'
import { RenewalBatch } from './renewal-batch.ts'
import { type CohortFailure, failuresOf, isAnswer, NO_OUTCOME, overdue, tellFailure } from './renewal-failures.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import type { LeaseTable, Scheduled } from '../lease/lease-table.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { Scheduler, Tick } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'

const NEVER = Number.POSITIVE_INFINITY

export interface RenewerParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly scheduler: Scheduler<Scheduled>
  readonly table: LeaseTable
  readonly tally: Tally
  readonly loads: Loads
  /** None if there is one server. */
  readonly routing: Routing | undefined
  readonly batchSize: number
  readonly driftFactor: number
  readonly random: () => number
  /** Whether to watch the keys of held leases now. @param route those of one server, if there are several. */
  readonly isWatching: (added: number, route: number | undefined) => boolean
  readonly onFault: (fault: unknown) => void
}

export class Renewer {
  readonly #parts: RenewerParts
  readonly #joining: Joining
  readonly #lanes: Lanes
  #pumping = false

  constructor(parts: RenewerParts) {
    this.#parts = parts
    const onFormed = (cohort: LeaseCohort, due: number): void => {
      parts.table.enlist(cohort)
      this.#schedule(cohort, due)
    }
    this.#joining = joiningOf({ ...parts, onFormed })
    this.#lanes = new Lanes(parts)
  }

  /** Adds a lease to a cohort. @param sentAt when the request that granted it was sent. */
  join(record: LeaseRecord, terms: CohortTerms, sentAt: number): void {
    this.#joining.join(record, terms, sentAt)
  }

  /** A cohort is due: for its renewal, or at its deadline. */
  onDue(cohort: LeaseCohort, { now }: Tick): void {
    const { table, scheduler } = this.#parts
    // Another item of the same tick may have ended its last member, or renewed it.
    if (cohort.size === 0 || cohort.renewal instanceof RenewalBatch || scheduler.isScheduled(cohort.alarm)) return
    const due = scheduler.dueOf(cohort.alarm)
    // Set before any work: a throw below cannot leave the cohort without an alarm.
    this.#schedule(cohort, now + cohort.terms.ttl / 60)
    if (!table.expire(cohort)) return
    if (cohort.renewal === 'queued') {
      this.#schedule(cohort, NEVER)
      this.#lanes.reroute([cohort])
      tellFailure(this.#parts.table, cohort, overdue('A renewal could not be sent', cohort, this.#parts.routing))
      return
    }
    if (!cohort.terms.autoRenew) {
      this.#schedule(cohort, NEVER)
      return
    }
    this.#enqueue(cohort, due)
  }

  /** Renews a lease and its cohort now, for the lease's owner. */
  renew(record: LeaseRecord): Promise<void> {
    this.#parts.table.observe(record)
    const { cohort } = record
    if (cohort === undefined) return Promise.reject(notHeld(record))
    const answer = new Promise<void>((resolve, reject) => {
      const { own } = record
      if (own.waiters === undefined) cohort.askers.push(record)
      own.waiters ??= []
      own.waiters.push({ resolve, reject })
    })
    if (cohort.renewal === undefined) {
      this.#enqueue(cohort)
      this.#pumpSoon()
    } else if (cohort.renewal === 'queued') {
      // One that has waited for longer than its timeout has its alarm at the deadline.
      const limit = this.#queueLimit(cohort, this.#parts.clock.now())
      if (this.#parts.scheduler.dueOf(cohort.alarm) > limit) this.#parts.scheduler.schedule(cohort.alarm, limit)
    }
    return answer
  }

  /** The backend can be asked again: cohorts in jeopardy do not wait for their backoff. @param route all servers without one. */
  onRecovered(route?: number): void {
    this.#lanes.forgetOverdue(route)
    this.#renewEach(route, (cohort) => cohort.state === 'jeopardy')
  }

  /** Renews everything now, nearest deadline first: any key may have changed. @param route all servers without one. */
  renewAll(route?: number): void {
    this.#lanes.forgetOverdue(route)
    this.#renewEach(route, () => true)
  }

  #renewEach(route: number | undefined, isWanted: (cohort: LeaseCohort) => boolean): void {
    this.#lanes.reroute()
    for (const cohort of this.#lanes.cohortsOf(route)) {
      if (!cohort.terms.autoRenew || !isWanted(cohort)) continue
      if (cohort.renewal === undefined) this.#enqueue(cohort)
      cohort.stale = true
    }
    this.#pumpSoon()
  }

  /** A turn of the event loop begins: sends queued renewals, as far as the congestion window of each server permits. */
  pump(): void {
    for (const { underWay } of this.#lanes) underWay.beginTurn()
    this.#pump()
  }

  #pump(): void {
    do {
      for (const lane of this.#lanes) this.#pumpLane(lane)
    } while (this.#lanes.takeMoved())
  }

  #pumpLane(lane: Lane): void {
    const { underWay, queue, load } = lane
    while (underWay.hasRoom) {
      if (underWay.isTurnFull) {
        if (queue.peek()) this.#pumpSoon()
        break
      }
      const cohorts = this.#lanes.take(lane)
      if (cohorts.length === 0) break
      this.#send(cohorts, lane).catch(this.#parts.onFault)
    }
    const next = queue.peek()
    if (next) load.onWaiting(this.#parts.clock.now() - next.queuedAt, next.terms.ttl)
    else load.onIdle()
  }

  /** @param due when the renewal was due, if not now. */
  #enqueue(cohort: LeaseCohort, due?: number): void {
    const now = this.#parts.clock.now()
    cohort.renewal = 'queued'
    cohort.queuedAt = now
    cohort.dueAt = due ?? now
    this.#parts.scheduler.schedule(cohort.alarm, this.#queueLimit(cohort, now))
    this.#lanes.add(cohort)
  }

  /** A renewal that is not sent until then is in jeopardy, whatever the reason. */
  #queueLimit({ terms, deadline }: LeaseCohort, now: number): number {
    return Math.min(now + terms.timeout, deadline) + this.#parts.scheduler.tick
  }

  #pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.#parts.scheduler.soon(() => {
      this.#pumping = false
      this.pump()
    })
  }

  async #send(cohorts: LeaseCohort[], lane: Lane): Promise<void> {
    const { backend, clock, scheduler, tally, routing, isWatching } = this.#parts
    const { underWay, load } = lane
    // Read before a byte is written: every deadline that this batch may set counts from here.
    const batch = new RenewalBatch(clock.now(), cohorts, lane)
    const { sentAt } = batch
    for (const cohort of cohorts) {
      cohort.renewal = batch
      cohort.stale = false
      scheduler.cancel(cohort.alarm)
      tally.measure('renewalLag', sentAt - cohort.dueAt, sentAt, cohort.size)
      load.onWaited(sentAt - cohort.queuedAt, cohort.terms.ttl)
    }
    underWay.add(batch.places)
    this.#watch(batch, sentAt)
    tally.requests += 1
    let outcomes: readonly (ChangeOutcome | undefined)[]
    try {
      outcomes = await backend.renew(batch.records, isWatching(0, routing && lane.route))
      const now = clock.now()
      tally.onAnswered(now - sentAt, now, routing && lane.route)
      // An error that the connection itself makes says nothing about the speed of the server.
      if (outcomes.some(isAnswer)) underWay.window.onAnswered(sentAt, now, (cohorts[0] as LeaseCohort).terms.timeout)
    } catch (thrown) {
      const outcome = { type: 'unknown', error: asError(thrown) } as const
      outcomes = batch.records.map(() => outcome)
    }
    underWay.onAnswered(batch)
    try {
      this.#settle(batch, outcomes)
    } finally {
      underWay.end(batch)
      for (const cohort of batch.cohorts) if (cohort.renewal === batch) this.#fail(cohort, NO_OUTCOME)
      this.#pump()
    }
  }

  /** Wakes up at the first timeout or deadline of a cohort of the batch. */
  #watch(batch: RenewalBatch, now: number): void {
    let next = NEVER
    for (const cohort of batch.cohorts) {
      if (cohort.renewal !== batch || cohort.size === 0) continue
      next = Math.min(next, batch.sentAt + cohort.terms.timeout, cohort.deadline)
    }
    if (next === NEVER) batch.lane.underWay.giveUp(batch)
    else batch.alarm = this.#parts.scheduler.at(Math.max(next, now), (tick) => this.#onOverdue(batch, tick))
  }

  #onOverdue(batch: RenewalBatch, { now, late }: Tick): void {
    const { table, scheduler } = this.#parts
    try {
      for (const cohort of batch.cohorts) if (cohort.renewal === batch) table.expire(cohort)
      if (!late) this.#failOverdue(batch, now)
    } finally {
      // The answer may have come while the event loop was blocked. Read the sockets first, but only once.
      if (late) scheduler.afterReading((tick) => this.#onOverdue(batch, tick))
      else this.#watch(batch, now)
    }
  }

  #failOverdue(batch: RenewalBatch, now: number): void {
    for (const cohort of batch.cohorts) {
      if (cohort.renewal !== batch || cohort.size === 0 || now < batch.sentAt + cohort.terms.timeout) continue
      batch.lane.underWay.window.onOverdue(batch.sentAt, now)
      this.#fail(cohort, overdue('A renewal was not answered', cohort, this.#parts.routing))
    }
  }

  #settle(batch: RenewalBatch, outcomes: readonly (ChangeOutcome | undefined)[]): void {
    const { table, onFault } = this.#parts
    const failures = failuresOf(batch, outcomes, this.#parts)
    const isAnswered = failures.count < batch.records.length
    const confirmed: LeaseCohort[] = []
    for (const cohort of batch.cohorts) {
      try {
        const failed = failures.byCohort?.get(cohort)
        if (this.#settleCohort(batch, cohort, failed, isAnswered)) confirmed.push(cohort)
      } catch (fault) {
        onFault(fault)
      }
    }
    mergeCohorts(confirmed, (cohort, survivor) => table.dismiss(cohort, survivor))
  }

  /** @param failed its unanswered members. @param isAnswered whether any entry of the batch was answered. @returns whether it may merge with others. */
  #settleCohort(
    batch: RenewalBatch,
    cohort: LeaseCohort,
    failed: CohortFailure | undefined,
    isAnswered: boolean,
  ): boolean {
    const awaited = cohort.renewal === batch
    if (awaited) cohort.renewal = undefined
    if (cohort.size === 0) return false
    if (failed) {
      // Listeners of earlier cohorts may have ended or moved members.
      const records = failed.records.filter((record) => record.cohort === cohort)
      if (records.length >= cohort.size) {
        cohort.apart ||= isAnswered
        if (awaited) this.#fail(cohort, failed.error)
        return false
      }
      // A batch older than the last confirmed one says nothing about members that were not in it.
      if (batch.sentAt < cohort.confirmedAt) return false
      if (records.length > 0) this.#splitOff(cohort, records, awaited ? failed.error : undefined)
    }
    batch.lane.load.onConfirmed(cohort.size)
    const inTime = this.#confirm(cohort, batch.sentAt)
    if (!awaited || !inTime) return false
    if (cohort.size > 0 && cohort.stale && cohort.renewal === undefined) this.#enqueue(cohort)
    return true
  }

  /** Splits off members whose renewal failed while others were confirmed (P28). @param error the failure, if the batch was still awaited. */
  #splitOff(cohort: LeaseCohort, records: readonly LeaseRecord[], error: Error | undefined): void {
    const { table, scheduler } = this.#parts
    const due = scheduler.dueOf(cohort.alarm)
    const rest = cohort.split(records)
    rest.apart = true
    table.enlist(rest)
    if (error) {
      this.#fail(rest, error)
    } else if (cohort.renewal instanceof RenewalBatch) {
      // Another batch is under way that contains them, too.
      rest.renewal = cohort.renewal
      cohort.renewal.cohorts.push(rest)
    } else if (cohort.renewal === 'queued') {
      this.#enqueue(rest)
    } else {
      this.#schedule(rest, due)
    }
  }

  /**
   * An overdue confirmation counts: the server extended the keys after `sentAt`, and the deadline counts from there. It proves
   * nothing only if a later batch was confirmed, because the cohort may have grown by that.
   */
  #confirm(cohort: LeaseCohort, sentAt: number): boolean {
    if (sentAt < cohort.confirmedAt) return false
    cohort.apart = false
    // It was queued again because this answer was overdue.
    if (cohort.renewal === 'queued' && !cohort.stale && cohort.askers.length === 0) cohort.renewal = undefined
    try {
      return this.#parts.table.confirm(cohort, sentAt)
    } finally {
      this.#scheduleIfIdle(cohort, renewalDue(sentAt, cohort.terms.ttl, cohort.phase))
    }
  }

  #fail(cohort: LeaseCohort, error: Error): void {
    const { clock, random } = this.#parts
    cohort.renewal = undefined
    try {
      tellFailure(this.#parts.table, cohort, error)
    } finally {
      const now = clock.now()
      const delay = renewalRetryDelay(cohort.terms.ttl, cohort.failures, cohort.deadline - now, random())
      this.#scheduleIfIdle(cohort, cohort.stale ? now : now + delay)
    }
  }

  /** A renewal that is queued or under way wakes its cohort itself. A listener may just have asked for one. */
  #scheduleIfIdle(cohort: LeaseCohort, renewAt: number): void {
    if (cohort.size > 0 && cohort.renewal === undefined) this.#schedule(cohort, renewAt)
  }

  /** Wakes the cohort at `renewAt`, or at its deadline if that comes first. The wake-up at the deadline is never early. */
  #schedule(cohort: LeaseCohort, renewAt: number): void {
    const { scheduler } = this.#parts
    const due = cohort.terms.autoRenew ? renewAt : NEVER
    scheduler.schedule(cohort.alarm, Math.min(due, cohort.deadline + scheduler.tick))
  }
}
