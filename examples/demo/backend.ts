/** Where the demo's locks are, and who else is there: in memory, or on a server. */
import type { Backend } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { MemoryParty } from './memory-party.ts'
import type { OtherParty } from './other-party.ts'
import { RedisParty } from './redis-party.ts'

export interface DemoBackend {
  readonly description: string
  /** What the manager is given. */
  readonly connection: Backend | string
  readonly otherParty: OtherParty
}

/**
 * @param url of a server; none: memory.
 * @throws Error that says in one sentence why the server cannot be used.
 */
export async function openBackend(url: string | undefined): Promise<DemoBackend> {
  if (url === undefined) {
    const backend = new MemoryBackend()
    return {
      description: 'the memory backend (no server needed; REDIS_URL or --redis URL names one)',
      connection: backend,
      otherParty: new MemoryParty(backend),
    }
  }
  const otherParty = await RedisParty.connect(url)
  return { description: `Redis at ${new URL(url).host}`, connection: url, otherParty }
}
