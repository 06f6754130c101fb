/**
 * What users do, at random: they acquire in all the ways there are, work for a while, and let go in all the ways there
 * are.
 */
import {
  type AcquireOptions,
  type DetachedLease,
  exponentialBackoff,
  fixedInterval,
  type Lease,
  type RetryStrategy,
} from 'leasewheel'
import { type Call, Calls, type CallTerms, WorkFailed } from './calls.ts'
import type { Chronicle } from './chronicle.ts'
import { isManual, type Work } from './lease-inspector.ts'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import { downgradeLater, drawJoint, drawJointAction } from './joint-workload.ts'
import type { ServerInspector } from './server-inspector.ts'
import type { SimulatedNodes } from './simulated-nodes.ts'
import { timeoutOf } from './token-ledger.ts'
import type { Verdict } from './violation.ts'

/** ms. */
const LONGEST_WORK = 15_000
/** How many timeouts a call for many keys may take to give back what it was granted, where one of them failed. */
const GIVING_BACK = 2

const STRATEGIES: readonly (RetryStrategy | undefined)[] = [
  undefined,
  undefined,
  exponentialBackoff(),
  fixedInterval({ interval: 100 }),
]

/** What users do, and how often in comparison. */
const ACTIONS = {
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
} as const
export type Action = keyof typeof ACTIONS

export class Workload {
  readonly calls: Calls
  /** How many leases were given to callers. */
  given = 0
  readonly #scenario: Scenario
  readonly #random: Random
  readonly #verdict: Verdict
  readonly #nodes: SimulatedNodes
  readonly #servers: ServerInspector
  readonly #detached: DetachedLease[] = []
  readonly #givenAway = new Set<string>()

