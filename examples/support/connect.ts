/**
 * Where the locks of the examples are: on the Redis that REDIS_URL names, on the cluster of which REDIS_CLUSTER_URL names a node, or in the
 * memory of this process. A program of your own just makes its ioredis client, as below, and hands it to the `LeaseManager`.
 */
import { Cluster, Redis } from 'ioredis'
import { MemoryBackend, MemoryStore } from 'leasewheel/memory'

export type Connection = Redis | Cluster | MemoryBackend

/** ms. An example that waits in vain for what it should show has failed; unreferenced, so it keeps no other waiting. */
const LIMIT = 100_000
setTimeout(() => {
  console.error(`This example should have come to its end within ${LIMIT} ms`)
  process.exit(1)
}, LIMIT).unref()

/** All that connect without a server meet here, as they would meet on a server. */
const store = new MemoryStore()

export function connect(): Connection {
  const { REDIS_URL: url, REDIS_CLUSTER_URL: node } = process.env
  // The manager connects with this client's options, and the client itself only when it is used.
  if (node) return new Cluster([node], { lazyConnect: true })
  if (url) return new Redis(url, { lazyConnect: true })
  return new MemoryBackend({ store })
}

/** A manager closes the connections it has made, and a backend, but not the client that it was given. */
export function disconnect(...connections: readonly Connection[]): void {
  for (const connection of connections) if (!(connection instanceof MemoryBackend)) connection.disconnect()
}
