/**
 * Nest: a module that makes the manager, gives it to services, and closes it when the application ends
 * (docs/recipes/nest.md).
 */
import assert from 'node:assert/strict'
import { LeaseManager } from 'leasewheel'
import { Program } from './support/program.ts'

const other = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379')
const app = new Program('nest/app.ts')

// The service works under its lock when SIGTERM comes, and somebody else wants the lock.
await app.line('sending to ACME')
const next = other.acquire('invoices:ACME').then((lease) => ({ lease, before: app.lines }))
app.kill('SIGTERM')
const { lease, before } = await next
assert.ok(before.includes('sent to ACME'), 'no lock changes hands before the work has ended')
console.log('SIGTERM: the service finished its work, and its lock was free then')

// 30 s before the ttl would have been over; and Nest ends the process by the signal that it got.
assert.equal(await app.end(), 'SIGTERM')
assert.ok(app.lines.includes('last words'), 'a module that imports LeaseModule is destroyed before it')
console.log('the services of other modules still had the manager when they ended')

await lease.release()
await other.close()
