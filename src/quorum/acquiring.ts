/**
 * Acquires locks from a majority.
 *
 *     ask all ──a majority granted──▶ is their fence the same? ──yes──▶ granted
 *       ▲                                    └──no──▶ raise it on a majority ──▶ granted
 *       └──a pause──── callers have split the members ◀──no majority──┐
 *                                                                     └──▶ give back everywhere ──▶ refused or unknown
 */
import type { AcquireOutcome, ChangeOutcome, LockEntry } from '../backend.ts'
import { isFinal, UnavailableError } from '../errors.ts'
import type { Council } from './council.ts'
import { heal } from './healing.ts'
import type { QuorumMember } from './quorum-member.ts'
import { AcquireVotes, type Answer } from './votes.ts'

/** How often callers that have split the members ask again, and the pause before that at least, in ms. */
const REPETITIONS = 4
const LEAST_PAUSE = 1
/** The part of the timeout that they may take. */
const REPEATING = 1 / 4
/** ms after a grant until members that lack the key are asked once more. */
const HEAL_AFTER = 50

/** The answers to one attempt. */
interface Attempt {
  readonly entries: readonly LockEntry[]
  readonly votes: AcquireVotes
  readonly answers: Map<QuorumMember, Answer<AcquireOutcome>>
  readonly asked: readonly QuorumMember[]
  readonly sentAt: number
  readonly over: Promise<void>
  readonly question: number
}

export class Acquiring {
  readonly #council: Council
  /** The last call that asked with a token. */
  readonly #callers = new Map<string, object>()

  constructor(council: Council) {
    this.#council = council
  }

  async acquire(entries: readonly LockEntry[], watch: boolean): Promise<readonly AcquireOutcome[]> {
    const { clock, timeout } = this.#council
    const call = {}
    for (const { token, ttl } of entries) {
      this.#callers.set(token, call)
      this.#council.onTtl(ttl)
    }
    const outcomes: AcquireOutcome[] = Array.from({ length: entries.length })
    try {
      const twins = this.#council.look(clock.now())
      if (twins) return entries.map(() => ({ type: 'unknown', error: twins }))
      let rest = entries.map((_, index) => index)
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
    call: object,
    repetition: number | undefined,
    put: (position: number, outcome: AcquireOutcome) => void,
  ): Promise<readonly number[]> {
    const { members, majority, clock, closed } = this.#council
    const now = clock.now()
    const voters = members.filter((member) => member.usable && member.hasVote(now))
    if (voters.length < majority || closed) {
      const error = closed ? new UnavailableError('The quorum is closed') : this.#council.why('can vote', voters.length)
      entries.forEach((_, position) => put(position, { type: 'unknown', error }))
      return []
    }
    const attempt = await this.#ask(entries, watch, now)
    const { votes } = attempt
    const isWanted = (position: number): boolean => this.#callers.get((entries[position] as LockEntry).token) === call
    const raised: number[] = []
    const failed: number[] = []
    const again: number[] = []
    const kept: number[] = []
    entries.forEach(({ token }, position) => {
      const ballot = votes.ballot(position)
      if (ballot.granted >= majority) {
        if (ballot.agreed >= majority) put(position, { type: 'granted', fence: ballot.fence })
        else raised.push(position)
        return
      }
      const split = repetition !== undefined && isWanted(position) ? votes.split(position, token) : undefined
      if (split) again.push(position)
      if (split === 'ahead') kept.push(position)
      else failed.push(position)
      if (!split) put(position, this.#refusalOf(attempt, position))
    })
    if (raised.length > 0) failed.push(...(await this.#raise(attempt, raised, put)))
    this.#tellHints(attempt)
    this.#giveBack(
      attempt,
      failed.filter((position) => isWanted(position)),
    )
    void this.#finish(attempt, watch)
    if (again.length === 0 || repetition === undefined) return []
    await this.#council.pause(this.#pauseFor(attempt, repetition, kept.length === again.length))
    // Who has left meanwhile is not asked for: its keys are being deleted.
    const wanted = again.filter((position) => isWanted(position))
    for (const position of again) if (!wanted.includes(position)) put(position, this.#refusalOf(attempt, position))
    return wanted
  }

  async #ask(entries: readonly LockEntry[], watch: boolean, sentAt: number): Promise<Attempt> {
    const { members, clock, fences, hints, ended, undoing } = this.#council
    // What an earlier attempt has left is wanted from now on.
    for (const { token } of entries) {
      ended.remove(token)
      undoing.forget(token)
    }
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
      put(position, { type: 'unknown', error: this.#council.why('know the fence', count) })
    })
    return failed
  }

  #refusalOf({ votes, answers }: Attempt, position: number): AcquireOutcome {
    const refusal = votes.refusal(position, true)
    if (refusal) return refusal
    let cause: Error | undefined
    for (const answer of answers.values()) {
      const outcome = answer?.[position]
      if (outcome?.type === 'unknown') cause ??= outcome.error
    }
    // An error that is final for every member is final for all.
    const faults = [...answers.values()].map((answer) => answer?.[position])
    const error = this.#council.why('granted the lock', votes.ballot(position).granted, cause)
    if (faults.length === 0 || !faults.every(isFinalFault)) return { type: 'unknown', error }
    return { type: 'unknown', error: new UnavailableError(error.message, undefined, { cause, final: true }) }
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

  /** Deletes what was granted without a majority: from all members, those included that have not answered. */
  #giveBack({ entries, answers, asked }: Attempt, positions: readonly number[]): void {
    if (positions.length === 0) return
    const { ended, undoing } = this.#council
    for (const position of positions) ended.add((entries[position] as LockEntry).token)
    for (const member of asked) {
      const answer = answers.get(member)
      const left = positions.filter((position) => answer?.[position]?.type !== 'refused')
      void undoing.giveBack(
        member,
        left.map((position) => entries[position] as LockEntry),
        // One that has not answered yet carries out the deletion after the request, unless the connection breaks.
        (index) => answer?.[left[index] as number]?.type !== 'granted',
      )
    }
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

  /** ms. Those who are ahead ask again as soon as the others have given back; the others later, each at another time. */
  #pauseFor({ asked }: Attempt, repetition: number, ahead: boolean): number {
    const { random, timeout } = this.#council
    const usual = Math.max(LEAST_PAUSE, ...asked.map((member) => Math.min(member.usual, timeout / 40)))
    return ahead ? usual * (1 + random()) : usual * (1 + 3 * random()) * 2 ** repetition
  }
}

/** Whether a member has the token that counts on a key, and reports its next change. @param granted whether it is that of the caller. */
function hasToken(outcome: AcquireOutcome | undefined, granted: boolean): boolean {
  return granted ? outcome?.type === 'granted' : outcome?.type === 'refused' && outcome.watched
}

function isOpen(outcome: AcquireOutcome | undefined): boolean {
  return outcome === undefined || outcome.type === 'unknown'
}

function isFinalFault(outcome: AcquireOutcome | undefined): boolean {
  return outcome?.type === 'unknown' && isFinal(outcome.error)
}

function ignore(): void {}
