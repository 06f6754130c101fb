import { expect } from 'chai'
import { grant, grantAll, heldFor, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const NOTHING = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }

describe('stats', () => {
  it('are all zero at first', () =>
    withManager({}, async ({ manager }) => {
      expect(manager.stats()).to.deep.equal({
        held: 0,
        jeopardy: 0,
        waiting: 0,
        queues: 0,
        undoing: 0,
        acquired: 0,
        asks: 0,
        asksPerGrant: 0,
        wakeUps: { handOver: 0, change: 0, reconnect: 0, timeout: 0 },
        released: 0,
        lost: { expired: 0, taken: 0, missing: 0, maxHold: 0 },
        renewals: 0,
        failures: 0,
        requests: 0,
        watching: true,
        timers: 0,
        load: { lag: 0, behind: 0, capacity: 0, demand: 0, overloaded: false },
        renewalLag: NOTHING,
        roundTrip: NOTHING,
        routes: [],
      })
    }))

  it('count leases held, acquired, released and lost, the losses by reason', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const leases = await grantAll(manager.acquireMany(['a', 'b', 'c', 'd', 'e']))
      await manager.acquire('limited', { maxHold: 100 })
      await manager.acquire('unrenewed', { autoRenew: false })
      expect(manager.stats()).to.include({ held: 7, acquired: 7, released: 0, timers: 1 })
      await leases[0]?.release()
      store.delete('lease:b')
      store.set('lease:c', 'somebody', 60_000)
      await clock.advance(TTL + TICK)
      const { held, acquired, released, lost } = manager.stats()
      expect({ held, acquired, released, lost }).to.deep.equal({
        held: 2,
        acquired: 7,
        released: 1,
        lost: { expired: 1, taken: 1, missing: 1, maxHold: 1 },
      })
      expect(manager.size).to.equal(2)
    }))

  it('count renewals and their failures, and leases in jeopardy', () =>
    withManager({}, async ({ manager, clock, backend, events }) => {
      await manager.acquireMany(['a', 'b', 'c'])
      await clock.advance(TTL)
      const renewed = events.lines.filter((line) => line.startsWith('renewed')).length
      expect(manager.stats()).to.include({ renewals: renewed, failures: 0, jeopardy: 0 })
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(TTL / 2)
      expect(manager.stats()).to.include({ jeopardy: 3, held: 3 })
      expect(manager.stats().failures).to.be.at.least(3)
      backend.fail(undefined)
      await clock.settle()
      expect(manager.stats()).to.include({ jeopardy: 0, held: 3 })
    }))

  it('count a lease in jeopardy no longer once it has ended', () =>
    withManager({}, async ({ manager, clock, backend }) => {
      const [a] = await manager.acquireMany(['a', 'b', 'c'])
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(TTL / 2)
      void a?.release()
      expect(manager.stats()).to.include({ jeopardy: 2, held: 2 })
      await clock.advance(heldFor(TTL))
      expect(manager.stats()).to.include({ jeopardy: 0, held: 0 })
    }))

  it('count the waiters', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 1_000)
      const calls = [watch(manager.acquire('a')), watch(manager.acquire('a')), watch(manager.tryAcquire('b'))]
      expect(manager.stats().waiting).to.equal(3)
      await clock.settle()
      expect(manager.stats()).to.include({ waiting: 2, timers: 1 })
      await clock.advance(1_100)
      expect(calls[0]?.state).to.equal('fulfilled')
      expect(manager.stats().waiting).to.equal(1)
      await manager.get('a')?.release()
      await clock.settle()
      expect(manager.stats().waiting).to.equal(0)
    }))

  it('count queues, one for each key that has waiters', () =>
    withManager({}, async ({ manager, clock, store }) => {
      for (const key of ['a', 'b']) store.set(`lease:${key}`, 'somebody', 60_000)
      const calls = ['a', 'a', 'a', 'b'].map((key) => watch(manager.acquire(key, { wait: 1_000 })))
      await clock.settle()
      expect(manager.stats()).to.include({ waiting: 4, queues: 2 })
      store.delete('lease:b')
      await clock.settle()
      expect(manager.stats()).to.include({ waiting: 3, queues: 1 })
      await calls[3]?.value.release()
      await clock.advance(1_000 + 2 * TICK)
      expect(manager.stats()).to.include({ waiting: 0, queues: 0 })
    }))

  it('count the requests for locks, in total and for each acquired lock', () =>
    withManager({}, async ({ manager, clock, store }) => {
      await grant(manager.tryAcquire('a'))
      expect(await manager.tryAcquire('a'), 'nobody is asked about one’s own').to.equal(null)
      expect(manager.stats()).to.include({ asks: 1, asksPerGrant: 1 })
      store.set('lease:b', 'somebody', 60_000)
      const call = watch(manager.acquire('b'))
      await clock.settle()
      expect(manager.stats()).to.include({ asks: 2, asksPerGrant: 2 })
      for (const holder of ['another', 'a third']) {
        store.set('lease:b', holder, 60_000)
        await clock.settle()
      }
      store.delete('lease:b')
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(manager.stats()).to.include({ acquired: 2, asks: 5, asksPerGrant: 2.5 })
    }))

  it('count what woke the waiters', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const nothing = { handOver: 0, change: 0, reconnect: 0, timeout: 0 }
      const lease = await manager.acquire('a')
      const next = watch(manager.acquire('a'))
      await clock.settle()
      await lease.release()
      await clock.settle()
      expect(manager.stats().wakeUps).to.deep.equal({ ...nothing, handOver: 1 })
      expect(next.value.held).to.equal(true)

      store.set('lease:b', 'somebody', 60_000)
      const other = watch(manager.acquire('b'))
      await clock.settle()
      store.set('lease:b', 'another', 5_000)
      await clock.settle()
      expect(manager.stats().wakeUps).to.deep.equal({ ...nothing, handOver: 1, change: 1 })
      backend.listener.onUnwatched()
      await clock.settle()
      expect(manager.stats().wakeUps).to.deep.equal({ ...nothing, handOver: 1, change: 1, reconnect: 1 })
      backend.deaf = true
      await clock.advance(5_000 + 3 * TICK)
      expect(other.value.held).to.equal(true)
      expect(manager.stats().wakeUps).to.deep.equal({ handOver: 1, change: 1, reconnect: 1, timeout: 1 })
    }))

  it('count an adopted lease as acquired, and a detached one as released', () =>
    withManager({}, async ({ manager }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await manager.adopt(lease.detach())
      expect(manager.stats()).to.include({ held: 1, acquired: 2, released: 1, asks: 1, asksPerGrant: 0.5 })
    }))

  it('report whether change notifications work', () =>
    withStage(async ({ open }) => {
      expect(open().manager.stats().watching).to.equal(true)
      expect(open({ watch: false }).manager.stats().watching).to.equal(false)
      expect(open({}, { watch: false }).manager.stats().watching).to.equal(false)
      const { manager, backend } = open()
      backend.fail(new Error('ECONNRESET'))
      expect(manager.stats().watching).to.equal(false)
      backend.fail(undefined)
      await manager.close()
      expect(manager.stats().watching).to.equal(false)
    }))

  it('count requests, each for a whole batch', () =>
    withManager({ batchSize: 10 }, async ({ manager, backend }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 25 }, (_, index) => `key-${index}`)))
      expect(manager.stats().requests).to.equal(3)
      await Promise.all(leases.map((lease) => lease.release()))
      expect(manager.stats().requests).to.equal(6)
      expect(backend.requests).to.include({ acquire: 3, release: 3 })
    }))

  it('measure how long answers take, and how late renewals were sent', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.there = 30
      backend.back = 30
      const call = watch(manager.tryAcquire('a'))
      await clock.advance(60)
      await grant(Promise.resolve(call.value))
      await clock.advance(TTL)
      const { roundTrip, renewalLag, renewals, requests } = manager.stats()
      expect(roundTrip).to.include({ count: requests, mean: 60, p50: 60, max: 60 })
      expect(renewalLag.count).to.equal(renewals)
      expect(renewalLag.max).to.be.at.most(TICK)
      clock.jump(TTL / 2)
      await clock.advance(TTL)
      expect(manager.stats().renewalLag.max).to.be.greaterThan(100)
    }))

  it('are a snapshot, not a view', () =>
    withManager({}, async ({ manager }) => {
      const before = manager.stats()
      await grant(manager.tryAcquire('a'))
      expect(before).to.include({ held: 0, acquired: 0 })
      expect(before.lost).to.deep.equal({ expired: 0, taken: 0, missing: 0, maxHold: 0 })
    }))
})
