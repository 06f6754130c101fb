/**
 * A soak: processes that share locks on a real server for some time while things go wrong, a store that they write to under their locks, and a verdict on
 * the history that they leave behind. May import what tests share, chance, and the parts of a soak.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Random } from '../simulation/random.ts'
import { Violation } from '../simulation/violation.ts'
import { Proxy } from '../support/proxy.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { findViolations } from './checker.ts'
import { type Fault, Faults, type Place } from './faults.ts'
import { FencedStore } from './fenced-store.ts'
import { type Hold, holdId, readHistory } from './history.ts'
import type { Lie, MessageFromWorker } from './messages.ts'
import { WorkerProcess } from './worker-process.ts'

/** How long a worker may take to come to itself when nothing is wrong any more, and how long to end, in ms. */
const PATIENCE = 60_000
/** How often progress is told, in ms. */
const PROGRESS = 10_000

export interface SoakOptions {
  /** How long things go wrong, in ms. */
  readonly duration: number
  readonly processes: number
  readonly keys: number
  /** ms. */
  readonly ttl: number
  /** What goes wrong and what the workers do follow from it; what comes of that does not, as processes are never as fast twice. */
  readonly seed: number
  /** Where the histories go: a folder that is there. */
  readonly directory: string
  /** ms from one fault to the next, on average. */
  readonly faultInterval: number
  /** The only faults that happen; default: all. */
  readonly faults?: readonly Fault[]
  readonly onProgress?: (line: string) => void
  /** To show that the checker finds out: how the workers break the rules. */
  readonly lie?: Lie
  /** To show that the checker finds out: a store that refuses nothing. */
  readonly gullibleStore?: boolean
}

export interface SoakReport {
  readonly faults: Readonly<Record<Fault, number>>
  readonly holds: readonly Hold[]
  /** Writes that the store accepted, and that it refused as stale. */
  readonly accepted: number
  readonly refused: number
  readonly violations: readonly Violation[]
}

/** @throws Error when a worker ends by itself, or does not end. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  return withRedis((server) => new Soak(options, server).run(), { persistence: 'aof' })
}

class Soak {
  readonly #options: SoakOptions
  readonly #server: RedisServer
  readonly #random: Random
  readonly #store: FencedStore
  readonly #places: Place[] = []
  readonly #histories: string[] = []
  readonly #violations: Violation[] = []
  /** The last hold that each worker has begun to write under, by the worker's number. */
  readonly #latestHolds: number[] = []
  /** Aborted when there is no sense in going on. */
  readonly #failed = new AbortController()

  constructor(options: SoakOptions, server: RedisServer) {
    this.#options = options
    this.#server = server
    this.#random = new Random(options.seed)
    this.#store = new FencedStore(options.gullibleStore)
  }

  async run(): Promise<SoakReport> {
    const { duration, processes, ttl, faultInterval, faults: only, onProgress } = this.#options
    const random = this.#random.fork()
    try {
      for (let index = 0; index < processes; index += 1) {
        const proxy = await Proxy.start(this.#server.port)
        this.#places.push({ proxy, worker: this.#startWorker(proxy) })
      }
      await Promise.all(this.#places.map(({ worker }) => worker.started))
      const faults = new Faults({
        random,
        server: this.#server,
        places: this.#places,
        ttl,
        interval: faultInterval,
        only,
        replace: (place) => this.#replace(place),
      })
      const startedAt = performance.now()
      const tellProgress = (): void => {
        const seconds = Math.round((performance.now() - startedAt) / 1_000)
        onProgress?.(
          `${seconds} s: ${faults.total} faults, ${this.#store.accepted.length} writes, ${this.#store.refused} refused as stale`,
        )
      }
      const timer = setInterval(tellProgress, PROGRESS)
      try {
        await faults.inflict(duration, this.#failed.signal)
      } finally {
        clearInterval(timer)
        await faults.mend()
      }
      this.#failed.signal.throwIfAborted()
      await this.#recover()
      await this.#finish()
      return this.#report(faults.counts)
    } finally {
      await Promise.all(
        this.#places.map(async ({ proxy, worker }) => {
          await worker.kill()
          await proxy.stop()
        }),
      )
    }
  }

  #startWorker({ port }: Proxy): WorkerProcess {
    const { keys, ttl, directory, lie } = this.#options
    const number = this.#histories.length
    const history = join(directory, `worker-${number}.jsonl`)
    this.#histories.push(history)
    this.#latestHolds.push(0)
    const seed = this.#random.integer(0, 2 ** 31)
    const url = `redis://127.0.0.1:${port}`
    const worker: WorkerProcess = new WorkerProcess({ worker: number, url, keys, ttl, seed, history, lie }, (message) =>
      this.#onMessage(worker, message),
    )
    void worker.gone.then((failure) => {
      if (failure !== undefined) this.#failed.abort(new Error(failure))
    })
    return worker
  }

  async #replace(place: Place): Promise<void> {
    await place.worker.kill()
    place.worker = this.#startWorker(place.proxy)
    await place.worker.started
  }

  #onMessage(worker: WorkerProcess, message: MessageFromWorker): void {
    switch (message.type) {
      case 'ready':
        break
      case 'write': {
        const { write, hold, key, fence } = message
        this.#latestHolds[worker.number] = Math.max(this.#latestHolds[worker.number] ?? 0, hold)
        worker.tell({ type: 'answer', write, isAccepted: this.#store.write(holdId(worker.number, hold), key, fence) })
        break
      }
      case 'detached':
        this.#random.pick(this.#places).worker.tell({ type: 'adopt', lease: message.lease })
        break
      default:
        message satisfies never
    }
  }

  /** Each worker must take locks again, now that nothing is wrong. */
  async #recover(): Promise<void> {
    const workers = this.#places.map(({ worker }) => ({ worker, latest: this.#latestHolds[worker.number] as number }))
    const giveUpAt = performance.now() + PATIENCE
    for (const { worker, latest } of workers) {
      while (this.#latestHolds[worker.number] === latest) {
        this.#failed.signal.throwIfAborted()
        if (performance.now() > giveUpAt) {
          const waited = `${PATIENCE / 1_000} s after the last fault`
          this.#violations.push(new Violation('P23', `worker ${worker.number} has taken no lock until ${waited}`))
          break
        }
        await setTimeout(10)
      }
    }
  }

  async #finish(): Promise<void> {
    const over = new AbortController()
    const late = setTimeout(PATIENCE, 'late', { signal: over.signal })
    late.catch(() => undefined)
    await Promise.all(
      this.#places.map(async ({ worker }) => {
        worker.tell({ type: 'finish' })
        if ((await Promise.race([worker.gone, late])) !== 'late') return
        this.#violations.push(new Violation('P24', `worker ${worker.number} did not end in ${PATIENCE / 1_000} s`))
      }),
    )
    over.abort()
    this.#failed.signal.throwIfAborted()
  }

  #report(faults: Readonly<Record<Fault, number>>): SoakReport {
    const holds = this.#histories.flatMap((path, worker) => readHistory(readFileSync(path, 'utf8'), worker))
    const { accepted, refused } = this.#store
    const violations = [...this.#violations, ...findViolations({ holds, writes: accepted })]
    return { faults, holds, accepted: accepted.length, refused, violations }
  }
}
