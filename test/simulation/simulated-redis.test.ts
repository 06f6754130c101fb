/**
 * The simulated Redis is itself checked against the real one: the same random sequences of calls, the same answers, and the same keys told of to
 * those who watch them.
 *
 * Ttls are hours, and what is left of them is compared in half hours: no machine is so slow that a step more or less makes a
 * difference. A key expires by being given a ms, of which more than one has passed when the next call comes; the server does not look for
 * such keys by itself here, so both find it when it is asked for.
 */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import type { AcquireOutcome, ChangeOutcome, HandOverOutcome, LockEntry, LockView, ReleaseEntry } from 'leasewheel'
import { RedisBackend } from '#src/redis/redis-backend.js'
import { Listener } from '../contract/backend.contract.ts'
import { runs } from '../support/manager.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { SimulatedRedis, type Subscriber, tokensOn } from './simulated-redis.ts'

const HOUR = 3_600_000
const PREFIX = 'p:'
/** A key that is only there to be told of: what was told before it has arrived by then. */
const MARKER = 'marker'
const NEVER = Number.POSITIVE_INFINITY

const by = fc.constantFrom(0, 1)
const key = fc.constantFrom('a', 'b', 'c')
const token = fc.constantFrom('one', 'two', 'three')
const entry = fc.record({ key, token, ttl: fc.constantFrom(HOUR, 10 * HOUR) })
/** Each key once, as `acquire` demands; in the others one may come with several tokens. */
const acquired = fc.uniqueArray(entry, { selector: (one) => one.key, minLength: 1, maxLength: 3 })
const entries = fc.uniqueArray(entry, { selector: (one) => one.key + one.token, minLength: 1, maxLength: 5 })
const released = entries.chain((list) =>
  fc.tuple(...list.map((one) => fc.boolean().map((watch) => ({ ...one, watch })))),
)

