/**
 * One compare-and-delete, repeated with backoff while the key may still be, or come to be, there. Where somebody waits
 * for what comes of it, that is decided by the first answer, or when `timeout` is over.
 */
import type { ChangeOutcome, LockEntry, ReleaseEntry, Unknown } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { renewalRetryDelay } from '../rules/timing.ts'
import { UnavailableError } from '../errors.ts'
import type { PendingRelease } from '../lease/lease-record.ts'
import type { Dispatch } from '../requests/dispatch.ts'
import type { Request } from '../requests/outbox.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'

type ReleaseRequest = Request<ChangeOutcome> & ReleaseEntry

export interface DeletionParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly random: () => number
  /** Whether the next change of a key is of interest from the moment of its deletion on. */
  readonly isOffered: (key: string) => boolean
  readonly dispatch: Pick<Dispatch, 'release'>
}

export interface DeletionGoal {
  readonly entry: LockEntry
  /** How long one attempt may stay unanswered, in ms. */
  readonly timeout: number
  /** When the key is sure to have expired, whatever happens. */
  readonly until: number
  /**
   * How many requests that may create the key were never answered. "There is no such key" is no end then: they may still be on
   * their way, through other connections, and are looked for until `until`. Each key that was found and deleted accounts for one.
   */
  readonly unanswered: number
  /** When it was begun: the patience of whoever waits for it counts from there. Default: now. */
  readonly since?: number
}

/** By how many steps of the backoff a deletion is repeated later whose key was just found gone, or was just deleted. */
const UNHURRIED = 2

export const UNANSWERED: Unknown = {
  type: 'unknown',
  error: new UnavailableError('The release was not answered in time'),
}

export class Deletion implements ReleaseRequest, PendingRelease {
  readonly key: string
  readonly token: string
  /** ms. */
  readonly ttl: number
  /** ms. */
  readonly timeout: number
  readonly wanted = true
  watch = false
  readonly #parts: DeletionParts
  readonly #until: number
  #unanswered: number
  readonly #onAnswer: (outcome: ChangeOutcome, over: boolean) => void
  /** Takes the outcome for whoever waits, once. */
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
  #over = false

  /**
   * @param onDecided is called once, with what came of it as far as is known by then.
   * @param onAnswer is called with each answer; `over` with the last one.
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
    this.timeout = timeout
    this.#parts = parts
    this.#until = until
    this.#unanswered = unanswered
    this.#onDecided = onDecided
    this.#onAnswer = onAnswer
    this.#startedAt = since
  }

  get decided(): boolean {
    return this.#onDecided === undefined
  }

  /** Whether there was more than one attempt. */
  get repeated(): boolean {
    return this.#repetitions > 0
  }

  /** Whether the key is known to have been deleted by this. */
  outcomeOf(): Promise<boolean> {
    if (this.decided) return Promise.resolve(this.#result)
    this.#released ??= new Promise((resolve) => {
      this.#resolve = resolve
    })
    return this.#released
  }

  /** @param first the outcome of an attempt that was made already. */
  start(first?: Unknown): void {
    if (first) this.settle(first)
    else this.#ask()
  }

  settle(outcome: ChangeOutcome): void {
    if (this.#over) return
    const { clock, scheduler, random } = this.#parts
    const now = clock.now()
    const remaining = this.#until - now
    if (outcome.type === 'done') this.#unanswered -= 1
    this.#over = (outcome.type !== 'unknown' && this.#unanswered <= 0) || remaining <= 0
    // Where an earlier attempt was not answered, it may have been that one which deleted the key.
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
    // Something that may still land is looked for at leisure, up to the end.
    const delay =
      outcome.type === 'unknown'
        ? renewalRetryDelay(this.ttl, this.#repetitions, remaining, random())
        : renewalRetryDelay(this.ttl, this.#repetitions + UNHURRIED, Number.POSITIVE_INFINITY, random())
    this.#retry?.cancel()
    this.#retry = scheduler.after(delay, () => this.#ask())
    if (!this.decided && this.#patience === undefined) this.#awaitPatience(this.#startedAt + this.timeout - now)
  }

  /** It is left to itself: what is not known by now stays unknown. */
  giveUp(): void {
    this.#over = true
    this.#retry?.cancel()
    this.#decide(UNANSWERED)
  }

  #ask(): void {
    this.watch = this.#parts.isOffered(this.key)
    this.#parts.dispatch.release(this)
  }

  #awaitPatience(left: number): void {
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
      this.#resolve?.(this.#result)
    }
  }
}
