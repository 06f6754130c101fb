/**
 * What must hold of managers on a quorum, whatever fails: held is what a majority has (P1), one holder at a time by any clock (P7), growing fences (P6),
 * each lease one story (P14), nothing lost without a cause (P18), free locks taken (P23), and nothing left behind (P11).
 */
import type { Lease, LeaseManager, LockEntry } from 'leasewheel'
import type { SimulatedProcess } from './simulated-process.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Timeline } from './timeline.ts'
import type { Verdict } from './violation.ts'

/** ms of true time after the last trouble until everything has to be as if there had been none. */
const RECOVERY = 4_000
/** How long a key may stay without an owner, and a free lock without a holder that is waited for, in ms. */
const ORPHANED = 2_500
const IDLE = 5_000

/** A process, and what its users have and want. */
export interface Party {
  readonly process: SimulatedProcess
  readonly manager: LeaseManager
  /** Calls for a key that have no answer yet, by key. */
  readonly wanted: Map<string, number>
  /** The last time at which it was stopped or slow, in true time. */
  troubledAt: number
}

export class QuorumChecker {
  readonly #timeline: Timeline
  readonly #verdict: Verdict
  readonly #servers: readonly SimulatedServer[]
  readonly #lasting: boolean
  readonly #held = new Map<Lease, Party>()
  readonly #fences = new Map<string, number>()
  readonly #owners = new Map<string, Party>()
  readonly #acquiredAt = new Map<Lease, number>()
  /** By key: since when nobody has held it although it was waited for. */
  readonly #idleSince = new Map<string, number>()
  readonly #orphanedSince = new Map<string, number>()
  /** When something was last wrong, in true time. */
  troubledAt = 0
  /** How much is wrong now. */
  troubles = 0
  leases = 0
  /** When a server last lost what it had, in true time. */
  emptiedAt: number = Number.NEGATIVE_INFINITY

  /** @param lasting whether servers keep what they have until its ttl is over. */
  constructor(timeline: Timeline, verdict: Verdict, servers: readonly SimulatedServer[], lasting: boolean) {
    this.#timeline = timeline
    this.#verdict = verdict
    this.#servers = servers
    this.#lasting = lasting
  }

