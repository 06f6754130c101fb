/**
 * What goes wrong in a soak, at random, and is mended again: workers, the network between them and the server, the server. Everything is over after at most
 * `LONGEST` times the ttl. May import what tests share, chance, and the parts of a soak.
 *
 * What is left out: a server that loses what it had acknowledged (FLUSHALL, a restart without its file, a failover to a replica that is behind). It forgets who holds
 * a lock and grants it again, which no client can prevent; only fences help then, and the simulator looks after them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../simulation/random.ts'
import type { Proxy } from '../support/proxy.ts'
import type { RedisServer } from '../support/redis-server.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How often each happens in comparison. */
const FAULTS = {
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
} as const
export type Fault = keyof typeof FAULTS
const NAMES = Object.keys(FAULTS) as Fault[]

/** In ttls. */
const LONGEST = 2.5

/** A worker's place: whoever works there reaches the server through the same proxy. */
export interface Place {
  readonly proxy: Proxy
  /** Who works there now. */
  worker: WorkerProcess
}

export interface FaultParts {
  readonly random: Random
  readonly server: RedisServer
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
  readonly counts: Record<Fault, number> = Object.fromEntries(NAMES.map((fault) => [fault, 0])) as Record<Fault, number>
  readonly #parts: FaultParts
  readonly #weights: Record<Fault, number>
  /** What is wrong now and how it is mended. */
  readonly #wrong = new Map<() => Promise<void> | void, NodeJS.Timeout>()
  readonly #busy = new Set<Promise<void>>()
  #isServerBusy = false
  #failure: Error | undefined

  constructor(parts: FaultParts) {
    this.#parts = parts
    const { only } = parts
    this.#weights = { ...FAULTS }
    for (const fault of NAMES) if (only && !only.includes(fault)) this.#weights[fault] = 0
  }

  get total(): number {
    return NAMES.reduce((sum, fault) => sum + this.counts[fault], 0)
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
      if (this.#inflict(fault)) this.counts[fault] += 1
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
    const { random, server, places, replace, ttl } = this.#parts
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
        place?.proxy.cut()
        return place !== undefined
      case 'silence':
        place?.proxy.silence()
        return place !== undefined
      case 'dropAnswers': {
        if (place === undefined || place.proxy.droppingAnswers) return false
        const { proxy } = place
        proxy.droppingAnswers = true
        this.#later(ttl * random.between(0.02, 1), () => {
          proxy.droppingAnswers = false
          proxy.cut()
        })
        return true
      }
      case 'stopServer':
        return this.#onServer(() => {
          server.pause()
          this.#later(ttl * random.between(0.02, random.pick([0.3, 1.5])), () => {
            server.resume()
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
      default:
        return fault satisfies never
    }
  }

  #command(name: string, ...args: readonly string[]): boolean {
    return this.#onServer(() =>
      this.#track(async () => {
        await this.#parts.server.command(name, ...args)
        this.#isServerBusy = false
      }),
    )
  }

  /** One thing at a time: what is done to the server must not meet one that is stopped or gone. */
  #onServer(inflict: () => void): boolean {
    if (this.#isServerBusy) return false
    this.#isServerBusy = true
    inflict()
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
