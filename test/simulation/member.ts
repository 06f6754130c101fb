/** One process with its manager, its way to the server, and those who watch it. */
import { LeaseManager, type LockEntry } from 'leasewheel'
import type { Chronicle } from './chronicle.ts'
import { DeliberateFaults } from './deliberate-faults.ts'
import { Health, healthySince } from './health.ts'
import { EVENTS, isManual, LeaseInspector, type LeaseTerms } from './lease-inspector.ts'
import type { Random } from './random.ts'
import type { Reactions } from './reactions.ts'
import type { Scenario } from './scenario.ts'
import type { ServerInspector } from './server-inspector.ts'
import { type BackendObserver, type ObservedBackend, type Sent, SimulatedBackend } from './simulated-backend.ts'
import { SimulatedKeeper } from './simulated-keeper.ts'
import { SimulatedClusterBackend } from './simulated-cluster-backend.ts'
import { Link } from './simulated-network.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { holdsKey } from './simulated-redis.ts'
import type { SimulatedNode, SimulatedNodes } from './simulated-nodes.ts'
import type { Timeline } from './timeline.ts'
import { type Evidence, timeoutOf } from './token-ledger.ts'
import type { Verdict } from './violation.ts'

export interface MemberParts {
  readonly name: string
  readonly scenario: Scenario
  readonly timeline: Timeline
  readonly chronicle: Chronicle
  readonly random: Random
  readonly nodes: SimulatedNodes
  readonly servers: ServerInspector
  readonly verdict: Verdict
  readonly reactions: Reactions
  /** Whether a lease was given away, by its token. */
  readonly isGivenAway: (token: string) => boolean
  readonly onStep: (process: SimulatedProcess, step: () => void) => void
}

/** From one process to one server, and what is wrong there. */
export interface Way {
  readonly link: Link
  readonly health: Health
}

/** What is sent within so many ms is sent at once. */
const AT_ONCE = 0.1
/** Deadlines that are less than this apart may be asked about in any order, in ms: leases that are renewed together have one. */
const MUCH_EARLIER = 200

export class Member {
  readonly process: SimulatedProcess
  /** By route. */
  readonly ways: readonly Way[]
  readonly inspector: LeaseInspector
  readonly backend: ObservedBackend
  /** The same, if there are several servers. */
  readonly #cluster: SimulatedClusterBackend | undefined
  readonly manager: LeaseManager
  /** None unless the scenario has keepers. */
  readonly keeper: SimulatedKeeper | undefined
  readonly faults: DeliberateFaults
  /** Listeners that throw were registered before all others. */
  readonly throwing: boolean
  /** How often they threw. */
  thrown = 0
  readonly #parts: MemberParts
  /** What a lease may last, and a question about it stay unanswered, at most, in ms. */
  readonly #longest: LeaseTerms

