/**
 * One run with managers on a quorum of simulated servers, all of which may fail, in virtual time. The rest of the simulator has one truth for each key; here
 * there are as many as members, so this world has a checker of its own.
 */
import { setImmediate } from 'node:timers/promises'
import { nextTick } from 'node:process'
import { inspect } from 'node:util'
import { type Lease, LeaseManager } from 'leasewheel'
import { quorum } from 'leasewheel/quorum'
import { GrantLedger } from './grant-ledger.ts'
import { type Party, QuorumChecker } from './quorum-checker.ts'
import { drawQuorumScenario, type QuorumFault, type QuorumScenario } from './quorum-scenario.ts'
import { Random } from './random.ts'
import { type BackendObserver, SimulatedBackend } from './simulated-backend.ts'
import { Link } from './simulated-network.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SimulatedServer } from './simulated-server.ts'
import { Timeline } from './timeline.ts'
import { Verdict, type Violation } from './violation.ts'

const MOST_STEPS = 400_000
/** How often keys are looked at, in ms. */
const ROUND = 100
/** How long it takes to come to rest, in ms: the longest ttl, and what closing takes. */
const REST = 30_000

interface Member extends Party {
  readonly links: readonly Link[]
  readonly leases: Set<Lease>
}

export interface QuorumRunReport {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly events: number
  /** Simulated time, in ms. */
  readonly duration: number
  readonly leases: number
  /** Grants of a majority, of which not all became leases. */
  readonly grants: number
  readonly faults: Partial<Record<QuorumFault, number>>
}

export interface QuorumRunOptions {
  readonly seed: number
  /** Simulated ms. */
  readonly duration: number
  readonly onEvent?: (line: string) => void
  /** Violations that match this are let pass, so that others can be found. */
  readonly ignore?: RegExp | undefined
  readonly scenario?: Partial<QuorumScenario>
}

export class QuorumSimulation {
  readonly scenario: QuorumScenario
  readonly #options: QuorumRunOptions
  readonly #timeline = new Timeline()
  readonly #verdict: Verdict
  readonly #grants: GrantLedger
  readonly #random: Random
  readonly #servers: readonly SimulatedServer[]
  readonly #checker: QuorumChecker
  readonly #faults: Partial<Record<QuorumFault, number>> = {}
  #members: Member[] = []
  #count = 0
  #stepping: SimulatedProcess | undefined
  #over = false
  #events = 0

