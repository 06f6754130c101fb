/**
 * A soak: processes that share locks on a real server for some time while things go wrong, a store that they write to
 * under their locks, and a verdict on the history that they leave behind.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Random } from '../simulation/random.ts'
import { Violation } from '../simulation/violation.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { type SentinelGroup, withSentinelGroup } from '../support/sentinel-group.ts'
import { judge, type NamedLoss } from './checker.ts'
import { type Failover, FailoverWatch } from './failovers.ts'
import { type Fault, Faults, type Place } from './faults.ts'
import { FencedStore } from './fenced-store.ts'
import { type Hold, holdId, readHistory } from './history.ts'
import { machineTime } from './machine-clock.ts'
import type { Lie, MessageFromWorker, Route, WorkerTask } from './messages.ts'
import { Network } from './network.ts'
import { WorkerProcess } from './worker-process.ts'

/** How long a worker may take to come to itself when nothing is wrong any more, and how long to end, in ms. */
const PATIENCE = 60_000
/** ms of silence after which a Sentinel takes a server for dead. */
const DOWN_AFTER = 1_000
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
  /** Whether the server is a group that Sentinels look after, with failovers among the faults. Default false. */
  readonly sentinel?: boolean
  readonly onProgress?: (line: string) => void
  /** To show that the checker finds out: how the workers break the rules. */
  readonly lie?: Lie
  /** To show that the checker finds out: a store that refuses nothing. */
  readonly gullibleStore?: boolean
}

export interface SoakReport {
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  readonly failovers: readonly Failover[]
  readonly holds: readonly Hold[]
  /** Writes that the store accepted, and that it refused as stale. */
  readonly accepted: number
  readonly refused: number
  readonly violations: readonly Violation[]
  /** What failovers cost that docs/guarantees.md names. */
  readonly named: readonly NamedLoss[]
}

/** @throws Error when a worker ends by itself, or does not end. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  if (options.sentinel !== true) {
    return withRedis((server) => new Soak(options, { servers: [server] }).run(), { persistence: 'aof' })
  }
  const runOn = async (group: SentinelGroup): Promise<SoakReport> => {
    const watch = new FailoverWatch(group, options.keys)
    try {
      await watch.start()
      return await new Soak(options, { servers: group.servers, group, watch }).run()
    } finally {
      watch.stop()
    }
  }
  return withSentinelGroup(runOn, { downAfter: DOWN_AFTER, persistence: 'aof' })
}

/** What the workers share. */
interface Site {
  readonly servers: readonly [RedisServer, ...RedisServer[]]
  readonly group?: SentinelGroup
  readonly watch?: FailoverWatch
}

class Soak {
  readonly #options: SoakOptions
  readonly #site: Site
  readonly #random: Random
  readonly #store: FencedStore
  readonly #places: Place[] = []
  readonly #histories: string[] = []
  readonly #violations: Violation[] = []
  /** The last hold that each worker has begun to write under, by the worker's number. */
  readonly #latestHolds: number[] = []
  /** Aborted when there is no sense in going on. */
  readonly #failed = new AbortController()

  constructor(options: SoakOptions, site: Site) {
    this.#options = options
    this.#site = site
    this.#random = new Random(options.seed)
    this.#store = new FencedStore(options.gullibleStore)
  }

  async run(): Promise<SoakReport> {
    const { duration, processes, ttl, faultInterval, faults: only, onProgress } = this.#options
    const { servers, group, watch } = this.#site
    const random = this.#random.fork()
    try {
      for (let index = 0; index < processes; index += 1) {
        const network = await Network.start(servers.map(({ port }) => port))
        this.#places.push({ network, worker: this.#startWorker(network) })
      }
      await Promise.all(this.#places.map(({ worker }) => worker.started))
      const faults = new Faults({
        random,
        server: servers[0],
        replacement: group && { group, downAfter: DOWN_AFTER, onFault: () => watch?.onFault() },
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
        this.#places.map(async ({ network, worker }) => {
          await worker.kill()
          await network.stop()
        }),
      )
    }
  }

  #startWorker(network: Network): WorkerProcess {
    const { keys, ttl, directory, lie } = this.#options
    const number = this.#histories.length
    const history = join(directory, `worker-${number}.jsonl`)
    this.#histories.push(history)
    this.#latestHolds.push(0)
    const seed = this.#random.integer(0, 2 ** 31)
    const route = this.#routeThrough(network)
    // What a failover costs is known of plain locks only.
    const joints = this.#site.group === undefined
    const task: WorkerTask = { worker: number, route, keys, ttl, seed, history, lie, joints }
    const worker: WorkerProcess = new WorkerProcess(task, (message) => this.#onMessage(worker, message))
    void worker.gone.then((failure) => {
      if (failure !== undefined) this.#failed.abort(new Error(failure))
    })
    return worker
  }

  #routeThrough(network: Network): Route {
    const { group } = this.#site
    const at = (port: number) => ({ host: '127.0.0.1', port })
    if (group === undefined) return { url: `redis://127.0.0.1:${network.ports[0]?.[1]}` }
    const natMap = Object.fromEntries(network.ports.map(([server, proxy]) => [`127.0.0.1:${server}`, at(proxy)]))
    return { name: group.name, sentinels: group.addresses, natMap }
  }

  async #replace(place: Place): Promise<void> {
    await place.worker.kill()
    place.worker = this.#startWorker(place.network)
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

  #report(faults: SoakReport['faults']): SoakReport {
    const offset = Date.now() - machineTime()
    const holds = this.#histories.flatMap((path, worker) => readHistory(readFileSync(path, 'utf8'), worker, offset))
    const { accepted, refused } = this.#store
    const failovers = this.#site.watch?.failovers ?? []
    const { violations, named } = judge({ holds, writes: accepted, failovers })
    const all = [...this.#violations, ...violations]
    return { faults, failovers, holds, accepted: accepted.length, refused, violations: all, named }
  }
}