  constructor(parts: MemberParts) {
    this.#parts = parts
    const ttl = Math.max(...parts.scenario.ttls)
    this.#longest = { ttl, timeout: parts.scenario.timeouts > 0 ? ttl : timeoutOf(ttl) }
    const { name, scenario, timeline, chronicle, random, nodes, servers, verdict, reactions, onStep } = parts
    const { rateError, readingsPerStop, latency, batchSize, watch, watchLimit, errors, follows } = scenario
    const longestTtl = Math.max(...scenario.ttls)
    const rate = 1 + random.pick([-1, 1]) * rateError
    const traits = { rate, readingsPerStop, longestStop: 2 * Math.min(longestTtl, 3_000) }
    this.process = new SimulatedProcess(name, timeline, random.fork(), traits, onStep)
    this.ways = nodes.all.map(() => ({ link: new Link(latency), health: new Health() }))
    this.inspector = new LeaseInspector({
      process: this.process,
      verdict,
      servers,
      describe: (lease) => chronicle.nameOf(lease),
      healthySince: (key) => this.healthySinceOf(key),
      soundSince: (key) => this.#soundSinceOf(key),
      recovery: (terms) => this.recovery(terms),
      failing: errors > 0,
      usualTimeout: timeoutOf(longestTtl),
    })
    const { ledger } = this.inspector
    const describe = (entry: LockEntry): string => chronicle.nameOf(entry)
    const observer: BackendObserver = {
      onSent: (operation, entries) => {
        chronicle.note(name, () => `  asks to ${operation} ${entries.map(describe).join(', ')}`)
        return ledger.onSent(operation, entries)
      },
      onOutcome: (sent, entry, outcome) => {
        chronicle.note(name, () => `  is told of ${sent.operation} ${describe(entry)}: ${chronicle.outcome(outcome)}`)
        ledger.onOutcome(sent, entry, outcome)
      },
      onAnswered: (keys) => reactions.onAnswered(this, keys),
      onArrived: (operation, entries, redis, work, sent) => {
        chronicle.note('server', () => `${operation} ${entries.map(describe).join(', ')} of ${name}`)
        const outcomes = servers.onArrived(operation, entries, redis, work)
        if (operation === 'acquire' && sent) this.#onLanded(sent, entries)
        return outcomes
      },
      onNever: (sent, entries) => {
        chronicle.note(name, () => '  will never be answered')
        ledger.onNever(sent, entries)
      },
      onSuspect: (route) => this.#onSuspect(route),
      onRedirected: ({ message, key }) => chronicle.note(name, () => `  is told about ${key}: ${message}`),
      onTold: () => {
        chronicle.note(name, () => '  hears something of the server')
        ledger.extraRenewals += 1
      },
    }
    const { process, ways } = this
    const common = { timeline, random: random.fork(), process, observer, errors, follows }
    this.#cluster =
      nodes.all.length === 1 ? undefined : new SimulatedClusterBackend({ ...common, nodes, ways, verdict })
    const [{ server }] = nodes.all as readonly [SimulatedNode]
    const [{ link }] = ways as readonly [Way]
    this.backend = this.#cluster ?? new SimulatedBackend({ ...common, server, link })
    this.keeper =
      scenario.keeper === undefined
        ? undefined
        : new SimulatedKeeper({ ...parts, process, traits, server, way: ways[0] as Way, inspector: this.inspector })
    if (this.keeper) Object.assign(this.backend, { startKeeper: this.keeper.start })
    this.faults = new DeliberateFaults(this.process, random.fork(), verdict, scenario.faulty)
    const { next } = random.fork()
    let begun = false
    this.manager = new LeaseManager(this.backend, {
      clock: process.clock,
      random: () => {
        // What throws while a manager is made comes out at once.
        if (begun) this.faults.maybe('`random`')
        return next()
      },
      ttl: longestTtl,
      prefix: '',
      owner: name,
      batchSize,
      watch,
      watchLimit,
      replicas: scenario.replicas,
      ...(scenario.keeper === undefined ? {} : { keeper: { maxBlocked: scenario.keeper } }),
    })
    begun = true
    this.manager.on('error', (error) => this.faults.onSeen(error))
    this.throwing = random.chance(scenario.throwing)
    if (this.throwing) this.#addThrowingListeners()
    this.inspector.attach(this.manager)
    for (const event of EVENTS) {
      this.manager.on(event, ({ lease }) => chronicle.note(name, () => `  ${event}: ${chronicle.nameOf(lease)}`))
    }
    // Last of all: what they do is told of inside of what they were told of.
    if (scenario.acting > 0)
      for (const event of EVENTS) this.manager.on(event, ({ lease }) => reactions.onEvent(this, lease))
  }

