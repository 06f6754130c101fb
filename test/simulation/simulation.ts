/**
 * One run: a world that follows from its seed, led through its time step by step, and looked at after each of them.
 * The managers in it are the library's own, on clocks and backends that are simulated.
 *
 * (Testing a distributed system by simulating all of it, deterministically: W. Wilson, "Testing Distributed Systems w/ Deterministic
 * Simulation", Strange Loop 2014.)
 */
import { nextTick } from 'node:process'
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { Chronicle } from './chronicle.ts'
import { Contest } from './contest.ts'
import { type Fault, Faults } from './faults.ts'
import { Member } from './member.ts'
import { Offices } from './offices.ts'
import { Random } from './random.ts'
import { Reactions } from './reactions.ts'
import { drawJoint, drawScenario, type Scenario, withKeepers, withReplica } from './scenario.ts'
import { ServerInspector } from './server-inspector.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import { SimulatedNodes } from './simulated-nodes.ts'
import { SimulatedReplica } from './simulated-replica.ts'
import { SimulatedServer } from './simulated-server.ts'
import { Timeline } from './timeline.ts'
import { Verdict, type Violation } from './violation.ts'
import { Watchman } from './watchman.ts'
import { Workload } from './workload.ts'

/** More steps than any run takes, unless something turns round and round at one moment. */
const MOST_STEPS = 500_000
/** How long the work of `using` may go on when its manager is closed, in ms. */
const DRAINS = [0, 500, 3_000, 10_000]
const LONGEST_DRAIN = Math.max(...DRAINS)
/** What `close` may take after that, in ms: its budget for releases, and what the backend may take after it. */
const CLOSING = 10_000 + 1_000
/** Where the chance that nodes are drawn from begins, apart from that of everything else. */
const NODES = 0x6e_6f_64_65
/** The same for keys that several may hold. */
const JOINTS = 0x73_68_61_72
/** The same for elections, claims and shares, how many of the worlds have them, and what it takes to end them, in ms. */
const OFFICES = 0x6f_66_66_69
const STANDING = 0.15
const LEAVING = 15_000
/** More of them are about crowds. */
const MOST_KEYS = 12
/** The same for keepers. */
const KEEPERS = 0x6b_65_65_70
const REPLICAS = 0x72_65_70_6c
/** After how many of the steps a turn of the event loop is waited for. */
const TURNS = 1 / 8

export interface RunReport {
  readonly seed: number
  readonly violation: Violation | undefined
  /** Events that were simulated: after fewer of them nothing was wrong yet. */
  readonly events: number
  /** Simulated time, in ms. */
  readonly duration: number
  readonly leases: number
  readonly faults: Partial<Record<Fault, number>>
}

export interface RunOptions {
  readonly seed: number
  /** How long users act and faults happen, in simulated ms. */
  readonly duration: number
  /** Is told of each event, in words. */
  readonly onEvent?: (line: string) => void
  /** A rejection that is not handled is found right after the event from which it came. Default: some events later. */
  readonly careful?: boolean
  /** Violations that match this are let pass, so that others can be found. */
  readonly ignore?: RegExp | undefined
  /** Each process has a keeper, and their event loops are blocked at times. */
  readonly keepers?: boolean
  /** A replica has to acknowledge what counts, stands still at times, and takes over. */
  readonly replicas?: boolean
  /** Instead of what would be drawn. */
  readonly scenario?: Partial<Scenario>
}

export class Simulation {
  readonly scenario: Scenario
  readonly #options: RunOptions
  readonly #timeline = new Timeline()
  readonly #random: Random
  readonly #chronicle: Chronicle
  readonly #verdict: Verdict
  readonly #nodes: SimulatedNodes
  readonly #servers: ServerInspector
  readonly #workload: Workload
  readonly #faults: Faults
  readonly #watchman: Watchman
  readonly #reactions: Reactions
  #offices: Offices | undefined
  readonly #reading: Random
  readonly #turning: Random
  readonly #draining: Random
  /** Those who work; those who are not dead; and all of them, by process. */
  #members: Member[] = []
  readonly #living = new Set<Member>()
  readonly #byProcess = new Map<SimulatedProcess, Member>()
  /** The process whose step is being done. */
  #stepping: SimulatedProcess | undefined
  #events = 0

