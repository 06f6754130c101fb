/**
 * The questions of one caller to the backend, one after the other, about one key. It knows what they may have written to the key, and
 * deletes that if the caller is gone.
 */
import type { AcquireOutcome } from '../backend.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import type { Reservations } from '../lease/reservations.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Request } from '../requests/batch.ts'
import type { Joint } from '../rules/sharing.ts'
import { type Doubt, doubtAfter, doubtLeft } from '../rules/doubt.ts'
import type { Fairness } from '../rules/fairness.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import type { Granting, GrantResult } from './granting.ts'

export interface QuestionParts {
  readonly table: { readonly reservations: Pick<Reservations, 'fitting'> }
  readonly scheduler: Alarms
  readonly dispatch: Pick<Dispatch, 'acquire' | 'acquireNext'>
  readonly releaser: Releaser
  readonly granting: Granting
  readonly createToken: () => string
}

/** A first attempt made outside the line. */
export interface FirstTry {
  /** The place of its caller among all callers: see `WaitingLines.takeNumber`. */
  readonly number: number
  /** None if that attempt gave the key back. */
  readonly token: string | undefined
  readonly startedAt: number
  readonly doubt: Doubt | undefined
}

/** The outcome of a question, and when it was sent: undefined if it never was. */
export interface Answer {
  readonly outcome: AcquireOutcome
  readonly sentAt: number | undefined
}

/** The owner of a question. */
export interface Asker {
  /** An answer has come. */
  onOutcome(answer: Answer): void
  /** The question is over. @param outcome none if the caller gave it up. */
  onQuestionOver(outcome: AcquireOutcome | undefined): void
}

/** Gets nothing if the caller stopped waiting for the answer. */
type OnAnswer = (answer: Answer | undefined) => void

export class Question implements Request<AcquireOutcome> {
  readonly key: string
  /**
   * One per acquisition. A question gets another one if no request with the last one can still land, or the backend itself has given back what it may
   * have got: it says when the lock was asked for, and a caller may wait for long. It also changes if the lock was acquired and given back before any
   * caller got it.
   */
  token: string
  /** For a joint lease: see `LockEntry`. */
  turn: number | undefined
  readonly #parts: QuestionParts
  readonly #settings: AcquireSettings
  readonly #asker: Asker
  /** A question with this token was sent, or may have been. */
  #used: boolean
  /** Unanswered requests that may have created the key, or may still do so. */
  #doubt: Doubt | undefined
  /** Takes the answer to the question under way. */
  #onAnswer: OnAnswer | undefined = undefined
  /** Set if the caller's patience may end before the question is over. */
  #alarm: Alarm | undefined = undefined

  constructor(parts: QuestionParts, key: string, settings: AcquireSettings, asker: Asker, first?: FirstTry) {
    this.key = key
    this.token = first?.token ?? parts.createToken()
    this.#used = first?.token !== undefined
    this.#doubt = first?.doubt
    this.#parts = parts
    this.#settings = settings
    this.#asker = asker
  }

  /** ms. */
  get ttl(): number {
    return this.#settings.ttl
  }

  get joint(): Joint | undefined {
    return this.#parts.table.reservations.fitting(this.key, this.#settings.joint)
  }

  /** ms. */
  get timeout(): number {
    return this.#settings.timeout
  }

  /** Whether the caller waits for an answer. */
  get wanted(): boolean {
    return this.#onAnswer !== undefined
  }

  /** Calls `onAnswer` once. @param patience ms after which the caller stops waiting for the answer, or Infinity. @param asNext see `Dispatch.acquireNext`. */
  ask(patience: number, onAnswer: OnAnswer, asNext: boolean): void {
    const { scheduler, dispatch, createToken } = this.#parts
    if (this.#used && this.#doubt === undefined) this.token = createToken()
    this.#used = true
    // Even if the timeout is shorter: it begins only when the request leaves, which a blocked event loop may delay for long.
    if (patience < Number.POSITIVE_INFINITY) this.#alarm = scheduler.after(patience, () => this.abandon())
    this.#onAnswer = onAnswer
    if (asNext) dispatch.acquireNext(this)
    else dispatch.acquire(this)
  }

  /** Sends the answer to the question under way to another callback. */
  redirect(onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer
  }

  settle(outcome: AcquireOutcome, sentAt: number | undefined, unansweredAt?: number): void {
    const onAnswer = this.#onAnswer
    if (unansweredAt !== undefined) this.#doubt = doubtAfter(this.#doubt, unansweredAt, this.ttl)
    const answer = { outcome, sentAt }
    if (onAnswer === undefined) {
      // The caller is gone: gives back what its question acquired, or may have acquired.
      this.giveBack(answer)
      return
    }
    this.#asker.onOutcome(answer)
    this.learn(answer)
    this.#over(outcome)
    onAnswer(answer)
  }

  /** The server may still carry out a request that it did not answer. */
  learn({ outcome, sentAt }: Answer): void {
    if (outcome.type !== 'granted') this.#doubt = doubtLeft(this.#doubt, outcome, sentAt, this.ttl)
    if (outcome.type === 'refused') this.turn ??= outcome.turn
  }

  /** Stops waiting for the answer to the question under way. */
  abandon(): void {
    const onAnswer = this.#onAnswer
    if (onAnswer === undefined) return
    this.#over(undefined)
    onAnswer(undefined)
  }

  #over(outcome: AcquireOutcome | undefined): void {
    this.#onAnswer = undefined
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#asker.onQuestionOver(outcome)
  }

  /**
   * Makes a lease of a grant. If the grant came too late, the next question uses a new token.
   *
   * @throws whatever the user's own functions throw meanwhile: there is then no lease, but a key.
   */
  take(fence: number, sentAt: number, stale: boolean, fairness: Fairness | undefined): [LeaseRecord, GrantResult] {
    const { granting, createToken } = this.#parts
    const record = new LeaseRecord(this.key, this.token, this)
    if (fairness) record.own.fairness = fairness
    // The server may carry out an earlier unanswered request after the lease has ended.
    const doubt = this.#doubt
    let granted: GrantResult | undefined
    try {
      granted = granting.take(record, { fence, sentAt, settings: this.#settings }, stale, doubt)
    } finally {
      this.#doubt = granted ? undefined : doubtAfter(doubt, sentAt, this.ttl)
    }
    if (granted === 'late' || granted === 'lost') {
      this.token = createToken()
      this.#used = false
    }
    return [record, granted]
  }

  giveBack({ outcome, sentAt }: Answer): void {
    this.#doubt = doubtLeft(this.#doubt, outcome, sentAt, this.ttl)
    this.undo()
  }

  /** Gives back what may have been acquired. */
  undo(): void {
    if (this.#doubt) this.#parts.releaser.undo(this, this.#doubt)
    this.#doubt = undefined
  }
}
