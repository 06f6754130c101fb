/**
 * What users do, at random: they acquire in all the ways there are, work for a while, and let go in all the ways there are. May import members,
 * chance and the library.
 */
import {
  type AcquireOptions,
  type DetachedLease,
  exponentialBackoff,
  fixedInterval,
  type Lease,
  LeaseError,
  type RetryStrategy,
} from 'leasewheel'
import type { Chronicle } from './chronicle.ts'
import { isManual } from './lease-inspector.ts'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { ServerInspector } from './server-inspector.ts'
import type { SimulatedServer } from './simulated-server.ts'
import { timeoutOf } from './token-ledger.ts'
import type { Verdict } from './violation.ts'

/** What somebody waits for. */
export interface Call {
  /** It has got its lock, and works under it: what it waits for is its own end. */
  working: boolean
  readonly member: Member
  readonly what: string
  /** The key that it waits for, if it is to get it as soon as that is free. */
  readonly key: string | undefined
  /** True time. */
  readonly startedAt: number
  /** On the clock of the process, in ms: when it is to be over at the latest, if nothing is wrong. */
  readonly patience: number
}

const STRATEGIES: readonly (RetryStrategy | undefined)[] = [
  undefined,
  undefined,
  exponentialBackoff(),
  fixedInterval({ interval: 100 }),
]

/** Work under a lock that failed. */
class WorkFailed extends Error {}

export class Workload {
  readonly calls: Set<Call> = new Set()
  /** How many leases were given to callers. */
  given = 0
  readonly #scenario: Scenario
  readonly #random: Random
  readonly #verdict: Verdict
  readonly #server: SimulatedServer
  readonly #servers: ServerInspector
  readonly #chronicle: Chronicle
  readonly #detached: DetachedLease[] = []
  readonly #givenAway = new Set<string>()

  constructor(
    scenario: Scenario,
    random: Random,
    verdict: Verdict,
    server: SimulatedServer,
    servers: ServerInspector,
    chronicle: Chronicle,
  ) {
    this.#scenario = scenario
    this.#random = random
    this.#verdict = verdict
    this.#server = server
    this.#servers = servers
    this.#chronicle = chronicle
  }

  /** Whether a lease was given away: until it expires it need not be anybody's. */
  isGivenAway(token: string): boolean {
    return this.#givenAway.has(token)
  }

