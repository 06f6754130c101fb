/** Every slot of a cluster goes to another node and comes back, under traffic, and the history of that is judged. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { findAstray, Holder } from '../failover/holder-process.ts'
import { SLOTS, slotsIn } from '../support/cluster-view.ts'
import { type RedisCluster, withRedisCluster } from '../support/redis-cluster.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { Random } from '../simulation/random.ts'
import { judge } from '../soak/checker.ts'
import { FencedStore } from '../soak/fenced-store.ts'
import { type Hold, holdId, readHistory } from '../soak/history.ts'
import { machineTime } from '../soak/machine-clock.ts'
import type { MessageFromWorker } from '../soak/messages.ts'
import { WorkerProcess } from '../soak/worker-process.ts'
import type { MovesArguments } from './arguments.ts'

/** Nodes that hang for so long are not replaced: this is about moves alone. ms. */
const NODE_TIMEOUT = 15_000
/** How long the processes share locks before the first move, and after the last, in ms. */
const SETTLING = 2_000
/** What a worker may take to end, in ms. */
const PATIENCE = 60_000

export interface MovesReport {
  readonly way: 'old' | 'atomic'
  /** How long the moves took, in ms. */
  readonly took: number
  readonly acquisitions: number
  readonly accepted: number
  readonly refused: number
  /** Of the one process that holds leases all the time. */
  readonly held: number
  readonly renewals: number
  /** In words; none should be there. */
  readonly violations: readonly string[]
}

/** @param directory where the histories go. */
export function moveAllSlots(way: 'old' | 'atomic', options: MovesArguments, directory: string): Promise<MovesReport> {
  return withRedisCluster((cluster) => new Moves(cluster, way, options, directory).run(), {
    nodeTimeout: NODE_TIMEOUT,
  })
}

class Moves {
  readonly #cluster: RedisCluster
  readonly #way: 'old' | 'atomic'
  readonly #options: MovesArguments
  readonly #directory: string
  readonly #random: Random
  readonly #store = new FencedStore()
  readonly #workers: WorkerProcess[] = []
  readonly #failures: string[] = []

  constructor(cluster: RedisCluster, way: 'old' | 'atomic', options: MovesArguments, directory: string) {
    this.#cluster = cluster
    this.#way = way
    this.#options = options
    this.#directory = directory
    this.#random = new Random(options.seed)
  }

  async run(): Promise<MovesReport> {
    const { processes, leases, ttl } = this.#options
    const others = Array.from({ length: leases }, (_, number) => `held:${number}`)
    const holder = new Holder({ nodes: this.#cluster.addresses, ttl, keys: { own: [], others } })
    try {
      await holder.ready
      for (let worker = 0; worker < processes; worker += 1) this.#startWorker(worker)
      await Promise.all(this.#workers.map(({ started }) => started))
      await setTimeout(SETTLING)
      await holder.endStretch()
      const startedAt = performance.now()
      await this.#move()
      const took = performance.now() - startedAt
      await setTimeout(Math.max(SETTLING, ttl))
      const { others: stretch } = await holder.endStretch()
      await Promise.all(this.#workers.map((worker) => this.#finish(worker)))
      const outcomes = (await holder.report()).others
      const lost = outcomes.filter((outcome) => outcome.lost !== undefined)
      const { length: astray } = await findAstray(this.#cluster, holder)
      const holds = this.#readHolds()
      return {
        way: this.#way,
        took,
        acquisitions: new Set(holds.map(({ token }) => token)).size,
        accepted: this.#store.accepted.length,
        refused: this.#store.refused,
        held: outcomes.length,
        renewals: stretch.renewals,
        violations: [
          ...this.#failures,
          ...judge({ holds, writes: this.#store.accepted }).violations.map(({ message }) => message),
          ...holds.filter(({ ending }) => ending.startsWith('lost')).map((hold) => `lost: ${JSON.stringify(hold)}`),
          ...lost.map((outcome) => `lost by the one that holds all the time: ${JSON.stringify(outcome)}`),
          ...(outcomes.length < leases ? [`only ${outcomes.length} of ${leases} leases were acquired`] : []),
          ...(astray > 0 ? [`${astray} leases count as held without their key`] : []),
        ],
      }
    } finally {
      await Promise.all([holder.kill(), ...this.#workers.map((worker) => worker.kill())])
    }
  }

  /** One node at a time gives all that it has to the next one, and gets it back. */
  async #move(): Promise<void> {
    const masters = this.#cluster.nodes.slice(0, 3)
    let moved = 0
    for (const [index, home] of masters.entries()) {
      const slots = slotsIn(await this.#cluster.slotsOf(home))
      for (const target of [masters[(index + 1) % masters.length] as RedisServer, home]) {
        await this.#cluster.migrate(slots, target, this.#way)
      }
      moved += slots.length
    }
    if (moved !== SLOTS) throw new Error(`${moved} slots were moved`)
  }

  #startWorker(number: number): void {
    const { keys, ttl } = this.#options
    const worker = new WorkerProcess(
      {
        worker: number,
        route: { nodes: this.#cluster.addresses },
        keys,
        ttl,
        seed: this.#random.integer(0, 2 ** 31),
        history: this.#historyOf(number),
        lie: undefined,
        isSteady: true,
        joints: true,
      },
      (message) => this.#onMessage(worker, message),
    )
    this.#workers.push(worker)
    void worker.gone.then((failure) => {
      if (failure !== undefined) this.#failures.push(failure)
    })
  }

  #onMessage(worker: WorkerProcess, message: MessageFromWorker): void {
    if (message.type === 'write') {
      const { write, hold, key, fence } = message
      worker.tell({ type: 'answer', write, isAccepted: this.#store.write(holdId(worker.number, hold), key, fence) })
    } else if (message.type === 'detached') {
      this.#random.pick(this.#workers).tell({ type: 'adopt', lease: message.lease })
    }
  }

  async #finish(worker: WorkerProcess): Promise<void> {
    const over = new AbortController()
    const late = setTimeout(PATIENCE, 'late', { signal: over.signal }).catch(() => undefined)
    worker.tell({ type: 'finish' })
    if ((await Promise.race([worker.gone, late])) === 'late')
      this.#failures.push(`worker ${worker.number} did not end in ${PATIENCE / 1_000} s`)
    over.abort()
  }

  #historyOf(worker: number): string {
    return join(this.#directory, `${this.#way}-${worker}.jsonl`)
  }

  #readHolds(): Hold[] {
    const offset = Date.now() - machineTime()
    return this.#workers.flatMap(({ number }) =>
      readHistory(readFileSync(this.#historyOf(number), 'utf8'), number, offset),
    )
  }
}
