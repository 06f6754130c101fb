/**
 * What goes wrong in a soak, at random, and is mended again: workers, the network between them and the server, the
 * server. Everything is over after at most `LONGEST` times the ttl.
 *
 * What is left out without Sentinels: a server that loses what it had acknowledged (FLUSHALL, a restart without its file). It forgets who holds a lock and grants it again,
 * which no client can prevent; only fences help then, and the simulator looks after them. What failovers lose is told apart in failovers.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../simulation/random.ts'
import type { RedisServer } from '../support/redis-server.ts'
import type { SentinelGroup } from '../support/sentinel-group.ts'
import type { Network } from './network.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How often each happens in comparison. */
const WEIGHTS = {
  stopBriefly: 4,
  stopLong: 3,
  kill: 1.5,
  cut: 3,
  silence: 2,
  dropAnswers: 2,
  stopServer: 2,
  killServer: 1,
  killClients: 1,
  flushScripts: 1,
  planFailover: 2,
  killMaster: 2,
  stopMaster: 2,
  continueMaster: 2,
} as const
export type Fault = keyof typeof WEIGHTS
const NAMES = Object.keys(WEIGHTS) as Fault[]
/** They take a group. */
const FAILOVERS: readonly Fault[] = ['planFailover', 'killMaster', 'stopMaster', 'continueMaster']

/** In ttls. */
const LONGEST = 2.5
/** How long a master may hang without being replaced, as a part of what the Sentinels wait. */
const UNNOTICED = 0.4
/** Until a killed master is started again, once it was replaced, and until one that was stopped goes on, in ms. */
const RESTART = 2_000
const CONTINUE = { soon: 500, late: 6_000 }

/** What Sentinels do about a master that fails. */
interface Replacement {
  readonly group: SentinelGroup
  /** ms of silence after which they take a server for dead. */
  readonly downAfter: number
  /** Is called when a fault comes that leads to a failover. */
  readonly onFault: () => void
}

/** A worker's place: whoever works there reaches the servers through the same network. */
export interface Place {
  readonly network: Network
  /** Who works there now. */
  worker: WorkerProcess
}

export interface FaultParts {
  readonly random: Random
  /** The only one, where there are no Sentinels. */
  readonly server: RedisServer
  readonly replacement: Replacement | undefined
  readonly places: readonly Place[]
  /** Of the locks, in ms. */
  readonly ttl: number
  /** ms from one fault to the next, on average. */
  readonly interval: number
  /** The only ones that happen; default: all. */
  readonly only: readonly Fault[] | undefined
  /** Kills who works there, and puts a new worker in its place. */
  readonly replace: (place: Place) => Promise<void>
}

export class Faults {
  /** How often each happened. */
  readonly counts: Partial<Record<Fault, number>>
  readonly #parts: FaultParts
  readonly #weights: Record<Fault, number> = { ...WEIGHTS }
  /** What is wrong now and how it is mended. */
  readonly #wrong = new Map<() => Promise<void> | void, NodeJS.Timeout>()
  readonly #busy = new Set<Promise<void>>()
  #isServerBusy = false
  #failure: Error | undefined

  constructor(parts: FaultParts) {
    this.#parts = parts
    const { only, replacement } = parts
    // A server that comes back with its data before anybody misses it is nothing for a group to replace.
    const missing: readonly Fault[] = replacement === undefined ? FAILOVERS : ['killServer']
    const possible = NAMES.filter((fault) => !missing.includes(fault) && (only === undefined || only.includes(fault)))
    for (const fault of NAMES) if (!possible.includes(fault)) this.#weights[fault] = 0
    this.counts = Object.fromEntries(possible.map((fault) => [fault, 0]))
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }

