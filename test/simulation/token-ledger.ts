/**
 * What went between one manager and the server, by token: the evidence for or against what the manager says of its
 * leases. Checks on the way what may be sent at all.
 */
import { type AcquireOutcome, type ChangeOutcome, type LockEntry, UnavailableError } from 'leasewheel'
import { DRIFT_FACTOR } from './scenario.ts'
import type { Operation, Sent } from './simulated-backend.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Verdict } from './violation.ts'

/** The most renewals of one lease within one ttl (`timing.ts`: 40, and some more for what is asked for by hand or verified). */
const RENEWALS_PER_TTL = 60
/** What a manager may take, once it has given up an answer, to look after what its question may have brought. ms. */
export const SETTLING = 200
/** The longest pause of the strategies that are used after a question that was not answered, in ms. */
const LONGEST_POLL = 1_000

/** How long a manager waits for an answer if nothing else is asked for: a sixth of the ttl, 50 ms to 2 s. */
export function timeoutOf(ttl: number): number {
  return Math.min(Math.max(Math.round(ttl / 6), 50), 2_000)
}

/** One acquisition. Times are ms on the clock of its process. */
export interface Evidence {
  readonly key: string
  readonly token: string
  readonly ttl: number
  /** How long a question about it may stay unanswered, in ms. */
  timeout: number
  /** When it was adopted here, if it was: what was asked before that was asked for the lease that was given away, which may have been here as well. */
  adoptedAt: number
  /** When the last request was sent that was confirmed. */
  confirmedAt: number
  /** The same for what a keeper sent. */
  keptAt: number
  /** The manager said that it has it, or asked to have it; and that it is over. */
  claimed: boolean
  ended: boolean
  /** When its lease had its last event, in true time. */
  endedAt: number
  /** When the last request was sent that asked for it and was not answered. */
  doubtedAt: number
  /** When it was last asked for; when the last request for it was sent, and when that failed if it was a renewal of the wheel. */
  wantedAt: number
  askedAt: number
  /** When the server was last asked whether it is still ours, in true time. */
  lookedAfterAt: number
  /** The first time that this happened since another server answered. */
  firstLookAt: number | undefined
  renewalFailedAt: number
  /** When the last request failed, and why it was refused, if it ever was. */
  failedAt: number
  refusal: 'taken' | 'missing' | undefined
  refusedRelease: 'taken' | 'missing' | undefined
  deleted: boolean
  fence: number
  /** Requests for it that have not been answered. */
  underWay: number
  /** Those among them that never will be. */
  silent: number
  /** Renewals by the wheel that have not been answered. */
  readonly renewals: Set<Sent>
  /** Renewals that were sent since `windowStart`, and `extraRenewals` then. */
  windowStart: number
  sentInWindow: number
  extraAtStart: number
}

export class TokenLedger {
  readonly process: SimulatedProcess
  /** How often others than the wheel had reason to renew. */
  extraRenewals = 0
  /** A question that was never answered, and is why another one for the same key was refused long after it was given up. */
  inTheWay: Evidence | undefined
  readonly #verdict: Verdict
  readonly #onGivingBack: (token: string) => void
  readonly #byToken = new Map<string, Evidence>()
  /** By key, in true time: until when whoever waits for it need not ask again, since a question is under way or its holder's ttl is. */
  readonly #askAgain = new Map<string, number>()
  readonly #refusedForGood = new Map<string, number>()
  #refused: Evidence[] = []

  /** @param onGivingBack is called when a key is asked to be deleted. */
  constructor(process: SimulatedProcess, verdict: Verdict, onGivingBack: (token: string) => void) {
    this.process = process
    this.#verdict = verdict
    this.#onGivingBack = onGivingBack
  }

  get(token: string): Evidence | undefined {
    return this.#byToken.get(token)
  }

  values(): IterableIterator<Evidence> {
    return this.#byToken.values()
  }

  /** A lease that another manager gave away: it may be renewed from now on. */
  adopting(entry: LockEntry): void {
    const evidence = this.#of(entry)
    evidence.claimed = true
    evidence.ended = false
    evidence.confirmedAt = Number.NEGATIVE_INFINITY
    evidence.keptAt = Number.NEGATIVE_INFINITY
    evidence.adoptedAt = this.process.clock.now()
  }

  /** The last moment at which a lease may be held, by what was confirmed: P1. */
  boundOf({ confirmedAt, keptAt, ttl }: Evidence): number {
    return Math.max(confirmedAt, keptAt) + ttl - (ttl * DRIFT_FACTOR + 2)
  }

