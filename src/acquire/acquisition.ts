/**
 * One caller's way to a lock: its turn in the line of this process, attempts, pauses between them, and giving up.
 *
 * In a pause it may be hinted that the key has changed. Then the lock is asked for without leaving the pause, because most changes
 * are the holder's own renewals: only an answer other than another refusal ends it. A hint that comes at any other time is
 * remembered: the answer that is on its way may be older.
 */
import pRetry from 'p-retry'
import type { AbortWatch } from './abort-watch.ts'
import type { Granting, GrantResult } from './granting.ts'
import type { AcquireOutcome, Refusal, Unknown } from '../backend.ts'
import { describe } from '../options/check.ts'
import type { Clock } from '../time/clock.ts'
import { type Doubt, doubtAfter, grantedAfter } from '../rules/doubt.ts'
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import { type LeaseTable, notHeld } from '../lease/lease-table.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import { type Request, unanswered } from '../requests/outbox.ts'
import { Pause } from '../waiting/pause.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'
import { ownerOf } from '../lease/token.ts'
import type { Verifier } from '../renewal/verifier.ts'
import type { Waiter, WaitingLine, WaitingLines } from '../waiting/waiting-line.ts'

export interface AcquisitionParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly aborts: AbortWatch
  readonly releaser: Releaser
  readonly verifier: Verifier
  readonly tally: Tally
  readonly driftFactor: number
  readonly random: () => number
  readonly createToken: () => string
  /** Why the backend cannot be asked, as far as is known. */
  readonly faultOf: () => Error | undefined
  /** Whether what is watched is told of, as far as is known. */
  readonly isReliable: () => boolean
  /** A change was not told, or changes are told that were none. */
  readonly onUnreliable: () => void
  readonly dispatch: Pick<Dispatch, 'acquire'>
  readonly granting: Granting
}

/** What came of a question, and when it was sent: undefined if it never was. */
interface Answer {
  readonly outcome: AcquireOutcome
  readonly sentAt: number | undefined
}

/**
 * Thrown by attempts that were refused, and by all acquisitions that were in the end. One for all: a hundred thousand callers that wait
 * would otherwise keep an error each, with its stack. What the caller is told is made by `explain`.
 */
export const REFUSED: Error = new Error('Held by another')

/** Two refusals by one holder whose ttls end within this many ms of each other say that nothing has happened in between. */
const SAME_END = 25
/** Hints for nothing that are followed at once; then each waits for twice as long as the one before. */
const BELIEVED_HINTS = 2
/** ms. */
const SHORTEST_DOUBT = 10
const LONGEST_DOUBT = 1_000

export class Acquisition implements Waiter, Request<AcquireOutcome> {
  readonly key: string
  /** One per acquisition: it changes only when what was acquired is given back before anybody had it. */
  token: string
  /** ms. */
  readonly ttl: number
  /** ms. */
  readonly timeout: number
  line: WaitingLine | undefined = undefined
  next: Waiter | undefined = undefined
  previous: Waiter | undefined = undefined

  readonly #parts: AcquisitionParts
  readonly #settings: AcquireSettings
  readonly #startedAt: number
  /** Made when the caller first has to wait. */
  #restPlace: Pause | undefined = undefined
  /** The pause is one between attempts, not one for its turn to come. */
  #backingOff = false
  #attempts = 0
  /** Attempts made for other reasons than that it was time, which the strategy does not count. */
  #extraAttempts = 0
  /** The last refusal, and when its holder's ttl ends; undefined when the last attempt was not answered. */
  #refusal: Refusal | undefined = undefined
  #refusalEnd = 0
  /** Requests that may have created the key without our knowing, or may still do so. */
  #doubt: Doubt | undefined
  /** A caller that does not want to wait has shared another's attempt, which took some of its time. */
  #hasShared = false
  #cancelled: { readonly reason: unknown } | undefined = undefined
  /** Takes the answer to the question under way. */
  #onAnswer: ((answer: Answer | undefined) => void) | undefined = undefined
  /** The answer that ended a pause. */
  #answer: Answer | undefined = undefined
  /** A change was hinted at since the last question was asked: its answer may be older. */
  #stale = false
  /** Somebody who shares the next attempt wants it to be made now. */
  #nudged = false
  /** Why the next answer was asked for: it was time, or there was a hint, by name or in general. */
  #cause: 'time' | 'hint' | 'name' = 'time'
  /** How many hints in a row turned out to be for nothing. */
  #falseHints = 0
  /** Rings when a hint that is doubted is followed after all. */
  #hesitation: Alarm | undefined = undefined
  /** Rings when the caller's patience ends before the question's own timeout. */
  #alarm: Alarm | undefined = undefined