  constructor(options: QuorumRunOptions) {
    this.#options = options
    this.#verdict = new Verdict(options.ignore)
    this.#grants = new GrantLedger(this.#verdict)
    const random = new Random(options.seed)
    this.#random = random
    this.scenario = { ...drawQuorumScenario(random.fork()), ...options.scenario }
    const { members, skew, rateError } = this.scenario
    this.#servers = Array.from({ length: members }, () => {
      const traits = { rate: 1 + random.pick([-1, 1]) * rateError, forgets: 0 }
      const server = new SimulatedServer(this.#timeline, random.fork(), traits)
      server.stepWallClock(random.between(-skew, skew))
      return server
    })
    const lasting = !this.scenario.faults.some((fault) => fault === 'restart' || fault === 'restartEmpty')
    this.#checker = new QuorumChecker(this.#timeline, this.#verdict, this.#servers, lasting)
  }

  async run(): Promise<QuorumRunReport> {
    const { processes, actionEvery, faultEvery } = this.scenario
    const { duration, seed } = this.#options
    for (let index = 0; index < processes; index += 1) this.#start()
    this.#repeat(actionEvery, () => this.#act())
    this.#repeat(faultEvery, () => this.#inflict())
    this.#round()
    const onUnhandled = (reason: unknown): void =>
      this.#verdict.fail('P24', `a rejection was not handled: ${inspect(reason)}`)
    process.on('unhandledRejection', onUnhandled)
    await this.#advance(duration)
    this.#over = true
    await this.#advance(duration + REST)
    for (const member of this.#members) this.#post(member, () => void member.manager.close({ drain: 0 }))
    await this.#advance(this.#timeline.now + REST)
    if (this.#verdict.violation === undefined) this.#checker.checkEmpty()
    process.off('unhandledRejection', onUnhandled)
    const { violation } = this.#verdict
    return {
      seed,
      violation,
      events: this.#events,
      duration: this.#timeline.now,
      leases: this.#checker.leases,
      grants: this.#grants.count,
      faults: this.#faults,
    }
  }

  async #advance(end: number): Promise<void> {
    let over = false
    this.#timeline.at(end, () => {
      over = true
    })
    while (!over && this.#verdict.violation === undefined && this.#step()) {
      this.#events += 1
      if (this.#events > MOST_STEPS) this.#verdict.fail('P21', 'there is no end to it')
      const process = this.#stepping
      if (process === undefined) continue
      await this.#settled()
      this.#stepping = undefined
      process.endStep()
      this.#checker.check()
    }
  }

  #settled(): Promise<unknown> {
    if (this.#events % 16 === 0) return setImmediate()
    return new Promise((resolve) => {
      nextTick(resolve)
    })
  }

  #step(): boolean {
    try {
      return this.#timeline.step()
    } catch (error) {
      this.#verdict.fail('P22', `something was thrown at the event loop: ${inspect(error)}`)
      return true
    }
  }

  #note(what: () => string): void {
    this.#options.onEvent?.(`${this.#timeline.now.toFixed(2).padStart(9)}  ${what()}`)
  }

  #post(member: Member, work: () => void): void {
    member.process.post(member, work)
  }

  #start(): void {
    const { ttl, watch, latency, errors, rateError, batchSize } = this.scenario
    const random = this.#random.fork()
    this.#count += 1
    const name = `process ${this.#count}`
    const traits = {
      rate: 1 + random.pick([-1, 1]) * rateError,
      readingsPerStop: Number.POSITIVE_INFINITY,
      longestStop: 0,
    }
    const process = new SimulatedProcess(name, this.#timeline, random.fork(), traits, (stepping, step) => {
      this.#stepping = stepping
      step()
    })
    const links = this.#servers.map(() => new Link(latency))
    const backends = this.#servers.map(
      (server, route) =>
        new SimulatedBackend({
          timeline: this.#timeline,
          random: random.fork(),
          process,
          server,
          link: links[route] as Link,
          observer: this.#observerOf(name, route),
          errors,
          follows: true,
          route,
        }),
    )
    const manager = new LeaseManager(this.#grants.follow(quorum(backends, { random: random.fork().next })), {
      clock: process.clock,
      random: random.fork().next,
      ttl,
      prefix: '',
      owner: name,
      watch,
      batchSize,
    })
    manager.on('error', (error) => this.#note(() => `${name}: error: ${error.message}`))
    const member: Member = {
      process,
      manager,
      links,
      wanted: new Map(),
      leases: new Set(),
      troubledAt: this.#timeline.now,
    }
    for (const event of ['acquired', 'released', 'lost'] as const) {
      manager.on(event, ({ lease }) => this.#note(() => `${name}: ${event} ${lease.key}, fence ${lease.fence}`))
    }
    this.#checker.attach(member)
    this.#members.push(member)
  }

  #observerOf(name: string, route: number): BackendObserver {
    const nothing = (): void => undefined
    return {
      onSent: (operation, entries) => {
        if (operation === 'acquire') this.#checker.onAsked(entries)
        return { operation, at: 0, verifying: false }
      },
      onOutcome: ({ operation }, { key }, outcome) =>
        this.#note(() => `${name}: member ${route} says of ${operation} ${key}: ${JSON.stringify(outcome)}`),
      onAnswered: nothing,
      onSuspect: nothing,
      onRedirected: nothing,
      onTold: nothing,
      onArrived: (operation, entries, _redis, work) => {
        this.#note(() => `server ${route}: ${operation} ${entries.map(({ key }) => key).join(', ')} of ${name}`)
        return work()
      },
      onNever: nothing,
    }
  }

  /** A user does something. */
  #act(): void {
    const random = this.#random
    const member = random.pick(this.#members)
    if (member.process.condition !== 'running') return
    const { ttl, keys, longestHold } = this.scenario
    const key = random.pick(keys)
    const hold = random.between(0, longestHold)
    const how = random.weighted({ tryAcquire: 2, acquire: 3, acquireAll: 1, inspect: 0.3, impatient: 1 })
    const wait = how === 'impatient' ? random.between(1, 100) : 4 * ttl
    this.#post(member, () => {
      const { manager } = member
      if (how === 'inspect') {
        manager.inspect(key).catch(() => undefined)
        return
      }
      if (how === 'acquireAll') {
        this.#want(member, keys, hold, () => manager.acquireAll([...keys], { wait }))
        return
      }
      this.#want(member, [key], hold, async () => {
        const lease = how === 'tryAcquire' ? await manager.tryAcquire(key) : await manager.acquire(key, { wait })
        return lease ? [lease] : []
      })
    })
  }

  #want(member: Member, keys: readonly string[], hold: number, call: () => Promise<readonly Lease[]>): void {
    // A call for all keys takes them in order: while it waits for one, it leaves later ones to others.
    const [first] = keys.toSorted() as [string]
    const count = (by: number): void => void member.wanted.set(first, (member.wanted.get(first) ?? 0) + by)
    count(1)
    call().then(
      (leases) => {
        count(-1)
        for (const lease of leases) {
          this.#timeline.after(hold, () => this.#post(member, () => void lease.release().catch(() => undefined)))
        }
      },
      (error: unknown) => {
        count(-1)
        this.#note(() => `${member.process.name}: ${(error as Error).message}`)
      },
    )
  }

  #inflict(): void {
    const random = this.#random
    const { faults } = this.scenario
    const fault = random.pick(faults)
    const index = random.integer(0, this.#servers.length - 1)
    const server = this.#servers[index] as SimulatedServer
    const member = random.pick(this.#members)
    const link = member.links[index] as Link
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1
    this.#note(() => `fault: ${fault} (member ${index}, ${member.process.name})`)
    switch (fault) {
      case 'restart':
      case 'restartEmpty':
        if (server.condition !== 'up') return
        server.crash()
        if (fault === 'restartEmpty') {
          server.redis.flush()
          this.#checker.emptiedAt = this.#timeline.now
        }
        this.#during(() => server.start(), this.scenario.ttl)
        return
      case 'hang':
        if (server.condition !== 'up') return
        server.hang()
        this.#during(() => server.start())
        return
      case 'block': {
        link.block(random.pick(['up', 'down'] as const))
        this.#during(() => link.unblock())
        return
      }
      case 'isolate': {
        const way = random.pick(['up', 'up', 'down'] as const)
        for (const each of member.links) each.block(way)
        this.#during(() => {
          for (const each of member.links) each.unblock()
        })
        return
      }
      case 'cut':
        for (const connection of link.connections) connection.close()
        this.#checker.troubledAt = this.#timeline.now
        return
      case 'hold': {
        const connections = [...link.connections]
        for (const connection of connections) connection.hold(true)
        this.#during(() => {
          for (const connection of connections) connection.hold(false)
        })
        return
      }
      case 'delay':
        link.delay = random.between(5, 500)
        this.#during(() => {
          link.delay = 0
        })
        return
      case 'stop':
        if (member.process.condition !== 'running') return
        member.process.stop()
        this.#during(() => {
          member.process.resume()
          member.troubledAt = this.#timeline.now
        })
        return
      case 'kill':
      case 'close':
        this.#members = this.#members.filter((other) => other !== member)
        if (fault === 'kill') member.process.kill()
        if (fault === 'kill') this.#checker.forget(member)
        else this.#post(member, () => void member.manager.close({ drain: 0 }))
        this.#checker.troubledAt = this.#timeline.now
        this.#start()
        return
      default:
        fault satisfies never
    }
  }

  /** @param after ms for which the end of the trouble is trouble. */
  #during(end: () => void, after = 0): void {
    const { ttl } = this.scenario
    const duration = this.#random.chance(0.5)
      ? this.#random.between(1, 200)
      : this.#random.between(1, 2 * Math.min(ttl, 3_000))
    this.#checker.troubles += 1
    this.#timeline.after(duration, () => {
      this.#note(() => 'mended')
      this.#checker.troubles -= 1
      this.#checker.troubledAt = Math.max(this.#checker.troubledAt, this.#timeline.now + after)
      end()
    })
  }

  #round(): void {
    // What fails by chance is trouble all the time.
    if (this.scenario.errors > 0) this.#checker.troubledAt = Math.max(this.#checker.troubledAt, this.#timeline.now)
    this.#checker.round(this.scenario.keys, this.#members)
    this.#timeline.after(ROUND, () => this.#round())
  }

  #repeat(every: number, work: () => void): void {
    if (!Number.isFinite(every)) return
    this.#timeline.after(this.#random.exponential(every), () => {
      if (this.#over) return
      work()
      this.#repeat(every, work)
    })
  }
}