  /** Lets things go wrong for some time, in ms, or until the signal. */
  async inflict(duration: number, signal: AbortSignal): Promise<void> {
    const { random, interval } = this.#parts
    const endAt = performance.now() + duration
    for (;;) {
      const left = endAt - performance.now()
      await sleep(Math.max(0, Math.min(left, random.exponential(interval))), undefined, { signal }).catch(
        () => undefined,
      )
      if (this.#failure !== undefined) throw this.#failure
      if (signal.aborted || performance.now() >= endAt) return
      const fault = random.weighted(this.#weights)
      if (this.#inflict(fault)) this.counts[fault] = (this.counts[fault] ?? 0) + 1
    }
  }

  /** Mends all that is still wrong. */
  async mend(): Promise<void> {
    for (const [mend, timer] of this.#wrong) {
      clearTimeout(timer)
      this.#track(async () => mend())
    }
    this.#wrong.clear()
    while (this.#busy.size > 0) await Promise.all(this.#busy)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** @returns false where that cannot go wrong at the moment. */
  #inflict(fault: Fault): boolean {
    const { random, server, replacement, places, replace, ttl } = this.#parts
    const ready = places.filter(({ worker }) => worker.isReady && !worker.isStopped)
    const place = ready.length > 0 ? random.pick(ready) : undefined
    switch (fault) {
      case 'stopBriefly':
      case 'stopLong': {
        if (place === undefined) return false
        const { worker } = place
        worker.stop()
        this.#later(ttl * (fault === 'stopBriefly' ? random.between(0.01, 0.9) : random.between(1.1, LONGEST)), () =>
          worker.resume(),
        )
        return true
      }
      case 'kill':
        if (place === undefined) return false
        this.#track(() => replace(place))
        return true
      case 'cut':
        place?.network.cut()
        return place !== undefined
      case 'silence':
        place?.network.silence()
        return place !== undefined
      case 'dropAnswers': {
        if (place === undefined || place.network.droppingAnswers) return false
        const { network } = place
        network.droppingAnswers = true
        this.#later(ttl * random.between(0.02, 1), () => {
          network.droppingAnswers = false
          network.cut()
        })
        return true
      }
      case 'stopServer':
        return this.#onServer((master) => {
          const longest = replacement === undefined ? Number.POSITIVE_INFINITY : UNNOTICED * replacement.downAfter
          master.pause()
          this.#later(Math.min(longest, ttl * random.between(0.02, random.pick([0.3, 1.5]))), () => {
            master.resume()
            this.#isServerBusy = false
          })
        })
      case 'killServer':
        return this.#onServer(() => {
          this.#track(() => server.kill())
          this.#later(ttl * random.between(0, random.pick([0.1, 1.5])), async () => {
            await server.restart()
            this.#isServerBusy = false
          })
        })
      case 'killClients':
        return this.#command('CLIENT', 'KILL', 'TYPE', random.pick(['normal', 'pubsub']))
      case 'flushScripts':
        return this.#command('SCRIPT', 'FLUSH')
      case 'planFailover':
        return this.#failOver((group) => group.failover())
      case 'killMaster':
        return this.#failOver(async (group, master) => {
          await master.kill()
          await group.untilSwitched(master.port)
          await sleep(random.between(0, RESTART))
          await master.restart()
        })
      case 'stopMaster':
      case 'continueMaster':
        return this.#failOver(async (group, master) => {
          master.pause()
          await group.untilSwitched(master.port)
          await sleep(random.between(0, fault === 'stopMaster' ? CONTINUE.late : CONTINUE.soon))
          master.resume()
        })
      default:
        return fault satisfies never
    }
  }

  #command(name: string, ...args: readonly string[]): boolean {
    return this.#onServer((master) =>
      this.#track(async () => {
        await master.command(name, ...args)
        this.#isServerBusy = false
      }),
    )
  }

  /** Over only when the group is whole again: it could not replace its next master before. */
  #failOver(replace: (group: SentinelGroup, master: RedisServer) => Promise<unknown>): boolean {
    const { replacement } = this.#parts
    if (replacement === undefined) return false
    const { group, onFault } = replacement
    return this.#onServer((master) =>
      this.#track(async () => {
        onFault()
        await replace(group, master)
        await group.untilWhole()
        this.#isServerBusy = false
      }),
    )
  }

  /** One thing at a time: what is done to the server must not meet one that is stopped or gone. */
  #onServer(inflict: (master: RedisServer) => void): boolean {
    if (this.#isServerBusy) return false
    this.#isServerBusy = true
    const { server, replacement } = this.#parts
    if (replacement === undefined) inflict(server)
    else this.#track(async () => inflict(await replacement.group.master()))
    return true
  }

  #later(delay: number, mend: () => Promise<void> | void): void {
    const onTime = (): void => {
      this.#wrong.delete(mend)
      this.#track(async () => mend())
    }
    this.#wrong.set(mend, setTimeout(onTime, delay))
  }

  #track(work: () => Promise<void>): void {
    const working = work()
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => this.#busy.delete(working))
    this.#busy.add(working)
  }
}