  /** The same, by what was confirmed to the manager itself. */
  ownBoundOf({ confirmedAt, ttl }: Evidence): number {
    return confirmedAt + ttl - (ttl * DRIFT_FACTOR + 2)
  }

  onSent(operation: Operation, entries: readonly LockEntry[]): Sent {
    const [first] = entries
    const sent = { operation, at: this.process.clock.now(), verifying: first !== undefined && 'settle' in first }
    const keys = new Set<string>()
    for (const entry of entries) {
      const { key, token, joint } = entry
      const evidence = this.#of(entry)
      if ('timeout' in entry) evidence.timeout = entry.timeout as number
      evidence.underWay += 1
      evidence.askedAt = sent.at
      const twice = keys.has(key) && operation === 'acquire' && joint === undefined
      this.#verdict.expect(!twice, 'P21', () => `${key} stands twice in one ${operation}`)
      // Several may hold a key, and a plain lock of it may be asked for beside them.
      if (joint === undefined) keys.add(key)
      if (operation === 'renew' || operation === 'verify') this.#onLook(evidence)
      if (operation === 'renew') this.#onRenewalSent(evidence, sent)
      if (operation === 'acquire') {
        evidence.wantedAt = sent.at
        this.#refusedForGood.delete(key)
        this.#askAgain.set(key, this.process.time + evidence.timeout + LONGEST_POLL)
        this.#verdict.expect(!evidence.ended, 'P9', () => `${key} was asked for with the token of a lease that is over`)
      }
      if (operation === 'release') {
        this.#onGivingBack(token)
        evidence.ended = true
      }
      if (token === '') this.#verdict.fail('P5', `${key} was asked for without a token`)
    }
    return sent
  }

  onOutcome(sent: Sent, { token }: LockEntry, outcome: AcquireOutcome | ChangeOutcome): void {
    const evidence = this.#byToken.get(token)
    if (evidence === undefined) return
    evidence.underWay -= 1
    evidence.renewals.delete(sent)
    const { operation, at, verifying } = sent
    if (outcome.type === 'unknown') evidence.failedAt = this.process.clock.now()
    if (outcome.type === 'unknown' && operation === 'acquire') evidence.doubtedAt = at
    const last = operation === 'renew' && !verifying && at === evidence.askedAt
    if (outcome.type === 'unknown' && last) evidence.renewalFailedAt = evidence.failedAt
    if (outcome.type === 'granted') evidence.fence = outcome.fence
    if (operation === 'acquire') this.#onAnswered(evidence, outcome, at)
    if (outcome.type === 'granted' || (outcome.type === 'done' && operation === 'renew'))
      this.#onConfirmed(evidence, sent)
    if (outcome.type === 'done' && operation === 'release') evidence.deleted = true
    if (outcome.type !== 'refused' || !('reason' in outcome)) return
    if (operation === 'release') evidence.refusedRelease = outcome.reason
    else evidence.refusal = outcome.reason
    if (operation !== 'release') this.#refused.push(evidence)
  }

  /** A request will never be answered: it counts as failed, as nobody can know better. */
  onNever(sent: Sent, entries: readonly LockEntry[]): void {
    for (const { token } of entries) {
      const evidence = this.#byToken.get(token)
      if (evidence === undefined) continue
      evidence.failedAt = sent.at
      if (sent.operation === 'acquire') evidence.doubtedAt = sent.at
      // Its batch is under way until it is given up.
      evidence.silent += 1
      const giveUp = (): void => {
        evidence.silent -= 1
        evidence.underWay -= 1
      }
      this.process.sleep(giveUp, evidence.timeout + SETTLING)
    }
  }

  /** When the server said of a key that it will never be had, in true time, unless it was asked for again. */
  refusedForGoodAt(key: string): number | undefined {
    return this.#refusedForGood.get(key)
  }

  /** Until when, in true time, nobody here has reason to ask for a key, as far as was answered last. */
  askAgain(key: string): number {
    return this.#askAgain.get(key) ?? 0
  }

  /** A lease has ended here: whoever waits for its key asks now. */
  onVacated({ key }: Evidence): void {
    this.#askAgain.set(key, this.process.time)
  }