  /**
   * @param first of the first attempt, if that was made elsewhere: its token, unless it was given back; when it began; and what is in doubt of it.
   */
  constructor(
    parts: AcquisitionParts,
    key: string,
    settings: AcquireSettings,
    first?: { readonly token: string | undefined; readonly startedAt: number; readonly doubt: Doubt | undefined },
  ) {
    this.key = key
    this.token = first?.token ?? parts.createToken()
    this.ttl = settings.ttl
    this.timeout = settings.timeout
    this.#parts = parts
    this.#settings = settings
    this.#startedAt = first?.startedAt ?? parts.clock.now()
    this.#doubt = first?.doubt
  }

  get #pause(): Pause {
    this.#restPlace ??= new Pause(this.#parts.scheduler)
    return this.#restPlace
  }

  get #isPausing(): boolean {
    return this.#restPlace?.active ?? false
  }

  /** Whether an answer is waited for. */
  get wanted(): boolean {
    return this.#onAnswer !== undefined
  }

  /** @throws REFUSED, UnavailableError, or the reason of `cancel`. */
  run(): Promise<LeaseRecord> {
    return this.#persist(() => {
      const { lines, aborts } = this.#parts
      const { signal } = this.#settings
      lines.enter(this.key, this)
      if (signal) aborts.add(signal, this)
      return undefined
    })
  }

  /** As `run`, after a first attempt that stood in no line. @param stale a change was hinted at while that was under way. */
  goOn(outcome: Refusal | Unknown, sentAt: number | undefined, stale: boolean): Promise<LeaseRecord> {
    return this.#persist(() => {
      const { lines, aborts } = this.#parts
      const { signal } = this.#settings
      lines.enterInFront(this.key, this)
      this.#attempts = 1
      this.#stale = stale
      if (stale) this.#cause = 'hint'
      this.#learn(outcome, sentAt)
      this.line?.onAnswer(outcome)
      if (signal) aborts.add(signal, this)
      return outcome.type === 'refused' ? REFUSED : this.#unavailable(outcome.error)
    })
  }

  /** The question under way is answered, or given up. */
  settle(outcome: AcquireOutcome, sentAt: number | undefined, unansweredAt?: number): void {
    const onAnswer = this.#onAnswer
    if (unansweredAt !== undefined) this.#doubt = doubtAfter(this.#doubt, unansweredAt, this.ttl)
    if (onAnswer === undefined) {
      // The caller is gone; what its question brings, or may have brought, is given back.
      this.#giveBack(outcome, sentAt)
      return
    }
    this.#learn(outcome, sentAt)
    this.#answered(outcome)
    onAnswer({ outcome, sentAt })
  }

  #learn(outcome: AcquireOutcome, sentAt: number | undefined): void {
    if (outcome.type === 'refused') this.#remember(outcome, this.#parts.clock.now())
    else this.#refusal = undefined
    if (outcome.type === 'unknown' && sentAt !== undefined) this.#doubt = doubtAfter(this.#doubt, sentAt, this.ttl)
    if (sentAt !== undefined) this.line?.onOutcome(outcome, this.#parts.clock, sentAt)
  }

  /** What the caller is told of what was thrown. */
  explain(error: unknown): unknown {
    if (error !== REFUSED) return error
    const { holder, remaining } = this.#refusal ?? {}
    const { table } = this.#parts
    const here = table.isHeld(this.key) ? 'held' : this.#attempts === 0 ? 'ahead' : undefined
    const owner = holder === undefined ? undefined : ownerOf(holder)
    const [attempts, waited] = [this.#attempts, this.#waited()]
    return new LockNotAcquiredError(this.key, { here, attempts, waited, remaining, owner })
  }

  wake(): void {
    // The answer to a question that is under way may be older, be it one that is asked in a pause.
    if (this.#onAnswer || !this.#isPausing) this.#stale = true
    this.#restPlace?.end()
  }

  nudge(): void {
    if (this.#onAnswer) return
    if (!this.#isPausing) this.#nudged = true
    else if (!this.#parts.table.isReserved(this.key)) this.#probe()
  }

  hint(named = false): void {
    this.#cause = named ? 'name' : 'hint'
    if (this.#onAnswer || !this.#isPausing) this.#stale = true
    else if (!this.#parts.table.isTaken(this.key)) this.#followHint()
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason }
    this.#restPlace?.end()
    this.#abandon()
  }

  /**
   * Goes on until the lock is acquired or the caller has had enough.
   *
   * @param begin finds the caller its place in line, at once. @returns how a first attempt failed, if there was one.
   */
  async #persist(begin: () => Error | undefined): Promise<LeaseRecord> {
    try {
      const failure = begin()
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
        // The pauses are ours: they follow the strategy, end when something happens, and run on the manager's clock.
        minTimeout: 0,
        onFailedAttempt: ({ error }) => this.#pauseAfter(error),
      })
    } catch (error) {
      // p-retry replaces a thrown value that is no Error; the reason of an abort may be one.
      this.#throwIfCancelled()
      throw error
    }
  }

  #end(): void {
    const { signal } = this.#settings
    // A question that was asked in a pause may still be under way.
    this.#abandon()
    this.#restPlace?.end()
    if (signal) this.#parts.aborts.remove(signal, this)
    this.#parts.lines.leave(this)
    this.#hesitation?.cancel()
    // It came at the moment at which the caller went.
    if (this.#answer?.outcome.type === 'granted') this.#giveBack(this.#answer.outcome, this.#answer.sentAt)
    this.#undoDoubtful()
  }

  /** What may have been acquired is given back. */
  #undoDoubtful(): void {
    if (this.#doubt) this.#parts.releaser.undo(this, this.#doubt)
    this.#doubt = undefined
  }

  /** One attempt, as soon as it is this caller's turn, unless one was begun during the pause before. */
  async #attempt(): Promise<LeaseRecord> {
    if (this.#answer === undefined && this.#onAnswer === undefined) await this.#turn()
    return this.#conclude(await this.#takeAnswer())
  }

  #takeAnswer(): Promise<Answer | undefined> {
    const answer = this.#answer
    this.#answer = undefined
    if (answer) return Promise.resolve(answer)
    return new Promise((resolve) => {
      if (this.#onAnswer === undefined) {
        this.#ask(resolve)
      } else {
        this.#onAnswer = resolve
        this.#extraAttempts -= 1
      }
    })
  }

  /** @param answer nothing when it was not waited for: the caller is cancelled, or its time is up. */
  #conclude(answer: Answer | undefined): LeaseRecord {
    if (this.#cancelled && answer?.outcome.type === 'granted') this.#giveBack(answer.outcome, answer.sentAt)
    this.#throwIfCancelled()
    if (answer === undefined) throw this.#refusal ? REFUSED : this.#unavailable(this.#notInTime)
    const { outcome, sentAt } = answer
    switch (outcome.type) {
      case 'granted': {
        return this.#take(outcome.fence, sentAt)
      }
      case 'refused':
        throw REFUSED
      case 'unknown':
        throw this.#unavailable(outcome.error)
      default:
        return outcome satisfies never
    }
  }

  /** Resolves when this caller is the first in its line, and the key is neither leased here nor left to others. */
  async #turn(): Promise<void> {
    const { table } = this.#parts
    this.#throwIfCancelled()
    const line = this.line as WaitingLine
    const impatient = this.#settings.wait === 0
    while (line.first !== this || table.isTaken(this.key) || (line.offer === 'open' && !impatient)) {
      if (!impatient) await this.#pause.rest(this.#timeLeft())
      else await this.#shareAttempt(line)
      this.#throwIfCancelled()
      if (this.#answer) return
      // A question that was asked in the pause has been given up as well, and may still be granted: no other may follow it.
      if (!impatient && this.#timeLeft() <= 0) throw REFUSED
    }
  }

  /**
   * Who does not want to wait makes no attempt of its own while somebody is ahead: that one is made to ask now, and its answer
   * serves both. Returns only when whoever was ahead has left without an answer.
   */
  async #shareAttempt(line: WaitingLine): Promise<void> {
    // While a lock is left to other processes, those here who want it stand in line before this caller.
    if (this.#parts.table.isHeld(this.key) || line.offer === 'open') throw REFUSED
    this.#hasShared = true
    const left = Math.max(this.timeout - this.#waited(), 0)
    const outcome = await new Promise<AcquireOutcome | undefined>((resolve) => {
      void this.#pause
        .rest(left)
        .then((elapsed) => resolve(elapsed ? { type: 'unknown', error: this.#notInTime } : undefined))
      line.listen(resolve)
      line.first?.nudge()
    })
    this.#restPlace?.end()
    this.#throwIfCancelled()
    if (outcome?.type === 'unknown') throw this.#unavailable(outcome.error)
    if (outcome) throw REFUSED
  }

  /** Asks for the lock; `onAnswer` is called once, with nothing if the answer is not waited for. */
  #ask(onAnswer: (answer: Answer | undefined) => void): void {
    const { dispatch, scheduler, tally } = this.#parts
    const { timeout, wait } = this.#settings
    // An attempt ends with the caller's patience. Where one attempt is all that is wanted, that is its timeout, less what has gone by.
    const patience = wait > 0 ? this.#timeLeft() : this.#hasShared ? timeout - this.#waited() : timeout
    if (patience < timeout) this.#alarm = scheduler.after(patience, () => this.#abandon())
    this.#attempts += 1
    tally.asks += 1
    this.#stale = false
    this.#nudged = false
    this.#onAnswer = onAnswer
    dispatch.acquire(this)
  }

  #answered(outcome?: AcquireOutcome): void {
    this.#onAnswer = undefined
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.line?.onAnswer(outcome)
  }

  /** The answer to the question under way is not waited for any more, and no other is asked after it. */
  #abandon(): void {
    const onAnswer = this.#onAnswer
    if (onAnswer === undefined) return
    this.#answered()
    onAnswer(undefined)
  }

  /** Asks during a pause. */
  #probe(): void {
    this.#extraAttempts += 1
    this.#ask((answer) => {
      if (answer?.outcome.type === 'refused' && this.#prolongPause()) {
        if (this.#stale) this.#followHint()
        return
      }
      this.#answer = answer
      this.#restPlace?.end()
    })
  }

  /** After another refusal a pause between attempts begins anew, and any other ends. @returns whether it goes on. */
  #prolongPause(): boolean {
    if (!this.#backingOff) return false
    try {
      const duration = this.#nextPause()
      // The strategy is the caller's own: it may have ended the pause, or the whole call.
      if (duration === undefined || !this.#isPausing) return false
      this.#pause.reset(duration)
      return true
    } catch (error) {
      this.cancel(error)
      return false
    }
  }

  /**
   * A server that has no room left for watched keys forgets some of them, and says that they have changed. Who asked at once
   * would make it forget others, without end.
   */
  #followHint(): void {
    // Whoever has reserved the key wakes the line when that is over.
    if (this.#parts.table.isReserved(this.key)) return
    const doubts = this.#falseHints - BELIEVED_HINTS
    if (doubts < 0) {
      this.#probe()
      return
    }
    const delay = Math.min(SHORTEST_DOUBT * 2 ** Math.min(doubts, 16), LONGEST_DOUBT)
    this.#hesitation ??= this.#parts.scheduler.after(delay, () => {
      this.#hesitation = undefined
      this.nudge()
    })
  }

  #remember(refusal: Refusal, now: number): void {
    const end = refusal.remaining === Number.POSITIVE_INFINITY ? 0 : now + refusal.remaining
    const before = this.#refusal
    const sameHolder = refusal.holder === before?.holder
    const same = sameHolder && Math.abs(end - this.#refusalEnd) < SAME_END
    if (!same) this.#falseHints = 0
    else if (this.#cause === 'name' && !this.#stale) this.#falseHints += 1
    // Its ttl should be over, and it was renewed without a word.
    const missed = this.#cause === 'time' && before?.watched && sameHolder && !same && now >= this.#refusalEnd
    if (missed || this.#falseHints === BELIEVED_HINTS) this.#parts.onUnreliable()
    // A hint that came meanwhile is the cause of the next question.
    if (!this.#stale) this.#cause = 'time'
    this.#refusal = refusal
    this.#refusalEnd = end
  }

  /** The key is ours, if it still is by now: otherwise it is given back, and the next attempt is another acquisition. */
  #take(fence: number, sentAt = Number.NEGATIVE_INFINITY): LeaseRecord {
    const { granting, createToken } = this.#parts
    const record = new LeaseRecord(this.key, this.token, this)
    if (this.line?.turns) record.own.turns = this.line.turns
    // What was not answered before may still be carried out, after the lease has ended.
    const doubt = this.#doubt
    let granted: GrantResult | undefined
    try {
      granted = granting.take(record, { fence, sentAt, settings: this.#settings, stale: this.#stale, doubt })
    } finally {
      // If it threw, there is no lease, but there is a key.
      this.#doubt = granted ? undefined : doubtAfter(doubt, sentAt, this.ttl)
    }
    if (granted === 'held') return record
    if (granted === 'ended') throw notHeld(record)
    this.token = createToken()
    throw this.#unavailable(TOO_LATE)
  }

  async #pauseAfter(error: unknown): Promise<void> {
    this.#rethrowUnlessFailure(error)
    const duration = this.#nextPause()
    // The strategy is the caller's own: it may have cancelled the call.
    this.#throwIfCancelled()
    if (duration === undefined) throw this.#upToDate(error)
    this.#backingOff = true
    const pause = this.#pause.rest(duration)
    if (this.#nudged) this.nudge()
    else if (this.#stale) this.#followHint()
    const elapsed = await pause
    this.#backingOff = false
    this.#throwIfCancelled()
    if (this.#answer === undefined && this.#timeLeft() <= 0) throw this.#upToDate(error)
    if (elapsed) this.#parts.tally.wakeUps.timeout += 1
  }

  /** The strategy's pause, cut short by the end of the holder's ttl or of the caller's patience; nothing where either has had enough. */
  #nextPause(): number | undefined {
    const left = this.#timeLeft()
    const interval = this.#nextInterval()
    if (interval === null || left <= 0) return undefined
    return Math.min(interval, (this.#refusal?.remaining ?? Number.POSITIVE_INFINITY) + 1, left)
  }

  /** What was answered last, be it during the pause. */
  #upToDate(error: Error): Error {
    return this.#refusal ? REFUSED : error
  }

  #nextInterval(): number | null {
    const { retry } = this.#settings
    const context = {
      key: this.key,
      attempts: Math.max(this.#attempts - this.#extraAttempts, 1),
      waited: this.#waited(),
      remaining: this.#refusal?.remaining,
      watched: (this.#refusal?.watched ?? false) && this.#parts.isReliable(),
      random: this.#parts.random(),
    }
    const interval: unknown = retry.next(context)
    if (interval === null || (typeof interval === 'number' && interval >= 0)) return interval
    throw new RangeError(`Expected \`retry.next()\` to return a number >= 0 (ms) or null, got ${describe(interval)}`)
  }

  #waited(): number {
    return this.#parts.clock.now() - this.#startedAt
  }

  #timeLeft(): number {
    return this.#settings.wait - this.#waited()
  }

  #unavailable(cause: Error): UnavailableError {
    return new UnavailableError(`Lock \`${this.key}\` could not be asked for: ${cause.message}`, this.key, { cause })
  }

  get #notInTime(): UnavailableError {
    return unanswered('in time', this.#parts.faultOf())
  }

  #throwIfCancelled(): void {
    if (this.#cancelled) throw this.#cancelled.reason
  }

  /** Another attempt may mend it. */
  #rethrowUnlessFailure(error: unknown): asserts error is Error {
    this.#throwIfCancelled()
    if (error === REFUSED) return
    if (!(error instanceof UnavailableError)) throw error
    if (!error.final) return
    // All who want this lock would be told the same, one after the other.
    this.line?.cancelAll(error)
    throw error
  }

  #giveBack(outcome: AcquireOutcome, sentAt: number | undefined): void {
    if (outcome.type === 'unknown' && sentAt !== undefined) this.#doubt = doubtAfter(this.#doubt, sentAt, this.ttl)
    if (outcome.type === 'granted' && sentAt !== undefined) this.#doubt = grantedAfter(this.#doubt, sentAt, this.ttl)
    this.#undoDoubtful()
  }
}

export const TOO_LATE: UnavailableError = new UnavailableError('It was granted so late that its lease was over already')