  /** Since when nothing has been wrong with it, in true time. */
  get healthySince(): number {
    const servers = this.#parts.nodes.all.map(({ health }) => health)
    return healthySince(this.process, ...this.#wayHealths, ...servers)
  }

  /** The same, but for what is wrong with the server. */
  get soundSince(): number {
    return healthySince(this.process, ...this.#wayHealths)
  }

  /** Since when nothing has been wrong with it that concerns this key: what is wrong with the servers of others does not. */
  healthySinceOf(key: string): number {
    const servers = this.#routesOf(key).map((route) => this.#parts.nodes.all[route]?.health as Health)
    const since = healthySince(this.process, ...this.#wayHealthsOf(key), ...servers)
    return Math.max(since, this.#settledAt(key))
  }

  #soundSinceOf(key: string): number {
    return Math.max(healthySince(this.process, ...this.#wayHealthsOf(key)), this.#settledAt(key))
  }

  /** When the place of a key was moved last, or this process learned where it is. */
  #settledAt(key: string): number {
    return Math.max(this.#parts.nodes.movedAt(key), this.#cluster?.mappedAt(key) ?? Number.NEGATIVE_INFINITY)
  }

  /** The nodes that have a key, or are taken for those that have it. */
  #routesOf(key: string): readonly number[] {
    const routes = this.#parts.nodes.routesOf(key)
    return this.#cluster ? [...routes, this.#cluster.routeOf(key)] : routes
  }

  get #wayHealths(): readonly Health[] {
    return this.ways.map(({ health }) => health)
  }

  #wayHealthsOf(key: string): readonly Health[] {
    return this.#routesOf(key).map((route) => this.#wayHealths[route] as Health)
  }

  /** What a message is on its way at most while nothing is wrong, in ms. */
  get #latency(): number {
    return this.#parts.scenario.latency[1]
  }

  /**
   * How long it may take until a lease is renewed again once nothing is wrong any more, in ms of true time: silence is noticed,
   * connections are made anew, a renewal that failed is repeated. Without `terms`: on the longest that are used.
   */
  recovery({ ttl, timeout }: LeaseTerms = this.#longest): number {
    const usual = timeoutOf(this.#longest.ttl)
    const silence = Math.max(2 * usual, 1_000)
    const reconnection = 2 * Math.max(Math.min(1_000, usual / 2), 50)
    return silence + reconnection + ttl / 5 + timeout + 8 * this.#latency + 100
  }

  /** P26: another server answers. Each lease is asked about within a round trip, and as long as others have to be asked first. */
  #onSuspect(route: number | undefined): void {
    const { process, inspector, backend } = this
    const { timeline, verdict, scenario } = this.#parts
    const since = timeline.now
    const isThere = (key: string): boolean => route === undefined || this.#cluster?.routeOf(key) === route
    const suspects = [...inspector.live].filter(({ letGo, lease }) => !letGo && isThere(lease.key))
    const deadlines = new Map(suspects.map(({ evidence }) => [evidence, inspector.ledger.boundOf(evidence)]))
    // What was asked a moment ago, in vain, may be asked once more at once.
    const repeated = new Set(
      suspects
        .filter(({ evidence, lease }) => evidence.lookedAfterAt > since - timeoutOf(lease.ttl))
        .map(({ evidence }) => evidence),
    )
    for (const { evidence } of suspects) evidence.firstLookAt = undefined
    // At least two batches are on their way at a time.
    const rounds = Math.ceil(suspects.length / scenario.batchSize / 2)
    const bound = rounds * 2.1 * this.#latency + 60
    process.sleep(() => {
      if (process.interrupted || inspector.closing || process.lag > 0) return
      // What does not fit into the first batches is asked about once these are answered.
      const soundSinceOf = (key: string): number => (rounds > 1 ? this.healthySinceOf(key) : this.#soundSinceOf(key))
      if (suspects.some(({ lease: { key } }) => soundSinceOf(key) > since || backend.connectedSince(key) > since))
        return
      for (const { lease, evidence, ended, letGo } of suspects) {
        // A question that is never answered is under way until it is given up.
        const isOver = ended || letGo || evidence.ended || lease.state === 'releasing'
        const asked = evidence.lookedAfterAt >= since || evidence.silent > 0 || isOver
        verdict.expect(asked, 'P26', () => `${lease.key} was not asked about ${bound} ms after another server answered`)
      }
      this.#checkOrder(since, deadlines, repeated)
    }, bound)
  }

  /**
   * P26: the nearest deadline comes first. What waited for a connection leaves as soon as there is one, before anybody looks at deadlines.
   *
   * @param since when the other server answered. @param repeated those that may come earlier.
   */
  #checkOrder(since: number, deadlines: ReadonlyMap<Evidence, number>, repeated: ReadonlySet<Evidence>): void {
    const asked = [...deadlines].filter(([{ key, ended }]) => !ended && !isManual(key))
    asked.sort(([one], [other]) => (one.firstLookAt ?? 0) - (other.firstLookAt ?? 0))
    let [latest, before] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
    let soFar = latest
    for (const [evidence, deadline] of asked) {
      const { key, firstLookAt = 0 } = evidence
      // Those that are sent in the same step are sent at once.
      if (firstLookAt > before + AT_ONCE) latest = soFar
      const early = latest - deadline - MUCH_EARLIER
      this.#parts.verdict.expect(early < 0, 'P26', () => `${key} was asked about after one that ends ${early} ms later`)
      if (!repeated.has(evidence) && firstLookAt > since + AT_ONCE) soFar = Math.max(soFar, deadline)
      before = firstLookAt
    }
  }

  /**
   * P11: a request that was held up on its way has arrived. If its lease is over by then, somebody looks for the key until the ttl
   * counted from that request is over, and deletes it.
   */
  #onLanded(sent: Sent, entries: readonly LockEntry[]): void {
    const { timeline, nodes, servers, verdict, scenario } = this.#parts
    const landedAt = timeline.now
    for (const { key, token, ttl } of entries) {
      const evidence = this.inspector.ledger.get(token)
      if (!evidence?.ended || !holdsKey(nodes.redisOf(key).peek(key), token) || scenario.errors > 0) continue
      const bound = ttl / 10 + evidence.timeout + 4 * this.#latency + 100
      if (this.process.clock.now() + bound > sent.at + 0.9 * ttl) continue
      timeline.after(bound, () => {
        const left = holdsKey(nodes.redisOf(key).peek(key), token)
        const { process, inspector } = this
        const excused =
          evidence.underWay > 0 ||
          process.condition === 'dead' ||
          inspector.closing ||
          this.healthySince > landedAt ||
          servers.permittedSince(key) > landedAt - ttl ||
          servers.isRobbed(token) ||
          this.#parts.isGivenAway(token)
        verdict.expect(!left || excused, 'P11', () => `${key} is nobody's, ${bound} ms after a late request made it`)
      })
    }
  }

  kill(): void {
    this.process.kill()
    for (const { link } of this.ways) for (const connection of link.connections) connection.close(true)
  }

  #addThrowingListeners(): void {
    for (const event of EVENTS) {
      this.manager.on(event, () => {
        this.thrown += 1
        throw new Error(`a listener of \`${event}\``)
      })
    }
  }
}
