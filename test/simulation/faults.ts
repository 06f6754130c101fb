/** What goes wrong, at random, and is mended again: processes, machines, the network, the server, the clocks. */
import type { Chronicle } from './chronicle.ts'
import { Failover } from './failover.ts'
import type { Health } from './health.ts'
import type { Member, Way } from './member.ts'
import { Moves } from './moves.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { ServerInspector } from './server-inspector.ts'
import type { Verdict } from './violation.ts'
import { holdsKey } from './simulated-redis.ts'
import type { SimulatedReplica } from './simulated-replica.ts'
import { SHORTEST_SUSPEND, type SimulatedProcess } from './simulated-process.ts'
import type { SimulatedNode, SimulatedNodes } from './simulated-nodes.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Timeline } from './timeline.ts'
import type { Workload } from './workload.ts'

const HOUR = 3_600_000
/** How long the turns of a slow event loop take at most, and for how long it is slow at least, in ms. */
const LAG = [90, 150] as const
const LEAST_LAG = 3_000
/** What is held up is given up for another connection before it arrives, in ms. */
const LEAST_HOLD = 600

/** How long an event loop is blocked at most, in ms: whatever it has to do afterwards comes to its end within the rest of the run. */
const LONGEST_BLOCK = 12_000

export interface FaultParts {
  readonly scenario: Scenario
  readonly timeline: Timeline
  readonly chronicle: Chronicle
  readonly random: Random
  readonly nodes: SimulatedNodes
  readonly servers: ServerInspector
  readonly verdict: Verdict
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
  // Only where there are several servers.
  move: 0,
  moveMany: 0,
  moveSlowly: 0,
  // Only where a replica is waited for.
  freezeReplica: 0,
  // Only where there are keepers.
  block: 0,
  stopKeeper: 0,
  killKeeper: 0,
} as const
/** How often something happens to keepers, and to the event loops that they stand in for. */
const KEEPERS = { block: 12, stopKeeper: 2, killKeeper: 0.5 } as const
/** How often places move, in comparison with that. */
const MOVES = { move: 3, moveMany: 1, moveSlowly: 2 } as const
export type Fault = keyof typeof FAULTS

export class Faults {
  /** How often each was inflicted. */
  readonly counts: Partial<Record<Fault, number>> = {}
  readonly #parts: FaultParts
  /** By route. */
  readonly #failovers: readonly Failover[]
  readonly #moves: Moves

