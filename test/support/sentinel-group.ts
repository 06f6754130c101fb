/**
 * A Redis Sentinel group of one's own: a master, two replicas and three Sentinels, of which two must agree. All run on
 * free ports of 127.0.0.1 and end with the test.
 */
import { RedisServer, type ServerOptions, withRedis } from './redis-server.ts'
import { until } from './until.ts'

/** The name by which the Sentinels know the master. */
export const PRIMARY = 'primary'

/** How often Sentinels tell one another of themselves: in Redis, and while the group starts. ms. */
const PUBLISH_PERIOD = { usual: 2_000, starting: 100 }

export interface SentinelGroupOptions {
  /** ms of silence after which a Sentinel takes a server for dead. Default 1000. */
  readonly downAfter?: number
  /** ms. A failover that takes longer is given up. The Sentinels wait for twice as long before they try again. Default 5000. */
  readonly failoverTimeout?: number
  /** More arguments for the master and its replicas: `['--min-replicas-to-write', '1']`. */
  readonly args?: readonly string[]
  /** What outlives the kill of a server. Default `none`. */
  readonly persistence?: ServerOptions['persistence']
}

/** What was seen of one failover. Times are on the scale of `performance.now()`. */
export interface Switch {
  /** The old master's port. */
  readonly from: number
  /** The new master's port. */
  readonly to: number
  /** When it was asked for. */
  readonly askedAt: number
  /** When the Sentinels named the new master. */
  readonly at: number
}

export class SentinelGroup {
  /** The name by which clients ask for the master. */
  readonly name: string = PRIMARY
  /** The master of the beginning, then its two replicas. */
  readonly servers: readonly [RedisServer, RedisServer, RedisServer]
  readonly sentinels: readonly [RedisServer, RedisServer, RedisServer]

  private constructor(servers: SentinelGroup['servers'], sentinels: SentinelGroup['sentinels']) {
    this.servers = servers
    this.sentinels = sentinels
  }

  /** Starts a group. Resolves when the Sentinels know one another and both replicas have all of the master's data. */
  static async start(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
    const { downAfter = 1_000, failoverTimeout = 5_000, args = [], persistence = 'none' } = options
    const started: RedisServer[] = []
    const begin = async (serverOptions: ServerOptions): Promise<RedisServer> => {
      const server = await RedisServer.start(serverOptions)
      started.push(server)
      return server
    }
    try {
      // Otherwise the master waits for 5 s for more replicas before it sends its data to the first.
      const common = ['--repl-diskless-sync-delay', '0', ...args]
      const master = await begin({ args: common, persistence })
      const follow = ['--replicaof', `127.0.0.1 ${master.port}`]
      const replica = (): Promise<RedisServer> => begin({ args: [...common, ...follow], persistence })
      const servers = [master, ...(await both(replica))] as const
      await until('both replicas follow', async () => {
        const text = (await master.command('INFO', 'replication')) as string
        return (text.match(/state=online/g) ?? []).length === 2
      })
      const lines = [
        `sentinel monitor ${PRIMARY} 127.0.0.1 ${master.port} 2`,
        `sentinel down-after-milliseconds ${PRIMARY} ${downAfter}`,
        `sentinel failover-timeout ${PRIMARY} ${failoverTimeout}`,
      ]
      const sentinel = (): Promise<RedisServer> => begin({ sentinel: lines })
      const sentinels = [await sentinel(), ...(await both(sentinel))] as const
      const group = new SentinelGroup(servers, sentinels)
      await group.#untilAcquainted()
      return group
    } catch (error) {
      await Promise.all(started.map((server) => server.stop()))
      throw error
    }
  }

  /** Where the Sentinels are, as ioredis wants to know it. */
  get addresses(): { host: string; port: number }[] {
    return this.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
  }

  /** The port of the server that a Sentinel now names as the master. */
  async masterPort(sentinel: RedisServer = this.sentinels[0]): Promise<number> {
    const address = await sentinel.command('SENTINEL', 'get-master-addr-by-name', this.name)
    return Number((address as string[])[1])
  }

  /** The server that the Sentinels now name as the master. */
  async master(): Promise<RedisServer> {
    return this.at(await this.masterPort())
  }

