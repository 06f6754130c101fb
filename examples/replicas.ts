/**
 * Locks that a replica has before they count, so that a failover to it loses none. `REDIS_REPLICAS` says how many replicas the server of `REDIS_URL`
 * has. Without it no replica is waited for, and the program runs in memory, too.
 */
import assert from 'node:assert/strict'
import { LeaseManager, UnavailableError } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const replicas = Number(process.env['REDIS_REPLICAS'] ?? 0)
const connections = [connect(), connect()] as const
// Replicas have a quarter of the timeout. A program of your own may be less patient.
const timeout = 8_000
const leases = new LeaseManager(connections[0], { replicas, timeout })

await leases.using('order:42', async (lease) => {
  await lease.renew()
  console.log(`held, and renewed: ${replicas} replicas have the lock, with this deadline at least`)
})

if (replicas > 0) {
  // More than there are: what a manager sees while a replica is away. Nobody is told that he holds the lock, and nothing stays behind.
  const demanding = new LeaseManager(connections[1], { replicas: replicas + 1, timeout })
  const refusal = await demanding.tryAcquire('order:42').catch((error: unknown) => error)
  assert.ok(refusal instanceof UnavailableError)
  console.log(refusal.message)
  assert.ok((await leases.acquire('order:42')).held)
  await demanding.close()
}

await leases.close()
disconnect(...connections)
