/**
 * One waiter's way to a lock: its turn in the line of this process, questions, pauses between them, and giving up.
 *
 *     in line ──it is the first, and the key is neither leased here nor left to others──▶ asking
 *     asking ──refused, or not answered──▶ resting ──the pause is over──▶ in line
 *        └──granted, or the caller has had enough──▶ ended
 *
 * Hints and nudges come while it is in line or resting. It then asks without leaving its place, because most changes of a key are renewals by its
 * holder: another refusal begins a new rest. HintDoubts delays a hint that may be a false alarm. A hint that comes while it asks sets `#stale`:
 * the answer on its way may be older.
 */
import pRetry from 'p-retry'
import type { AcquireOutcome, Refusal, Unknown } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { LeaseRecord } from '../lease/lease-record.ts'
import { notHeld } from '../lease/record-facts.ts'
import type { AcquireSettings } from '../options/settings.ts'
import { unanswered } from '../requests/unanswered.ts'
import { Pause } from '../waiting/pause.ts'
import type { Waiter, WaitingLine } from '../waiting/waiting-line.ts'
import type { AcquisitionParts } from './acquisition-parts.ts'
import { notAcquired, unavailable, REFUSED, TOO_LATE } from './failures.ts'
import { HintDoubts } from './hint-doubts.ts'
import { Patience } from './patience.ts'
import { type Answer, type Asker, type FirstTry, Question } from './question.ts'

export class Acquisition implements Waiter, Asker {
  readonly number: number
  line: WaitingLine | undefined = undefined
  next: Waiter | undefined = undefined
  previous: Waiter | undefined = undefined
  readonly #parts: AcquisitionParts
  readonly #settings: AcquireSettings
  readonly #question: Question
  readonly #hints: HintDoubts
  readonly #patience: Patience
  #phase: 'in line' | 'asking' | 'resting' | 'ended' = 'in line'
  /** Created on the caller's first wait, for its turn or between attempts. */
  #restPlace: Pause | undefined = undefined
  /** The answer that ended a pause. */
  #answer: Answer | undefined = undefined
  #cancelled: { readonly reason: unknown } | undefined = undefined
  /** A hint came after the last question: its answer may be older. */
  #stale = false
  /** A caller that shares the next attempt wants it now. */
  #nudged = false

  constructor(parts: AcquisitionParts, key: string, settings: AcquireSettings, first?: FirstTry) {
    this.#parts = parts
    this.#settings = settings
    this.number = first?.number ?? parts.lines.takeNumber()
    this.#question = new Question(parts, key, settings, this, first)
    this.#hints = new HintDoubts(parts, key)
    this.#patience = new Patience(parts, settings, first?.startedAt)
  }

  get key(): string {
    return this.#question.key
  }

