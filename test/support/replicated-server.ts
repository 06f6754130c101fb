/** A server of one's own with replicas. */
import { type Proxy, withProxy } from './proxy.ts'
import { RedisServer, withRedis } from './redis-server.ts'
import { until } from './until.ts'

export interface Replicated {
  readonly master: RedisServer
  readonly replicas: readonly RedisServer[]
}

export interface SlowlyReplicated {
  readonly master: RedisServer
  readonly replica: RedisServer
  /** Between the two: `down` is what the replica is sent. */
  readonly line: Proxy
}

/** Otherwise the master waits for 5 s for more replicas before it sends its data to the first. */
const AT_ONCE = ['--repl-diskless-sync-delay', '0']

/** Runs `work` with a server whose replicas have all of its data. Everything ends afterwards, whatever happened. */
export async function withReplicas<T>(count: number, work: (parts: Replicated) => Promise<T>): Promise<T> {
  return withRedis(
    async (master) => {
      const replicas: RedisServer[] = []
      try {
        while (replicas.length < count) replicas.push(await startReplica(master.port))
        await untilAcknowledged(master, count)
        return await work({ master, replicas })
      } finally {
        await Promise.all(replicas.map((replica) => replica.stop()))
      }
    },
    { args: AT_ONCE },
  )
}

/** As `withReplicas`, with one that is sent everything through a proxy. */
export function withSlowReplica<T>(work: (parts: SlowlyReplicated) => Promise<T>): Promise<T> {
  return withRedis(
    (master) =>
      withProxy(master.port, async (line) => {
        const replica = await startReplica(line.port)
        try {
          await untilAcknowledged(master, 1)
          return await work({ master, replica, line })
        } finally {
          await replica.stop()
        }
      }),
    { args: AT_ONCE },
  )
}

/**
 * Resolves when so many replicas have everything. A new one may say so a second after its master has taken it up.
 * @param key is written, and deleted again.
 */
export async function untilAcknowledged(master: RedisServer, count: number, key = 'copied'): Promise<void> {
  await until(`${count} replicas have everything`, async () => {
    await master.command('SET', key, 'so far')
    return Number(await master.command('WAIT', count, 200)) >= count
  })
  await master.command('DEL', key)
}

function startReplica(port: number): Promise<RedisServer> {
  return RedisServer.start({ args: [...AT_ONCE, '--replicaof', `127.0.0.1 ${port}`] })
}
