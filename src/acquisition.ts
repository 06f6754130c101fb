/**
 * One caller's way to a lock: its turn in the line of this process, attempts, pauses between them, and giving up. May import
 * p-retry, the table, the lines, the releaser, the outbox, timing and errors.
 */
import pRetry from 'p-retry'
import type { AbortWatch } from './abort-watch.ts'
import type { AcquireOutcome } from './backend.ts'
import { describe } from './check.ts'
import type { Clock } from './clock.ts'
import { isActive } from './core/lease-state.ts'
import { deadlineOf } from './core/timing.ts'
import { LockNotAcquiredError, UnavailableError } from './errors.ts'
import { LeaseRecord } from './lease-record.ts'
import type { LeaseTable } from './lease-table.ts'
import type { AcquireSettings } from './options.ts'
import type { Request } from './outbox.ts'
import type { Releaser } from './releaser.ts'
import type { Renewer } from './renewer.ts'
import type { Alarm, Alarms } from './scheduler.ts'
import { createToken } from './token.ts'
import type { Waiter, WaitingLine, WaitingLines } from './waiting-line.ts'

export interface AcquisitionParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly aborts: AbortWatch
  readonly renewer: Renewer
  readonly releaser: Releaser
  readonly driftFactor: number
  readonly random: () => number
  /** Collects a request for the end of this turn. */
  readonly post: (request: Request<AcquireOutcome>) => void
  /** Gives a granted lease its handle. */
  readonly adopt: (record: LeaseRecord) => void
}

/** What came of a question, and when it was sent: undefined if it never was. */
interface Answer {
  readonly outcome: AcquireOutcome
  readonly sentAt: number | undefined
}

/** Thrown attempts that another attempt may mend. */
type Refusal = LockNotAcquiredError | UnavailableError

export class Acquisition implements Waiter, Request<AcquireOutcome> {
  readonly key: string
  /** One per acquisition: it changes only when what was acquired is given back before anybody had it. */
  token: string = createToken()
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
  #attempts = 0
  /** Attempts made for the sake of others, which the strategy does not count. */
  #extraAttempts = 0
  /** What was left of the holder's ttl at the last refusal. */
  #remaining: number | undefined = undefined
  /** When the last request was sent that may have created the key without our knowing; nothing is in doubt without one. */
  #doubtfulSince: number | undefined = undefined
  #cancelled: { readonly reason: unknown } | undefined = undefined
  /** Takes the answer to the question under way. */
  #onAnswer: ((answer: Answer | undefined) => void) | undefined = undefined
  /** Ends the pause under way. */
  #onWake: (() => void) | undefined = undefined
  /** Rings when the caller's patience ends before the question's own timeout. */
  #alarm: Alarm | undefined = undefined

  constructor(parts: AcquisitionParts, key: string, settings: AcquireSettings) {
    this.key = key
    this.ttl = settings.ttl
    this.timeout = settings.timeout
    this.#parts = parts
    this.#settings = settings
    this.#startedAt = parts.clock.now()
  }

  /** Whether an answer is waited for. */
  get wanted(): boolean {
    return this.#onAnswer !== undefined
  }

