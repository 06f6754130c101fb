/**
 * Leases that one batch confirmed. They share its send time, and so a deadline, the time of their next renewal, and the
 * batch for it. A process that holds a million leases keeps time for some thousands of cohorts.
 *
 *     acquired together ──▶ a cohort (its first renewal drawn at random, or at the time of its places)
 *     due on the same beat ──▶ one request ──▶ confirmed together ──▶ one cohort from then on
 *     released or lost ──▶ leaves
 *
 * The cohorts of a manager count together how many renewals they need, so that nobody has to add that up.
 *
 * Members join a cohort only when it is made, and when a batch that carried it is confirmed. In between it only shrinks.
 *
 * If there are several servers, a cohort keeps its members in the order of their places. Then it may be cut between two places, and a lease
 * that was acquired a moment later may join it.
 */
import { insertByRank, mergeByRank, type Ranked } from '../structures/ranks.ts'

export interface CohortTerms {
  /** ms. */
  readonly ttl: number
  /** How long a request for a member may stay unanswered, in ms. */
  readonly timeout: number
  /** If false, the cohort is renewed on demand only, and has one member. */
  readonly autoRenew: boolean
}

/** Counts members (fewer if `count` is negative) with what they need, and those whose renewal waits to be sent, by the server that has them. */
export interface DemandMeter {
  onMembers(terms: CohortTerms, count: number, route: number): void
  onQueued(count: number, route: number): void
}

/** A member knows its cohort and its rank: its position there, or in an ordered cohort the place of its key. */
export interface Member<M extends Member<M>> extends Ranked {
  cohort: Cohort<M> | undefined
  rank: number
}

/** How the keys of a cohort are spread over servers. */
export interface Spread {
  /**
   * If one place has more leases than a batch, the cohorts after its first have a phase of their own. They then know that place; -1 for all
   * other cohorts.
   */
  readonly crowd: number
}

type Times = Pick<Cohort<never>, 'confirmedAt' | 'deadline' | 'phase'>

export class Cohort<M extends Member<M>> {
  readonly terms: CohortTerms
  /** Send time of the last confirmed batch. */
  confirmedAt: number
  /** Follows from `confirmedAt`. */
  #deadline: number
  #keptUntil = Number.NEGATIVE_INFINITY
  /** Its id in the memory that a keeper shares; -1 if it has none. */
  keptAs = -1
  /** A time at which its renewal was due. Later renewals keep step with it. */
  phase: number
  state: 'held' | 'jeopardy' = 'held'
  /** The renewal that is queued, or sent and unanswered: at most one at a time. */
  #renewal: { readonly sentAt: number } | 'queued' | undefined = undefined
  /** When its renewal was due, and when it was queued. */
  dueAt = 0
  queuedAt = 0
  /** Its last renewal failed while others of the same batch were answered. It does not share a batch with healthy cohorts. */
  apart = false
  /** Its keys may have changed: only a renewal sent from now on tells. */
  stale = false
  /** Renewals that have failed in a row, and the error of the last one. */
  failures = 0
  failure: Error | undefined = undefined
  /** Members with callers that wait for the next renewal. */
  askers: M[] = []
  /** The id of its entry in the wheel. */
  alarm = -1
  /** None if there is one server. Then members stand in no particular order. */
  spread: Spread | undefined
  #route = 0
  #members: M[] = []
  /** The array of members has been handed out: a change replaces it. */
  #shared = false
  readonly #demand: DemandMeter

  /** @param times `deadline` follows from `confirmedAt`; `phase` is the due time of the first renewal. */
  constructor(terms: CohortTerms, times: Times, demand: DemandMeter, spread?: Spread) {
    this.terms = terms
    this.#demand = demand
    this.confirmedAt = times.confirmedAt
    this.#deadline = times.deadline
    this.phase = times.phase
    this.spread = spread
  }

  get size(): number {
    return this.#members.length
  }

