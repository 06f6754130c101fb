/**
 * Looks at what requests do to the keys of the server, whoever sent them: P4, P5 and P6, and knows which leases were
 * robbed of their keys by somebody else or by a crash.
 */
import type { LockEntry } from 'leasewheel'
import type { Operation } from './simulated-backend.ts'
import type { SimulatedNodes } from './simulated-nodes.ts'
import { holdsKey, type SimulatedRedis, tokensOn, type Value } from './simulated-redis.ts'
import type { Verdict } from './violation.ts'

export class ServerInspector {
  readonly #verdict: Verdict
  /** The largest fence that was ever handed out, by key, and with which token. */
  readonly #fences = new Map<string, { readonly fence: number; readonly token: string }>()
  /** Tokens whose key was deleted, overwritten or lost behind their holder's back. */
  readonly #robbed = new Set<string>()
  /** Tokens that may be there for longer than their ttl. */
  readonly #prolonged = new Set<string>()
  #setBack = false

  /** Until when a key was refused by the server; Infinity while it is. */
  readonly #forbiddenUntil = new Map<string, number>()

  /** They know who has a lock now: whatever a server that was replaced does is lost. */
  readonly #nodes: SimulatedNodes
  /** Tokens whose last renewal went to a server that had been replaced by then. */
  readonly #misled = new Set<string>()

  constructor(verdict: Verdict, nodes: SimulatedNodes) {
    this.#verdict = verdict
    this.#nodes = nodes
  }

  isProlonged(token: string): boolean {
    return this.#prolonged.has(token)
  }

  /** Whether a server's clock was set back: what nobody deletes, such as an announcement, may be there until the end. */
  get setBack(): boolean {
    return this.#setBack
  }

  /** Since when the server does what it is asked to do with a key, in true time; Infinity while it does not. */
  permittedSince(key: string): number {
    return this.#forbiddenUntil.get(key) ?? Number.NEGATIVE_INFINITY
  }

  /** Whether it refuses any key at the moment. */
  get refusesKeys(): boolean {
    return [...this.#forbiddenUntil.values()].includes(Number.POSITIVE_INFINITY)
  }

  /** When the server of a key was replaced last, in true time. */
  replacedAt(key: string): number {
    return this.#nodes.replacedAt(key)
  }

  /** @param until true time. */
  onForbidden(key: string, until: number = Number.POSITIVE_INFINITY): void {
    this.#forbiddenUntil.set(key, until)
  }

  /** Whether a lease believes what a server has said that had been replaced by then. */
  isMisled(token: string): boolean {
    return this.#misled.has(token)
  }

  isRobbed(token: string): boolean {
    return this.#robbed.has(token)
  }

  /** The server does what it was asked to. */
  onArrived<T>(
    operation: Operation | 'forceRelease',
    entries: readonly LockEntry[],
    redis: SimulatedRedis,
    work: () => T,
  ): T {
    if (operation === 'forceRelease') return this.robbing(redis, work)
    const before = entries.map(({ key }) => redis.peek(key))
    const current = entries.map(({ key }) => this.#nodes.redisOf(key))
    const outcomes = work()
    for (const [index, entry] of entries.entries()) {
      const present = before[index]
      // A release may name a key twice.
      const mine = entries.some(({ key, token }) => key === entry.key && token === present?.token)
      if (present?.sharing) this.#checkOthers(operation, entry, entries, present, redis.peek(entry.key))
      else if (!mine) this.#check(operation, entry, present, redis.peek(entry.key))
      const outcome = (outcomes as readonly { type: string; fence?: number }[])[index]
      if (outcome?.type === 'granted') this.#onGranted(entry, outcome.fence ?? 0)
      if (outcome?.type === 'granted' || outcome?.type === 'done')
        this.#onDone(operation, entry, redis !== current[index])
    }
    return outcomes
  }

  /** @param lost by a server that had been replaced: another one answers from now on, and knows nothing of it. */
  #onDone(operation: Operation, { key, token }: LockEntry, lost: boolean): void {
    if (!lost) {
      this.#misled.delete(token)
    } else if (operation === 'release') {
      this.#prolonged.add(token)
    } else if (holdsKey(this.#nodes.redisOf(key).peek(key), token)) {
      this.#misled.add(token)
    } else {
      this.#robbed.add(token)
    }
  }

  /** Does something that may rob holders of their keys: what was there before and is not there after it was taken from them. */
  robbing<T>(redis: SimulatedRedis, work: () => T): T {
    const before = redis.keys().map((key) => [key, redis.peek(key)] as const)
    const result = work()
    for (const [key, value] of before)
      if (redis.peek(key) !== value) for (const token of tokensOn(value)) this.#robbed.add(token)
    return result
  }

  /** The server's wall clock is set: what is there now goes early, or late. */
  onClockStepped(redis: SimulatedRedis, by: number): void {
    if (by < 0) this.#setBack = true
    const set = by > 0 ? this.#robbed : this.#prolonged
    for (const token of redis.tokens()) set.add(token)
  }

  /** What was not the asker's before. */
  #check(operation: Operation, { key }: LockEntry, before: Value | undefined, after: Value | undefined): void {
    if (before?.token === after?.token && before?.expiresAt === after?.expiresAt) return
    if (operation === 'renew') this.#verdict.fail('P4', `a renewal changed ${key}, which was ${ownerOf(before)}`)
    if (operation === 'release') this.#verdict.fail('P5', `a release changed ${key}, which was ${ownerOf(before)}`)
    if (operation === 'verify') this.#verdict.fail('P4', `a question changed ${key}, which was ${ownerOf(before)}`)
    if (operation === 'acquire' && before) this.#verdict.fail('P7', `an acquire took ${key}, which was another's`)
  }

  /** P4, P5, P33: whoever holds a key with others keeps what it has until its time is over. */
  #checkOthers(
    operation: Operation,
    { key }: LockEntry,
    entries: readonly LockEntry[],
    before: Value,
    after: Value | undefined,
  ): void {
    const asked = new Set(entries.filter((entry) => entry.key === key).map(({ token }) => token))
    for (const [token, holder] of before.sharing?.holders ?? []) {
      if (asked.has(token)) continue
      const left = after?.sharing?.holders.get(token)
      const over = left === undefined && after?.sharing !== undefined
      const same = left?.until === holder.until && left.weight === holder.weight
      // What is over may go with any request.
      const gone = left === undefined && holder.until <= this.#nodes.serverOf(key).wall
      this.#verdict.expect(same || gone, over ? 'P33' : 'P5', () => `${operation} of ${key} changed another holder`)
    }
  }

  #onGranted({ key, token }: LockEntry, fence: number): void {
    const last = this.#fences.get(key)
    if (last && fence <= last.fence) {
      this.#verdict.fail('P6', `the fence of ${key} went from ${last.fence} to ${fence}`)
    }
    this.#fences.set(key, { fence, token })
  }
}

function ownerOf(value: Value | undefined): string {
  return value ? "another's" : "nobody's"
}
