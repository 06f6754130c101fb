/**
 * One caller's way to a lock: its turn in the line of this process, attempts, pauses between them, and giving up. May import
 * p-retry, the table, the lines, the releaser, the outbox, timing and errors.
 */
import pRetry from 'p-retry'
import type { AcquireOutcome, LockEntry } from './backend.ts'
import { describe } from './check.ts'
import type { Clock } from './clock.ts'
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

export class Acquisition implements Waiter {
  line: WaitingLine | undefined = undefined
  next: Waiter | undefined = undefined
  previous: Waiter | undefined = undefined

  readonly #parts: AcquisitionParts
  readonly #key: string
  readonly #settings: AcquireSettings
  readonly #startedAt: number
  #token = createToken()
  #attempts = 0
  /** What was left of the holder's ttl at the last refusal. */
  #remaining: number | undefined = undefined
  /** When the last request was sent that may have created the key without our knowing; nothing is in doubt without one. */
  #doubtfulSince: number | undefined = undefined
  #cancelled: { readonly reason: unknown } | undefined = undefined
  /** Ends the pause or the attempt under way. */
  #interrupt: (() => void) | undefined = undefined

  constructor(parts: AcquisitionParts, key: string, settings: AcquireSettings) {
    this.#parts = parts
    this.#key = key
    this.#settings = settings
    this.#startedAt = parts.clock.now()
  }

