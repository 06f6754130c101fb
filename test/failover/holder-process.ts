/** The process that holds leases on a cluster, as whoever started it sees it, and what the cluster says of its leases. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { RedisCluster } from '../support/redis-cluster.ts'
import type {
  ClusterOutcome,
  ClusterTask,
  MessageFromHolder,
  MessageToHolder,
  Shard,
  Stretch,
} from './cluster-messages.ts'

const HOLDER = fileURLToPath(new URL('cluster-holder.ts', import.meta.url))
/** What stands before each key by the manager's default. */
export const PREFIX = 'lease:'

/** Of those that count as held, how many have no key, or somebody else's. */
export async function countAstray(cluster: RedisCluster, outcomes: readonly ClusterOutcome[]): Promise<number> {
  const client = cluster.client()
  const held = outcomes.filter(({ lost }) => lost === undefined)
  const isAstray = await Promise.all(
    held.map(async ({ key, token }) => {
      const value = await client.get(PREFIX + key)
      return value === null || !value.startsWith(token)
    }),
  )
  return isAstray.filter(Boolean).length
}

export class Holder {
  readonly ready: Promise<unknown>
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>
  readonly #waiting: ((message: MessageFromHolder) => void)[] = []

  constructor(task: ClusterTask) {
    this.#process = fork(HOLDER, [JSON.stringify(task)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#gone = once(this.#process, 'close')
    this.#process.on('message', (message: MessageFromHolder) => this.#waiting.shift()?.(message))
    this.ready = this.#next()
    this.ready.catch(() => undefined)
  }

  async endStretch(): Promise<Readonly<Record<Shard, Stretch>>> {
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