  get #pause(): Pause {
    this.#restPlace ??= new Pause(this.#parts.scheduler)
    return this.#restPlace
  }

  /** Whether it rests and asks nothing: it can follow a hint at once. */
  get #isFree(): boolean {
    return !this.#question.wanted && this.#restPlace?.active === true
  }

  /** @throws REFUSED, UnavailableError, or the reason of `cancel`. */
  run(): Promise<LeaseRecord> {
    return this.#persist(() => {
      this.#parts.lines.enter(this.key, this)
      return undefined
    })
  }

  /** As `run`, after a first attempt outside the line. @param stale a hint came during that attempt. */
  goOn(outcome: Refusal | Unknown, sentAt: number | undefined, stale: boolean): Promise<LeaseRecord> {
    return this.#persist(() => {
      this.#parts.lines.enter(this.key, this)
      this.#patience.attempts = 1
      this.#stale = stale
      if (stale) this.#hints.onHint(false)
      this.onOutcome({ outcome, sentAt })
      this.#question.learn({ outcome, sentAt })
      this.onQuestionOver(outcome)
      return outcome.type === 'refused' ? REFUSED : unavailable(this.key, outcome.error)
    })
  }

  onOutcome({ outcome, sentAt }: Answer): void {
    if (outcome.type === 'refused') this.#hints.onRefused(outcome, this.#stale)
    else this.#hints.onNotRefused()
    if (sentAt !== undefined) this.line?.onOutcome(outcome, this.#parts.clock, sentAt)
  }

  onQuestionOver(outcome: AcquireOutcome | undefined): void {
    this.line?.onAnswer(outcome)
  }

  /** The error that the caller gets for what was thrown. */
  explain(error: unknown): unknown {
    if (error !== REFUSED) return error
    return notAcquired(this.key, this.#patience, this.#hints.refusal, this.#parts.table.isHeld(this.key))
  }

  wake(): void {
    // While the key is leased here, it would only wait on.
    if (this.#phase === 'in line' && this.#isFree && this.#settings.wait !== 0 && this.#parts.table.isTaken(this.key))
      return
    if (!this.#isFree) this.#stale = true
    this.#restPlace?.end()
  }

  handOver(): void {
    if (this.#parts.table.isTaken(this.key) || !this.#isFree || this.#settings.wait === 0) this.wake()
    else this.#ask((answer) => this.#endPause(answer), true)
  }

  nudge(): void {
    if (this.#question.wanted) return
    if (!this.#restPlace?.active) this.#nudged = true
    else if (!this.#parts.table.reservations.has(this.key)) this.#probe()
  }

  hint(named = false): void {
    this.#hints.onHint(named)
    // If a lease turns out to be over, `isTaken` has handed its key over to this caller.
    if (!this.#isFree) this.#stale = true
    else if (!this.#parts.table.isTaken(this.key) && this.#isFree) this.#followHint()
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason }
    this.#restPlace?.end()
    this.#question.abandon()
  }

  /**
   * Goes on until it acquires the lock or the caller's patience ends.
   *
   * @param begin enters the line, synchronously. @returns the failure of a first attempt, if there was one.
   */
  async #persist(begin: () => Error | undefined): Promise<LeaseRecord> {
    const { signal } = this.#settings
    try {
      const failure = begin()
      if (signal) this.#parts.aborts.add(signal, this)
      if (failure) throw failure
      return await this.#attempt()
    } catch (error) {
      this.#rethrowUnlessFailure(error)
      if (this.#settings.wait === 0) throw error
      return await this.#repeat(error)
    } finally {
      this.#end()
    }
  }

  async #repeat(first: Error): Promise<LeaseRecord> {
    await this.#pauseAfter(first)
    try {
      return await pRetry(() => this.#attempt(), {
        retries: Number.POSITIVE_INFINITY,
        // The pauses are ours: they follow the strategy, end early on hints, and run on the manager's clock.
        minTimeout: 0,
        onFailedAttempt: ({ error }) => this.#pauseAfter(error),
      })
    } catch (error) {
      // p-retry replaces a thrown value that is not an Error. The reason of an abort may be such a value.
      this.#throwIfCancelled()
      throw error
    }
  }

  #end(): void {
    const { signal } = this.#settings
    this.#phase = 'ended'
    // A question that was asked in a pause may still be under way.
    this.#question.abandon()
    this.#restPlace?.end()
    if (signal) this.#parts.aborts.remove(signal, this)
    this.#parts.lines.leave(this)
    this.#hints.end()
    // The answer came at the moment the caller left.
    if (this.#answer?.outcome.type === 'granted') this.#question.giveBack(this.#answer)
    this.#question.undo()
  }

  /** Makes one attempt at this caller's turn, or takes over one that began during the last pause. */
  async #attempt(): Promise<LeaseRecord> {
    this.#phase = 'in line'
    if (this.#answer === undefined && !this.#question.wanted) await this.#turn()
    this.#phase = 'asking'
    return this.#conclude(await this.#takeAnswer())
  }

  #takeAnswer(): Promise<Answer | undefined> {
    const answer = this.#answer
    this.#answer = undefined
    if (answer) return Promise.resolve(answer)
    return new Promise((resolve) => {
      if (!this.#question.wanted) return this.#ask(resolve)
      this.#question.redirect(resolve)
      this.#patience.extraAttempts -= 1
    })
  }

  /** @param answer nothing if the caller stopped waiting: it was cancelled, or its time is up. */
  #conclude(answer: Answer | undefined): LeaseRecord {
    if (this.#cancelled && answer?.outcome.type === 'granted') this.#question.giveBack(answer)
    this.#throwIfCancelled()
    if (answer === undefined) throw this.#hints.refusal ? REFUSED : unavailable(this.key, this.#notInTime)
    const { outcome, sentAt = Number.NEGATIVE_INFINITY } = answer
    if (outcome.type === 'refused') throw REFUSED
    if (outcome.type === 'unknown') throw unavailable(this.key, outcome.error)
    const [record, granted] = this.#question.take(outcome.fence, sentAt, this.#stale, this.line?.fairness)
    if (granted === 'held') return record
    throw granted === 'ended' ? notHeld(record) : unavailable(this.key, TOO_LATE)
  }

  /** Resolves once this caller is first in line, and the key is neither leased here nor left to other processes. */
  async #turn(): Promise<void> {
    const { table } = this.#parts
    this.#throwIfCancelled()
    const line = this.line as WaitingLine
    const impatient = this.#settings.wait === 0
    while (line.first !== this || table.isTaken(this.key) || (line.offer === 'open' && !impatient)) {
      if (!impatient) await this.#pause.rest(this.#patience.left)
      else await this.#shareAttempt(line)
      this.#throwIfCancelled()
      if (this.#answer) return
      // A question asked in the pause was given up too. It may still be granted, so no other may follow it.
      if (!impatient && this.#patience.left <= 0) throw REFUSED
      // The one ahead has left without an answer when the time of both was up.
      if (impatient && this.#patience.forAttempt <= 0) throw unavailable(this.key, this.#notInTime)
    }
  }

  /**
   * A caller that does not wait makes no attempt of its own while a waiter is ahead. It nudges that waiter to ask now, and
   * the answer serves both. Returns only if the waiter ahead left without an answer.
   */
  async #shareAttempt(line: WaitingLine): Promise<void> {
    // While this process leaves the lock to others, its waiters are ahead of this caller.
    if (this.#parts.table.isHeld(this.key) || line.offer === 'open') throw REFUSED
    this.#patience.hasShared = true
    const outcome = await new Promise<AcquireOutcome | undefined>((resolve) => {
      void this.#pause
        .rest(this.#patience.forAttempt)
        .then((elapsed) => resolve(elapsed ? { type: 'unknown', error: this.#notInTime } : undefined))
      line.listen(resolve)
      line.first?.nudge()
    })
    this.#restPlace?.end()
    this.#throwIfCancelled()
    if (outcome?.type === 'unknown') throw unavailable(this.key, outcome.error)
    // If several may hold the key, this caller may have a part of it beside the one ahead.
    if (outcome && !(this.#settings.joint && outcome.type === 'granted')) throw REFUSED
  }

  /** Asks for the lock. Calls `onAnswer` once, with nothing if the caller stopped waiting. @param asNext see `Dispatch.acquireNext`. */
  #ask(onAnswer: (answer: Answer | undefined) => void, asNext = false): void {
    this.#patience.attempts += 1
    this.#parts.tally.asks += 1
    this.#stale = false
    this.#nudged = false
    this.#question.ask(this.#patience.forAttempt, onAnswer, asNext)
  }

  /** Asks without leaving its place. */
  #probe(): void {
    this.#patience.extraAttempts += 1
    this.#ask((answer) => {
      if (answer?.outcome.type === 'refused' && this.#prolongPause()) {
        if (this.#stale) this.#followHint()
        return
      }
      this.#endPause(answer)
    })
  }

  #endPause(answer: Answer | undefined): void {
    this.#answer = answer
    this.#restPlace?.end()
  }

  /** After another refusal, restarts a pause between attempts; any other pause ends. @returns whether the pause goes on. */
  #prolongPause(): boolean {
    if (this.#phase !== 'resting') return false
    const duration = this.#nextPause()
    if (duration === undefined || !this.#restPlace?.active) return false
    this.#pause.reset(duration)
    return true
  }

  #followHint(): void {
    // The attempt that reserved the key wakes the line at its end.
    if (this.#parts.table.reservations.has(this.key)) return
    this.#hints.followed({ now: () => this.#probe(), later: () => this.nudge() })
  }

  async #pauseAfter(error: unknown): Promise<void> {
    this.#rethrowUnlessFailure(error)
    const duration = this.#nextPause()
    this.#throwIfCancelled()
    if (duration === undefined) throw this.#hints.refusal ? REFUSED : error
    this.#phase = 'resting'
    const pause = this.#pause.rest(duration)
    if (this.#nudged) this.nudge()
    else if (this.#stale) this.#followHint()
    const elapsed = await pause
    this.#phase = 'in line'
    this.#throwIfCancelled()
    if (this.#answer === undefined && this.#patience.left <= 0) throw this.#hints.refusal ? REFUSED : error
    if (elapsed) this.#parts.tally.wakeUps.timeout += 1
  }

  /** The strategy is the caller's code: it may end the pause, or the whole call. What it throws ends the call, whatever else does so too (P31). */
  #nextPause(): number | undefined {
    try {
      return this.#patience.nextPause(this.key, this.#hints.refusal)
    } catch (fault) {
      this.#cancelled = { reason: fault }
      this.cancel(fault)
      return undefined
    }
  }

  get #notInTime(): UnavailableError {
    return unanswered('The backend did not answer in time', this.#parts.faultOf(this.key))
  }

  #throwIfCancelled(): void {
    if (this.#cancelled) throw this.#cancelled.reason
  }

  /** Returns only for failures that another attempt may cure. */
  #rethrowUnlessFailure(error: unknown): asserts error is Error {
    this.#throwIfCancelled()
    if (error === REFUSED) return
    if (!(error instanceof UnavailableError)) throw error
    if (!error.final) return
    // Every waiter for this lock would fail in the same way, one after the other.
    this.line?.cancelAll(error)
    throw error
  }
}
