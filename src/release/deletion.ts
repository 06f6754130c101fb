/**
 * One compare-and-delete, repeated with backoff while the key may still exist, or may still be created. A waiting caller
 * gets the first answer, or none after `timeout`.
 */
import type { ChangeOutcome, ReleaseEntry, Stay, Unknown } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Joint } from '../rules/sharing.ts'
import { renewalRetryDelay } from '../rules/timing.ts'
import { UnavailableError } from '../errors.ts'
import type { PendingRelease } from '../lease/lease-record.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Release } from '../requests/hand-overs.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

export interface DeletionParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly random: () => number
  /** Whether to watch a key from its deletion on. */
  readonly isOffered: (key: string) => boolean
  readonly dispatch: Pick<Dispatch, 'release'>
}

export interface DeletionGoal {
  readonly entry: ReleaseEntry
  /** How long one attempt may stay unanswered, in ms. */
  readonly timeout: number
  /** When the key is sure to have expired. */
  readonly until: number
  /**
   * The number of unanswered requests that may create the key. While there are any, a missing key does not end the deletion: the
   * requests may still be on their way, so it looks again until `until`. Each deleted key accounts for one request.
   */
  readonly unanswered: number
  /** When the release began: the caller's timeout counts from there. Default: now. */
  readonly since?: number
}

/** Extra steps of the backoff if the key was just found gone, or was just deleted. */
const UNHURRIED = 2

export const UNANSWERED: Unknown = {
  type: 'unknown',
  error: new UnavailableError('The release was not answered in time'),
}

export class Deletion implements Release, PendingRelease {
  readonly key: string
  readonly token: string
  /** ms. */
  readonly ttl: number
  /** ms. */
  readonly timeout: number
  readonly joint: Joint | undefined
  readonly wanted = true
  watch = false
  readonly stay: Stay | undefined
  readonly #parts: DeletionParts
  readonly #until: number
  #unanswered: number
  readonly #onAnswer: (outcome: ChangeOutcome, over: boolean) => void
  /** Takes the outcome for the caller, once. */
  #onDecided: ((outcome: ChangeOutcome) => void) | undefined
  #released: Promise<boolean> | undefined
  #resolve: ((released: boolean) => void) | undefined
  #result = false
  readonly #startedAt: number
  #repetitions = 0
  /** The last attempt was not answered. */
  #isUnsure = false
  #retry: Alarm | undefined
  #patience: Alarm | undefined
  /** The same answer gives the lock to the next caller. */
  #handedOver = false
  #over = false

  /**
   * @param onDecided called once, with the outcome known by then.
   * @param onAnswer called with each answer; `over` is true for the last one.
   */
  constructor(
    parts: DeletionParts,
    { entry, timeout, until, unanswered, since = parts.clock.now() }: DeletionGoal,
    onDecided: ((outcome: ChangeOutcome) => void) | undefined,
    onAnswer: (outcome: ChangeOutcome, over: boolean) => void,
  ) {
    this.key = entry.key
    this.token = entry.token
    this.ttl = entry.ttl
    this.joint = entry.joint
    this.stay = entry.stay
    this.timeout = timeout
    this.#parts = parts
    this.#until = until
    this.#unanswered = unanswered
    this.#onDecided = onDecided
    this.#onAnswer = onAnswer
    this.#startedAt = since
  }

  /** How long a closing manager waits for an answer if other servers have given theirs: an attempt, and another. */
  get patientUntil(): number {
    return this.#startedAt + 2 * this.timeout
  }

  get decided(): boolean {
    return this.#onDecided === undefined
  }

  /** Whether there was more than one attempt. */
  get repeated(): boolean {
    return this.#repetitions > 0
  }

  /** Whether this deletion is known to have deleted the key. */
  outcomeOf(): Promise<boolean> {
    if (this.decided) return Promise.resolve(this.#result)
    this.#released ??= new Promise((resolve) => {
      this.#resolve = resolve
    })
    return this.#released
  }

  /** @param first the outcome of an attempt made before. */
  start(first?: Unknown): void {
    if (first) this.settle(first)
    else this.#ask()
  }

  /** A hand-over has failed: without it the release may well succeed, so it is tried at once. */
  onUnanswered(outcome: Unknown): void {
    this.#settle(outcome, true)
  }

  onHandedOver(): void {
    this.#handedOver = true
  }

  onDelayed(): void {
    this.#watchPatience(this.#parts.clock.now())
  }

  settle(outcome: ChangeOutcome): void {
    this.#settle(outcome)
  }

  #settle(outcome: ChangeOutcome, hurried = false): void {
    if (this.#over) return
    const { clock, scheduler, random } = this.#parts
    const now = clock.now()
    const remaining = this.#until - now
    if (outcome.type === 'done') this.#unanswered -= 1
    this.#over = (outcome.type !== 'unknown' && this.#unanswered <= 0) || remaining <= 0
    // If an earlier attempt was not answered, that one may have deleted the key.
    const told = outcome.type === 'refused' && this.#isUnsure ? UNANSWERED : outcome
    this.#isUnsure = outcome.type === 'unknown'
    if (this.#over || outcome.type !== 'unknown') {
      try {
        this.#decide(told)
      } finally {
        this.#onAnswer(told, this.#over)
      }
    }
    if (this.#over) return
    this.#repetitions += 1
    // A request that may still create the key is looked for slowly, until the end.
    const delay =
      outcome.type === 'unknown'
        ? renewalRetryDelay(this.ttl, this.#repetitions, remaining, random())
        : renewalRetryDelay(this.ttl, this.#repetitions + UNHURRIED, Number.POSITIVE_INFINITY, random())
    this.#retry?.cancel()
    this.#retry = scheduler.after(hurried ? 0 : delay, () => this.#ask())
    this.#watchPatience(now)
  }

  /** Gives up: an unknown outcome stays unknown. */
  giveUp(): void {
    this.#over = true
    this.#retry?.cancel()
    this.#decide(UNANSWERED)
  }

  #ask(): void {
    this.watch = this.#parts.isOffered(this.key)
    this.#parts.dispatch.release(this)
  }

  #watchPatience(now: number): void {
    if (this.decided || this.#patience !== undefined) return
    const left = this.#startedAt + this.timeout - now
    if (left > 0) this.#patience = this.#parts.scheduler.after(left, () => this.#decide(UNANSWERED))
    else this.#decide(UNANSWERED)
  }

  #decide(outcome: ChangeOutcome): void {
    const onDecided = this.#onDecided
    if (onDecided === undefined) return
    this.#onDecided = undefined
    this.#patience?.cancel()
    this.#result = outcome.type === 'done'
    try {
      onDecided(outcome)
    } finally {
      // The caller's code must not delay whoever has the lock now.
      if (this.#handedOver) this.#parts.clock.soon(() => this.#resolve?.(this.#result))
      else this.#resolve?.(this.#result)
    }
  }
}
