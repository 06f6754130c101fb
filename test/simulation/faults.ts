/** What goes wrong, at random, and is mended again: processes, machines, the network, the server, the clocks. */
import type { Chronicle } from './chronicle.ts'
import { Failover } from './failover.ts'
import type { Health } from './health.ts'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { ServerInspector } from './server-inspector.ts'
import { SHORTEST_SUSPEND, type SimulatedProcess } from './simulated-process.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Timeline } from './timeline.ts'
import type { Workload } from './workload.ts'

const HOUR = 3_600_000
/** How long the turns of a slow event loop take at most, and for how long it is slow at least, in ms. */
const LAG = [90, 150] as const
const LEAST_LAG = 3_000
/** What is held up is given up for another connection before it arrives, in ms. */
const LEAST_HOLD = 600

export interface FaultParts {
  readonly scenario: Scenario
  readonly timeline: Timeline
  readonly chronicle: Chronicle
  readonly random: Random
  readonly server: SimulatedServer
  readonly serverHealth: Health
  readonly servers: ServerInspector
  readonly workload: Workload
  /** The processes that are there now. */
  readonly members: () => readonly Member[]
  /** Puts a new process in the place of one that dies, or whose manager is closed. */
  readonly replace: (member: Member, how: 'kill' | 'close') => void
}

/** What can go wrong, and how often in comparison. */
const FAULTS = {
  stop: 3,
  suspend: 2,
  lag: 1,
  kill: 1,
  close: 1,
  cut: 3,
  blockUp: 1,
  blockDown: 2,
  blockBoth: 1,
  delay: 2,
  hold: 2,
  mute: 0.5,
  forbid: 1,
  hang: 2,
  restart: 1,
  failOver: 1,
  flush: 0.5,
  meddle: 2,
  stepClock: 2,
  stepServerClock: 0.3,
  // Only where it is asked for: what a server takes that has been replaced is lost.
  switchOver: 0,
  switchHung: 0,
  switchByName: 0,
} as const
export type Fault = keyof typeof FAULTS

export class Faults {
  /** How often each was inflicted. */
  readonly counts: Partial<Record<Fault, number>> = {}
  readonly #parts: FaultParts
  readonly #failover: Failover

  constructor(parts: FaultParts) {
    this.#parts = parts
    this.#failover = new Failover(parts)
  }

  inflict(): void {
    const { random, members } = this.#parts
    const { faults } = this.#parts.scenario
    const fault = faults ? random.pick(faults) : random.weighted(FAULTS)
    const member = random.pick(members())
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    this.#parts.chronicle.note('fault', () => `${fault} (${member.process.name})`)
    this.#inflict(fault, member)
  }