  /**
   * @throws LockNotAcquiredError, UnavailableError, or the reason of `cancel`.
   */
  run(): Promise<LeaseRecord> {
    const { lines, table, aborts } = this.#parts
    const { signal } = this.#settings
    lines.enter(this.key, this)
    if (signal) aborts.add(signal, this)
    if (this.#cancelled || this.line?.first !== this || table.isHeld(this.key)) return this.#persist()
    // Most locks are free: the first attempt does without the machinery of repetition.
    return new Promise((resolve, reject) => {
      this.#ask((answer) => {
        let record: LeaseRecord
        try {
          record = this.#conclude(answer)
        } catch (error) {
          this.#persist({ error }).then(resolve, reject)
          return
        }
        this.#end()
        resolve(record)
      })
    })
  }

  /** The question under way is answered, or given up. */
  settle(outcome: AcquireOutcome, sentAt: number | undefined): void {
    const onAnswer = this.#onAnswer
    if (onAnswer === undefined) {
      // The caller is gone; what its question brings, or may have brought, is given back.
      this.#giveBack(outcome, sentAt)
      return
    }
    if (outcome.type === 'unknown' && sentAt !== undefined) this.#doubtfulSince = sentAt
    this.#answered(outcome)
    onAnswer({ outcome, sentAt })
  }

  wake(): void {
    this.#onWake?.()
  }

  nudge(): void {
    if (this.#onWake === undefined) return
    this.#extraAttempts += 1
    this.#onWake()
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason }
    this.#onWake?.()
    this.#abandon()
  }

  /** Goes on, after a first attempt that failed if there was one, until the lock is acquired or the caller has had enough. */
  async #persist(first?: { readonly error: unknown }): Promise<LeaseRecord> {
    try {
      if (first) throw first.error
      return await this.#attempt()
    } catch (error) {
      this.#rethrowUnlessRefusal(error)
      if (this.#settings.wait === 0) throw error
      return await this.#repeat(error)
    } finally {
      this.#end()
    }
  }

  async #repeat(first: Refusal): Promise<LeaseRecord> {
    await this.#pauseAfter(first)
    try {
      return await pRetry(() => this.#attempt(), {
        retries: Number.POSITIVE_INFINITY,
        // The pauses are ours: they follow the strategy, end with a release here, and run on the manager's clock.
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
    if (signal) this.#parts.aborts.remove(signal, this)
    this.#parts.lines.leave(this)
    if (this.#doubtfulSince !== undefined) this.#undo(this.#doubtfulSince, true)
    this.#doubtfulSince = undefined
  }

  /** One attempt, as soon as it is this caller's turn. */
  async #attempt(): Promise<LeaseRecord> {
    await this.#turn()
    return this.#conclude(await new Promise<Answer | undefined>((resolve) => this.#ask(resolve)))
  }

  /** @param answer nothing when it was not waited for: the caller is cancelled, or its time is up. */
  #conclude(answer: Answer | undefined): LeaseRecord {
    if (this.#cancelled && answer?.outcome.type === 'granted') this.#giveBack(answer.outcome, answer.sentAt)
    this.#throwIfCancelled()
    if (answer === undefined) {
      throw this.#remaining === undefined ? this.#unavailable(UNANSWERED) : this.#refused()
    }
    const { outcome, sentAt } = answer
    switch (outcome.type) {
      case 'granted': {
        const record = this.#take(outcome.fence, sentAt)
        if (record === undefined) throw this.#unavailable(TOO_LATE)
        return record
      }
      case 'refused':
        this.#remaining = outcome.remaining
        throw this.#refused()
      case 'unknown':
        this.#remaining = undefined
        throw this.#unavailable(outcome.error)
      default:
        return outcome satisfies never
    }
  }

  /** Resolves when this caller is the first in its line and the key is not leased here. */
  async #turn(): Promise<void> {
    const { table } = this.#parts
    this.#throwIfCancelled()
    const line = this.line as WaitingLine
    while (line.first !== this || table.isHeld(this.key)) {
      const left = this.#timeLeft()
      if (this.#settings.wait === 0) await this.#shareAttempt(line)
      else if (left <= 0) throw this.#refused()
      else await this.#pause(left)
    }
  }

  /**
   * Who does not want to wait makes no attempt of its own while somebody is ahead: that one is made to ask now, and its answer
   * serves both. Returns only when whoever was ahead has left without an answer.
   */
  async #shareAttempt(line: WaitingLine): Promise<void> {
    if (this.#parts.table.isHeld(this.key)) throw this.#refused()
    const outcome = await new Promise<AcquireOutcome | undefined>((resolve) => {
      this.#onWake = () => resolve(undefined)
      line.listeners.push(resolve)
      line.first?.nudge()
    })
    this.#onWake = undefined
    this.#throwIfCancelled()
    if (outcome?.type === 'unknown') throw this.#unavailable(outcome.error)
    if (outcome) throw this.#refused()
  }

  /** Asks for the lock; `onAnswer` is called once, with nothing if the answer is not waited for. */
  #ask(onAnswer: (answer: Answer | undefined) => void): void {
    const { post, scheduler } = this.#parts
    const { timeout, wait } = this.#settings
    // An attempt ends with the caller's patience, except where one attempt is all that is wanted.
    const patience = wait === 0 ? timeout : this.#timeLeft()
    if (patience < timeout) this.#alarm = scheduler.after(patience, () => this.#abandon())
    this.#attempts += 1
    this.#onAnswer = onAnswer
    post(this)
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

  /** The key is ours, if it still is by now: otherwise it is given back, and the next attempt is another acquisition. */
  #take(fence: number, sentAt = Number.NEGATIVE_INFINITY): LeaseRecord | undefined {
    const { clock, table, renewer, adopt, driftFactor } = this.#parts
    const { ttl, timeout, maxHold } = this.#settings
    const now = clock.now()
    this.#doubtfulSince = undefined
    if (now >= deadlineOf(sentAt, ttl, driftFactor)) {
      this.#undo(sentAt, false)
      this.token = createToken()
      return undefined
    }
    const retireAt = maxHold === Number.POSITIVE_INFINITY ? undefined : now + maxHold
    const record = new LeaseRecord(this, fence, timeout, retireAt)
    adopt(record)
    renewer.join(record, this.#settings, sentAt)
    table.add(record)
    // A listener may have taken its time.
    if (isActive(table.observe(record))) return record
    this.token = createToken()
    return undefined
  }

  /** The strategy's pause, cut short by the end of the holder's ttl, of the caller's patience, or by a release here. */
  async #pauseAfter(error: unknown): Promise<void> {
    this.#rethrowUnlessRefusal(error)
    const left = this.#timeLeft()
    const interval = this.#nextInterval()
    if (interval === null || left <= 0) throw this.#upToDate(error)
    const remaining = this.#remaining ?? Number.POSITIVE_INFINITY
    await this.#pause(Math.min(interval, remaining + 1, left))
    if (this.#timeLeft() <= 0) throw this.#upToDate(error)
  }

  /** A refusal says how long the caller has waited in all. */
  #upToDate(error: Refusal): Refusal {
    return error instanceof LockNotAcquiredError ? this.#refused() : error
  }

  #nextInterval(): number | null {
    const { retry } = this.#settings
    const context = {
      key: this.key,
      attempts: Math.max(this.#attempts - this.#extraAttempts, 1),
      waited: this.#waited(),
      remaining: this.#remaining,
      random: this.#parts.random(),
    }
    const interval: unknown = retry.next(context)
    if (interval === null || (typeof interval === 'number' && interval >= 0)) return interval
    throw new RangeError(`Expected \`retry.next()\` to return a number >= 0 (ms) or null, got ${describe(interval)}`)
  }

  async #pause(duration: number): Promise<void> {
    let alarm: Alarm | undefined
    await new Promise<void>((resolve) => {
      this.#onWake = resolve
      if (duration !== Number.POSITIVE_INFINITY) alarm = this.#parts.scheduler.after(duration, () => resolve())
    })
    alarm?.cancel()
    this.#onWake = undefined
    this.#throwIfCancelled()
  }

  #waited(): number {
    return this.#parts.clock.now() - this.#startedAt
  }

  #timeLeft(): number {
    return this.#settings.wait - this.#waited()
  }

  #refused(): LockNotAcquiredError {
    const details = { attempts: this.#attempts, waited: this.#waited(), remaining: this.#remaining }
    return new LockNotAcquiredError(this.key, details)
  }

  #unavailable(cause: Error): UnavailableError {
    return new UnavailableError(`Lock \`${this.key}\` could not be asked for: ${cause.message}`, this.key, { cause })
  }

  #throwIfCancelled(): void {
    if (this.#cancelled) throw this.#cancelled.reason
  }

  #rethrowUnlessRefusal(error: unknown): asserts error is Refusal {
    this.#throwIfCancelled()
    if (!(error instanceof LockNotAcquiredError || error instanceof UnavailableError)) throw error
  }

  #giveBack(outcome: AcquireOutcome, sentAt: number | undefined): void {
    if (outcome.type !== 'refused' && sentAt !== undefined) this.#undo(sentAt, outcome.type === 'unknown')
  }

  #undo(sentAt: number, inDoubt: boolean): void {
    const { key, token, ttl, timeout } = this
    this.#parts.releaser.undo({ entry: { key, token, ttl }, timeout, until: sentAt + ttl, inDoubt })
  }
}

const UNANSWERED = new UnavailableError('The backend did not answer in time')
const TOO_LATE = new UnavailableError('It was granted so late that its lease was over already')
