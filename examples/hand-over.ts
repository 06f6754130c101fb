/**
 * A lock that goes from process to process: waited for without polling, handed over while it is held, and taken away by an
 * operator. The managers stand for three processes, each with a connection of its own.
 */
import assert from 'node:assert/strict'
import { type DetachedLease, LeaseManager, type LostEvent } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const connections = [connect(), connect(), connect()] as const
const first = new LeaseManager(connections[0], { owner: 'worker-1' })
const second = new LeaseManager(connections[1], { owner: 'worker-2' })
const operator = new LeaseManager(connections[2], { owner: 'operator' })

// The second one waits. It asks the server once, and is told when there is a reason to ask again.
const lease = await first.acquire('import')
const waiting = second.acquire('import', { wait: 10_000 })
console.log(`held by ${(await operator.inspect('import'))?.owner}, and somebody waits`)
await lease.release()
const held = await waiting
console.log(`released, and held by ${(await operator.inspect('import'))?.owner} after ${second.stats().asks} questions`)
assert.ok(held.held && held.fence > lease.fence)

// The second one shuts down in the middle of the work. What `detach` returns is plain data: the first one goes on with it.
const message = JSON.stringify(held.detach())
await second.close()
const adopted = await first.adopt(JSON.parse(message) as DetachedLease)
assert.ok(adopted.held && adopted.fence === held.fence)
console.log('detached here, adopted there: nobody else could have it in between')

// An operator takes it away. The holder is told.
const lost = new Promise<LostEvent>((resolve) => first.once('lost', resolve))
assert.equal(await operator.forceRelease('import'), true)
const { reason } = await lost
assert.ok(!adopted.held && reason === 'missing')
console.log(`taken away: lost, ${reason}`)

await first.close()
await operator.close()
disconnect(...connections)
