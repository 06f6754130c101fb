import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { type Lease, LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { grantAll, TICK, TTL, watch, withManager } from '../support/manager.ts'

/** Bytes in use, once everything that can be collected has been. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

describe('memory', () => {
  it('P25 is empty after churn: acquired, renewed, released, lost, refused, aborted and unanswered', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`)
      for (let round = 0; round < 5; round += 1) {
        const abort = new AbortController()
        const leases = await grantAll(manager.acquireMany(keys))
        const waiting = keys.map((key) => watch(manager.acquire(key, { wait: 500, signal: abort.signal })))
        await clock.advance(TTL)
        abort.abort()
        for (const key of keys.slice(0, 50)) store.delete(`lease:${key}`)
        for (const key of keys.slice(50, 100)) store.set(`lease:${key}`, 'somebody', 10)
        await clock.advance(TTL / 2)
        backend.block()
        const unanswered = keys.slice(0, 50).map((key) => watch(manager.tryAcquire(key)))
        await clock.advance(2 * TTL)
        backend.unblock()
        await Promise.all(leases.map((lease) => lease.release()))
        await clock.advance(2 * TTL)
        for (const call of [...waiting, ...unanswered]) expect(call.state).to.equal('rejected')
        expect(manager.stats()).to.include({ held: 0, jeopardy: 0, waiting: 0, undoing: 0, timers: 0 })
        expect(manager.size).to.equal(0)
        expect([...manager]).to.deep.equal([])
        expect(store.keys()).to.deep.equal([])
        expect(clock.timers).to.equal(0)
      }
    }))

  it('P25 forgets a lease that is released before a request about it is sent', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      // The journal of the stage remembers every lease.
      manager.removeAllListeners()
      const leases: WeakRef<Lease>[] = []
      const giveBack = async (): Promise<void> => {
        const lease = await manager.acquire('a')
        leases.push(new WeakRef(lease))
        backend.listener.onChange(['a'])
        await lease.release()
      }
      for (let round = 0; round < 20; round += 1) await giveBack()
      await clock.advance(10 * TTL)
      await new Promise((resolve) => setImmediate(resolve))
      heapInUse()
      // The last ones may still be on the stack.
      expect(leases.filter((lease) => lease.deref() !== undefined)).to.have.length.below(3)
    }))

  it('P25 returns to its base after churn, even if every key is new', async () => {
    const clock = new ManualClock()
    const manager = new LeaseManager(new MemoryBackend({ store: new MemoryStore({ clock }) }), { clock, ttl: TTL })
    let used = 0
    const churn = async (): Promise<void> => {
      const keys = Array.from({ length: 10_000 }, (_, index) => `key-${used + index}`)
      used += keys.length
      const leases = await grantAll(manager.acquireMany(keys))
      await clock.advance(TTL)
      await Promise.all(leases.map((lease) => lease.release()))
    }
    await churn()
    const before = heapInUse()
    for (let round = 0; round < 5; round += 1) await churn()
    // 50,000 leases were held since; what one of them left behind would be some hundred bytes.
    expect(heapInUse() - before).to.be.lessThan(2_000_000)
    expect(clock.timers).to.equal(0)
    await manager.close()
  })

  it('P25 does not grow with the renewals, failures and refusals of a lease', async () => {
    const clock = new ManualClock()
    const store = new MemoryStore({ clock })
    const backend = new MemoryBackend({ store })
    const manager = new LeaseManager(backend, { clock, ttl: 100 })
    await manager.acquireMany(Array.from({ length: 100 }, (_, index) => `key-${index}`))
    store.set('lease:held', 'somebody', Number.MAX_SAFE_INTEGER)
    const live = async (): Promise<void> => {
      for (let step = 0; step < 300; step += 1) {
        backend.fail(step % 10 === 0 ? new Error('ECONNRESET') : undefined)
        await manager.tryAcquire('held').catch(() => undefined)
        await clock.advance(TICK)
      }
    }
    await live()
    const before = heapInUse()
    for (let round = 0; round < 10; round += 1) await live()
    expect(manager.size).to.equal(100)
    expect(heapInUse() - before).to.be.lessThan(2_000_000)
    await manager.close()
  })

  it('P25 is a bounded number of bytes for each held lease', async () => {
    const clock = new ManualClock()
    const store = new MemoryStore({ clock })
    const backend = new MemoryBackend({ store })
    const manager = new LeaseManager(backend, { clock, ttl: 60_000 })
    await manager.acquireMany(['a', 'b'])
    const keys = Array.from({ length: 50_000 }, (_, index) => `key-${index}`)
    const before = heapInUse()
    let leases: (Lease | null)[] | undefined = await manager.acquireMany(keys)
    expect(leases.every((lease) => lease?.held)).to.equal(true)
    leases = undefined
    // With the store's own share: about the same again.
    expect((heapInUse() - before) / keys.length).to.be.lessThan(1_500)
    await manager.close()
  })
})
