/** The process that holds leases on a cluster, as whoever started it sees it, and what the cluster says of its leases. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { machineTime } from '../soak/machine-clock.ts'
import type { RedisCluster } from '../support/redis-cluster.ts'
import type {
  ClusterOutcome,
  ClusterTask,
  Ended,
  MessageFromHolder,
  MessageToHolder,
  Shard,
} from './cluster-messages.ts'

const HOLDER = fileURLToPath(new URL('cluster-holder.ts', import.meta.url))
/** What stands before each key by the manager's default. */
export const PREFIX = 'lease:'

/**
 * Leases that have no key, or somebody else's, and count as held afterwards as well. On a busy machine looking takes seconds, in which the holder may
 * lose a lease, and find that out.
 */
export async function findAstray(cluster: RedisCluster, holder: Holder): Promise<ClusterOutcome[]> {
  const client = cluster.client()
  const stray = new Set<string>()
  await Promise.all(
    heldOf(await holder.report()).map(async ({ key, token }) => {
      const value = await client.get(PREFIX + key)
      if (value === null || !value.startsWith(token)) stray.add(key)
    }),
  )
  const lookedAt = machineTime()
  return heldOf(await holder.report()).filter(({ key, heldAt }) => stray.has(key) && heldAt >= lookedAt)
}

function heldOf(outcomes: Readonly<Record<Shard, readonly ClusterOutcome[]>>): ClusterOutcome[] {
  return [...outcomes.own, ...outcomes.others].filter(({ lost }) => lost === undefined)
}

export class Holder {
  readonly ready: Promise<unknown>
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>
  readonly #waiting: ((message: MessageFromHolder) => void)[] = []

  constructor(task: ClusterTask) {
    this.#process = fork(HOLDER, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    // Thousands of keys are too much for an argument.
    this.#process.send(task)
    this.#gone = once(this.#process, 'close')
    this.#process.on('message', (message: MessageFromHolder) => this.#waiting.shift()?.(message))
    this.ready = this.#next()
    this.ready.catch(() => undefined)
  }

  async endStretch(): Promise<Ended> {
    const message = await this.#ask({ type: 'stretch' })
    if (message.type !== 'stretch') throw new Error(`The holder answered with ${message.type}`)
    return message.ended
  }

  async report(): Promise<Readonly<Record<Shard, readonly ClusterOutcome[]>>> {
    const message = await this.#ask({ type: 'report' })
    if (message.type !== 'report') throw new Error(`The holder answered with ${message.type}`)
    return message.outcomes
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone
  }

  #ask(message: MessageToHolder): Promise<MessageFromHolder> {
    const answer = this.#next()
    this.#process.send(message)
    return answer
  }

  #next(): Promise<MessageFromHolder> {
    const early = this.#gone.then(() => {
      throw new Error('The holder ended by itself')
    })
    return Promise.race([new Promise<MessageFromHolder>((resolve) => this.#waiting.push(resolve)), early])
  }
}
