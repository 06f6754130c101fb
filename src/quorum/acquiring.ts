/**
 * Acquires locks from a majority.
 *
 *     ask all ──a majority granted──▶ is their fence the same? ──yes──▶ granted
 *       ▲                                    └──no──▶ raise it on a majority ──▶ granted
 *       └──a pause──── callers have split the members, and this one is ahead ◀──no majority──┐
 *                                                                                            └──▶ give back everywhere ──▶ refused or unknown
 *
 * A token that is given back is never asked for again: a deletion may arrive late, over a connection that is gone by now, and would end the lease
 * that the token has got meanwhile.
 */
import type { AcquireOutcome, ChangeOutcome, LockEntry } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { type Attempt, hasToken, isOpen, refusalOf, undo, type Votes } from './attempt.ts'
import type { Council } from './council.ts'
import { heal } from './healing.ts'
import type { QuorumMember } from './quorum-member.ts'
import { SpentTokens } from './spent-tokens.ts'
import { AcquireVotes, type Answer } from './votes.ts'

/** How often a caller that is ahead of others asks again, and the pause before that at least, in ms. */
const REPETITIONS = 4
const LEAST_PAUSE = 1
/** The part of the timeout that this may take. */
const REPEATING = 1 / 4
/** ms after a grant until members that lack the key are asked once more. */
const HEAL_AFTER = 50
const GIVEN_BACK = new UnavailableError('The acquisition was not decided in time, and is being undone')

/** What callers have asked for together. */
interface Call {
  /** The members that were asked with one of its tokens, by this call or by one that it follows, as a mask. */
  asked: number
}

export class Acquiring {
  readonly #council: Council
  /** The last call that asked with a token. */
  readonly #callers = new Map<string, Call>()
  readonly #spent = new SpentTokens()

  constructor(council: Council) {
    this.#council = council
  }

