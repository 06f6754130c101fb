/** Promises a client such as an application has: of one server, or of a cluster where there are several addresses. */
import { Cluster, Redis } from 'ioredis'

/** @param url of a server, or those of a cluster's nodes, with commas between them */
export function connectTo(url: string): Redis {
  const urls = url.split(',')
  if (urls.length === 1) return new Redis(url)
  // By what a lock library asks of a client the two cannot be told apart.
  return new Cluster(urls) as unknown as Redis
}
