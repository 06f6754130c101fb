/** The other party on a cluster: a client of its own, and nothing but the commands that anybody may send to each of the masters. */
import { Cluster, type Redis } from 'ioredis'
import { OTHER_TOKEN, type OtherParty } from './other-party.ts'
import { BATCH, batchesOf, COMMAND_BUDGET, CONNECT_BUDGET } from './redis-party.ts'

export class ClusterParty implements OtherParty {
  readonly client: Cluster

  private constructor(client: Cluster) {
    this.client = client
  }

  /** @throws Error that says in one sentence why the cluster cannot be used. */
  static async connect(url: string): Promise<ClusterParty> {
    const client = new Cluster([url], {
      lazyConnect: true,
      slotsRefreshTimeout: CONNECT_BUDGET,
      redisOptions: { connectTimeout: CONNECT_BUDGET, commandTimeout: COMMAND_BUDGET, disconnectTimeout: 100 },
      // A demo whose cluster goes away ends.
      clusterRetryStrategy: () => null,
    })
    let fault: Error | undefined
    client.on('error', (error: Error & { readonly lastNodeError?: Error }) => {
      fault ??= error.lastNodeError ?? error
    })
    try {
      await client.connect()
      return new ClusterParty(client)
    } catch (error) {
      client.disconnect()
      // Of the URL only what is no secret.
      throw new Error(`No cluster can be used at ${new URL(url).host}: ${(fault ?? (error as Error)).message}`)
    }
  }

  /** How many masters there are. */
  get size(): number {
    return this.#masters().length
  }

  async delete(keys: readonly string[]): Promise<number> {
    let deleted = 0
    for (const some of batchesOf(keys)) {
      const counts = await Promise.all(some.map((key) => this.client.del(key)))
      deleted += counts.reduce((total, count) => total + count, 0)
    }
    return deleted
  }

  async replace(keys: readonly string[], ttl: number): Promise<void> {
    for (const some of batchesOf(keys)) {
      await Promise.all(some.map((key) => this.client.set(key, OTHER_TOKEN, 'PX', ttl)))
    }
  }

  async block(duration: number): Promise<void> {
    await Promise.all(
      this.#masters().map(async (master) => {
        await master.client('PAUSE', duration, 'ALL')
        // This client has to wait like everybody else.
        await master.ping()
      }),
    )
  }

  async find(prefix: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    for (const master of this.#masters()) {
      for await (const keys of master.scanStream({ match: `${prefix}*`, count: BATCH })) {
        await this.#read(keys as string[], found)
      }
    }
    return found
  }

  async close(): Promise<void> {
    this.client.disconnect()
  }

  #masters(): readonly Redis[] {
    return this.client.nodes('master')
  }

  async #read(keys: readonly string[], found: Map<string, string>): Promise<void> {
    await Promise.all(
      keys.map(async (key) => {
        const token = await this.client.get(key)
        if (token !== null) found.set(key, token)
      }),
    )
  }
}