  /**
   * @throws LockNotAcquiredError, UnavailableError, or the reason of `cancel`.
   */
  async run(): Promise<LeaseRecord> {
    const { lines } = this.#parts
    const { signal, wait } = this.#settings
    signal?.throwIfAborted()
    const onAbort = (): void => this.cancel(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    lines.enter(this.#key, this)
    try {
      // Most locks are free: the first attempt does without the machinery of repetition.
      return await this.#attempt()
    } catch (error) {
      this.#rethrowUnlessRefusal(error)
      if (wait === 0) throw error
      return await this.#repeat(error)
    } finally {
      signal?.removeEventListener('abort', onAbort)
      lines.leave(this)
      this.#undoDoubts()
    }
  }

  wake(): void {
    this.#interrupt?.()
  }

  cancel(reason: unknown): void {
    this.#cancelled ??= { reason }
    this.#interrupt?.()
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

  /** One attempt, as soon as it is this caller's turn. */
  async #attempt(): Promise<LeaseRecord> {
    await this.#turn()
    const answer = await this.#ask()
    if (this.#cancelled && answer?.outcome.type === 'granted') this.#giveBack(this.#entry(), answer)
    this.#throwIfCancelled()
    if (answer === undefined) {
      throw this.#remaining === undefined ? this.#unavailable(UNANSWERED) : this.#refused()
    }
    const { outcome, sentAt } = answer
    switch (outcome.type) {
      case 'granted':
        return this.#take(outcome.fence, sentAt as number)
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
    while (line.first !== this || table.has(this.#key)) {
      // Who does not want to wait makes no attempt of its own while somebody else's is under way: that one's answer serves both.
      if (this.#settings.wait === 0) await this.#shareAttempt(line)
      const left = this.#timeLeft()
      if (left <= 0) throw this.#refused()
      await this.#pause(left)
    }
  }

  /**
   * Waits for the attempt of whoever is first in the line, if one is under way.
   *
   * @throws UnavailableError when the last attempt was not answered.
   */
  async #shareAttempt(line: WaitingLine): Promise<void> {
    if (line.asking) {
      await new Promise<void>((resolve) => {
        this.#interrupt = resolve
        line.listeners.push(resolve)
      })
      this.#interrupt = undefined
      this.#throwIfCancelled()
    }
    if (line.outcome?.type === 'unknown') throw this.#unavailable(line.outcome.error)
  }

  /** @returns nothing when the answer was not waited for: the caller is cancelled, or its time is up. */
  #ask(): Promise<Answer | undefined> {
    const { post, scheduler } = this.#parts
    const { timeout, wait } = this.#settings
    const line = this.line as WaitingLine
    const entry = this.#entry()
    // An attempt ends with the caller's patience, except where one attempt is all that is wanted.
    const patience = wait === 0 ? timeout : this.#timeLeft()
    this.#attempts += 1
    line.asking = true
    return new Promise((resolve) => {
      let alarm: Alarm | undefined
      const finish = (): void => {
        line.asking = false
        this.#interrupt = undefined
        alarm?.cancel()
      }
      let abandoned = false
      const abandon = (): void => {
        abandoned = true
        finish()
        tellAttempt(line, { type: 'unknown', error: UNANSWERED })
        resolve(undefined)
      }
      // Being woken means nothing to a question under way; being cancelled does.
      this.#interrupt = () => this.#cancelled && abandon()
      if (patience < timeout) alarm = scheduler.after(patience, abandon)
      post({
        ...entry,
        timeout,
        settle: (outcome, sentAt) => {
          if (abandoned) {
            this.#giveBack(entry, { outcome, sentAt })
            return
          }
          finish()
          if (outcome.type === 'unknown' && sentAt !== undefined) this.#doubtfulSince = sentAt
          tellAttempt(line, outcome)
          resolve({ outcome, sentAt })
        },
      })
    })
  }

  /** The key is ours, if it still is by now: otherwise it is given back, and the next attempt is another acquisition. */
  #take(fence: number, sentAt: number): LeaseRecord {
    const { clock, table, renewer, adopt, driftFactor } = this.#parts
    const { ttl } = this.#settings
    const entry = this.#entry()
    const now = clock.now()
    const deadline = deadlineOf(sentAt, ttl, driftFactor)
    this.#doubtfulSince = undefined
    if (now >= deadline) {
      this.#undo(entry, sentAt, false)
      this.#token = createToken()
      throw new UnavailableError(`Lock \`${this.#key}\` was granted too late: its lease was over already`, this.#key)
    }
    const { timeout, maxHold } = this.#settings
    const record = new LeaseRecord(
      entry,
      fence,
      timeout,
      maxHold === Number.POSITIVE_INFINITY ? undefined : now + maxHold,
    )
    adopt(record)
    renewer.join(record, this.#settings, sentAt)
    table.add(record)
    return record
  }

  /** The strategy's pause, cut short by the end of the holder's ttl, of the caller's patience, or by a release here. */
  async #pauseAfter(error: unknown): Promise<void> {
    this.#rethrowUnlessRefusal(error)
    const left = this.#timeLeft()
    const interval = this.#nextInterval()
    if (interval === null || left <= 0) throw error
    const remaining = this.#remaining ?? Number.POSITIVE_INFINITY
    await this.#pause(Math.min(interval, remaining + 1, left))
    if (this.#timeLeft() <= 0) throw error
  }

  #nextInterval(): number | null {
    const { retry } = this.#settings
    const context = {
      key: this.#key,
      attempts: Math.max(this.#attempts, 1),
      waited: this.#waited(),
      remaining: this.#remaining,
      random: this.#parts.random(),
    }
    const interval: unknown = retry.next(context)
    if (interval === null || (typeof interval === 'number' && interval >= 0)) return interval
    throw new RangeError(`Expected \`retry.next()\` to return a number >= 0 (ms) or null, got ${describe(interval)}`)
  }

  async #pause(duration: number): Promise<void> {
    await new Promise<void>((resolve) => {
      let alarm: Alarm | undefined
      const end = (): void => {
        this.#interrupt = undefined
        alarm?.cancel()
        resolve()
      }
      this.#interrupt = end
      if (duration !== Number.POSITIVE_INFINITY) alarm = this.#parts.scheduler.after(duration, end)
    })
    this.#throwIfCancelled()
  }

  #entry(): LockEntry {
    return { key: this.#key, token: this.#token, ttl: this.#settings.ttl }
  }

  #waited(): number {
    return this.#parts.clock.now() - this.#startedAt
  }

  #timeLeft(): number {
    return this.#settings.wait - this.#waited()
  }

  #refused(): LockNotAcquiredError {
    const details = { attempts: this.#attempts, waited: this.#waited(), remaining: this.#remaining }
    return new LockNotAcquiredError(this.#key, details)
  }

  #unavailable(cause: Error): UnavailableError {
    return new UnavailableError(`Lock \`${this.#key}\` could not be asked for: ${cause.message}`, this.#key, { cause })
  }

  #throwIfCancelled(): void {
    if (this.#cancelled) throw this.#cancelled.reason
  }

  #rethrowUnlessRefusal(error: unknown): asserts error is Refusal {
    this.#throwIfCancelled()
    if (!(error instanceof LockNotAcquiredError || error instanceof UnavailableError)) throw error
  }

  /** The caller is gone; what its question brings, or may have brought, is given back. */
  #giveBack(entry: LockEntry, { outcome, sentAt }: Answer): void {
    if (outcome.type !== 'refused' && sentAt !== undefined) this.#undo(entry, sentAt, outcome.type === 'unknown')
  }

  #undoDoubts(): void {
    if (this.#doubtfulSince === undefined) return
    this.#undo(this.#entry(), this.#doubtfulSince, true)
  }

  #undo(entry: LockEntry, sentAt: number, inDoubt: boolean): void {
    this.#parts.releaser.undo({ entry, timeout: this.#settings.timeout, until: sentAt + entry.ttl, inDoubt })
  }
}

function tellAttempt(line: WaitingLine, outcome: AcquireOutcome): void {
  line.outcome = outcome
  const { listeners } = line
  line.listeners = []
  for (const listener of listeners) listener()
}

const UNANSWERED = new UnavailableError('The backend did not answer in time')
