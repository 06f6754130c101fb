/**
 * A soak on a quorum: processes that share locks on five servers, of which two at a time are killed and come back without their data, while others hang
 * and processes are stopped. Judged as any other soak, and by what is left on the servers.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Random } from '../simulation/random.ts'
import { Violation } from '../simulation/violation.ts'
import { RedisServer } from '../support/redis-server.ts'
import { judge } from './checker.ts'
import { FencedStore } from './fenced-store.ts'
import { type Hold, holdId, readHistory } from './history.ts'
import { machineTime } from './machine-clock.ts'
import type { Lie, WorkerTask } from './messages.ts'
import { WorkerProcess } from './worker-process.ts'

/** How long a worker may take to end, in ms. */
const PATIENCE = 60_000

export interface QuorumSoakOptions {
  /** How long things go wrong, in ms; longer if no member has restarted until then. */
  readonly duration: number
  readonly members: number
  readonly processes: number
  /** Locks that the processes share. */
  readonly keys: number
  /** Locks that are held all the time, divided among the processes. Default: none. */
  readonly leases?: number
  /** ms. */
  readonly ttl: number
  readonly seed: number
  /** Where the histories go: a folder that is there. */
  readonly directory: string
  readonly onProgress?: (line: string) => void
  /** To show that the checker finds out: for how long restarted members have no vote, in ms. */
  readonly restartDelay?: number
  readonly lie?: Lie
}

export interface QuorumSoakReport {
  readonly faults: Readonly<Record<'restarts' | 'hangs' | 'stops' | 'kills', number>>
  readonly holds: readonly Hold[]
  /** How many of the `leases` were held, and how many of their holds ended in a loss. */
  readonly standing: { readonly keys: number; readonly lost: number }
  readonly accepted: number
  readonly refused: number
  readonly violations: readonly Violation[]
}

