/**
 * Deletes keys from members on which nobody wants them any more: what a member has that did not answer, and votes for a lock that was not acquired.
 * It asks a member again as long as the key may be there.
 */
import type { LockEntry, ReleaseEntry } from '../backend.ts'
import type { Clock, Timer } from '../time/clock.ts'
import type { QuorumMember } from './quorum-member.ts'

/** ms between two attempts. */
const RETRY_EVERY = 500
/** Keys in one request. */
const BATCH = 256
/** Keys for each member. Of more than these the oldest are left to expire. */
const LIMIT = 100_000

interface Leftover {
  readonly entry: ReleaseEntry
  /** When the key is sure to have expired, in ms on the clock. */
  readonly until: number
  /** An unanswered request may still create the key: that it is missing now proves nothing. */
  readonly mayLand: boolean
}

/** A request that may still create a key. */
interface Landing {
  /** The members that did not answer it, as a mask. */
  members: number
  /** ms on the clock. */
  until: number
}

export class Undoing {
  readonly #clock: Clock
  readonly #members: readonly QuorumMember[]
  /** By member, then by token. */
  readonly #leftovers: readonly Map<string, Leftover>[]
  /** By token, in the order in which they end. */
  readonly #landings = new Map<string, Landing>()
  readonly #busy = new Set<QuorumMember>()
  #timer: Timer | undefined
  #closed = false

  constructor(clock: Clock, members: readonly QuorumMember[]) {
    this.#clock = clock
    this.#members = members
    this.#leftovers = members.map(() => new Map())
  }

  /** Keys that are to be deleted from a member. */
  count(member: QuorumMember): number {
    return this.#of(member).size
  }

  /** Deletes keys now, and again while that is not confirmed. @param mayLand whether a request that creates the key may be under way, by entry. */
  async giveBack(
    member: QuorumMember,
    entries: readonly LockEntry[],
    mayLand: (index: number) => boolean,
  ): Promise<void> {
    if (entries.length === 0 || this.#closed) return
    for (const [index, entry] of entries.entries()) this.add(member, entry, mayLand(index))
    await this.#release(member, entries)
  }

  /** A key may be on a member, and is to be deleted as soon as the member can be asked. */
  add(member: QuorumMember, { key, token, ttl, stay }: ReleaseEntry, mayLand = false): void {
    if (this.#closed) return
    const leftovers = this.#of(member)
    leftovers.delete(token)
    leftovers.set(token, { entry: { key, token, ttl, stay }, until: this.#clock.now() + ttl, mayLand })
    if (leftovers.size > LIMIT) leftovers.delete(leftovers.keys().next().value as string)
    this.#arm()
  }

  /** A member has not answered a request that creates keys: it may carry it out much later, over a connection that is gone by now. */
  onUnanswered(member: QuorumMember, entries: readonly LockEntry[]): void {
    const now = this.#clock.now()
    for (const [token, { until }] of this.#landings) {
      if (until > now) break
      this.#landings.delete(token)
    }
    for (const { token, ttl } of entries) {
      const members = (this.#landings.get(token)?.members ?? 0) | member.bit
      this.#landings.delete(token)
      this.#landings.set(token, { members, until: now + ttl })
    }
  }

  /** A member was asked to delete a key. */
  onReleased(member: QuorumMember, entry: ReleaseEntry, outcome: 'done' | 'refused' | 'unknown'): void {
    const mayLand = this.mayLand(member, entry.token)
    if (outcome === 'unknown' || (mayLand && outcome !== 'done')) this.add(member, entry, mayLand)
  }

  /** Whether a request with this token may still create a key on a member. */
  mayLand(member: QuorumMember, token: string): boolean {
    const landing = this.#landings.size > 0 ? this.#landings.get(token) : undefined
    return landing !== undefined && (landing.members & member.bit) !== 0
  }

  /** A member can be asked again. */
  onRecovered(member: QuorumMember): void {
    void this.#work(member)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const leftovers of this.#leftovers) leftovers.clear()
    this.#landings.clear()
  }

  #of(member: QuorumMember): Map<string, Leftover> {
    return this.#leftovers[member.index] as Map<string, Leftover>
  }

  #arm(): void {
    if (this.#timer || this.#closed || this.#leftovers.every(({ size }) => size === 0)) return
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      this.#arm()
      for (const member of this.#members) void this.#work(member)
    }, RETRY_EVERY)
    this.#timer.unref?.()
  }

  /** Asks a member for all its leftovers, once. */
  async #work(member: QuorumMember): Promise<void> {
    if (this.#busy.has(member) || !member.usable) return
    this.#busy.add(member)
    try {
      const now = this.#clock.now()
      const all: ReleaseEntry[] = []
      for (const [token, { entry, until }] of this.#of(member)) {
        if (until <= now) this.#of(member).delete(token)
        else all.push(entry)
      }
      for (let start = 0; start < all.length && !this.#closed; start += BATCH) {
        const some = all.slice(start, start + BATCH).filter(({ token }) => this.#of(member).has(token))
        if (some.length > 0 && !(await this.#release(member, some))) break
      }
    } finally {
      this.#busy.delete(member)
    }
  }

  /** @returns whether the member answered. */
  async #release(member: QuorumMember, entries: readonly ReleaseEntry[]): Promise<boolean> {
    const leftovers = entries.map(({ token }) => this.#of(member).get(token))
    try {
      const outcomes = await member.backend.release(entries)
      let answered = false
      for (const [index, { token }] of entries.entries()) {
        const outcome = outcomes[index]
        const leftover = leftovers[index]
        if (outcome === undefined || outcome.type === 'unknown') continue
        answered = true
        // The token may have been given back once more meanwhile.
        if (leftover === undefined || this.#of(member).get(token) !== leftover) continue
        if (outcome.type === 'done' || !leftover.mayLand) this.#of(member).delete(token)
      }
      return answered
    } catch {
      return false
    }
  }
}