  /** Until when its members are held. */
  get deadline(): number {
    return Math.max(this.#deadline, this.#keptUntil)
  }

  /** The deadline that follows from the last confirmed batch. */
  set deadline(deadline: number) {
    this.#deadline = deadline
  }

  /** A keeper has confirmed all its members until then. That does not count for members that join later. */
  set keptUntil(until: number) {
    this.#keptUntil = until
  }

  get renewal(): { readonly sentAt: number } | 'queued' | undefined {
    return this.#renewal
  }

  set renewal(renewal: { readonly sentAt: number } | 'queued' | undefined) {
    const before = this.#renewal === 'queued' ? this.size : 0
    this.#renewal = renewal
    const after = renewal === 'queued' ? this.size : 0
    if (before !== after) this.#demand.onQueued(after - before, this.#route)
  }

  /** The server that its renewals go to, as last seen. */
  get route(): number {
    return this.#route
  }

  set route(route: number) {
    if (route === this.#route) return
    this.#onMembers(-this.size)
    this.#route = route
    this.#onMembers(this.size)
  }

  /** The members now. The array never changes; it stays the same object until the membership changes. */
  get members(): readonly M[] {
    this.#shared = true
    return this.#members
  }

  /** The first and the last place of an ordered cohort with members. */
  get low(): number {
    return (this.#members[0] as M).rank
  }

  get high(): number {
    return (this.#members[this.#members.length - 1] as M).rank
  }

  /** @param record if the cohort is ordered, its rank is the place of its key. */
  add(record: M): void {
    this.#own()
    this.#keptUntil = Number.NEGATIVE_INFINITY
    record.cohort = this
    if (this.spread) {
      insertByRank(this.#members, record)
    } else {
      record.rank = this.#members.length
      this.#members.push(record)
    }
    this.#onMembers(1)
  }

  remove(record: M): void {
    this.#own()
    if (this.spread) {
      this.#members.splice(this.#members.indexOf(record), 1)
    } else {
      const last = this.#members.pop() as M
      if (last !== record) {
        this.#members[record.rank] = last
        last.rank = record.rank
      }
    }
    record.cohort = undefined
    this.#onMembers(-1)
  }

  /** A member has changed: what was derived from the array of members is out of date. */
  onChanged(): void {
    this.#own()
  }

  /** Takes over all members of another cohort, which is empty afterwards. */
  absorb(other: Cohort<M>): void {
    this.#keptUntil = Number.NEGATIVE_INFINITY
    if (this.spread) {
      for (const record of other.#members) record.cohort = this
      this.#members = mergeByRank(this.#members, other.#members)
      this.#shared = false
      this.#onMembers(other.size)
    } else {
      for (const record of other.#members) this.add(record)
    }
    other.#onMembers(-other.size)
    other.#members = []
    other.#shared = false
  }

  /** Moves some members to a new cohort with the same times. The new cohort has no entry in the wheel and no renewal yet. */
  split(records: readonly M[]): Cohort<M> {
    const { confirmedAt, phase } = this
    const rest = new Cohort<M>(this.terms, { confirmedAt, deadline: this.#deadline, phase }, this.#demand, this.spread)
    rest.state = this.state
    rest.dueAt = this.dueAt
    rest.queuedAt = this.queuedAt
    rest.stale = this.stale
    rest.failures = this.failures
    rest.failure = this.failure
    rest.route = this.route
    for (const record of records) {
      this.remove(record)
      rest.add(record)
    }
    rest.keptUntil = this.#keptUntil
    const { askers } = this
    if (askers.length === 0) return rest
    this.askers = askers.filter(({ cohort }) => cohort !== rest)
    rest.askers = askers.filter(({ cohort }) => cohort === rest)
    return rest
  }

  /**
   * Whether a lease granted on these terms, by a request sent at `sentAt`, may join: the same batch granted it.
   *
   * @param window ms by which the request may have been sent later. The deadline of the lease is then that much earlier than it could be.
   */
  admits(terms: CohortTerms, sentAt: number, window = 0): boolean {
    const { confirmedAt } = this
    return (
      terms.autoRenew &&
      confirmedAt <= sentAt &&
      sentAt <= confirmedAt + window &&
      this.hasTerms(terms) &&
      this.renewal === undefined &&
      this.state === 'held' &&
      this.size > 0
    )
  }

  /** Whether both have the same terms, so that they may merge, and are due together if their places say when. */
  matches(other: Cohort<M>): boolean {
    return (
      this.terms.autoRenew &&
      this.hasTerms(other.terms) &&
      (this.spread === undefined || (this.phase === other.phase && this.spread.crowd === other.spread?.crowd))
    )
  }

  /** Whether its terms are equal to these. */
  hasTerms({ ttl, timeout, autoRenew }: CohortTerms): boolean {
    const { terms } = this
    return terms.ttl === ttl && terms.timeout === timeout && terms.autoRenew === autoRenew
  }

  #onMembers(count: number): void {
    if (count === 0) return
    this.#demand.onMembers(this.terms, count, this.#route)
    if (this.#renewal === 'queued') this.#demand.onQueued(count, this.#route)
  }

  #own(): void {
    if (!this.#shared) return
    this.#members = this.#members.slice()
    this.#shared = false
  }
}

/**
 * Merges cohorts that one batch confirmed, so that they are renewed together from now on.
 *
 * @param onEmptied called with each cohort whose members are about to join another one, and with that one.
 */
export function mergeCohorts<M extends Member<M>>(
  cohorts: readonly Cohort<M>[],
  onEmptied: (cohort: Cohort<M>, survivor: Cohort<M>) => void,
): void {
  const survivors: Cohort<M>[] = []
  for (const cohort of cohorts) {
    // A listener may have ended its last member, or asked for another renewal.
    if (cohort.size === 0 || cohort.renewal !== undefined) continue
    const survivor = survivors.find((other) => other.matches(cohort))
    if (survivor === undefined) {
      survivors.push(cohort)
    } else {
      onEmptied(cohort, survivor)
      survivor.absorb(cohort)
    }
  }
}
