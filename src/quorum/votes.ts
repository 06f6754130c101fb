/**
 * What a quorum makes of the answers of its members. Pure. The majority is always that of all members: one that is away is never left out of the
 * count, or two halves of a network could both have a majority.
 */
import type { AcquireOutcome, ChangeOutcome, LockView } from '../backend.ts'
import type { KeyView } from '../catalogue.ts'

/** What one member answered, for each entry of a question; none if it could not be asked. */
export type Answer<O> = readonly O[] | undefined

export function majorityOf(size: number): number {
  return Math.floor(size / 2) + 1
}

/** The answers to a question of which each entry is either confirmed by a majority, or not. */
export class ChangeVotes {
  readonly #size: number
  readonly #majority: number
  /** Answers that confirm every entry: nearly all of them. */
  #clean = 0
  #sample: readonly ChangeOutcome[] | undefined
  readonly #exceptional: (readonly ChangeOutcome[])[] = []
  #answers = 0

  /** @param size how many members there are. */
  constructor(size: number) {
    this.#size = size
    this.#majority = majorityOf(size)
  }

  add(answer: Answer<ChangeOutcome>): void {
    this.#answers += 1
    if (answer === undefined) return
    if (answer.every(isDone)) {
      this.#clean += 1
      this.#sample = answer
    } else {
      this.#exceptional.push(answer)
    }
  }