  /** The two that the Sentinels do not name as the master now. */
  async replicas(): Promise<RedisServer[]> {
    const port = await this.masterPort()
    return this.servers.filter((server) => server.port !== port)
  }

  /** The server at this port. */
  at(port: number): RedisServer {
    const found = this.servers.find((server) => server.port === port)
    if (found === undefined) throw new Error(`No server of the group is at port ${port}`)
    return found
  }

  /**
   * A planned failover: resolves when all Sentinels name the new master. The old one still takes writes, and goes on to
   * for some 10 s, until a Sentinel tells it to follow.
   * @param words more words for `SENTINEL FAILOVER primary`, such as `COORDINATED` (Valkey 9).
   */
  async failover(...words: readonly string[]): Promise<Switch> {
    const from = await this.masterPort()
    let askedAt = 0
    let refusal = ''
    await until(
      () => `a failover may begin (${refusal})`,
      async () => {
        askedAt = performance.now()
        // Refused while the last one is not over, and while no replica is good enough.
        return this.sentinels[0].command('SENTINEL', 'FAILOVER', this.name, ...words).then(
          () => true,
          (error: Error) => {
            refusal = error.message
            if (/^(INPROG|NOGOODSLAVE)/.test(refusal)) return false
            throw error
          },
        )
      },
    )
    return this.untilSwitched(from, askedAt)
  }

  /** Resolves when all Sentinels name another master than the one at this port. None of them may be paused or killed. */
  async untilSwitched(from: number, askedAt: number = performance.now()): Promise<Switch> {
    let to = from
    await until(`the Sentinels name another master than ${from}`, async () => {
      to = await this.masterPort()
      return to !== from
    })
    const at = performance.now()
    await until(`all Sentinels name ${to}`, async () => {
      const ports = await Promise.all(this.sentinels.map((sentinel) => this.masterPort(sentinel)))
      return ports.every((port) => port === to)
    })
    return { from, to, askedAt, at }
  }

  /** Resolves when the master has two replicas that follow it: after a failover, when the old master has become one of them. */
  async untilWhole(): Promise<void> {
    await until('the master has both replicas', async () => {
      const master = await this.master()
      const text = (await master.command('INFO', 'replication')) as string
      return (text.match(/state=online/g) ?? []).length === 2
    })
  }

  /** Ends everything, stopped and killed servers too. Repeatable. */
  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()))
  }

  async #untilAcquainted(): Promise<void> {
    const period = (ms: number): Promise<unknown> =>
      Promise.all(
        // Unknown before Redis 7: the group takes 2 s longer then.
        this.sentinels.map((one) => one.command('SENTINEL', 'DEBUG', 'publish-period', ms).catch(() => undefined)),
      )
    await period(PUBLISH_PERIOD.starting)
    await until('the Sentinels know one another', async () => {
      const views = await Promise.all(
        this.sentinels.map((sentinel) => sentinel.command('SENTINEL', 'MASTER', this.name)),
      )
      return views.every((view) => {
        const fields = fieldsOf(view)
        return (
          fields.get('num-slaves') === '2' &&
          fields.get('num-other-sentinels') === '2' &&
          fields.get('flags') === 'master'
        )
      })
    })
    await period(PUBLISH_PERIOD.usual)
  }
}

/** Runs `work` with a group of its own, which is ended afterwards whatever happened. */
export async function withSentinelGroup<T>(
  work: (group: SentinelGroup) => Promise<T>,
  options: SentinelGroupOptions = {},
): Promise<T> {
  const group = await SentinelGroup.start(options)
  try {
    return await work(group)
  } finally {
    await group.stop()
  }
}

/** Runs `work` with the port of a lone Sentinel, which knows this server as `PRIMARY` and has nothing to replace it by. */
export function withSentinel<T>(server: RedisServer, work: (port: number) => Promise<T>): Promise<T> {
  return withRedis(({ port }) => work(port), { sentinel: [`sentinel monitor ${PRIMARY} 127.0.0.1 ${server.port} 1`] })
}

function both<T>(begin: () => Promise<T>): Promise<[T, T]> {
  return Promise.all([begin(), begin()])
}

/** A flat reply of names and values. */
function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const flat = Array.isArray(reply) ? (reply as string[]) : Object.entries(reply as object).flat()
  const fields = new Map<string, string>()
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(flat[index] as string, flat[index + 1] as string)
  return fields
}
