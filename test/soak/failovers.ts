/**
 * The failovers of a soak: what was seen of each, and which losses docs/guarantees.md names, because no client could
 * have prevented them.
 *
 * Redis replicates asynchronously. What the old master grants after a replica was promoted is never replicated; what it granted shortly before may not have been.
 * The replica's data at the moment of its promotion is the proof: nothing is excused because of the time alone.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { RedisServer } from '../support/redis-server.ts'
import type { SentinelGroup } from '../support/sentinel-group.ts'
import type { Hold } from './history.ts'
import { machineTime } from './machine-clock.ts'

/** From one look at what a server is to the next, in ms. */
const LOOK = 10
/** ms by which a replica may be behind its master when that one fails. */
const LAG = 100
/** What a manager may take to learn of `+switch-master` and to leave the old master, on a machine that is busy. ms. */
const REACTION = 250
/** For how long a new master is looked at after the announcement, in ms. */
const AFTERWARDS = 1_000
/** How long ago a fault may have been for a promotion to come of it, and how early one begins that came of none, in ms. */
const LONGEST = 30_000
const UNKNOWN = 5_000

/** What a lock's key was on the new master when it was promoted. */
export interface Replicated {
  readonly token: string
  /** By the machine's clock, in ms. */
  readonly expiresAt: number
}

/** Times are in ms of the machine's clock. */
export interface Failover {
  /** When the fault came, or the failover was asked for. */
  readonly beganAt: number
  /** When a replica was a master. */
  readonly promotedAt: number
  /** When the first Sentinel announced that. */
  readonly switchedAt: number
  /** By the lock's key, without the prefix. */
  readonly replicated: ReadonlyMap<string, Replicated>
  /** The tokens of all locks that the new master was seen to have, from its promotion until some time after the announcement. */
  readonly known: ReadonlySet<string>
}

/**
 * Whether a hold was in force at some time although the new master knew nothing of it, and that for a reason that is named: it was acquired, or renewed for the last time,
 * on the old master, so late that it was not replicated. A lock that the new master was ever seen to have was
 * not lost.
 *
 * @param at when another was granted the lock, or the store refused this holder.
 */
export function isNamedLoss(hold: Hold, at: number, failover: Failover): boolean {
  const { beganAt, promotedAt, switchedAt, replicated, known } = failover
  // Whatever was granted or renewed there last: at its deadline the holder knows.
  const leftBehindUntil = switchedAt + REACTION
  if (at < promotedAt || hold.end > leftBehindUntil + hold.ttl) return false
  const copy = replicated.get(hold.key)
  // The new master had the lock, but not the renewals that came after its promotion.
  if (copy?.token === hold.token) return copy.expiresAt <= at
  const { grantedAt, token } = hold
  return !known.has(token) && grantedAt >= beganAt - LAG && grantedAt <= leftBehindUntil
}

interface Promotion {
  readonly port: number
  readonly beganAt: number
  readonly at: number
  readonly replicated: ReadonlyMap<string, Replicated>
  readonly known: Set<string>
  switchedAt: number
}

/** Watches a group for as long as a soak lasts. */
export class FailoverWatch {
  readonly failovers: Failover[] = []
  readonly #group: SentinelGroup
  readonly #keys: number
  /** One for each Sentinel: the one that leads a failover is the last to announce it, by up to a second. */
  readonly #listeners: readonly Redis[]
  readonly #promotions: Promotion[] = []
  #isOver = false
  #lastFaultAt = Number.NEGATIVE_INFINITY

  /** @param keys how many locks there are: `key 1` and so on. */
  constructor(group: SentinelGroup, keys: number) {
    this.#group = group
    this.#keys = keys
    this.#listeners = group.addresses.map((address) => new Redis({ ...address, enableReadyCheck: false }))
  }

  async start(): Promise<void> {
    for (const listener of this.#listeners) {
      listener.on('error', () => undefined)
      listener.on('message', (_channel, text: string) => this.#onSwitch(Number(text.split(' ')[4])))
      await listener.subscribe('+switch-master')
    }
    // They end with their servers.
    for (const server of this.#group.servers) void this.#follow(server).catch(() => undefined)
  }

  /** A fault that leads to a failover comes now. */
  onFault(): void {
    this.#lastFaultAt = machineTime()
  }

  stop(): void {
    this.#isOver = true
    for (const listener of this.#listeners) listener.disconnect()
  }

  async #follow(server: RedisServer): Promise<void> {
    let last: string | undefined
    while (!this.#isOver) {
      const [role] = (await server.command('ROLE')) as [string]
      if (role === 'master' && last === 'slave') {
        const at = machineTime()
        const beganAt = at - this.#lastFaultAt < LONGEST ? this.#lastFaultAt : at - UNKNOWN
        const replicated = await this.#read(server)
        const known = new Set([...replicated.values()].map(({ token }) => token))
        const promotion = { port: server.port, beganAt, at, replicated, known, switchedAt: Number.NaN }
        this.#promotions.push(promotion)
        await this.#collect(server, promotion)
      }
      last = role
      await setTimeout(LOOK)
    }
  }

  /** What the new master grants. */
  async #collect(server: RedisServer, promotion: Promotion): Promise<void> {
    const giveUpAt = promotion.at + LONGEST
    while (!this.#isOver && machineTime() < giveUpAt && !(machineTime() > promotion.switchedAt + AFTERWARDS)) {
      for (const { token } of (await this.#read(server)).values()) promotion.known.add(token)
      await setTimeout(LOOK)
    }
  }

  async #read(server: RedisServer): Promise<ReadonlyMap<string, Replicated>> {
    const at = machineTime()
    const flat = (await server.command('EVAL', ALL_LOCKS, 0, this.#keys)) as (string | number)[]
    const replicated = new Map<string, Replicated>()
    for (let index = 0; index < flat.length; index += 3) {
      const [key, token, remaining] = flat.slice(index, index + 3) as [string, string, number]
      replicated.set(key, { token, expiresAt: at + remaining })
    }
    return replicated
  }

  #onSwitch(port: number): void {
    const promotion = this.#promotions.findLast((one) => one.port === port)
    if (promotion === undefined || !Number.isNaN(promotion.switchedAt)) return
    promotion.switchedAt = machineTime()
    const { beganAt, at, replicated, known, switchedAt } = promotion
    this.failovers.push({ beganAt, promotedAt: at, switchedAt, replicated, known })
  }
}

const ALL_LOCKS = `
local found = {}
for i = 1, ARGV[1] do
  local key = 'key ' .. i
  local token = redis.call('GET', 'lease:' .. key)
  if token then
    found[#found + 1] = key
    found[#found + 1] = token
    found[#found + 1] = redis.call('PTTL', 'lease:' .. key)
  end
end
return found`
