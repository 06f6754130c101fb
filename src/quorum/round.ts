/**
 * One question to all members at once. It is decided as soon as further answers can change nothing. A member that hangs must not keep the decided
 * entries of a batch from their callers: so once a majority has answered, the others have a little longer than they usually take.
 */
import type { Clock, Timer } from '../time/clock.ts'
import type { QuorumMember } from './quorum-member.ts'
import { type Answer, majorityOf } from './votes.ts'

/** The others have at least this long, in ms. */
const LEAST_GRACE = 10
/** How many times as long as usual an answer may take. */
const PATIENCE = 3

export interface Question<O> {
  readonly members: readonly QuorumMember[]
  readonly clock: Clock
  /** The longest that a slow member is waited for, in ms. */
  readonly longest: number
  /** Sends the question; nothing if the member cannot be asked. */
  readonly ask: (member: QuorumMember) => Promise<readonly O[]> | undefined
  /** A member has answered, or cannot. @param late whether the question was decided before. */
  readonly onAnswer: (member: QuorumMember, answer: Answer<O>, late: boolean) => void
  readonly isDecided: () => boolean
}

export class Round<O> {
  /** Resolves once the question is decided, or cannot be. */
  readonly decided: Promise<void>
  /** Resolves once every member has answered. */
  readonly over: Promise<void>
  readonly #question: Question<O>
  readonly #sentAt: number
  readonly #pending = new Set<QuorumMember>()
  #answered = 0
  #decidedAt: number | undefined
  #timer: Timer | undefined
  #decide: () => void = nothing
  #end: () => void = nothing

  /** Asks at once. */
  constructor(question: Question<O>) {
    this.#question = question
    this.#sentAt = question.clock.now()
    this.decided = new Promise((resolve) => {
      this.#decide = resolve
    })
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
    const { members } = question
    for (const member of members) this.#pending.add(member)
    // All are asked before any answer is looked at.
    const answers = members.map((member) => question.ask(member))
    members.forEach((member, index) => {
      const answer = answers[index]
      if (answer === undefined) this.#take(member, undefined)
      else
        answer.then(
          (outcomes) => this.#take(member, outcomes),
          () => this.#take(member, undefined),
        )
    })
  }

  #take(member: QuorumMember, answer: Answer<O>): void {
    const { members, clock, onAnswer, isDecided } = this.#question
    const now = clock.now()
    this.#pending.delete(member)
    if (answer?.some(isKnown)) {
      this.#answered += 1
      member.onAnswered(now - this.#sentAt, now)
      member.onLate(this.#decidedAt === undefined ? 0 : now - this.#decidedAt)
    }
    onAnswer(member, answer, this.#decidedAt !== undefined)
    if (this.#decidedAt === undefined) {
      if (this.#pending.size === 0 || isDecided()) this.#onDecided()
      else if (this.#answered >= majorityOf(members.length)) this.#hurry(now)
    }
    if (this.#pending.size === 0) this.#end()
  }

  #hurry(now: number): void {
    if (this.#timer) return
    const { clock, longest } = this.#question
    const usual = Math.max(...[...this.#pending].map((member) => member.usual))
    const patience = Math.min(Math.max(PATIENCE * usual, LEAST_GRACE), longest)
    this.#timer = clock.setTimer(() => this.#onDecided(), Math.max(this.#sentAt + patience - now, LEAST_GRACE / 2))
    this.#timer.unref?.()
  }

  #onDecided(): void {
    this.#timer?.cancel()
    this.#decidedAt ??= this.#question.clock.now()
    this.#decide()
  }
}

function isKnown(outcome: unknown): boolean {
  return (outcome as { type: string }).type !== 'unknown'
}

function nothing(): void {}
