/** Locks for readers and writers. */
import { expect } from 'chai'
import { type Lease, LeaseUpgradeError, LockNotHeldError, UnavailableError } from 'leasewheel'
import { grant, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const READ = { mode: 'read', wait: 60_000 } as const
const WRITE = { mode: 'write', wait: 60_000 } as const

describe('readers and writers', () => {
  it('P33 are many readers or one writer', () =>
    withManager({}, async ({ manager }) => {
      const readers = await Promise.all([1, 2, 3].map(() => manager.acquire('doc', READ)))
      expect(await manager.tryAcquire('doc', { mode: 'write' })).to.equal(null)
      for (const reader of readers) await reader.release()
      const writer = await grant(manager.tryAcquire('doc', { mode: 'write' }))
      expect(writer.mode).to.equal('write')
      expect(await manager.tryAcquire('doc', { mode: 'write' })).to.equal(null)
      expect(await manager.tryAcquire('doc', { mode: 'read' })).to.equal(null)
      await writer.release()
      await grant(manager.tryAcquire('doc', { mode: 'read' }))
    }))

  it('P6 have fences in order: a writer’s is larger than those of all readers before', () =>
    withManager({}, async ({ manager }) => {
      let last = 0
      for (let round = 0; round < 5; round += 1) {
        const readers = await Promise.all([1, 2, 3].map(() => manager.acquire('doc', READ)))
        const fences = readers.map(({ fence }) => fence)
        expect(Math.min(...fences)).to.be.at.least(last)
        for (const reader of readers) await reader.release()
        const writer = await manager.acquire('doc', WRITE)
        expect(writer.fence).to.be.greaterThan(Math.max(...fences))
        last = writer.fence
        await writer.release()
      }
    }))

  it('let a waiting writer go before readers of other processes that come later', () =>
    withStage(async ({ clock, open }) => {
      const [one, two, three] = [open(), open(), open()]
      const reader = await one.manager.acquire('doc', READ)
      const writer = watch(two.manager.acquire('doc', WRITE))
      await clock.settle()
      const late = watch(three.manager.acquire('doc', READ))
      // Longer than an announcement lasts.
      await clock.advance(5_000)
      expect([writer.state, late.state]).to.deep.equal(['pending', 'pending'])
      expect(await three.manager.tryAcquire('doc', { mode: 'read' })).to.equal(null)
      await reader.release()
      await clock.advance(100)
      expect(writer.value.held).to.equal(true)
      expect(late.state).to.equal('pending')
      await writer.value.release()
      await clock.advance(100)
      expect(late.value.held).to.equal(true)
    }))

  it('let readers that waited for a writer go before the next writer', () =>
    withStage(async ({ clock, open }) => {
      const [one, two, three, four] = [open(), open(), open(), open()]
      const writer = await one.manager.acquire('doc', WRITE)
      const readers = [watch(two.manager.acquire('doc', READ)), watch(three.manager.acquire('doc', READ))]
      const next = watch(four.manager.acquire('doc', WRITE))
      await clock.advance(1_000)
      await writer.release()
      await clock.advance(100)
      expect(readers.map(({ state }) => state)).to.deep.equal(['fulfilled', 'fulfilled'])
      expect(next.state).to.equal('pending')
      for (const { value } of readers) await value.release()
      await clock.advance(100)
      expect(next.value.held).to.equal(true)
    }))

  it('do not wait for a writer that has given up for longer than its announcement', () =>
    withStage(async ({ clock, open }) => {
      const [one, two, three] = [open(), open(), open()]
      await one.manager.acquire('doc', READ)
      const writer = watch(two.manager.acquire('doc', { mode: 'write', wait: 500 }))
      const reader = watch(three.manager.acquire('doc', READ))
      await clock.advance(500 + TICK)
      expect(writer.state).to.equal('rejected')
      // It looks again some times a second.
      await clock.advance(2_000 + 600 + 2 * TICK)
      expect(reader.value.held).to.equal(true)
    }))

  it('ask for a key that stays taken about twice a second, however many wait', () =>
    withStage(async ({ clock, open }) => {
      const [one, two, three] = [open(), open(), open()]
      await one.manager.acquire('doc', { ...WRITE, autoRenew: false, ttl: 60_000 })
      const calls = Array.from({ length: 50 }, () => watch(two.manager.acquire('doc', READ)))
      const writer = watch(three.manager.acquire('doc', WRITE))
      await clock.settle()
      await clock.advance(10_000)
      // A changed announcement wakes the others, and that is all.
      for (const { backend } of [two, three]) expect(backend.requests.acquire).to.be.within(10, 60)
      expect(writer.state).to.equal('pending')
      expect(calls.every(({ state }) => state === 'pending')).to.equal(true)
    }))

  it('P33 of a dead process are free at their ttl', () =>
    withStage(async ({ clock, open }) => {
      const [dead, alive] = [open(), open()]
      await dead.manager.acquire('doc', WRITE)
      dead.backend.block()
      const reader = watch(alive.manager.acquire('doc', READ))
      await clock.advance(TTL - TICK)
      expect(reader.state).to.equal('pending')
      await clock.advance(3 * TICK)
      expect(reader.value.held).to.equal(true)
    }))

  it('a writer becomes a reader by `downgrade`, and no writer comes in between', () =>
    withStage(async ({ clock, open }) => {
      const [one, two, three] = [open(), open(), open()]
      const lease = await one.manager.acquire('doc', WRITE)
      const { fence } = lease
      const writer = watch(two.manager.acquire('doc', WRITE))
      const reader = watch(three.manager.acquire('doc', READ))
      const local = watch(one.manager.acquire('doc', READ))
      await clock.advance(1_000)
      await lease.downgrade()
      await clock.advance(100)
      expect([lease.mode, lease.fence, lease.held]).to.deep.equal(['read', fence, true])
      expect([writer.state, reader.state]).to.deep.equal(['pending', 'fulfilled'])
      await lease.downgrade()
      await clock.advance(5 * TTL)
      expect([lease.held, reader.value.held]).to.deep.equal([true, true])
      await lease.release()
      await reader.value.release()
      if (local.state === 'fulfilled') await local.value.release()
      await clock.advance(100)
      expect(writer.value.fence).to.be.greaterThan(reader.value.fence)
      await writer.value.release()
      await clock.advance(100)
      expect(local.state).to.equal('fulfilled')
    }))

  it('a downgrade that is not answered is done by the next renewal', () =>
    withStage(async ({ clock, open, store }) => {
      const { manager, backend } = open()
      const lease = await manager.acquire('doc', WRITE)
      backend.block()
      const downgrade = watch(lease.downgrade())
      await clock.advance(TTL / 6 + TICK)
      expect(downgrade.error).to.be.instanceOf(UnavailableError)
      expect(lease.held).to.equal(true)
      backend.unblock()
      await clock.advance(TTL)
      expect(lease.held).to.equal(true)
      expect(store.sharing('lease:doc')?.mode).to.equal('read')
    }))

  it('refuse an upgrade, and say why', () =>
    withManager({}, async ({ manager }) => {
      const lease = await manager.acquire('doc', READ)
      const error = await rejectionOf(lease.upgrade())
      expect(error).to.be.instanceOf(LeaseUpgradeError)
      expect(error).to.include({ code: 'ERR_UPGRADE', key: 'doc' })
      expect(lease.held).to.equal(true)
    }))

  it('refuse a downgrade of what is no writer, or is not held', () =>
    withManager({}, async ({ manager }) => {
      expect(await rejectionOf((await manager.acquire('plain')).downgrade())).to.be.instanceOf(TypeError)
      expect(await rejectionOf((await manager.acquire('api', { permits: 1 })).downgrade())).to.be.instanceOf(TypeError)
      const writer = await manager.acquire('doc', WRITE)
      await writer.release()
      expect(await rejectionOf(writer.downgrade())).to.be.instanceOf(LockNotHeldError)
    }))

  it('a downgrade ends with its lease, although it was not sent', () =>
    withManager({}, async ({ manager, clock }) => {
      const writer = await manager.acquire('doc', WRITE)
      const downgrade = watch(writer.downgrade())
      await writer.release()
      await clock.settle()
      expect(downgrade.error).to.be.instanceOf(LockNotHeldError)
    }))

  it('P18 a downgrade that is refused later than its timeout loses the lease', () =>
    withManager({ watch: false, autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const writer = await manager.acquire('doc', WRITE)
      store.delete('lease:doc')
      backend.there = TTL / 4
      const downgrade = watch(writer.downgrade())
      await clock.advance(TTL / 6 + TICK)
      expect(downgrade.error).to.be.instanceOf(UnavailableError)
      expect(writer.held).to.equal(true)
      await clock.advance(TTL / 4)
      expect(events.lines).to.deep.equal(['acquired doc', 'lost doc: missing'])
    }))

  it('a downgrade of a writer that is gone loses it', () =>
    withManager({ watch: false }, async ({ manager, store, events }) => {
      const writer = await manager.acquire('doc', WRITE)
      store.delete('lease:doc')
      expect(await rejectionOf(writer.downgrade())).to.be.instanceOf(LockNotHeldError)
      expect(events.lines).to.deep.equal(['acquired doc', 'lost doc: missing'])
    }))

  it('P29 keep their work until it ends, by `using`', () =>
    withManager({}, async ({ manager, clock }) => {
      let [readers, writers] = [0, 0]
      const overlaps: string[] = []
      const work = (mode: 'read' | 'write') => async (lease: Lease) => {
        if (mode === 'read') readers += 1
        else writers += 1
        if (writers > 1 || (writers > 0 && readers > 0)) overlaps.push(`${readers} readers, ${writers} writers`)
        await clock.settle()
        expect(lease.held).to.equal(true)
        if (mode === 'read') readers -= 1
        else writers -= 1
      }
      const calls = Array.from({ length: 40 }, (_, index) => {
        const mode = index % 7 === 0 ? 'write' : 'read'
        return manager.using('doc', work(mode), { mode, wait: 60_000 })
      })
      await clock.advance(2_000)
      await Promise.all(calls)
      expect(overlaps).to.deep.equal([])
    }))
})