  async acquire(entries: readonly LockEntry[], watch: boolean): Promise<readonly AcquireOutcome[]> {
    const { clock, timeout } = this.#council
    const call: Call = { asked: 0 }
    for (const { token, ttl } of entries) {
      call.asked |= this.#callers.get(token)?.asked ?? 0
      this.#callers.set(token, call)
      this.#council.onTtl(ttl)
    }
    const outcomes: AcquireOutcome[] = Array.from({ length: entries.length })
    try {
      const twins = this.#council.look(clock.now())
      if (twins) return entries.map(() => ({ type: 'unknown', error: twins }))
      this.#spent.forget(clock.now())
      let rest: number[] = []
      for (const [index, { token }] of entries.entries()) {
        if (this.#spent.has(token)) outcomes[index] = { type: 'unknown', error: GIVEN_BACK, givenBack: true }
        else rest.push(index)
      }
      const until = clock.now() + timeout * REPEATING
      for (let repetition = 0; rest.length > 0; repetition += 1) {
        const some = rest.length === entries.length ? entries : rest.map((index) => entries[index] as LockEntry)
        const repeatable = repetition < REPETITIONS && clock.now() < until
        const again = await this.#attempt(
          some,
          watch,
          call,
          repeatable ? repetition : undefined,
          (position, outcome) => {
            outcomes[rest[position] as number] = outcome
          },
        )
        rest = again.map((position) => rest[position] as number)
      }
      return outcomes
    } finally {
      for (const { token } of entries) if (this.#callers.get(token) === call) this.#callers.delete(token)
    }
  }

  /** The acquisition is over: whatever is still under way for it has no caller. */
  onEnded(token: string): void {
    if (this.#callers.size > 0) this.#callers.delete(token)
  }

  /**
   * @param repetition how often the entries were asked for before; undefined if this is the last time.
   * @param put takes the outcome of an entry. @returns the entries that are to be asked for once more.
   */
  async #attempt(
    entries: readonly LockEntry[],
    watch: boolean,
    call: Call,
    repetition: number | undefined,
    put: (position: number, outcome: AcquireOutcome) => void,
  ): Promise<readonly number[]> {
    const { members, majority, clock, closed } = this.#council
    const now = clock.now()
    const isWanted = (position: number): boolean => this.#callers.get((entries[position] as LockEntry).token) === call
    const voters = members.filter((member) => member.usable && member.hasVote(now))
    if (voters.length < majority || closed) {
      const error = closed ? new UnavailableError('The quorum is closed') : this.#council.why('can vote', voters.length)
      // Members may have voted for these tokens before.
      const givenBack = call.asked > 0
      const wanted = givenBack ? [...entries.keys()].filter(isWanted) : []
      this.#giveBack({ entries, answers: new Map(), asked: [] }, call, wanted)
      entries.forEach((_, position) =>
        put(position, { type: 'unknown', error, givenBack: givenBack && isWanted(position) }),
      )
      return []
    }
    const attempt = await this.#ask(entries, watch, call, now)
    const { votes } = attempt
    const raised: number[] = []
    const failed: number[] = []
    const again: number[] = []
    entries.forEach(({ token }, position) => {
      const ballot = votes.ballot(position)
      if (ballot.granted >= majority) {
        if (ballot.agreed >= majority) put(position, { type: 'granted', fence: ballot.fence })
        else raised.push(position)
        return
      }
      if (repetition !== undefined && isWanted(position) && votes.isAhead(position, token)) {
        again.push(position)
        return
      }
      failed.push(position)
      put(position, refusalOf(this.#council, attempt, position, isWanted(position)))
    })
    if (raised.length > 0) failed.push(...(await this.#raise(attempt, raised, put)))
    this.#tellHints(attempt)
    this.#giveBack(
      attempt,
      call,
      failed.filter((position) => isWanted(position)),
    )
    void this.#finish(attempt, watch)
    if (again.length === 0 || repetition === undefined) return []
    await this.#council.pause(this.#pauseAfter(attempt))
    // Who has left meanwhile is not asked for: its keys are being deleted.
    const wanted = again.filter((position) => isWanted(position))
    for (const position of again)
      if (!wanted.includes(position)) put(position, refusalOf(this.#council, attempt, position, false))
    return wanted
  }

  async #ask(entries: readonly LockEntry[], watch: boolean, call: Call, sentAt: number): Promise<Attempt> {
    const { members, clock, fences, hints, ended, undoing } = this.#council
    const voters = new Set(members.filter((member) => member.usable && member.hasVote(sentAt)))
    const votes = new AcquireVotes(members.length, voters.size)
    const floor = fences.floor(sentAt)
    const answers = new Map<QuorumMember, Answer<AcquireOutcome>>()
    const asked: QuorumMember[] = []
    const question = ended.open()
    if (hints.size > 0) {
      const watching = this.#council.maskOf(({ backend }) => backend.watching)
      for (const { key } of entries) hints.onAsked(key, watching)
    }
    const round = this.#council.ask<AcquireOutcome>({
      ask: (member) => {
        if (!member.usable) {
          member.ready()?.catch(ignore)
          return undefined
        }
        asked.push(member)
        call.asked |= member.bit
        return member.backend.acquire(entries, watch, floor)
      },
      onAnswer: (member, answer, late) => {
        answers.set(member, answer)
        if (late) this.#onLate(member, entries, votes, answer)
        const votesNow = voters.has(member) && member.hasVote(clock.now())
        if (!late) votes.add(answer, votesNow, voters.has(member))
        this.#count(member, answer, floor, sentAt)
        if (asked.includes(member))
          undoing.onUnanswered(
            member,
            entries.filter((_, index) => isOpen(answer?.[index])),
          )
      },
      isDecided: () => votes.isDecided(entries.length),
    })
    await round.decided
    return { entries, votes, answers, asked, sentAt, over: round.over, question }
  }

  #count(member: QuorumMember, answer: Answer<AcquireOutcome>, floor: number, sentAt: number): void {
    const { fences } = this.#council
    let fence = 0
    for (const outcome of answer ?? []) {
      if (outcome.type === 'refused') member.refused += 1
      if (outcome.type !== 'granted') continue
      member.granted += 1
      if (outcome.fence !== fence) fences.onFence(member.index, outcome.fence, floor, sentAt)
      fence = outcome.fence
    }
  }

  /**
   * The largest fence counts, and a majority has to know it before anybody gets it. Otherwise a later holder could get a smaller one.
   *
   * @returns the entries for which that failed.
   */
  async #raise(
    { entries, votes, answers }: Attempt,
    positions: readonly number[],
    put: (position: number, outcome: AcquireOutcome) => void,
  ): Promise<readonly number[]> {
    const { majority } = this.#council
    const fences = positions.map((position) => votes.ballot(position).fence)
    const agreed = positions.map((position) => votes.ballot(position).agreed)
    /** By member: the indices of `positions` for which its counter is behind. */
    const behind = new Map<QuorumMember, number[]>()
    for (const [member, answer] of answers) {
      const indices = positions.flatMap((position, index) => {
        const outcome = answer?.[position]
        return outcome?.type === 'granted' && outcome.fence < (fences[index] as number) ? [index] : []
      })
      if (indices.length > 0) behind.set(member, indices)
    }
    const now = this.#council.clock.now()
    const round = this.#council.ask<ChangeOutcome>({
      ask: (member) => {
        const indices = behind.get(member)
        if (indices === undefined || !member.usable || !member.hasVote(now)) return undefined
        const some = indices.map((index) => entries[positions[index] as number] as LockEntry)
        return member.backend.raiseFences?.(some, Math.max(...indices.map((index) => fences[index] as number)))
      },
      onAnswer: (member, answer) => {
        const indices = behind.get(member) ?? []
        answer?.forEach(({ type }, at) => {
          if (type === 'done') agreed[indices[at] as number] = (agreed[indices[at] as number] ?? 0) + 1
        })
      },
      isDecided: () => agreed.every((count) => count >= majority),
    })
    await round.decided
    const failed: number[] = []
    positions.forEach((position, index) => {
      const count = agreed[index] as number
      if (count >= majority) {
        put(position, { type: 'granted', fence: fences[index] as number })
        return
      }
      failed.push(position)
      put(position, { type: 'unknown', error: this.#council.why('know the fence', count), givenBack: true })
    })
    return failed
  }

  /** Members on which a key has another token, or none, report less than others. */
  #tellHints({ entries, votes, answers, asked }: Attempt): void {
    const { hints, silent, majority } = this.#council
    entries.forEach(({ key }, position) => {
      const { granted, refused } = votes.ballot(position)
      if (refused === 0 && hints.size === 0) return
      let without = 0
      for (const member of this.#council.members) {
        // One that has not answered yet is taken for one that agrees with the others.
        const agrees = answers.has(member)
          ? hasToken(answers.get(member)?.[position], granted >= majority)
          : asked.includes(member)
        if (!agrees) without |= member.bit
      }
      if (hints.onAnswered(key, without, silent)) this.#council.onHint([key])
    })
  }

