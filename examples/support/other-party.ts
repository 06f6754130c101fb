/** Somebody else with access to the same Redis: an operator who deletes a key, a `FLUSHALL`, a failover that lost it. */
import { MemoryBackend } from 'leasewheel/memory'
import type { Connection } from './connect.ts'

/** @param key without the prefix; `lease:` is what stands before every key unless the manager's options say otherwise. */
export async function deleteKey(connection: Connection, key: string): Promise<void> {
  if (connection instanceof MemoryBackend) connection.store.delete(`lease:${key}`)
  else await connection.del(`lease:${key}`)
}
