/**
 * What one caller asks the backend: one question after another for one key. It knows what may be on the key because of them, and gives that
 * back if nobody wants it.
 */
import type { AcquireOutcome } from '../backend.ts'
import { LeaseRecord } from '../lease/lease-record.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Releaser } from '../release/releaser.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Request } from '../requests/outbox.ts'
import { type Doubt, doubtAfter, grantedAfter } from '../rules/doubt.ts'
import type { Fairness } from '../rules/fairness.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import type { Granting, GrantResult } from './granting.ts'

export interface QuestionParts {
  readonly scheduler: Alarms
  readonly dispatch: Pick<Dispatch, 'acquire'>
  readonly releaser: Releaser
  readonly granting: Granting
  readonly createToken: () => string
}

/** A first attempt that was made elsewhere. */
export interface FirstTry {
  /** None if the key was given back. */
  readonly token: string | undefined
  readonly startedAt: number
  readonly doubt: Doubt | undefined
}

/** What came of a question, and when it was sent: undefined if it never was. */
export interface Answer {
  readonly outcome: AcquireOutcome
  readonly sentAt: number | undefined
}

/** Whoever asks. */
export interface Asker {
  /** There is an answer. */
  onOutcome(answer: Answer): void
  /** The question is over. @param outcome none if it was given up. */
  onQuestionOver(outcome: AcquireOutcome | undefined): void
}

/** Nothing if the answer is not waited for any more. */
type OnAnswer = (answer: Answer | undefined) => void

export class Question implements Request<AcquireOutcome> {
  readonly key: string
  /** One per acquisition: it changes only when what was acquired is given back before anybody had it. */
  token: string
  readonly #parts: QuestionParts
  readonly #settings: AcquireSettings
  readonly #asker: Asker
  /** Requests that may have created the key without our knowing, or may still do so. */
  #doubt: Doubt | undefined
  /** Takes the answer to the question under way. */
  #onAnswer: OnAnswer | undefined = undefined
  /** Rings when the caller's patience ends before the question's own timeout. */
  #alarm: Alarm | undefined = undefined

  constructor(parts: QuestionParts, key: string, settings: AcquireSettings, asker: Asker, first?: FirstTry) {
    this.key = key
    this.token = first?.token ?? parts.createToken()
    this.#doubt = first?.doubt
    this.#parts = parts
    this.#settings = settings
    this.#asker = asker
  }

  /** ms. */
  get ttl(): number {
    return this.#settings.ttl
  }

  /** ms. */
  get timeout(): number {
    return this.#settings.timeout
  }

  /** Whether an answer is waited for. */
  get wanted(): boolean {
    return this.#onAnswer !== undefined
  }

  /** `onAnswer` is called once. @param patience ms after which the answer is not waited for any more. */
  ask(patience: number, onAnswer: OnAnswer): void {
    const { scheduler, dispatch } = this.#parts
    if (patience < this.timeout) this.#alarm = scheduler.after(patience, () => this.abandon())
    this.#onAnswer = onAnswer
    dispatch.acquire(this)
  }

  /** The answer to the question under way goes to somebody else. */
  redirect(onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer
  }

  settle(outcome: AcquireOutcome, sentAt: number | undefined, unansweredAt?: number): void {
    const onAnswer = this.#onAnswer
    if (unansweredAt !== undefined) this.#doubt = doubtAfter(this.#doubt, unansweredAt, this.ttl)
    const answer = { outcome, sentAt }
    if (onAnswer === undefined) {
      // The caller is gone; what its question brings, or may have brought, is given back.
      this.giveBack(answer)
      return
    }
    this.#asker.onOutcome(answer)
    this.learn(answer)
    this.#over(outcome)
    onAnswer(answer)
  }

  /** If it was not answered, it may still be carried out. */
  learn({ outcome, sentAt }: Answer): void {
    if (outcome.type === 'unknown' && sentAt !== undefined) this.#doubt = doubtAfter(this.#doubt, sentAt, this.ttl)
  }

  /** The answer to the question under way is not waited for any more. */
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
   * Makes a lease of what was granted. If that came too late, the next question is another acquisition.
   *
   * @throws whatever the user's own functions throw meanwhile: there is no lease then, but there is a key.
   */
  take(fence: number, sentAt: number, stale: boolean, fairness: Fairness | undefined): [LeaseRecord, GrantResult] {
    const { granting, createToken } = this.#parts
    const record = new LeaseRecord(this.key, this.token, this)
    if (fairness) record.own.fairness = fairness
    // What was not answered before may still be carried out, after the lease has ended.
    const doubt = this.#doubt
    let granted: GrantResult | undefined
    try {
      granted = granting.take(record, { fence, sentAt, settings: this.#settings, stale, doubt })
    } finally {
      this.#doubt = granted ? undefined : doubtAfter(doubt, sentAt, this.ttl)
    }
    if (granted === 'late' || granted === 'lost') this.token = createToken()
    return [record, granted]
  }

  giveBack(answer: Answer): void {
    const { outcome, sentAt } = answer
    this.learn(answer)
    if (outcome.type === 'granted' && sentAt !== undefined) this.#doubt = grantedAfter(this.#doubt, sentAt, this.ttl)
    this.undo()
  }

  /** What may have been acquired is given back. */
  undo(): void {
    if (this.#doubt) this.#parts.releaser.undo(this, this.#doubt)
    this.#doubt = undefined
  }
}
