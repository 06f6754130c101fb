/**
 * A job that several machines start at about the same time runs once. A machine whose clock is late asks when the job has ended already, and is
 * refused: the key stays for `atLeast` ms, by the clock of the server.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager, LockNotAcquiredError } from 'leasewheel'
import { connect, disconnect } from './support/connect.ts'

const AT_LEAST = 2_000
const connections = [connect(), connect()] as const
const machines = connections.map((connection) => new LeaseManager(connection))
let runs = 0

async function start(leases: LeaseManager, name: string): Promise<void> {
  const work = async (): Promise<void> => {
    runs += 1
    await sleep(50)
    console.log(`${name} has done it`)
  }
  await leases.using('job:report', work, { wait: 0, atLeast: AT_LEAST }).catch((error: unknown) => {
    if (!(error instanceof LockNotAcquiredError)) throw error
    console.log(`${name} need not do it`)
  })
}

const [punctual, late] = machines as [LeaseManager, LeaseManager]
const startedAt = performance.now()
await start(punctual, 'the punctual machine')
await sleep(300)
await start(late, 'the late machine')
assert.equal(runs, 1)

// The next run: the key is gone by itself.
while ((await late.inspect('job:report')) !== null) await sleep(20)
assert.ok(performance.now() - startedAt > AT_LEAST - 20)
await start(late, 'the late machine')
assert.equal(runs, 2)

await Promise.all(machines.map((manager) => manager.close()))
disconnect(...connections)