  /** Leases that were definitely refused since this was last asked. */
  takeRefused(): readonly Evidence[] {
    if (this.#refused.length === 0) return this.#refused
    const refused = this.#refused
    this.#refused = []
    return refused
  }

  #onAnswered({ key, timeout, ended }: Evidence, outcome: AcquireOutcome | ChangeOutcome, askedAt: number): void {
    const final = outcome.type === 'unknown' && outcome.error instanceof UnavailableError && outcome.error.final
    // What comes after its question was given up, by its timeout or its caller, nobody waits for.
    const heard = this.process.clock.now() - askedAt < timeout && !ended
    if (final && heard) this.#refusedForGood.set(key, this.process.time)
    const holds = outcome.type === 'refused' && 'holder' in outcome
    // The server's clock may be slower.
    this.#askAgain.set(key, this.process.time + (holds ? outcome.remaining * (1 + DRIFT_FACTOR) : LONGEST_POLL))
    const holder = holds ? this.#byToken.get(outcome.holder) : undefined
    if (holder === undefined || holder.claimed || holder.ended) return
    const { process } = this
    const age = process.clock.now() - holder.wantedAt
    const late = Math.min(age, process.time - process.freeSince) - holder.timeout - SETTLING
    if (late >= 0 && age < 0.9 * holder.ttl) this.inTheWay = holder
  }

  /** An answer that comes after the deadline confirms nothing any more (P2), and a verification moves no deadline. */
  #onConfirmed(evidence: Evidence, { at, verifying }: Sent): void {
    if (at < evidence.adoptedAt) return
    const known = evidence.claimed && evidence.confirmedAt !== Number.NEGATIVE_INFINITY
    if (known && (verifying || this.process.clock.now() >= this.boundOf(evidence))) return
    evidence.confirmedAt = Math.max(evidence.confirmedAt, at)
  }

  #onLook(evidence: Evidence): void {
    evidence.lookedAfterAt = this.process.time
    evidence.firstLookAt ??= this.process.time
  }

  #onRenewalSent(evidence: Evidence, sent: Sent): void {
    const { key, ttl, claimed, ended } = evidence
    const now = sent.at
    if (!sent.verifying) this.#onRenewalByWheelSent(evidence, sent)
    this.#verdict.expect(claimed, 'P11', () => `${key} was renewed for nobody`)
    this.#verdict.expect(!ended, 'P12', () => `${key} was renewed after its end`)
    if (now - evidence.windowStart > ttl) {
      evidence.windowStart = now
      evidence.sentInWindow = 0
      evidence.extraAtStart = this.extraRenewals
    }
    evidence.sentInWindow += 1
    const most = RENEWALS_PER_TTL + 3 * (this.extraRenewals - evidence.extraAtStart)
    this.#verdict.expect(evidence.sentInWindow <= most, 'P21', () => `${key} was renewed ${most} times within its ttl`)
  }

  /** P21: one at a time, but for those that have been given up. */
  #onRenewalByWheelSent({ key, timeout, adoptedAt, renewals }: Evidence, sent: Sent): void {
    for (const { at } of renewals) {
      const [since, { disturbed }] = [sent.at - at, this.process]
      // Where it was stopped between deciding to send it and doing so, only the manager knows when that was.
      const excused = disturbed || at < adoptedAt || since >= timeout
      this.#verdict.expect(excused, 'P21', () => `${key} is renewed twice at once, ${since} ms apart`)
    }
    renewals.add(sent)
  }

  #of({ key, token, ttl }: LockEntry): Evidence {
    const present = this.#byToken.get(token)
    if (present) return present
    const evidence: Evidence = {
      key,
      token,
      ttl,
      timeout: timeoutOf(ttl),
      adoptedAt: Number.NEGATIVE_INFINITY,
      confirmedAt: Number.NEGATIVE_INFINITY,
      keptAt: Number.NEGATIVE_INFINITY,
      claimed: false,
      ended: false,
      endedAt: Number.NEGATIVE_INFINITY,
      doubtedAt: Number.NEGATIVE_INFINITY,
      wantedAt: Number.NEGATIVE_INFINITY,
      askedAt: Number.NEGATIVE_INFINITY,
      lookedAfterAt: Number.NEGATIVE_INFINITY,
      firstLookAt: undefined,
      renewalFailedAt: Number.NEGATIVE_INFINITY,
      failedAt: Number.NEGATIVE_INFINITY,
      refusal: undefined,
      refusedRelease: undefined,
      deleted: false,
      fence: 0,
      underWay: 0,
      silent: 0,
      renewals: new Set(),
      windowStart: Number.NEGATIVE_INFINITY,
      sentInWindow: 0,
      extraAtStart: 0,
    }
    this.#byToken.set(token, evidence)
    return evidence
  }
}
