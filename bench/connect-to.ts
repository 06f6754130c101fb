/** Promises a client such as an application has: of one server, or of a cluster if there are several addresses. */
import { Cluster, Redis } from 'ioredis'

/** @param url of a server, or those of a cluster's nodes, with commas between them */
export function connectTo(url: string): Redis | Cluster {
  const urls = url.split(',')
  return urls.length === 1 ? new Redis(url) : new Cluster(urls)
}
