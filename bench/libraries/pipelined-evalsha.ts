/**
 * No library: each lock is renewed by a script of its own, and the calls for one node travel in a pipeline. What that costs is what a library
 * on a cluster pays at least, unless it renews several locks in one call. It follows no redirection.
 */
import { createHash, randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Held, Holder, Library } from '../library.ts'

const COMPARE_AND_EXTEND = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`
const SHA = createHash('sha1').update(COMPARE_AND_EXTEND).digest('hex')
/** Commands in one pipeline. */
const PIPELINE = 256
/** In so many parts the locks of a node are renewed, one after another, within a third of the ttl. */
const PARTS = 20

interface Node {
  readonly client: Redis
  readonly keys: string[]
}

class PipelinedHolder implements Holder {
  readonly #nodes: readonly Node[]
  /** Which node serves a slot. */
  readonly #owners: readonly Node[]
  readonly #ttl: number
  readonly #token: string = randomUUID()
  #timer: NodeJS.Timeout | undefined
  #lost = 0

  constructor(nodes: readonly Node[], owners: readonly Node[], ttl: number) {
    this.#nodes = nodes
    this.#owners = owners
    this.#ttl = ttl
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    const [first] = this.#nodes as [Node]
    await inPipelines(
      first.client,
      keys,
      (pipeline, key) => pipeline.cluster('KEYSLOT', key),
      (key, slot) => {
        this.#owners[slot as number]?.keys.push(key)
      },
    )
    for (const { client, keys: own } of this.#nodes) {
      await inPipelines(
        client,
        own,
        (pipeline, key) => pipeline.set(key, this.#token, 'PX', this.#ttl, 'NX'),
        (key, answer) => {
          if (answer !== 'OK') throw new Error(`${key} was refused`)
        },
      )
    }
    let part = 0
    this.#timer = setInterval(
      () => {
        for (const node of this.#nodes) void this.#renew(node, part)
        part = (part + 1) % PARTS
      },
      this.#ttl / 3 / PARTS,
    )
  }

  async releaseAll(): Promise<void> {
    clearInterval(this.#timer)
    for (const { client, keys } of this.#nodes) {
      await inPipelines(
        client,
        keys.splice(0),
        (pipeline, key) => pipeline.del(key),
        () => undefined,
      )
    }
  }

  take(): Promise<Held> {
    throw new Error('It takes many locks only')
  }

  acquire(): Promise<Held> {
    return this.take()
  }

  held(): number {
    return this.#nodes.reduce((total, { keys }) => total + keys.length, 0) - this.#lost
  }

  lost(): number {
    return this.#lost
  }

  async close(): Promise<void> {
    await this.releaseAll()
    for (const { client } of this.#nodes) client.disconnect()
  }

  async #renew({ client, keys }: Node, part: number): Promise<void> {
    const [from, to] = [part, part + 1].map((number) => Math.floor((number * keys.length) / PARTS))
    const extend = (pipeline: Pipeline, key: string): unknown => pipeline.evalsha(SHA, 1, key, this.#token, this.#ttl)
    await inPipelines(client, keys.slice(from, to), extend, (_key, answer) => {
      if (answer !== 1) this.#lost += 1
    })
  }
}

type Pipeline = ReturnType<Redis['pipeline']>

async function inPipelines(
  client: Redis,
  keys: readonly string[],
  add: (pipeline: Pipeline, key: string) => unknown,
  use: (key: string, answer: unknown) => void,
): Promise<void> {
  for (let from = 0; from < keys.length; from += PIPELINE) {
    const some = keys.slice(from, from + PIPELINE)
    const pipeline = client.pipeline()
    for (const key of some) add(pipeline, key)
    const answers = (await pipeline.exec()) ?? []
    for (const [index, [error, answer]] of answers.entries()) use(some[index] as string, error ?? answer)
  }
}

export const pipelinedEvalsha: Library = {
  async open(url, ttl) {
    const nodes = url.split(',').map((one) => ({ client: new Redis(one), keys: [] as string[] }))
    const [first] = nodes as [Node]
    await Promise.all(nodes.map(({ client }) => client.script('LOAD', COMPARE_AND_EXTEND)))
    const owners: Node[] = []
    for (const [begin, end, master] of await first.client.cluster('SLOTS')) {
      const owner = nodes.find(({ client }) => client.options.port === master?.[1])
      if (owner === undefined) throw new Error(`No address was given for the node at port ${master?.[1]}`)
      owners.push(...Array.from({ length: end - begin + 1 }, () => owner))
    }
    return new PipelinedHolder(nodes, owners, ttl)
  },
}