  attach(party: Party): void {
    const { manager, process } = party
    manager.on('acquired', ({ lease }) => {
      const { key, fence, token } = lease
      this.leases += 1
      this.#owners.set(token, party)
      const last = this.#fences.get(key) ?? 0
      this.#verdict.expect(fence > last, 'P32', () => `the fence of ${key} went from ${last} to ${fence}`)
      this.#fences.set(key, fence)
      this.#held.set(lease, party)
      this.#idleSince.delete(key)
      this.#acquiredAt.set(lease, this.#timeline.now)
    })
    manager.on('released', ({ lease }) => this.#end(lease, 'released'))
    manager.on('lost', ({ lease, reason }) => {
      const since = this.#acquiredAt.get(lease) ?? 0
      const quiet = this.#isQuiet(since - RECOVERY, party)
      const message = (): string =>
        `${lease.key} of ${process.name} was lost (${reason}) although nothing had gone wrong`
      this.#verdict.expect(!quiet, 'P18', message)
      this.#end(lease, 'lost')
    })
  }

  /** A process is dead: what it held nobody believes to hold any more. */
  forget(party: Party): void {
    for (const [lease, owner] of this.#held) if (owner === party) this.#held.delete(lease)
  }

  /** After each step. */
  check(): void {
    const holders = new Map<string, string>()
    for (const [lease, { process }] of this.#held) {
      if (!process.observable || !lease.held) continue
      const other = holders.get(lease.key)
      if (other !== undefined) this.#verdict.fail('P7', `${lease.key} is held by ${other} and ${process.name}`)
      holders.set(lease.key, process.name)
      if (this.#lasting) this.#checkStanding(lease, process.name)
    }
  }

  /** A member is asked for the keys of leases that were acquired before: they are written again. */
  onAsked(entries: readonly LockEntry[]): void {
    for (const { key, token, ttl } of entries) {
      // What a majority has just confirmed may be gone again.
      if (!this.#owners.has(token) || this.#timeline.now < this.emptiedAt + ttl / 2) continue
      const count = this.#countOf(key, token)
      const message = (): string =>
        `${key} is to be written again, and ${count} of ${this.#servers.length} servers have it`
      this.#verdict.expect(2 * count > this.#servers.length, 'P32', message)
    }
  }

  #checkStanding({ key, token }: Lease, holder: string): void {
    const count = this.#countOf(key, token)
    const message = (): string => `${key} is held by ${holder}, and ${count} of ${this.#servers.length} servers have it`
    this.#verdict.expect(2 * count > this.#servers.length, 'P1', message)
  }

  #countOf(key: string, token: string): number {
    return this.#servers.filter(({ redis }) => redis.peek(key)?.token === token).length
  }

  /** Now and then. */
  round(keys: readonly string[], parties: readonly Party[]): void {
    const { now } = this.#timeline
    const quiet = this.troubles === 0 && now - this.troubledAt > RECOVERY
    for (const key of keys) this.#checkIdle(key, parties, quiet)
    this.#checkOrphans(parties, quiet)
  }

  /** Whether anything is on any server. */
  checkEmpty(): void {
    for (const [index, server] of this.#servers.entries()) {
      const keys = server.redis.keys()
      this.#verdict.expect(keys.length === 0, 'P11', () => `${keys.join(', ')} were left on server ${index}`)
    }
  }

  #checkIdle(key: string, parties: readonly Party[], quiet: boolean): void {
    const { now } = this.#timeline
    const isHeld = [...this.#held].some(([lease, { process }]) => lease.key === key && process.observable && lease.held)
    const isWanted = parties.some(
      ({ wanted, process }) => (wanted.get(key) ?? 0) > 0 && process.condition === 'running',
    )
    if (isHeld || !isWanted || !quiet) {
      this.#idleSince.delete(key)
      return
    }
    const since = this.#idleSince.get(key) ?? now
    this.#idleSince.set(key, since)
    this.#verdict.expect(now - since < IDLE, 'P23', () => `${key} is waited for and held by nobody for ${IDLE} ms`)
  }

  #checkOrphans(parties: readonly Party[], quiet: boolean): void {
    const { now } = this.#timeline
    const held = new Set([...this.#held.keys()].map(({ token }) => token))
    for (const [index, server] of this.#servers.entries()) {
      for (const key of server.redis.keys()) {
        const token = server.redis.peek(key)?.token ?? ''
        const id = `${index} ${token}`
        const owner = this.#owners.get(token) ?? parties.find(({ process }) => token.startsWith(process.name))
        const isAlive = owner !== undefined && parties.includes(owner) && owner.process.condition === 'running'
        const isWanted = (owner?.wanted.get(key) ?? 0) > 0
        if (held.has(token) || !isAlive || isWanted || !quiet) {
          this.#orphanedSince.delete(id)
          continue
        }
        const since = this.#orphanedSince.get(id) ?? now
        this.#orphanedSince.set(id, since)
        const message = (): string => `${key} has been nobody's on server ${index} for ${now - since} ms`
        this.#verdict.expect(now - since < ORPHANED, 'P11', message)
      }
    }
  }

  #isQuiet(since: number, party: Party): boolean {
    return (
      this.troubles === 0 &&
      this.troubledAt < since &&
      party.troubledAt < since &&
      party.process.condition === 'running'
    )
  }

  #end(lease: Lease, how: string): void {
    const known = this.#held.delete(lease)
    const message = (): string => `${lease.key} was ${how} and was not held`
    // A process that was killed tells nothing any more.
    this.#verdict.expect(known, 'P14', message)
  }
}
