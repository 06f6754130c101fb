/**
 * Locks on a cluster: the calls are those of one server, whichever node has a key. Hash tags of your own put locks on one node. The program
 * itself needs no cluster: `connect` says where the locks are. The two managers stand for two processes.
 */
import assert from 'node:assert/strict'
import { LeaseManager } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

// A program of your own passes a client here: new Cluster([{ host: '10.0.0.1', port: 6379 }]).
const connections = [connect(), connect()] as const
const first = new LeaseManager(connections[0], { owner: 'worker-1' })
const second = new LeaseManager(connections[1], { owner: 'worker-2' })

/** What each node of a cluster has of these leases; nothing if there is one server. */
function nodesOf(leases: LeaseManager): readonly number[] {
  return leases
    .stats()
    .routes.map((route) => route.leases)
    .filter((count) => count > 0)
}

// Three keys in three slots, on three nodes as a rule. The first process gets all of them or none.
const keys = ['order:42', 'invoice:7', 'stock:pears']
const held = await first.acquireAll(keys)
console.log(`the first process holds ${held.length} locks, by node: ${nodesOf(first).join(', ') || 'one server'}`)

// The second one wants the same, and names them in another order. Neither can block the other for ever.
const waiting = second.acquireAll([...keys].reverse(), { wait: 10_000 })
assert.equal((await second.inspect('order:42'))?.owner, 'worker-1')
await Promise.all(held.map((lease) => lease.release()))
const next = await waiting
console.log(`released, and all ${next.length} held by the second process after ${second.stats().asks} questions`)
for (const { key, fence } of next) {
  const before = held.find((lease) => lease.key === key)
  assert.ok(before && fence > before.fence, 'a later holder has a larger fence, on every node')
}
await Promise.all(next.map((lease) => lease.release()))

// What stands in braces decides on the slot, so all locks of one tenant are on one node, and one call renews up to 256 of them.
const orders = Array.from({ length: 500 }, (_, number) => `{tenant-7}:order:${number}`)
await first.acquireAll(orders)
const nodes = nodesOf(first)
console.log(`${first.size} locks with one hash tag, by node: ${nodes.join(', ') || 'one server'}`)
assert.ok(nodes.length <= 1)

// The first process leaves in good order, and another takes its locks over.
await first.close()
await second.acquireAll(orders, { wait: 10_000 })
console.log(`handed over: the second process holds ${second.size} locks`)
assert.equal(second.size, orders.length)

await second.close()
disconnect(...connections)
