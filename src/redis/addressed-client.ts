/** Makes clients for servers that a URL alone does not describe. It loads ioredis only if it is called: the command line has commands that need none. */
import type * as Ioredis from 'ioredis'

/** Where a server is found. */
export interface Address {
  /** That of a Sentinel or of a node of a cluster. */
  readonly url: string
  /** The name of the group, if the URL is that of a Sentinel; otherwise it is that of a node of a cluster. */
  readonly sentinel: string | undefined
}

/** @returns a client that has not connected. @throws TypeError if the text is no URL. */
export async function makeClient({ url, sentinel }: Address): Promise<Ioredis.Redis | Ioredis.Cluster> {
  if (!URL.canParse(url)) throw new TypeError('Expected --redis to be a URL, as redis://localhost:26379')
  const { Redis, Cluster } = await import('ioredis')
  const { hostname, port, username, password, pathname, protocol } = new URL(url)
  const common = {
    lazyConnect: true,
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  }
  // The URL names one node; the others take the same login.
  if (sentinel === undefined) return new Cluster([url], { lazyConnect: true, redisOptions: common })
  return new Redis({
    ...common,
    sentinels: [{ host: hostname, port: Number(port || 26_379) }],
    name: sentinel,
    db: Number(pathname.slice(1) || 0),
    ...(protocol === 'rediss:' && { enableTLSForSentinelMode: true }),
  })
}
