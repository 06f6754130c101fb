import { createServer } from 'node:http'
import { metrics } from '@opentelemetry/api'
import { Cluster, Redis } from 'ioredis'
import { type Lease, LeaseError, LeaseManager, type LeaseManagerOptions, type RenewedEvent } from 'leasewheel'
import { log } from 'leasewheel/log'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { observe } from 'leasewheel/opentelemetry'
import { page, type PageHandler, type PageOptions } from 'leasewheel/page'
import { collect } from 'leasewheel/prometheus'
import { quorum } from 'leasewheel/quorum'
import { Registry } from 'prom-client'

async function holdALease(leases: LeaseManager, pass: () => Promise<void>): Promise<void> {
  const renewal = new Promise<RenewedEvent>((resolve) => leases.once('renewed', resolve))
  const key = `consumer-${process.pid}`
  const lease: Lease = await leases.acquire(key, { ttl: 300 })
  const refusal: unknown = await leases.acquire(key, { wait: 0 }).catch((error: unknown) => error)
  if (!(refusal instanceof LeaseError)) throw new Error(`Expected a LeaseError, got ${String(refusal)}`)
  if (refusal.code !== 'ERR_NOT_ACQUIRED' || refusal.cause !== undefined) throw refusal
  await pass()
  const event = await renewal
  if (event.lease !== lease || lease.signal.aborted) throw new Error('Another lease was renewed')
  if (!(await lease.release())) throw new Error('The lease was not released')
  await leases.close()
}

async function main(): Promise<void> {
  const clock = new ManualClock()
  const options: LeaseManagerOptions = { clock }
  const backend = new MemoryBackend({ store: new MemoryStore(options) })
  const inMemory = new LeaseManager(backend, options)
  const pageOptions: PageOptions = { readOnly: true, view: 'process' }
  const live: PageHandler = page(inMemory, pageOptions)
  createServer(live).unref()
  const stops = [
    collect(inMemory, { register: new Registry() }),
    observe(inMemory, { meter: metrics.getMeter('consumer') }),
    log(inMemory, console),
  ]
  await holdALease(inMemory, () => clock.advance(200))
  for (const stop of stops) stop()
  live.close()
  const members = [1, 2, 3].map(() => new MemoryBackend({ store: new MemoryStore(options) }))
  await holdALease(new LeaseManager(quorum(members), options), () => clock.advance(200))
  const client = new Redis(process.env['REDIS_URL'] ?? '')
  await holdALease(new LeaseManager(client), () => Promise.resolve())
  client.disconnect()
  // No cluster is there. What counts is that its client is taken.
  const cluster = new Cluster([{ port: 1 }], { lazyConnect: true })
  const leases = new LeaseManager(cluster)
  leases.on('error', () => undefined)
  await leases.close()
  cluster.disconnect()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