  constructor(
    scenario: Scenario,
    random: Random,
    verdict: Verdict,
    nodes: SimulatedNodes,
    servers: ServerInspector,
    chronicle: Chronicle,
  ) {
    this.#scenario = scenario
    this.#random = random
    this.#verdict = verdict
    this.#nodes = nodes
    this.#servers = servers
    this.calls = new Calls(verdict, chronicle)
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
    const { joint } = this.#scenario
    const key = joint.length > 0 && this.#random.chance(0.3) ? this.#random.pick(joint) : this.#key()
    const server = this.#nodes.serverOf(key)
    server.act((redis) =>
      this.#servers.robbing(redis, () => {
        if (this.#random.chance(0.5)) redis.delete(key)
        else redis.write(key, { token: 'somebody else', expiresAt: server.wall + this.#random.between(1, 2_000) })
      }),
    )
  }

  /** Nothing new is begun any more. */
  over = false
  /** What a process does when a listener has had enough. */
  onClose: (member: Member) => void = () => undefined

  #act(member: Member): void {
    const { joint } = this.#scenario
    if (joint.length > 0 && this.#random.chance(0.6)) {
      this.#actOnJoint(member, this.#random.pick(joint))
      return
    }
    this.perform(member, this.#random.weighted(ACTIONS), this.#key())
  }

  /** @param key what it is about, unless it is about something that is there already. */
  perform(member: Member, action: Action, key: string): void {
    const { manager } = member
    switch (action) {
      case 'acquire': {
        const options = this.#options(member, key)
        this.#call(member, action, [key], options, manager.acquire(key, options), (lease) => this.#take(member, lease))
        break
      }
      case 'tryAcquire':
        this.#tryAcquire(member, key)
        break
      case 'using': {
        const options = this.#options(member, key)
        let begin = (): void => undefined
        let work: Work | undefined
        const run = (lease: Lease): Promise<void> => {
          begin()
          work = member.inspector.onWork(lease)
          return this.#work(member, work)
        }
        const resolved = (): void => {
          this.#verdict.expect(!work?.undone, 'P29', () => `using of ${key} is done, and had no lock any more`)
        }
        const call = this.#call(member, action, [key], options, manager.using(key, run, options), resolved)
        begin = () => {
          call.working = true
        }
        break
      }
      case 'acquireMany':
      case 'acquireAll': {
        const others = this.#scenario.keys.filter((other) => other !== key)
        const keys = [key, ...others.slice(0, this.#random.integer(0, others.length))]
        const options = this.#options(member, keys[0] as string, GIVING_BACK)
        const taken = (leases: readonly (Lease | null)[]): void => {
          for (const lease of leases) this.#take(member, lease, action === 'acquireAll')
        }
        const promise =
          action === 'acquireAll'
            ? manager.acquireAll(keys, options)
            : manager.acquireMany(keys, { ...options, onProgress: () => member.faults.maybe('`onProgress`', 5) })
        this.#call(member, action, keys, options, promise, taken)
        break
      }
      case 'adopt':
        this.#adopt(member)
        break
      case 'renew':
        member.inspector.ledger.extraRenewals += 1
        this.#withLease(member, (lease) => {
          const limit = 2 * member.inspector.timeoutOf(lease)
          this.calls.follow(member, action, [lease.key], { limit }, lease.renew())
        })
        break
      case 'release':
        this.#withLease(member, (lease) => this.letGo(member, lease))
        break
      case 'forceRelease':
        this.calls.follow(member, action, [key], { limit: this.#defaultTimeout }, manager.forceRelease(key))
        break
      case 'inspect':
        this.calls.follow(member, action, [key], { limit: this.#defaultTimeout }, manager.inspect(key))
        break
      default:
        action satisfies never
    }
  }

  #actOnJoint(member: Member, key: string): void {
    const { manager } = member
    const action = drawJointAction(this.#random)
    if (action === 'forceRelease' || action === 'inspect') {
      this.perform(member, action, key)
      return
    }
    const joint = drawJoint(this.#random, key)
    const { wait, retry, ...others } = this.#options(member, key)
    const options = { ...others, ...(retry && { retry }), ...joint, wait }
    const take = (lease: Lease | null): void => {
      if (lease) {
        downgradeLater(this.#random, member, lease, (done) => {
          const limit = 2 * member.inspector.timeoutOf(lease)
          member.inspector.ledger.extraRenewals += 1
          this.calls.follow(member, 'downgrade', [key], { limit }, done)
        })
      }
      this.#take(member, lease)
    }
    if (action === 'tryAcquire') {
      const promise = manager.tryAcquire(key, { ...others, ...joint })
      this.#call(member, action, [key], others, promise, take, false)
    } else if (action === 'acquire') {
      this.#call(member, action, [key], options, manager.acquire(key, options), take, false)
    } else {
      let begin = (): void => undefined
      const run = (lease: Lease): Promise<void> => {
        begin()
        return this.#work(member, member.inspector.onWork(lease))
      }
      const call = this.#call(member, action, [key], options, manager.using(key, run, options), undefined, false)
      begin = () => {
        call.working = true
      }
    }
  }

  #tryAcquire(member: Member, key: string): void {
    const { wait: _wait, retry: _retry, ...options } = this.#options(member, key)
    const promise = member.manager.tryAcquire(key, options)
    this.#call(member, 'tryAcquire', [key], options, promise, (lease) => this.#take(member, lease))
  }

  #adopt(member: Member): void {
    const detached = this.#detached.shift()
    if (detached === undefined) return
    member.inspector.ledger.adopting(detached)
    const adoption = member.manager.adopt(detached)
    const limit = 2 * timeoutOf(detached.ttl)
    this.calls.follow(member, 'adopt', [detached.key], { limit }, adoption, (lease) => this.#take(member, lease))
  }

  /** A lease, or none, was given to its caller, who keeps it for a while. */
  #take(member: Member, lease: Lease | null, atOnce = true): void {
    if (lease === null) return
    this.given += 1
    member.inspector.onGiven(lease, atOnce)
    const { process } = member
    const hold = this.#random.exponential(this.#random.pick([5, 300, 3_000]))
    if (this.#random.chance(this.#scenario.chaining / 4)) {
      // In the continuation of the call itself.
      this.letGo(member, lease)
      return
    }
    process.sleep(() => this.letGo(member, lease), hold)
  }

  letGo(member: Member, lease: Lease): void {
    member.inspector.onLetGo(lease)
    if (this.#random.chance(0.1) && member.inspector.reading(() => lease.held)) {
      this.giveAway(member, lease)
      return
    }
    const limit = member.inspector.timeoutOf(lease)
    this.calls.follow(member, 'release', [lease.key], { limit }, lease.release())
  }

  giveAway(member: Member, lease: Lease): void {
    member.inspector.onLetGo(lease)
    try {
      const detached = lease.detach()
      this.#detached.push(detached)
      this.#givenAway.add(detached.token)
    } catch (error) {
      // It was held a moment ago; the process may have been stopped since.
      const held = member.inspector.reading(() => lease.held)
      this.#verdict.expect(!held, 'P14', () => `${lease.key} is held, and cannot be detached: ${String(error)}`)
    }
  }

  /** Some work goes on for long, and some does not listen to its signal. */
  #work(member: Member, work: Work): Promise<void> {
    const { lease, signal } = work
    const random = this.#random
    this.given += 1
    member.inspector.onGiven(lease, true)
    const fails = random.chance(0.1)
    const listens = random.chance(0.5)
    const duration = random.chance(0.1) ? random.between(3_000, LONGEST_WORK) : random.exponential(300)
    return new Promise((resolve, reject) => {
      const end = (): void => {
        // What follows is the release, by `using` itself.
        member.inspector.onWorkDone(work)
        member.inspector.onLetGo(lease)
        if (fails) reject(new WorkFailed())
        else resolve()
      }
      const timer = member.process.sleep(end, Math.min(duration, LONGEST_WORK))
      if (!listens) return
      signal.addEventListener('abort', () => {
        timer.cancel()
        end()
      })
    })
  }

  #call<T>(
    member: Member,
    what: 'acquire' | 'tryAcquire' | 'using' | 'acquireMany' | 'acquireAll',
    keys: readonly string[],
    { ttl = Math.max(...this.#scenario.ttls), timeout = timeoutOf(ttl), wait = 0, signal }: AcquireOptions,
    promise: Promise<T>,
    then?: (value: T) => void,
    /** Whether it is to get the key as soon as that is free. */
    isFirst = true,
  ): Call {
    // What many were granted is given back first where one of them failed.
    const more = what === 'acquireMany' || what === 'acquireAll' ? GIVING_BACK * timeout : 0
    const single = what === 'acquire' || what === 'using'
    const terms: CallTerms = {
      limit: (wait === 0 ? timeout : wait) + more,
      afterwards: more,
      waitsFor: isFirst && single && wait > 0 && signal === undefined ? keys[0] : undefined,
      signal,
    }
    const name = wait > 0 || what === 'tryAcquire' ? what : `${what} without wait`
    return this.calls.follow(member, name, keys, terms, promise, then)
  }

  /** How long a question without options of its own may stay unanswered, in ms. */
  get #defaultTimeout(): number {
    return timeoutOf(Math.max(...this.#scenario.ttls))
  }

  #withLease(member: Member, work: (lease: Lease) => void): void {
    const live = [...member.inspector.live]
    if (live.length > 0) work(this.#random.pick(live).lease)
  }

  #key(): string {
    return this.#random.pick(this.#scenario.keys)
  }

  /** @param givingBack how long the call may take to give back what it has acquired, before it fails, as a multiple of its timeout. */
  #options(member: Member, key: string, givingBack = 0): AcquireOptions {
    const random = this.#random
    const retry = random.pick(STRATEGIES)
    const ttl = random.pick(this.#scenario.ttls)
    const timeout = random.chance(this.#scenario.timeouts) ? this.#timeout(ttl) : undefined
    return {
      ttl,
      ...(timeout === undefined ? {} : { timeout }),
      wait: random.pick([0, 200, 2_000, 10_000]),
      ...(isManual(key) ? { autoRenew: false } : {}),
      ...(random.chance(0.1) ? { maxHold: random.between(100, 5_000) } : {}),
      ...(retry ? { retry: member.faults.inStrategy(retry, givingBack * (timeout ?? timeoutOf(ttl))) } : {}),
      ...(random.chance(0.1) ? { signal: this.#abortLater(member) } : {}),
    }
  }

  /** Now and then as long as the ttl; never so short that no answer can come in time. */
  #timeout(ttl: number): number {
    const random = this.#random
    const least = 30 + 4 * this.#scenario.latency[1]
    return random.chance(0.1) ? ttl : random.integer(least, Math.max(least, ttl / 2))
  }

  #abortLater({ process }: Member): AbortSignal {
    const controller = new AbortController()
    process.sleep(() => controller.abort(new Error('on purpose')), this.#random.between(0, 2_000))
    return controller.signal
  }
}
