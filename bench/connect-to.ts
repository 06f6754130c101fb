/** Promises clients such as an application has: of one server, of a cluster, or of the members of a quorum. */
import { Cluster, Redis } from 'ioredis'

/** @param url of a server, or those of a cluster's nodes, with commas between them */
export function connectTo(url: string): Redis | Cluster {
  const urls = url.split(',')
  return urls.length === 1 ? new Redis(url) : new Cluster(urls)
}

/** Between the addresses of the members of a quorum. */
const MEMBERS = '+'

/** @param urls those of the members of a quorum; one of them means no quorum. */
export function joinMembers(urls: readonly string[]): string {
  return urls.join(MEMBERS)
}

/** @param url see `joinMembers` */
export function membersOf(url: string): string[] {
  return url.split(MEMBERS)
}