  #inflict(fault: Fault, member: Member): void {
    const { random, server, servers, workload, replace } = this.#parts
    const { process, link } = member
    switch (fault) {
      case 'stop':
      case 'suspend':
        this.#pause(fault, process)
        break
      case 'lag':
        this.#keepBusy(member)
        break
      case 'kill':
      case 'close':
        replace(member, fault)
        break
      case 'cut': {
        member.health.disturb(this.#parts.timeline.now)
        for (const connection of link.connections) if (random.chance(0.7)) connection.close()
        break
      }
      case 'blockUp':
      case 'blockDown':
      case 'blockBoth':
        this.#during(
          member.health,
          () => {
            if (fault !== 'blockDown') link.block('up')
            if (fault !== 'blockUp') link.block('down')
          },
          () => link.unblock(),
        )
        break
      case 'delay': {
        const delay = random.between(5, 1_000)
        this.#during(
          member.health,
          () => {
            link.delay = delay
          },
          () => {
            link.delay = 0
          },
        )
        break
      }
      case 'hold': {
        const connections = [...link.connections]
        const hold = (held: boolean): void => {
          for (const connection of connections) connection.hold(held)
        }
        this.#during(
          member.health,
          () => hold(true),
          () => hold(false),
          LEAST_HOLD,
        )
        break
      }
      case 'mute':
        this.#during(
          member.health,
          () => {
            member.backend.muted = random.pick([0.2, 1])
          },
          () => {
            member.backend.muted = 0
          },
        )
        break
      case 'forbid':
        this.#forbid(random.pick(this.#parts.scenario.keys))
        break
      case 'hang':
        this.#whileUp(() => server.hang())
        break
      case 'restart':
        this.#whileUp(() => {
          server.crash()
          this.#loseData()
        })
        break
      case 'failOver':
        this.#parts.serverHealth.disturb(this.#parts.timeline.now)
        if (server.condition !== 'up') break
        servers.robbing(server.redis, () => server.failOver(this.#lag()))
        break
      case 'switchOver':
      case 'switchHung':
      case 'switchByName':
        this.#failover.begin(fault)
        break
      case 'flush':
        if (this.#parts.scenario.losesData) server.act((redis) => servers.robbing(redis, () => redis.flush()))
        break
      case 'meddle':
        workload.meddle()
        break
      case 'stepClock':
        process.stepWallClock(random.between(-HOUR, HOUR))
        break
      case 'stepServerClock':
        this.#stepServerClock()
        break
      default:
        fault satisfies never
    }
  }

  #pause(how: 'stop' | 'suspend', process: SimulatedProcess): void {
    // One that is stopped in the middle of a step already goes on as planned.
    if (!process.observable) return
    const least = how === 'suspend' ? SHORTEST_SUSPEND : 1
    this.#during(
      undefined,
      () => process[how](),
      () => process.resume(),
      least,
    )
  }

  /** The server refuses to do anything with a key, and says that this is for good, or not. */
  #forbid(key: string): void {
    const { random, server, servers, timeline } = this.#parts
    if (server.forbidden.has(key)) return
    this.#during(
      undefined,
      () => {
        server.forbidden.set(key, { final: random.chance(0.5) })
        servers.onForbidden(key)
      },
      () => {
        server.forbidden.delete(key)
        servers.onForbidden(key, timeline.now)
      },
    )
  }

  /** Something else takes so long in each turn of the event loop that all timers are late; half of the time nothing is answered meanwhile either. */
  #keepBusy({ process, health, link }: Member): void {
    const { random } = this.#parts
    if (process.lag > 0) return
    const silent = random.chance(0.5)
    this.#during(
      silent ? health : undefined,
      () => {
        process.lag = random.between(...LAG)
        if (silent) link.block('down')
      },
      () => {
        process.lag = 0
        if (silent) link.unblock()
      },
      LEAST_LAG,
    )
  }

  /** Forward, keys expire before their time. Back, they live longer, and fences would shrink if their counter were lost: only one of the two is done. */
  #stepServerClock(): void {
    const { random, server, servers, scenario } = this.#parts
    const by = random.between(scenario.losesData ? 0 : -HOUR, HOUR)
    servers.onClockStepped(server.redis, by)
    server.stepWallClock(by)
  }

  #loseData(): void {
    const { random, server, servers, scenario, timeline } = this.#parts
    if (!scenario.losesData) return
    servers.robbing(server.redis, () => {
      if (random.chance(0.5)) server.redis.flush()
      else server.redis.revertTo(timeline.now - this.#lag())
    })
  }

  #lag(): number {
    const { random, scenario, server } = this.#parts
    return scenario.losesData ? random.between(0, server.longestLag) : 0
  }

  #whileUp(begin: () => void): void {
    const { server, serverHealth } = this.#parts
    if (server.condition === 'up') this.#during(serverHealth, begin, () => server.start())
  }

  #during(health: Health | undefined, begin: () => void, end: () => void, least = 1): void {
    const { timeline, random, scenario } = this.#parts
    const longest = 2 * Math.max(...scenario.ttls)
    const duration = random.chance(0.5) ? random.between(least, least + 200) : random.between(least, longest + least)
    health?.begin()
    begin()
    timeline.after(duration, () => {
      this.#parts.chronicle.note('mended', () => `after ${duration.toFixed(0)} ms`)
      health?.end(timeline.now)
      end()
    })
  }
}