  constructor(parts: FaultParts) {
    this.#parts = parts
    const { nodes } = parts
    this.#failovers = nodes.all.map(
      ({ server, health }, route) => new Failover({ ...parts, server, serverHealth: health, route }),
    )
    this.#moves = new Moves(parts, (route) => this.#isFree(route))
  }

  inflict(): void {
    const { random, members, nodes } = this.#parts
    const { faults } = this.#parts.scenario
    const isSingle = nodes.all.length === 1
    const weights = { ...FAULTS, ...(isSingle ? {} : MOVES), ...(this.#parts.scenario.keeper ? KEEPERS : {}) }
    const fault = faults ? random.pick(faults) : random.weighted(weights)
    const member = random.pick(members())
    const route = isSingle ? 0 : random.integer(0, nodes.all.length - 1)
    const all = !isSingle && random.chance(0.3)
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    this.#parts.chronicle.note('fault', () => `${fault} (${member.process.name}${isSingle ? '' : `, node ${route}`})`)
    this.#inflict(fault, member, route, all ? member.ways : [member.ways[route] as Way])
  }

  /** @param route the node, and `ways` the ways, with which something happens, if it does with any. */
  #inflict(fault: Fault, member: Member, route: number, ways: readonly Way[]): void {
    const { random, nodes, servers, workload, replace } = this.#parts
    const { process } = member
    const { server, health } = nodes.all[route] as SimulatedNode
    const healths = ways.map((way) => way.health)
    const links = ways.map(({ link }) => link)
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
        for (const { health: way, link } of ways) {
          way.disturb(this.#parts.timeline.now)
          for (const connection of link.connections) if (random.chance(0.7)) connection.close()
        }
        break
      }
      case 'blockUp':
      case 'blockDown':
      case 'blockBoth':
        this.#during(
          healths,
          () => {
            for (const link of links) {
              if (fault !== 'blockDown') link.block('up')
              if (fault !== 'blockUp') link.block('down')
            }
          },
          () => {
            for (const link of links) link.unblock()
          },
        )
        break
      case 'delay': {
        const delay = random.between(5, 1_000)
        this.#during(
          healths,
          () => {
            for (const link of links) link.delay = delay
          },
          () => {
            for (const link of links) link.delay = 0
          },
        )
        break
      }
      case 'hold': {
        const connections = links.flatMap((link) => [...link.connections])
        const hold = (held: boolean): void => {
          for (const connection of connections) connection.hold(held)
        }
        this.#during(
          healths,
          () => hold(true),
          () => hold(false),
          LEAST_HOLD,
        )
        break
      }
      case 'mute':
        this.#during(
          member.ways.map((way) => way.health),
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
        this.#whileUp(route, () => server.hang())
        break
      case 'restart':
        if (nodes.isMoving(route)) break
        this.#whileUp(route, () => {
          server.crash()
          this.#loseData(server)
        })
        break
      case 'failOver':
        health.disturb(this.#parts.timeline.now)
        if (server.condition !== 'up' || nodes.isMoving(route)) break
        if (server.replica) this.#takeOver(server, server.replica)
        else servers.robbing(server.redis, () => server.failOver(this.#lag(server)))
        break
      case 'freezeReplica':
        if (server.replica)
          this.#during(
            [health],
            () => server.replica?.freeze(),
            () => server.replica?.thaw(),
          )
        break
      case 'switchOver':
      case 'switchHung':
      case 'switchByName':
        if (!nodes.isMoving(route)) this.#failovers[route]?.begin(fault)
        break
      case 'move':
      case 'moveMany':
      case 'moveSlowly':
        this.#moves.begin(fault, route)
        break
      case 'flush':
        if (this.#parts.scenario.losesData && !nodes.isMoving(route))
          server.act((redis) => servers.robbing(redis, () => redis.flush()))
        break
      case 'meddle':
        workload.meddle()
        break
      case 'block':
        this.#block(member)
        break
      case 'stopKeeper':
        if (member.keeper) this.#pause('stop', member.keeper.process)
        break
      case 'killKeeper':
        member.keeper?.kill()
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
      [],
      () => process[how](),
      () => process.resume(),
      least,
    )
  }

  /** Synchronous code keeps the event loop, sometimes for longer than a keeper helps. */
  #block(member: Member): void {
    const { timeline, random, scenario, chronicle } = this.#parts
    const { process, keeper } = member
    if (!process.observable) return
    const longest = random.chance(0.2) ? LONGEST_BLOCK : Math.min(3 * Math.max(...scenario.ttls), LONGEST_BLOCK)
    const duration = random.between(1, longest)
    process.block()
    const expected = keeper?.onBlocked(duration)
    timeline.after(duration, () => {
      chronicle.note('mended', () => `after ${duration.toFixed(0)} ms`)
      expected?.()
      process.unblock()
    })
  }

  /** The server refuses to do anything with a key, and says that this is for good, or not. */
  #forbid(key: string): void {
    const { random, nodes, servers, timeline } = this.#parts
    if (nodes.serverOf(key).forbidden.has(key)) return
    this.#during(
      [],
      () => {
        const refusal = { final: random.chance(0.5) }
        for (const { server } of nodes.all) server.forbidden.set(key, refusal)
        servers.onForbidden(key)
      },
      () => {
        for (const { server } of nodes.all) server.forbidden.delete(key)
        servers.onForbidden(key, timeline.now)
      },
    )
  }

  /** Something else takes so long in each turn of the event loop that all timers are late; half of the time nothing is answered meanwhile either. */
  #keepBusy({ process, ways }: Member): void {
    const { random } = this.#parts
    if (process.lag > 0) return
    const silent = random.chance(0.5)
    this.#during(
      silent ? ways.map(({ health }) => health) : [],
      () => {
        process.lag = random.between(...LAG)
        if (silent) for (const { link } of ways) link.block('down')
      },
      () => {
        process.lag = 0
        if (silent) for (const { link } of ways) link.unblock()
      },
      LEAST_LAG,
    )
  }

  /** Forward, keys expire before their time. Back, they live longer, and fences would shrink if their counter were lost: only one of the two is done. */
  #stepServerClock(): void {
    const { random, nodes, servers, scenario } = this.#parts
    const by = random.between(scenario.losesData ? 0 : -HOUR, HOUR)
    for (const { server } of nodes.all) {
      servers.onClockStepped(server.redis, by)
      server.stepWallClock(by)
    }
  }

  #loseData(server: SimulatedServer): void {
    const { random, servers, scenario, timeline } = this.#parts
    if (!scenario.losesData) return
    servers.robbing(server.redis, () => {
      if (random.chance(0.5)) server.redis.flush()
      else server.redis.revertTo(timeline.now - this.#lag(server))
    })
  }

  #lag(server: SimulatedServer): number {
    const { random, scenario } = this.#parts
    return scenario.losesData ? random.between(0, server.longestLag) : 0
  }

  /** Whether a node does what it is asked to do, and is not being replaced. */
  #isFree(route: number): boolean {
    const isUp = this.#parts.nodes.all[route]?.server.condition === 'up'
    return isUp && this.#failovers[route]?.underWay === false
  }

  /** The replica has what was confirmed, and may lack all else. What is held was confirmed (P38). */
  #takeOver(server: SimulatedServer, replica: SimulatedReplica): void {
    const { servers, timeline, verdict, members } = this.#parts
    const held = members().flatMap(({ process, manager }) =>
      process.observable
        ? [...manager].filter((lease) => lease.held && holdsKey(server.redis.peek(lease.key), lease.token))
        : [],
    )
    servers.robbing(server.redis, () => server.failOver(timeline.now - replica.has))
    for (const { key, token } of held) {
      const isThere = holdsKey(server.redis.peek(key), token)
      verdict.expect(isThere, 'P38', () => `${key} is held, and missing on the replica that has taken over`)
    }
  }

  #whileUp(route: number, begin: () => void): void {
    const { server, health } = this.#parts.nodes.all[route] as SimulatedNode
    if (server.condition === 'up') this.#during([health], begin, () => server.start())
  }

  #during(healths: readonly Health[], begin: () => void, end: () => void, least = 1): void {
    const { timeline, random, scenario } = this.#parts
    const longest = 2 * Math.max(...scenario.ttls)
    const duration = random.chance(0.5) ? random.between(least, least + 200) : random.between(least, longest + least)
    for (const health of healths) health.begin()
    begin()
    timeline.after(duration, () => {
      this.#parts.chronicle.note('mended', () => `after ${duration.toFixed(0)} ms`)
      for (const health of healths) health.end(timeline.now)
      end()
    })
  }
}
