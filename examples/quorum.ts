/**
 * Locks on a quorum: a majority of three independent members decides. One of them goes, comes back without its data, and is healed; a second one
 * goes, and the lock is still held. The program runs in memory; `REDIS_QUORUM_URLS` names three servers, on which only the first part runs.
 */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import { MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { quorum } from 'leasewheel/quorum'

const urls = process.env['REDIS_QUORUM_URLS']?.split(',')
const stores = Array.from({ length: 3 }, () => new MemoryStore())
const connect = (): MemoryBackend[] => stores.map((store) => new MemoryBackend({ store }))

// A program of your own passes clients or URLs. These servers may have been started a moment ago, and have lost nothing: hence the 0.
const members = connect()
const first = new LeaseManager(urls ? quorum(urls, { restartDelay: 0 }) : quorum(members), { owner: 'worker-1' })
const second = new LeaseManager(urls ? quorum(urls, { restartDelay: 0 }) : quorum(connect()), { owner: 'worker-2' })
first.on('error', ({ message }) => console.log(message))
second.on('error', () => undefined)

const lease = await first.acquire('order:42')
await until(async () => (await second.inspect('order:42'))?.votes === 3)
const seen = await second.inspect('order:42')
console.log(`${seen?.owner} holds order:42 on ${seen?.votes} of ${seen?.members?.length} members`)
assert.equal(await second.tryAcquire('order:42'), null)

if (!urls) {
  const [one, two] = members as [MemoryBackend, MemoryBackend]
  one.fail(new Error('its machine was switched off'))
  assert.ok((await first.tryAcquire('order:43'))?.held, 'two of three are a majority')
  one.fail(undefined)
  one.restart()
  await until(async () => (await second.inspect('order:42'))?.votes === 3)
  console.log(`restarted without its data, and healed: ${first.stats().members[0]?.healed} keys`)
  two.fail(new Error('its machine was switched off, too'))
  await lease.renew()
  two.fail(undefined)
}

assert.ok(lease.held)
const waiting = second.acquire('order:42')
await lease.release()
// After a restart the members without a vote let others wait: the second process has to get the lock from the two others.
const next = await waiting
assert.ok(next.fence > lease.fence, 'a later holder has a larger fence, whichever members have granted it')
console.log(`released, and held by the second process`)
await first.close()
await second.close()

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await setTimeout(10)
}
