/**
 * A server is replaced by its replica, in the ways in which that happens.
 *
 *     planned, by sentinels:  promoted ──(the old one goes on taking writes)──▶ announced ──▶ the old one is told to follow, or killed
 *     after a hang:           hangs ──▶ promoted ──▶ announced        goes on, takes writes ──▶ is killed
 *     behind a name:          promoted, and the old one takes no writes any more ──▶ the name leads to the new one; nobody is told
 */
import type { Chronicle } from './chronicle.ts'
import type { Health } from './health.ts'
import type { Random } from './random.ts'
import type { SimulatedNodes } from './simulated-nodes.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Timeline } from './timeline.ts'

export type Switch = 'switchOver' | 'switchHung' | 'switchByName'

/** From the promotion to the announcement, in ms: what was seen with three sentinels is less than a second. */
const ANNOUNCED_AFTER = [20, 1_000] as const
/** For how long the old one takes writes after that, in ms. */
const LONGEST_REIGN = 9_000
/** How long a server hangs until another one is promoted, in ms. */
const HANGS_FOR = [500, 1_500] as const
/** How long a replaced server is there as a replica, in ms. */
const AFTERLIFE = 15_000

export interface FailoverParts {
  readonly timeline: Timeline
  readonly chronicle: Chronicle
  readonly random: Random
  readonly server: SimulatedServer
  readonly serverHealth: Health
  readonly nodes: SimulatedNodes
  /** Which of the nodes the server is. */
  readonly route: number
}

export class Failover {
  readonly #parts: FailoverParts
  #underWay = false

  constructor(parts: FailoverParts) {
    this.#parts = parts
  }

  get underWay(): boolean {
    return this.#underWay
  }

  begin(how: Switch): void {
    const { server, serverHealth, timeline, random } = this.#parts
    if (this.#underWay || server.condition !== 'up') return
    this.#underWay = true
    serverHealth.begin()
    this.#parts.nodes.onReplaced(this.#parts.route)
    if (how !== 'switchHung') {
      this.#promote(how)
      return
    }
    server.hang()
    timeline.after(random.between(...HANGS_FOR), () => this.#promote(how))
  }

  #promote(how: Switch): void {
    const { server, timeline, random } = this.#parts
    const before = server.promote()
    this.#note(() => 'is replaced')
    if (how === 'switchByName') before.isReplica = true
    const announcedAfter = random.between(...ANNOUNCED_AFTER)
    timeline.after(announcedAfter, () => this.#announce(how !== 'switchByName'))
    const reign = announcedAfter + random.between(0, LONGEST_REIGN)
    if (how === 'switchHung') timeline.after(random.between(0, reign), () => before.start())
    timeline.after(reign, () => this.#demote(before))
  }

  #announce(told: boolean): void {
    const { server, serverHealth, timeline } = this.#parts
    this.#note(() => (told ? 'is announced' : 'has the name'))
    server.announce(told)
    serverHealth.end(timeline.now)
  }

  #demote(before: SimulatedServer): void {
    const { timeline, random } = this.#parts
    this.#note(() => 'the old one takes no writes any more')
    before.isReplica = true
    this.#underWay = false
    if (random.chance(0.5)) before.retire()
    else timeline.after(AFTERLIFE, () => before.retire())
  }

  #note(what: () => string): void {
    this.#parts.chronicle.note('failover', what)
  }
}
