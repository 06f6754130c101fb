/** Promises several servers that nobody has used yet, and that they are gone afterwards. */
import { type RedisServer, withRedis } from '../test/support/redis-server.ts'

export function withSeveral<T>(count: number, work: (servers: readonly RedisServer[]) => Promise<T>): Promise<T> {
  const start = (servers: readonly RedisServer[]): Promise<T> =>
    servers.length === count ? work(servers) : withRedis((server) => start([...servers, server]))
  return start([])
}
