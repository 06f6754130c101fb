/**
 * Events: whoever wants to know what becomes of the locks of this process subscribes to its manager. Here three locks are
 * acquired; one is lost because somebody deletes its key, one is released, and one is released by closing.
 */
import assert from 'node:assert/strict'
import { LeaseManager, type LostEvent } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'
import { deleteKey } from './support/other-party.ts'

const connection = connect()
const leases = new LeaseManager(connection, { ttl: 10_000 })
let renewals = 0

leases.on('acquired', ({ lease }) => console.log(`acquired  ${lease.key}, fence ${lease.fence}`))
leases.on('renewed', () => (renewals += 1))
leases.on('jeopardy', ({ lease, remaining }) => console.log(`jeopardy  ${lease.key}, ${remaining} ms left`))
leases.on('safe', ({ lease }) => console.log(`safe      ${lease.key}`))
leases.on('lost', ({ lease, reason }) => console.log(`lost      ${lease.key}: ${reason}`))
leases.on('released', ({ lease }) => console.log(`released  ${lease.key}`))
leases.on('overload', ({ lag, behind }) =>
  console.log(`overload  ${behind} leases behind, by up to ${lag} of their ttl`),
)
leases.on('error', (error) => console.log(`error     ${error.message}`))

const invoice = await leases.acquire('invoice:1')
const order = await leases.acquire('order:1')
await leases.acquire('parcel:1')

// Every lease is renewed at a third of its ttl, for the first time even earlier.
await new Promise((resolve) => leases.once('renewed', resolve))

// The server notifies the manager that this key is gone.
const loss = new Promise<LostEvent>((resolve) => leases.once('lost', resolve))
await deleteKey(connection, 'order:1')
const { lease, reason, error } = await loss
console.log(`          ${error.message}`)

await invoice.release()
await leases.close()
disconnect(connection)

const { released } = leases.stats()
console.log(`${renewals} renewals; of 3 leases ${released} were released`)
assert.equal(lease, order, 'an event brings the same object that `acquire` resolved with')
assert.equal(reason, 'missing')
assert.equal(released, 2)
assert.ok(renewals > 0)