export async function runQuorumSoak(options: QuorumSoakOptions): Promise<QuorumSoakReport> {
  const servers = await Promise.all(Array.from({ length: options.members }, () => RedisServer.start()))
  try {
    return await new QuorumSoak(options, servers).run()
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

class QuorumSoak {
  readonly #options: QuorumSoakOptions
  readonly #servers: readonly RedisServer[]
  readonly #random: Random
  readonly #store = new FencedStore()
  readonly #histories: string[] = []
  readonly #violations: Violation[] = []
  readonly #faults = { restarts: 0, hangs: 0, stops: 0, kills: 0 }
  #workers: WorkerProcess[] = []
  readonly #seats = new Map<WorkerProcess, number>()
  #failure: Error | undefined

  constructor(options: QuorumSoakOptions, servers: readonly RedisServer[]) {
    this.#options = options
    this.#servers = servers
    this.#random = new Random(options.seed)
  }

  async run(): Promise<QuorumSoakReport> {
    const { processes, duration, ttl, onProgress } = this.#options
    try {
      // Servers that were just started have no vote yet.
      await setTimeout(2 * ttl)
      for (let seat = 0; seat < processes; seat += 1) this.#start(seat)
      await Promise.all(this.#workers.map(({ started }) => started))
      const endAt = machineTime() + duration
      while ((machineTime() < endAt || this.#faults.restarts === 0) && this.#failure === undefined) {
        await this.#inflict()
        const { restarts } = this.#faults
        onProgress?.(
          `${restarts} restarts, ${this.#store.accepted.length} writes, ${this.#store.refused} refused as stale`,
        )
      }
      await this.#untilHeld()
      await this.#finish()
      if (this.#failure) throw this.#failure
      await this.#lookForRests()
      return this.#report()
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.kill()))
    }
  }

  /** @param seat which part of the `leases` is its own. */
  #start(seat: number): void {
    const { keys, leases = 0, processes, ttl, directory, restartDelay = 2 * ttl, lie } = this.#options
    const worker = this.#histories.length
    const history = join(directory, `worker-${worker}.jsonl`)
    this.#histories.push(history)
    const seed = this.#random.integer(0, 2 ** 31)
    const route = { members: this.#servers.map(({ url }) => url), restartDelay }
    const [first, next] = [seat, seat + 1].map((at) => Math.floor((at * leases) / processes)) as [number, number]
    const standing = { first, count: next - first }
    const task: WorkerTask = { worker, route, keys, ttl, seed, history, lie, standing }
    const started: WorkerProcess = new WorkerProcess(task, (message) => {
      if (message.type === 'write') {
        const { write, hold, key, fence } = message
        const isAccepted = this.#store.write(holdId(worker, hold), key, fence)
        started.tell({ type: 'answer', write, isAccepted })
      } else if (message.type === 'detached') {
        this.#random.pick(this.#workers).tell({ type: 'adopt', lease: message.lease })
      }
    })
    void started.gone.then((failure) => {
      if (failure !== undefined) this.#failure ??= new Error(failure)
    })
    this.#workers.push(started)
    this.#seats.set(started, seat)
  }

  /** Two members are killed one after the other, and come back without their data. */
  async #inflict(): Promise<void> {
    const random = this.#random
    const { ttl } = this.#options
    const index = random.integer(0, this.#servers.length - 1)
    const [first, second] = [0, 1].map((by) => this.#servers[(index + by) % this.#servers.length] as RedisServer)
    const fault = random.weighted({ restarts: 4, hangs: 2, stops: 2, kills: 1 })
    this.#faults[fault] += 1
    switch (fault) {
      case 'restarts':
        for (const server of [first, second]) {
          await server?.kill()
          await setTimeout(random.between(0, ttl))
          await server?.restart()
        }
        break
      case 'hangs':
        first?.pause()
        await setTimeout(random.between(0, 3 * ttl))
        first?.resume()
        break
      case 'stops': {
        const worker = random.pick(this.#workers)
        worker.stop()
        await setTimeout(random.between(0, 2 * ttl))
        worker.resume()
        break
      }
      case 'kills': {
        const worker = random.pick(this.#workers)
        this.#workers = this.#workers.filter((other) => other !== worker)
        await worker.kill()
        this.#start(this.#seats.get(worker) ?? 0)
        // One that is killed before it begins has no history.
        await this.#workers.at(-1)?.started
        break
      }
      default:
        fault satisfies never
    }
    await setTimeout(random.between(0, ttl))
  }

  /** On a slow machine things have gone wrong for long before every one of the `leases` was held once. */
  async #untilHeld(): Promise<void> {
    const { leases = 0 } = this.#options
    const endAt = machineTime() + PATIENCE
    while (machineTime() < endAt && this.#failure === undefined) {
      const held = new Set(
        this.#holds()
          .filter(isStanding)
          .map(({ key }) => key),
      )
      if (held.size >= leases) return
      await setTimeout(this.#options.ttl / 2)
    }
  }

  #holds(): readonly Hold[] {
    const offset = Date.now() - machineTime()
    return this.#histories.flatMap((path, worker) => readHistory(readFileSync(path, 'utf8'), worker, offset))
  }

  async #finish(): Promise<void> {
    const late = setTimeout(PATIENCE, 'late', { ref: false })
    await Promise.all(
      this.#workers.map(async (worker) => {
        await worker.started
        worker.tell({ type: 'finish' })
        if ((await Promise.race([worker.gone, late])) !== 'late') return
        this.#violations.push(new Violation('P24', `worker ${worker.number} did not end in ${PATIENCE / 1_000} s`))
      }),
    )
  }

  async #lookForRests(): Promise<void> {
    // Keys of workers that were killed expire.
    await setTimeout(3 * this.#options.ttl)
    for (const { command, port } of this.#servers.map((server) => ({
      command: server.command.bind(server),
      port: server.port,
    }))) {
      const keys = (await command('KEYS', 'lease:*')) as string[]
      if (keys.length > 0)
        this.#violations.push(
          new Violation(
            'P11',
            `${keys.length} keys were left on the server at ${port}: ${keys.slice(0, 20).join(', ')}`,
          ),
        )
    }
  }

  #report(): QuorumSoakReport {
    const holds = this.#holds()
    const { accepted, refused } = this.#store
    const { violations } = judge({ holds, writes: accepted })
    const all = [...this.#violations, ...violations]
    const lasting = holds.filter(isStanding)
    const standing = {
      keys: new Set(lasting.map(({ key }) => key)).size,
      lost: lasting.filter(({ ending }) => ending.startsWith('lost')).length,
    }
    return { faults: this.#faults, holds, standing, accepted: accepted.length, refused, violations: all }
  }
}

function isStanding({ key }: Hold): boolean {
  return key.startsWith('standing ')
}
