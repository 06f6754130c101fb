/** The members of a quorum, what they share, and what has to be told of them. */
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { Clock } from '../time/clock.ts'
import { EndedTokens } from './ended-tokens.ts'
import { FenceClock } from './fence-clock.ts'
import { KeyHints } from './key-hints.ts'
import type { QuorumMember } from './quorum-member.ts'
import { type Question, Round } from './round.ts'
import { Undoing } from './undoing.ts'
import { majorityOf } from './votes.ts'

export interface CouncilParts {
  readonly members: readonly QuorumMember[]
  readonly clock: Clock
  readonly listener: BackendListener
  /** How long a request may stay unanswered, in ms. */
  readonly timeout: number
  /** The ttl of the manager, in ms. */
  readonly ttl: number
  /** What the user said; ms. */
  readonly restartDelay: number | undefined
  readonly random: () => number
}

export class Council {
  readonly members: readonly QuorumMember[]
  readonly clock: Clock
  readonly majority: number
  readonly timeout: number
  readonly random: () => number
  readonly ended: EndedTokens = new EndedTokens()
  readonly fences: FenceClock = new FenceClock()
  readonly hints: KeyHints
  readonly undoing: Undoing
  readonly #listener: BackendListener
  readonly #restartDelay: number | undefined
  /** The longest ttl of any lock that was asked for here, in ms. */
  #longestTtl: number
  #toldShort = false
  #toldTwins = ''
  readonly #pauses = new Set<() => void>()
  #closed = false

  constructor({ members, clock, listener, timeout, ttl, restartDelay, random }: CouncilParts) {
    const size = members.length
    this.members = members
    this.clock = clock
    this.majority = majorityOf(size)
    this.timeout = timeout
    this.random = random
    // A holder of all members has lost its majority, or a majority may be free.
    this.hints = new KeyHints(size, size - this.majority + 1)
    this.undoing = new Undoing(clock, members)
    this.#listener = listener
    this.#restartDelay = restartDelay
    this.#longestTtl = ttl
  }

  get closed(): boolean {
    return this.#closed
  }

  get size(): number {
    return this.members.length
  }

  /** For how long a member has no vote after its restart, in ms. */
  get restartDelay(): number {
    return this.#restartDelay ?? this.#longestTtl
  }

  /** Members that report no changes, as a mask. */
  get silent(): number {
    return this.maskOf(({ backend }) => !backend.watching)
  }

  maskOf(has: (member: QuorumMember) => boolean): number {
    let mask = 0
    for (const member of this.members) if (has(member)) mask |= member.bit
    return mask
  }

  ask<O>(question: Omit<Question<O>, 'members' | 'clock' | 'longest'>): Round<O> {
    const { ask, onAnswer, isDecided } = question
    const { members, clock, timeout } = this
    return new Round({ ask, onAnswer, isDecided, members, clock, longest: timeout / 2 })
  }

  /** A lock is asked for. @param ttl ms. */
  onTtl(ttl: number): void {
    if (ttl <= this.#longestTtl) return
    this.#longestTtl = ttl
    if (!this.#restartDelay || ttl <= this.#restartDelay || this.#toldShort) return
    this.#toldShort = true
    this.tell(
      `A lock is asked for with a ttl of ${ttl} ms, but restarted members vote again after a \`restartDelay\` of ${this.#restartDelay} ms: they could then grant it to a second holder`,
    )
  }

  /** Looks which servers answer. @returns why no lock can be acquired, if two members are one server. */
  look(now: number): UnavailableError | undefined {
    const owners = new Map<string, QuorumMember>()
    let twins = ''
    for (const member of this.members) {
      if (member.look(now, this.restartDelay)) this.#tellQuarantine(member, now)
      for (const { id } of member.backend.servers ?? []) {
        const owner = owners.get(id)
        if (owner && owner !== member)
          twins = `${capital(owner.label)} and ${member.label} are the same server: its vote would count twice`
        owners.set(id, member)
      }
    }
    if (twins !== '' && twins !== this.#toldTwins) this.tell(twins)
    this.#toldTwins = twins
    return twins === '' ? undefined : new UnavailableError(twins, undefined, { final: true })
  }

  /** Another server answers for a member: it may lack what was granted before. */
  onSuspect(member: QuorumMember): void {
    const now = this.clock.now()
    this.fences.forget(member.index)
    member.look(now, this.restartDelay)
    if (member.quarantine(now + this.restartDelay, now)) this.#tellQuarantine(member, now)
  }

  /** Keys may have changed on a majority. */
  onHint(keys: readonly string[]): void {
    this.#listener.onChange(keys)
  }

  tell(message: string, cause?: Error): void {
    this.#listener.onError(new UnavailableError(message, undefined, { cause }))
  }

  /** Why there was no majority. @param what what members did, such as "granted the lock". @param count how many of them. */
  why(what: string, count: number, cause?: Error): UnavailableError {
    const now = this.clock.now()
    const reasons = this.members.flatMap((member) => {
      if (!member.usable) return [`${member.label} is away`]
      const rest = member.quarantined(now)
      return rest > 0 ? [`${member.label} was restarted and has no vote for another ${Math.ceil(rest)} ms`] : []
    })
    const faults = this.members.map(({ backend }) => backend.fault).filter((fault) => fault !== undefined)
    const message = `${count} of ${this.size} members ${what}, and ${this.majority} have to`
    return new UnavailableError([message, ...reasons].join('; '), undefined, {
      cause: cause ?? faults[0],
      final: false,
    })
  }

  /** ms. It ends early if the backend is closed. */
  pause(duration: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.#pauses.delete(end)
        resolve()
      }
      const timer = this.clock.setTimer(end, duration)
      timer.unref?.()
      this.#pauses.add(end)
    })
  }

  close(): void {
    this.#closed = true
    this.undoing.close()
    this.hints.clear()
    for (const end of this.#pauses) end()
  }

  #tellQuarantine(member: QuorumMember, now: number): void {
    const rest = Math.ceil(member.quarantined(now))
    this.tell(
      `${capital(member.label)} was restarted, or another server answers for it: it has no vote on new locks for ${rest} ms`,
    )
  }
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