  /** A member answers after the decision: it may not agree with the others. */
  #onLate(
    member: QuorumMember,
    entries: readonly LockEntry[],
    votes: AcquireVotes,
    answer: Answer<AcquireOutcome>,
  ): void {
    const { hints, silent } = this.#council
    entries.forEach(({ key }, position) => {
      if (hasToken(answer?.[position], votes.isGranted(position))) return
      if (hints.onLacks(key, member.index, silent)) this.#council.onHint([key])
    })
  }

  /** Deletes what was granted without a majority. */
  #giveBack(attempt: Votes, call: Call, positions: readonly number[]): void {
    const { clock, ended } = this.#council
    for (const position of positions) {
      const { token, ttl } = attempt.entries[position] as LockEntry
      ended.add(token)
      this.#spent.add(token, clock.now() + ttl)
    }
    if (positions.length > 0) undo(this.#council, attempt, call.asked, positions)
  }

  /** Asks the members that lack a granted key once more: a lease with a bare majority is lost with any of them. */
  async #finish(attempt: Attempt, watch: boolean): Promise<void> {
    const { entries, votes, answers, asked, sentAt, over, question } = attempt
    const { ended } = this.#council
    const lacks = (member: QuorumMember) => (position: number) => answers.get(member)?.[position]?.type !== 'granted'
    const isBare = entries.some(
      (_, position) =>
        votes.isGranted(position) && asked.some((member) => answers.has(member) && lacks(member)(position)),
    )
    if (isBare) {
      await this.#council.pause(HEAL_AFTER)
      const standing = { entries, watch, sentAt, isConfirmed: (position: number) => votes.isGranted(position) }
      for (const member of asked) {
        if (answers.has(member) && !this.#council.closed) void heal(this.#council, member, standing, lacks(member))
      }
    }
    await over
    ended.close(question)
  }

  /** ms, until the callers that are behind have given back. */
  #pauseAfter({ asked }: Attempt): number {
    const { random, timeout } = this.#council
    const usual = Math.max(LEAST_PAUSE, ...asked.map((member) => Math.min(member.usual, timeout / 40)))
    return usual * (1 + random())
  }
}

function ignore(): void {}