  /** Whether further answers can change nothing. @param count how many entries there are. */
  isDecided(count: number): boolean {
    if (this.#clean >= this.#majority || this.#answers === this.#size) return true
    if (this.#answers < this.#majority && this.#answers < this.#size - this.#majority + 1) return false
    for (let index = 0; index < count; index += 1) if (!this.#isSettled(index)) return false
    return true
  }

  /** @param error why an entry has neither a majority nor a definite loss. */
  outcomes(count: number, error: () => Error): readonly ChangeOutcome[] {
    if (this.#sample && this.#clean >= this.#majority) return this.#sample
    let unknown: ChangeOutcome | undefined
    return Array.from({ length: count }, (_, index) => {
      const { done, taken, missing } = this.#count(index)
      if (done >= this.#majority) return { type: 'done' }
      if (this.#isLost(taken + missing)) return { type: 'refused', reason: taken > 0 ? 'taken' : 'missing' }
      unknown ??= { type: 'unknown', error: error() }
      return unknown
    })
  }

  /** Whether a majority has confirmed an entry. */
  isConfirmed(index: number): boolean {
    return this.#clean >= this.#majority || this.#count(index).done >= this.#majority
  }

  #isSettled(index: number): boolean {
    const { done, taken, missing } = this.#count(index)
    return done >= this.#majority || this.#isLost(taken + missing)
  }

  /** Whether a majority can never be reached. */
  #isLost(refused: number): boolean {
    return refused > this.#size - this.#majority
  }

  #count(index: number): { done: number; taken: number; missing: number } {
    let [done, taken, missing] = [this.#clean, 0, 0]
    for (const answer of this.#exceptional) {
      const outcome = answer[index]
      if (outcome?.type === 'done') done += 1
      else if (outcome?.type === 'refused' && outcome.reason === 'taken') taken += 1
      else if (outcome?.type === 'refused') missing += 1
    }
    return { done, taken, missing }
  }
}

function isDone({ type }: ChangeOutcome): boolean {
  return type === 'done'
}

/** An acquisition of one key, as the members see it. */
export interface Ballot {
  /** Members that granted it, and have a vote. */
  readonly granted: number
  /** Members that granted it and have no vote. */
  readonly idle: number
  /** Members on which another token is. */
  readonly refused: number
  /** What the fence has to be: the largest that any member gave. */
  readonly fence: number
  /** How many of the members with a vote have a counter that is not behind that fence. */
  readonly agreed: number
}

/** The answers of members that were asked for locks. */
export class AcquireVotes {
  readonly #size: number
  readonly #majority: number
  readonly #answers: { readonly outcomes: readonly AcquireOutcome[]; readonly votes: boolean }[] = []
  /** Members with a vote that have not answered yet. */
  #open: number

  /** @param size how many members there are. @param voters how many of them were asked and have a vote. */
  constructor(size: number, voters: number) {
    this.#size = size
    this.#majority = majorityOf(size)
    this.#open = voters
  }

  /** @param votes whether a grant of this member counts. @param voted whether it was one of the voters when it was asked. */
  add(answer: Answer<AcquireOutcome>, votes: boolean, voted: boolean = votes): void {
    if (voted) this.#open -= 1
    if (answer) this.#answers.push({ outcomes: answer, votes })
  }

  isDecided(count: number): boolean {
    for (let index = 0; index < count; index += 1) {
      const { granted } = this.ballot(index)
      if (granted < this.#majority && granted + this.#open >= this.#majority) return false
    }
    return true
  }

  isGranted(index: number): boolean {
    return this.ballot(index).granted >= this.#majority
  }

  ballot(index: number): Ballot {
    let [granted, idle, refused, fence, agreed] = [0, 0, 0, 0, 0]
    for (const { outcomes, votes } of this.#answers) {
      const outcome = outcomes[index]
      if (outcome?.type === 'refused') refused += 1
      if (outcome?.type !== 'granted') continue
      if (votes) granted += 1
      else idle += 1
      fence = Math.max(fence, outcome.fence)
    }
    for (const { outcomes, votes } of this.#answers) {
      const outcome = outcomes[index]
      if (votes && outcome?.type === 'granted' && outcome.fence === fence) agreed += 1
    }
    return { granted, idle, refused, fence, agreed }
  }

  /**
   * What to tell a caller that got no majority, if any member has another's token: who has most members, and when a majority could be free.
   *
   * @param watched whether changes of a key are reported by enough members.
   */
  refusal(index: number, watched: boolean): Extract<AcquireOutcome, { type: 'refused' }> | undefined {
    const refusals = this.#answers.flatMap(({ outcomes }) => {
      const outcome = outcomes[index]
      return outcome?.type === 'refused' ? [outcome] : []
    })
    if (refusals.length === 0) return undefined
    const { granted, idle } = this.ballot(index)
    const silent = this.#size - refusals.length - granted - idle
    const ends = refusals.map(({ remaining }) => remaining).sort((one, other) => one - other)
    // Members that have not answered may be free; if they are not, the next question will tell.
    const needed = this.#majority - granted - idle - silent
    const remaining = ends[Math.min(Math.max(needed, 1), ends.length) - 1] as number
    const holder = mostFrequent(refusals.map(({ holder }) => holder))
    return { type: 'refused', remaining, holder, watched: watched && refusals.some((refusal) => refusal.watched) }
  }

  /**
   * Whether callers have split the members among them, so that no token can have a majority, and this caller is ahead: it has the most members, or of
   * several such callers the smallest token. It keeps what it has, and the others give back.
   */
  isAhead(index: number, token: string): boolean {
    const { granted, idle, refused } = this.ballot(index)
    const mine = granted + idle
    if (refused === 0) return false
    const others = new Map<string, number>()
    for (const { outcomes } of this.#answers) {
      const outcome = outcomes[index]
      if (outcome?.type === 'refused') others.set(outcome.holder, (others.get(outcome.holder) ?? 0) + 1)
    }
    const most = Math.max(...others.values())
    if (most >= this.#majority || mine === 0) return false
    const rivals = [...others].filter(([, votes]) => votes === most).map(([rival]) => rival)
    return mine > most || (mine === most && rivals.every((rival) => token < rival))
  }
}

function mostFrequent(texts: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best))[0]
}

/** What is on a key: the token on most members, unless a majority of members without it shows that nobody holds the lock. */
export function viewOf(views: readonly (LockView | null | undefined)[]): LockView | null {
  const present = views.filter((view): view is LockView => view !== null && view !== undefined)
  const silent = views.filter((view) => view === undefined).length
  if (present.length === 0) return null
  const token = mostFrequent(present.map((view) => view.token))
  const ends = present.filter((view) => view.token === token).map(({ remaining }) => remaining)
  const majority = majorityOf(views.length)
  if (ends.length + silent < majority) return null
  ends.sort((one, other) => other - one)
  return { token, remaining: ends[Math.min(majority, ends.length) - 1] as number, votes: ends.length }
}

/**
 * What a majority of all members may have on a key: those that are silent may have it as well, as in `viewOf`.
 *
 * @param views of the members that have the key. @param silent how many did not answer. @param size how many members there are.
 */
export function agreedView(views: readonly KeyView[], silent: number, size: number): KeyView | undefined {
  const majority = majorityOf(size)
  if (views.length === 0 || views.length + silent < majority) return undefined
  const kind = mostFrequent(views.map(kindOf))
  const same = views.filter((view) => kindOf(view) === kind).sort((one, other) => other.remaining - one.remaining)
  const last = same[Math.min(majority, same.length) - 1]
  return same.length + silent < majority || last === undefined ? undefined : { ...last, votes: same.length }
}

function kindOf({ type, token }: KeyView): string {
  return `${type} ${token}`
}
