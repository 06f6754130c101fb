/**
 * Shares: workers divide 500 tenants among themselves. Each tenant has one worker at a time. When a worker joins or leaves, only those tenants move
 * that must, and the work for a tenant ends before the tenant moves.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager, type Share } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const TENANTS = Array.from({ length: 500 }, (_, number) => `tenant:${number}`)

const connections = [connect(), connect(), connect()] as const
const managers = connections.map((connection) => new LeaseManager(connection, { ttl: 5_000 }))

/** Which worker serves each tenant now. Two at once would be a fault. */
const served = new Map<string, number>()
let moves = 0

function join(index: number): Share {
  const share = (managers[index] as LeaseManager).share(TENANTS, { group: 'tenants' })
  // The promise is the work: the tenant moves once it has settled.
  share.on('gained', async ({ lease: { key }, signal }) => {
    assert.equal(served.get(key), undefined)
    served.set(key, index)
    moves += 1
    if (!signal.aborted) await once(signal, 'abort')
    served.delete(key)
  })
  share.on('settled', ({ held, members }) =>
    console.log(`worker ${index} serves ${held} tenants, of ${members} workers`),
  )
  return share
}

async function settled(...shares: readonly Share[]): Promise<void> {
  while (!shares.every((share) => share.settled && share.members === shares.length)) await sleep(5)
  const total = shares.reduce((sum, { size }) => sum + size, 0)
  assert.deepEqual([total, served.size], [TENANTS.length, TENANTS.length])
}

const first = join(0)
await settled(first)
const second = join(1)
await settled(first, second)
moves = 0
const third = join(2)
await settled(first, second, third)
console.log(`the third has joined: ${moves} tenants have moved, which it serves now`)
assert.equal(moves, third.size)

moves = 0
const { size } = second
await second.close()
await settled(first, third)
console.log(`the second has left: ${moves} tenants have moved`)
assert.equal(moves, size)

await Promise.all(managers.map((manager) => manager.close()))
disconnect(...connections)
