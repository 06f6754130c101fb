/** The other party on Redis: a client of its own, and nothing but the commands that anybody may send. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { OTHER_TOKEN, type OtherParty } from './other-party.ts'

/** How long a server may take to answer the first time, in ms. */
export const CONNECT_BUDGET = 10_000
/** How long a command may take, in ms, a blocked server included. */
export const COMMAND_BUDGET = 30_000
/** Keys in one command. */
export const BATCH = 1_000

export class RedisParty implements OtherParty {
  readonly #client: Redis

  private constructor(client: Redis) {
    this.#client = client
  }

  /** @throws Error that says in one sentence why the server cannot be used. */
  static async connect(url: string): Promise<RedisParty> {
    const client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: CONNECT_BUDGET,
      commandTimeout: COMMAND_BUDGET,
      disconnectTimeout: 100,
      // A demo whose server goes away ends.
      retryStrategy: () => null,
    })
    let fault: Error | undefined
    client.on('error', (error: Error) => {
      fault ??= error
    })
    const isAnswering = client.ping().then(
      () => true,
      (error: Error) => {
        fault ??= error
        return false
      },
    )
    const late = new AbortController()
    const isLate = sleep(CONNECT_BUDGET, false, { signal: late.signal }).catch(() => false)
    const isConnected = await Promise.race([isAnswering, isLate])
    late.abort()
    // With a database that does not exist the server answers, but from another one.
    if (isConnected && fault === undefined) return new RedisParty(client)
    client.disconnect()
    // Of the URL only what is no secret.
    const { host } = new URL(url)
    throw new Error(`No Redis can be used at ${host}: ${fault?.message ?? `no answer in ${CONNECT_BUDGET} ms`}`)
  }

  async delete(keys: readonly string[]): Promise<number> {
    let deleted = 0
    for (const some of batchesOf(keys)) deleted += await this.#client.del(...some)
    return deleted
  }

  async replace(keys: readonly string[], ttl: number): Promise<void> {
    for (const some of batchesOf(keys)) {
      await Promise.all(some.map((key) => this.#client.set(key, OTHER_TOKEN, 'PX', ttl)))
    }
  }

  async block(duration: number): Promise<void> {
    await this.#client.client('PAUSE', duration, 'ALL')
    // This client has to wait like everybody else.
    await this.#client.ping()
  }

  /** With SCAN: KEYS would stall a server that others use as well. */
  async find(prefix: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    for await (const keys of this.#client.scanStream({ match: `${prefix}*`, count: BATCH })) {
      await this.#read(keys as string[], found)
    }
    return found
  }

  async close(): Promise<void> {
    this.#client.disconnect()
  }

  async #read(keys: readonly string[], found: Map<string, string>): Promise<void> {
    if (keys.length === 0) return
    const tokens = await this.#client.mget(...keys)
    keys.forEach((key, index) => {
      const token = tokens[index]
      if (typeof token === 'string') found.set(key, token)
    })
  }
}

export function batchesOf(keys: readonly string[]): readonly (readonly string[])[] {
  const batches: (readonly string[])[] = []
  for (let start = 0; start < keys.length; start += BATCH) batches.push(keys.slice(start, start + BATCH))
  return batches
}
