/** Where the demo's locks are, and who else is there: in memory, on a server, or on a cluster. */
import type { Redis } from 'ioredis'
import type { Backend } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import type { DemoArguments } from './arguments.ts'
import { ClusterParty } from './cluster-party.ts'
import { MemoryParty } from './memory-party.ts'
import type { OtherParty } from './other-party.ts'
import { RedisParty } from './redis-party.ts'

export interface DemoBackend {
  readonly description: string
  /** What the manager is given. */
  readonly connection: Backend | Redis | string
  readonly otherParty: OtherParty
}

/**
 * @param settings with the URL of a server, or of a cluster's node; none: memory.
 * @throws Error that says in one sentence why the server cannot be used.
 */
export async function openBackend({
  redis: url,
  cluster,
}: Pick<DemoArguments, 'redis' | 'cluster'>): Promise<DemoBackend> {
  if (url === undefined) {
    const backend = new MemoryBackend()
    return {
      description: 'the memory backend (no server needed; REDIS_URL or --redis URL names one)',
      connection: backend,
      otherParty: new MemoryParty(backend),
    }
  }
  if (cluster) {
    const party = await ClusterParty.connect(url)
    return {
      description: `the cluster of ${party.size} masters with a node at ${new URL(url).host}`,
      // The manager makes its own connections after this client's example.
      connection: party.client as unknown as Redis,
      otherParty: party,
    }
  }
  const otherParty = await RedisParty.connect(url)
  return { description: `Redis at ${new URL(url).host}`, connection: url, otherParty }
}