const handedOver = acquired.chain((list) =>
  fc.tuple(...list.map((one) => token.filter((from) => from !== one.token).map((from) => ({ ...one, from })))),
)

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('acquire'), by, entries: acquired, watch: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('handOver'), by, entries: handedOver, watch: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('renew'), by, entries, watch: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('release'), by, entries: released }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('verify'), by, entries }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('inspect'), by, key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forceRelease'), by, key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('expire'), key }) },
  // Its own holder watches it.
  { weight: 2, arbitrary: fc.record({ type: fc.constant('acquireBriefly'), by, key }) },
  // By others: what a lock of another library looks like, one without a ttl, and something that is no lock at all.
  { weight: 1, arbitrary: fc.record({ type: fc.constant('set'), key, ttl: fc.constantFrom(10 * HOUR, NEVER) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('list'), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('flush') }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** What a step was answered, and what each of the two clients was told while it was done; `*`: all keys. */
interface Answer {
  readonly outcome: unknown
  readonly told: readonly [readonly string[], readonly string[]]
}

/** Two clients on one place where locks are kept. */
interface World {
  take(step: Step): Promise<Answer>
}

/** ms with fractions: a fence that is counted anew is larger than the last one if any time has passed. */
function wall(): number {
  return performance.timeOrigin + performance.now()
}

class SimulatedWorld implements World {
  readonly redis: SimulatedRedis = new SimulatedRedis(wall)
  readonly clients: readonly [Client, Client] = [new Client(), new Client()]
  readonly #fences = new Fences()

  async take(step: Step): Promise<Answer> {
    const outcome = this.#take(step)
    if (step.type === 'acquireBriefly') await pass(2)
    return { outcome, told: [this.clients[0].take(), this.clients[1].take()] }
  }

  #take(step: Step): unknown {
    const { redis } = this
    switch (step.type) {
      case 'acquire': {
        const outcomes = redis.acquire(step.entries, this.#client(step.by), step.watch)
        return this.#fences.check(outcomes)
      }
      case 'handOver':
        return this.#fences.checkExchanges(redis.handOver(step.entries, this.#client(step.by), step.watch))
      case 'acquireBriefly':
        return this.#fences.check(redis.acquire([briefly(step.key)], this.#client(step.by), true))
      case 'renew':
        return describeEach(redis.renew(step.entries, this.#client(step.by), step.watch))
      case 'release':
        return describeEach(redis.release(step.entries, this.#client(step.by)))
      case 'verify':
        return describeEach(redis.verify(step.entries, this.#client(step.by)))
      case 'inspect':
        return describeView(redis.inspect(step.key, this.#client(step.by)))
      case 'forceRelease':
        return redis.delete(step.key, this.#client(step.by))
      case 'expire': {
        const present = redis.look(step.key)
        if (present) redis.write(step.key, { ...present, expiresAt: wall() - 1 })
        return undefined
      }
      case 'set':
        return redis.write(step.key, { token: 'foreign', expiresAt: wall() + step.ttl })
      case 'list':
        return redis.write(step.key, { token: '', expiresAt: NEVER })
      case 'flush':
        return redis.flush()
      default:
        return step satisfies never
    }
  }

  #client(index: number): Client {
    return this.clients[index] as Client
  }
}

class Client implements Subscriber {
  #told: string[] = []

  onChange(name = '*'): void {
    this.#told.push(name)
  }

  take(): string[] {
    return this.#told.splice(0).sort()
  }
}

class RealWorld implements World {
  readonly #server: RedisServer
  readonly #listeners: readonly [Listener, Listener]
  readonly #backends: readonly [RedisBackend, RedisBackend]
  #fences = new Fences()

  private constructor(server: RedisServer) {
    this.#server = server
    this.#listeners = [new Listener(), new Listener()]
    this.#backends = [new RedisBackend(server.url), new RedisBackend(server.url)]
  }

  static async open(server: RedisServer): Promise<RealWorld> {
    const world = new RealWorld(server)
    await server.command('DEBUG', 'SET-ACTIVE-EXPIRE', 0)
    for (const [index, backend] of world.#backends.entries()) {
      const listener = world.#listeners[index] as Listener
      backend.open({ prefix: PREFIX, timeout: 15_000, watch: true }, listener)
      await backend.ready()
      await listener.hears('*')
    }
    return world
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.close()))
  }

  /** Everything is as it was in the beginning. */
  async clear(): Promise<void> {
    await this.#server.command('FLUSHALL')
    this.#fences = new Fences()
    await this.#told()
  }

  async take(step: Step): Promise<Answer> {
    const outcome = await this.#take(step)
    return { outcome, told: await this.#told() }
  }

  async #take(step: Step): Promise<unknown> {
    const server = this.#server
    switch (step.type) {
      case 'acquire':
        return this.#fences.check(await this.#backend(step.by).acquire(step.entries, step.watch))
      case 'handOver':
        return this.#fences.checkExchanges(await this.#backend(step.by).handOver(step.entries, step.watch))
      case 'acquireBriefly': {
        const outcomes = await this.#backend(step.by).acquire([briefly(step.key)], true)
        await pass(2)
        return this.#fences.check(outcomes)
      }
      case 'renew':
        return describeEach(await this.#backend(step.by).renew(step.entries, step.watch))
      case 'release':
        return describeEach(await this.#backend(step.by).release(step.entries))
      case 'verify':
        return describeEach(await this.#backend(step.by).verify(step.entries))
      case 'inspect':
        return describeView(await this.#backend(step.by).inspect(step.key))
      case 'forceRelease':
        return this.#backend(step.by).forceRelease(step.key)
      case 'expire':
        if ((await server.command('PEXPIRE', PREFIX + step.key, 1)) === 1) await pass(2)
        return undefined
      case 'set': {
        const ttl = step.ttl === NEVER ? [] : ['PX', step.ttl]
        await server.command('SET', PREFIX + step.key, 'foreign', ...ttl)
        return undefined
      }
      case 'list':
        await server.command(
          'EVAL',
          `redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')`,
          1,
          PREFIX + step.key,
        )
        return undefined
      case 'flush':
        await server.command('FLUSHALL')
        return undefined
      default:
        return step satisfies never
    }
  }

  /** What has been told: all of it, since what a server tells a connection comes in order. */
  async #told(): Promise<[string[], string[]]> {
    const marker = { key: MARKER, token: 'mine', ttl: HOUR }
    await this.#server.command('SET', PREFIX + MARKER, 'foreign')
    await Promise.all(this.#backends.map((backend) => backend.acquire([marker])))
    await this.#server.command('SET', PREFIX + MARKER, 'foreign')
    const [one, other] = this.#listeners.map(async (listener) => {
      await listener.hears(MARKER)
      expect(listener.errors).to.deep.equal([])
      const told = listener.heard.splice(0)
      return told.filter((name) => name !== MARKER).sort()
    }) as [Promise<string[]>, Promise<string[]>]
    return [await one, await other]
  }

  #backend(index: number): RedisBackend {
    return this.#backends[index] as RedisBackend
  }
}

/** Looks that fences grow; which ones they are is a matter of the time. */
class Fences {
  #last = 0

  /** @returns the outcomes in words. */
  check(outcomes: readonly AcquireOutcome[]): string[] {
    const fences = outcomes.flatMap((outcome) => (outcome.type === 'granted' ? [outcome.fence] : []))
    for (const fence of fences) {
      expect(fence, 'one for all').to.equal(fences[0])
      expect(fence).to.be.greaterThan(this.#last)
    }
    this.#last = fences[0] ?? this.#last
    return describeEach(outcomes)
  }

  /** As `check`, for hand-overs. */
  checkExchanges(outcomes: readonly HandOverOutcome[]): string[] {
    const exchanges = outcomes.map((outcome) => {
      if (outcome.type === 'unknown') throw outcome.error
      return outcome
    })
    const released = describeEach(exchanges.map((exchange) => exchange.released))
    return [...released, ...this.check(exchanges.map((exchange) => exchange.acquired))]
  }
}

function describeEach(outcomes: readonly (AcquireOutcome | ChangeOutcome)[]): string[] {
  return outcomes.map((outcome) => {
    if (outcome.type === 'unknown') throw outcome.error
    if (outcome.type !== 'refused') return outcome.type
    if ('reason' in outcome) return outcome.reason
    const { remaining, holder, watched } = outcome
    return `refused, \`${holder}\` has ${halfHours(remaining)} left${watched ? ', watched' : ''}`
  })
}

function describeView(view: LockView | null): string {
  return view ? `\`${view.token}\` has ${halfHours(view.remaining)} left` : 'free'
}

function halfHours(remaining: number): number {
  return Math.round((2 * remaining) / HOUR)
}

/** Expires in a ms. */
function briefly(name: string): LockEntry {
  return { key: name, token: 'brief', ttl: 1 }
}

/** Waits until so many ms and more have passed on the wall clock of this machine, which is the server's as well, and on that of the simulated one. */
async function pass(duration: number): Promise<void> {
  const [ends, simulatedEnds] = [Date.now() + duration, wall() + duration]
  while (Date.now() <= ends || wall() <= simulatedEnds) await setTimeout(1)
}

/**
 * Keys of which a client may be told though it does not watch them, which is harmless: before Redis 7.2 a script that reads one of its
 * keys has read them all.
 */
class Overheard {
  readonly #keys: readonly [Set<string>, Set<string>] = [new Set(), new Set()]

  note(step: Step): void {
    if (!('entries' in step)) return
    const several: readonly (LockEntry | ReleaseEntry)[] = step.entries
    if (several.length > 1) for (const one of several) this.#of(step.by).add(one.key)
  }

  /** What was told without need. */
  excuse(client: number, told: readonly string[]): void {
    for (const name of told) {
      // All who might watch anything are told that all keys are gone.
      if (name !== '*') expect(this.#of(client).delete(name), `${name} is told of in vain`).to.equal(true)
    }
  }

  #of(client: number): Set<string> {
    return this.#keys[client] as Set<string>
  }
}

describe('the simulated Redis', () => {
  it('has a new holder of a shared key in the ms in which the last one ends', () => {
    let now = 1_000
    const redis = new SimulatedRedis(() => now)
    const write = (token: string): LockEntry => ({
      key: 'a',
      token,
      ttl: 100,
      joint: { mode: 'write', permits: 0, weight: 1 },
    })
    expect(redis.acquire([write('one')], undefined, false)[0]?.type).to.equal('granted')
    now += 100
    expect(redis.acquire([write('two')], undefined, false)[0]?.type).to.equal('granted')
    expect(tokensOn(redis.peek('a'))).to.deep.equal(['two'])
  })

  it('answers like the real one, and notifies of the same changes', () =>
    withRedis(async (server) => {
      const real = await RealWorld.open(server)
      try {
        await fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
            await real.clear()
            const simulated = new SimulatedWorld()
            const overheard = new Overheard()
            for (const each of steps) {
              const expected = await real.take(each)
              const answer = await simulated.take(each)
              expect(answer.outcome).to.deep.equal(expected.outcome)
              overheard.note(each)
              for (const client of [0, 1] as const) {
                const told = answer.told[client]
                expect(expected.told[client]).to.include.members(told)
                overheard.excuse(
                  client,
                  expected.told[client].filter((name) => !told.includes(name)),
                )
              }
            }
          }),
          runs(100),
        )
      } finally {
        await real.close()
      }
    })).timeout(60_000)
})