  constructor(options: RunOptions) {
    this.#options = options
    const random = new Random(options.seed)
    this.#random = random
    // What is drawn for several nodes changes nothing in worlds with one.
    const further = new Random(options.seed ^ NODES)
    const offices = new Random(options.seed ^ OFFICES)
    const keepers = new Random(options.seed ^ KEEPERS)
    const drawn = drawScenario(random.fork(), further)
    const joint = drawJoint(drawn, new Random(options.seed ^ JOINTS))
    const standing = offices.chance(STANDING) && !drawn.contested && drawn.keys.length <= MOST_KEYS
    const known = options.keepers ? withKeepers(drawn, keepers) : drawn
    const behind = new Random(options.seed ^ REPLICAS)
    const replicated = options.replicas ? withReplica(known, behind) : known
    const scenario = { ...replicated, joint, standing, ...options.scenario }
    this.scenario = scenario
    const timeline = this.#timeline
    const chronicle = new Chronicle(timeline, options.onEvent)
    this.#chronicle = chronicle
    const verdict = new Verdict(options.ignore)
    this.#verdict = verdict
    const rate = 1 + random.pick([-1, 1]) * scenario.rateError
    const traits = { rate, forgets: scenario.forgets }
    const first = new SimulatedServer(timeline, random.fork(), traits)
    const others = Array.from(
      { length: scenario.nodes - 1 },
      () => new SimulatedServer(timeline, further.fork(), traits),
    )
    if (scenario.replicas > 0) first.replica = new SimulatedReplica(timeline, behind.pick([0.5, 5, 30]))
    const nodes = new SimulatedNodes(timeline, [first, ...others])
    this.#nodes = nodes
    this.#servers = new ServerInspector(verdict, nodes)
    const servers = this.#servers
    this.#workload = new Workload(scenario, random.fork(), verdict, nodes, servers, chronicle)
    this.#faults = new Faults({
      scenario,
      timeline,
      chronicle,
      random: random.fork(),
      nodes,
      servers,
      verdict,
      workload: this.#workload,
      members: () => this.#members,
      replace: (member, how) => this.#replace(member, how),
    })
    this.#reactions = new Reactions(scenario, random.fork(), verdict, this.#workload)
    this.#workload.onClose = (member) => {
      if (this.#members.includes(member)) this.#replace(member, 'close')
    }
    const members = (): readonly Member[] => this.#members
    if (scenario.standing)
      this.#offices = new Offices({ timeline, random: offices.fork(), verdict, nodes, servers, members })
    this.#reading = random.fork()
    this.#turning = random.fork()
    this.#draining = random.fork()
    this.#watchman = new Watchman({
      timeline,
      verdict,
      nodes,
      servers,
      workload: this.#workload,
      longestTtl: Math.max(...scenario.ttls),
      telling: scenario.watch && scenario.forgets === 0 && scenario.errors === 0,
    })
  }

  async run(): Promise<RunReport> {
    const { processes, actionEvery, faultEvery } = this.scenario
    const { duration, seed } = this.#options
    for (let index = 0; index < processes; index += 1) this.#give()
    const [key] = this.scenario.keys
    if (this.scenario.contested && key !== undefined) {
      new Contest(this.#timeline, this.#random.fork(), this.#verdict, this.#workload, key).begin(this.#members)
    }
    if (Number.isFinite(actionEvery))
      this.#repeat(actionEvery, () => this.#workload.act(this.#random.pick(this.#members)))
    if (Number.isFinite(faultEvery)) this.#repeat(faultEvery, () => this.#faults.inflict())
    this.#offices?.trouble(duration)
    this.#round()
    process.on('unhandledRejection', this.#onUnhandled)
    await this.#advance(duration)
    this.#workload.over = true
    await this.#end()
    process.off('unhandledRejection', this.#onUnhandled)
    const { violation } = this.#verdict
    const leases = this.#workload.given
    return { seed, violation, events: this.#events, duration: this.#timeline.now, leases, faults: this.#faults.counts }
  }

  /** Everything gets well again, all that was begun comes to its end, and nothing is left. */
  async #end(): Promise<void> {
    await this.#advance(this.#options.duration + restAfter(Math.max(...this.scenario.ttls)))
    if (this.#offices) {
      this.#offices.checkQuiet()
      this.#offices.leaveAll()
      await this.#advance(this.#timeline.now + LEAVING)
    }
    this.#watchman.checkQuiet(this.#members)
    for (const member of this.#members) this.#close(member)
    await this.#advance(this.#timeline.now + LONGEST_DRAIN + CLOSING + 1_000)
    for (const { process, inspector } of this.#living) {
      this.#verdict.expect(inspector.closed, 'P24', () => `${process.name} has never been closed`)
    }
    this.#watchman.checkEmpty()
  }

  /** What happens until `end`, one event after the other, as long as nothing is wrong. */
  async #advance(end: number): Promise<void> {
    let over = false
    this.#timeline.at(end, () => {
      over = true
    })
    while (!over && this.#verdict.violation === undefined && this.#step()) {
      this.#events += 1
      if (this.#events > MOST_STEPS) this.#verdict.fail('P21', `there is no end to it`)
      const process = this.#stepping
      const looks = this.#reading.chance(this.scenario.reading)
      if (looks) this.#watchman.read(this.#living)
      if (process || looks) await this.#settled()
      if (process) this.#afterStep(process)
    }
  }

  /**
   * Until all that follows from an event at once has happened. A rejection that nobody handles is told of in another turn of the event
   * loop, which takes longer: so that is waited for now and then only.
   */
  #settled(): Promise<unknown> {
    const { careful = false } = this.#options
    if (this.#turning.chance(TURNS) || careful) return setImmediate()
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

  readonly #onUnhandled = (reason: unknown): void => {
    this.#verdict.fail('P24', `a rejection was not handled: ${inspect(reason)}`)
  }

  readonly #onStep = (process: SimulatedProcess, step: () => void): void => {
    this.#stepping = process
    step()
  }

  #afterStep(process: SimulatedProcess): void {
    this.#stepping = undefined
    process.endStep()
    const member = this.#byProcess.get(process)
    member?.inspector.check()
    if (member) this.#offices?.check(member)
  }

  #give(): void {
    const member = new Member({
      name: `process ${this.#byProcess.size + 1}`,
      scenario: this.scenario,
      timeline: this.#timeline,
      chronicle: this.#chronicle,
      random: this.#random.fork(),
      nodes: this.#nodes,
      servers: this.#servers,
      verdict: this.#verdict,
      reactions: this.#reactions,
      isGivenAway: (token) => this.#workload.isGivenAway(token),
      onStep: this.#onStep,
    })
    this.#members.push(member)
    this.#living.add(member)
    this.#byProcess.set(member.process, member)
    this.#offices?.enter(member)
  }

  #replace(member: Member, how: 'kill' | 'close'): void {
    this.#members = this.#members.filter((other) => other !== member)
    if (how === 'kill') {
      this.#living.delete(member)
      member.kill()
    } else {
      this.#close(member)
    }
    this.#give()
  }

  #close(member: Member): void {
    member.process.post(member, () => {
      member.inspector.onClosing()
      const onProgress = (): void => member.faults.maybe('`onProgress`', 5)
      const drain = this.#draining.pick(DRAINS)
      void member.manager.close({ drain, onProgress }).then(() => this.#watchman.checkClosed(member))
      this.#watchman.expectClosed(member, drain + CLOSING)
    })
  }

  #round(): void {
    this.#watchman.round([...this.#living], [...this.scenario.keys, ...(this.#offices?.keys ?? [])])
    this.#timeline.after(this.#watchman.interval, () => this.#round())
  }

  /** Again and again while users act. */
  #repeat(every: number, work: () => void): void {
    const next = this.#timeline.now + this.#random.exponential(every)
    if (next > this.#options.duration) return
    this.#timeline.at(next, () => {
      work()
      this.#repeat(every, work)
    })
  }
}

/**
 * How long it takes to come to rest once nothing new is begun, in ms. What lasts longest: a server hangs for two ttls, then does what it was
 * asked before that by a caller who has long given up, over a connection that is long closed; and that key expires by itself. Or a process is
 * stopped for five seconds, then calls what was to be called, waits for ten for a lock, and works under it for fifteen.
 */
function restAfter(longestTtl: number): number {
  return Math.max(32_000, 3 * longestTtl + 8_000)
}