  /** Somebody in this process does something. */
  act(member: Member): void {
    member.process.post(this, () => this.#act(member))
  }

  /** Somebody else does something to a key: an operator, another program, a mistake. */
  meddle(): void {
    const key = this.#key()
    this.#server.act((redis) =>
      this.#servers.robbing(redis, () => {
        if (this.#random.chance(0.5)) redis.delete(key)
        else redis.write(key, { token: 'somebody else', expiresAt: this.#server.wall + this.#random.between(1, 2_000) })
      }),
    )
  }

  #act(member: Member): void {
    const { manager } = member
    const key = this.#key()
    const action = this.#random.weighted({
      acquire: 6,
      tryAcquire: 3,
      using: 3,
      acquireMany: 1,
      acquireAll: 1,
      adopt: 1,
      renew: 1,
      release: 2,
      forceRelease: 0.2,
      inspect: 0.3,
    })
    switch (action) {
      case 'acquire': {
        const options = this.#options(member, key)
        this.#call(member, action, options, manager.acquire(key, options), (lease) => this.#take(member, lease), key)
        break
      }
      case 'tryAcquire': {
        const { wait: _wait, retry: _retry, ...options } = this.#options(member, key)
        this.#call(member, action, options, manager.tryAcquire(key, options), (lease) => this.#take(member, lease))
        break
      }
      case 'using': {
        const options = this.#options(member, key)
        let working = (): void => undefined
        const work = (lease: Lease): Promise<void> => {
          working()
          return this.#work(member, lease)
        }
        const call = this.#call(member, action, options, manager.using(key, work, options))
        working = () => {
          call.working = true
        }
        break
      }
      case 'acquireMany':
      case 'acquireAll': {
        const keys = this.#scenario.keys.slice(0, this.#random.integer(1, this.#scenario.keys.length))
        const options = this.#options(member, keys[0] as string)
        const taken = (leases: readonly (Lease | null)[]): void => {
          for (const lease of leases) this.#take(member, lease, action === 'acquireAll')
        }
        this.#call(member, action, options, manager[action](keys, options), taken)
        break
      }
      case 'adopt':
        this.#adopt(member)
        break
      case 'renew':
        member.inspector.ledger.extraRenewals += 1
        this.#withLease(member, (lease) => this.#call(member, action, { ttl: lease.ttl }, lease.renew()))
        break
      case 'release':
        this.#withLease(member, (lease) => this.#letGo(member, lease))
        break
      case 'forceRelease':
        this.#call(member, action, {}, manager.forceRelease(key))
        break
      case 'inspect':
        this.#call(member, action, {}, manager.inspect(key))
        break
      default:
        action satisfies never
    }
  }

  #adopt(member: Member): void {
    const detached = this.#detached.shift()
    if (detached === undefined) return
    member.inspector.ledger.adopting(detached)
    const adoption = member.manager.adopt(detached)
    this.#call(member, 'adopt', { ttl: detached.ttl }, adoption, (lease) => this.#take(member, lease))
  }

  /** A lease, or none, was given to its caller, who keeps it for a while. */
  #take(member: Member, lease: Lease | null, atOnce = true): void {
    if (lease === null) return
    this.given += 1
    member.inspector.onGiven(lease, atOnce)
    const { process } = member
    const hold = this.#random.exponential(this.#random.pick([5, 300, 3_000]))
    process.sleep(() => this.#letGo(member, lease), hold)
  }

  #letGo(member: Member, lease: Lease): void {
    member.inspector.onLetGo(lease)
    if (lease.held && this.#random.chance(0.1)) {
      this.#giveAway(lease)
      return
    }
    this.#call(member, 'release', { ttl: lease.ttl }, lease.release())
  }

  #giveAway(lease: Lease): void {
    try {
      const detached = lease.detach()
      this.#detached.push(detached)
      this.#givenAway.add(detached.token)
    } catch (error) {
      // It was held a moment ago; the process may have been stopped since.
      this.#verdict.expect(!lease.held, 'P14', () => `${lease.key} is held, and cannot be detached: ${String(error)}`)
    }
  }

  #work(member: Member, lease: Lease): Promise<void> {
    this.given += 1
    member.inspector.onGiven(lease, true)
    const fails = this.#random.chance(0.1)
    return new Promise((resolve, reject) => {
      const end = (): void => {
        // What follows is the release, by `using` itself.
        member.inspector.onLetGo(lease)
        if (fails) reject(new WorkFailed())
        else resolve()
      }
      member.process.sleep(end, Math.min(this.#random.exponential(300), 3_000))
    })
  }

  #call<T>(
    member: Member,
    what: string,
    { ttl = Math.max(...this.#scenario.ttls), wait = 0, signal }: AcquireOptions,
    promise: Promise<T>,
    then: (value: T) => void = () => undefined,
    key?: string,
  ): Call {
    const { process } = member
    const call: Call = {
      working: false,
      member,
      what,
      key: wait > 0 && signal === undefined ? key : undefined,
      startedAt: process.time,
      patience: wait + 3 * timeoutOf(ttl) + 500,
    }
    this.calls.add(call)
    const note = (line: () => string): void => this.#chronicle.note(process.name, line)
    note(() => `${what} ${key ?? ''} wait ${wait} ttl ${ttl}`)
    promise
      .then(
        (value) => {
          note(() => `${what} ${key ?? ''} is done`)
          then(value)
        },
        (error: unknown) => {
          note(() => `${what} ${key ?? ''} failed: ${String(error)}`)
          const expected = error instanceof LeaseError || error instanceof WorkFailed || signal?.aborted === true
          this.#verdict.expect(expected, 'P24', () => `${what} was rejected with ${String(error)}`)
          this.#verdict.expect(what !== 'release', 'P16', () => `a release was rejected with ${String(error)}`)
        },
      )
      .finally(() => this.calls.delete(call))
    return call
  }

  #withLease(member: Member, work: (lease: Lease) => void): void {
    const live = [...member.inspector.live]
    if (live.length > 0) work(this.#random.pick(live).lease)
  }

  #key(): string {
    return this.#random.pick(this.#scenario.keys)
  }

  #options(member: Member, key: string): AcquireOptions {
    const random = this.#random
    const retry = random.pick(STRATEGIES)
    return {
      ttl: random.pick(this.#scenario.ttls),
      wait: random.pick([0, 200, 2_000, 10_000]),
      ...(isManual(key) ? { autoRenew: false } : {}),
      ...(random.chance(0.1) ? { maxHold: random.between(100, 5_000) } : {}),
      ...(retry ? { retry } : {}),
      ...(random.chance(0.1) ? { signal: this.#abortLater(member) } : {}),
    }
  }

  #abortLater({ process }: Member): AbortSignal {
    const controller = new AbortController()
    process.sleep(() => controller.abort(new Error('on purpose')), this.#random.between(0, 2_000))
    return controller.signal
  }
}
