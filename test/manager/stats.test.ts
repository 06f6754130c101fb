import { expect } from 'chai'
import fc from 'fast-check'
import type { LeaseManager, UnacquiredCause } from 'leasewheel'
import sinon from 'sinon'
import { LeaseTable } from '#src/lease/lease-table.js'
import { HISTOGRAM_BOUNDS } from '#src/structures/histogram.js'
import { WaitingLines } from '#src/waiting/waiting-line.js'
import { grant, grantAll, heldFor, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const NONE = { count: 0, sum: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }
const NOTHING = { ...NONE, bounds: HISTOGRAM_BOUNDS, buckets: HISTOGRAM_BOUNDS.map(() => 0), minute: NONE }
const NO_FAILURES = { refused: 0, timedOut: 0, unavailable: 0, cancelled: 0 }

/** What was not acquired, by cause, without the causes that did not come. */
function unacquired(manager: LeaseManager): Partial<Record<UnacquiredCause, number>> {
  return Object.fromEntries(Object.entries(manager.stats().unacquired).filter(([, count]) => count > 0))
}

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
        unacquired: NO_FAILURES,
        asks: 0,
        asksPerGrant: 0,
        wakeUps: { handOver: 0, change: 0, reconnect: 0, timeout: 0 },
        released: 0,
        lost: { expired: 0, taken: 0, missing: 0, maxHold: 0 },
        renewals: 0,
        failures: 0,
        requests: 0,
        connection: 'connected',
        disconnections: 0,
        watching: true,
        timers: 0,
        load: { lag: 0, behind: 0, capacity: 0, demand: 0, overloaded: false },
        wait: NOTHING,
        hold: NOTHING,
        renewalLag: NOTHING,
        roundTrip: NOTHING,
        routes: [],
        members: [],
        keeper: undefined,
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
      const asking = [watch(manager.tryAcquire('c')), watch(manager.acquire('c', { wait: 500 }))]
      expect(manager.stats(), 'one asks for the key, and one waits for the outcome').to.include({
        queues: 2,
        waiting: 5,
      })
      await clock.settle()
      expect(manager.stats(), 'the key is leased').to.include({ queues: 2, waiting: 4 })
      expect(asking.map(({ state }) => state)).to.deep.equal(['fulfilled', 'pending'])
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

  it('count locks that callers did not get, by cause', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:taken', 'somebody', 600_000)
      expect(await manager.tryAcquire('taken')).to.equal(null)
      expect(unacquired(manager)).to.deep.equal({ refused: 1 })
      const calls = [
        watch(manager.acquire('taken', { wait: 0 })),
        watch(manager.acquire('taken', { wait: 100 })),
        watch(manager.acquire('taken', { wait: 1_000 })),
        watch(manager.using('taken', () => undefined, { wait: 1_000 })),
      ]
      await clock.advance(1_100)
      expect(calls.map(({ state }) => state)).to.deep.equal(['rejected', 'rejected', 'rejected', 'rejected'])
      expect(unacquired(manager)).to.deep.equal({ refused: 2, timedOut: 3 })
      const abort = new AbortController()
      const aborted = watch(manager.acquire('taken', { signal: abort.signal }))
      await clock.settle()
      abort.abort()
      await clock.settle()
      expect(aborted.state).to.equal('rejected')
      backend.fail(new Error('ECONNREFUSED'))
      await rejectionOf(manager.tryAcquire('free'))
      expect(unacquired(manager)).to.deep.equal({ refused: 2, timedOut: 3, cancelled: 1, unavailable: 1 })
      backend.fail(undefined)
    }))

  it('count the keys of acquireMany one by one, and a failed acquireAll once', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:b', 'somebody', 600_000)
      await manager.acquireMany(['a', 'b', 'c'])
      expect(unacquired(manager)).to.deep.equal({ refused: 1 })
      const many = watch(manager.acquireMany(['b', 'd'], { wait: 100 }))
      await clock.advance(200)
      expect(many.value.map((lease) => lease?.key)).to.deep.equal([undefined, 'd'])
      expect(unacquired(manager)).to.deep.equal({ refused: 1, timedOut: 1 })
      const all = watch(manager.acquireAll(['b', 'e', 'f'], { wait: 100 }))
      const none = watch(manager.acquireAll(['b', 'e', 'f'], { wait: 0 }))
      await clock.advance(200)
      expect([all.state, none.state]).to.deep.equal(['rejected', 'rejected'])
      expect(unacquired(manager)).to.deep.equal({ refused: 2, timedOut: 2 })
      backend.fail(new Error('ECONNREFUSED'))
      await rejectionOf(manager.acquireMany(['x', 'y']))
      expect(unacquired(manager)).to.deep.equal({ refused: 2, timedOut: 2, unavailable: 2 })
      backend.fail(undefined)
    }))

  it('measure how long callers waited for the locks that they got', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 600_000)
      const calls = [
        watch(manager.acquire('a')),
        watch(manager.acquireMany(['a', 'b', 'c'], { wait: 10_000 })),
        watch(manager.acquire('a', { wait: 50 })),
      ]
      await clock.advance(200)
      store.delete('lease:a')
      await clock.settle()
      expect(manager.stats().wait).to.include({ count: 3, sum: 200, max: 200 })
      await clock.advance(100)
      await manager.get('a')?.release()
      await clock.settle()
      expect(calls.map(({ state }) => state)).to.deep.equal(['fulfilled', 'fulfilled', 'rejected'])
      expect(manager.stats().wait).to.include({ count: 4, sum: 500, max: 300 })
      expect(manager.stats().wait.count).to.equal(manager.stats().acquired)
    }))

  it('measure how long leases were held, however they end', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const leases = await grantAll(manager.acquireMany(['a', 'b', 'c', 'd']))
      await clock.advance(100)
      await leases[0]?.release()
      expect(manager.stats().hold).to.include({ count: 1, sum: 100 })
      const detached = leases[1]?.detach()
      expect(manager.stats().hold).to.include({ count: 2, sum: 200 })
      await clock.advance(100)
      if (detached) await manager.adopt(detached)
      await clock.advance(TTL * 2)
      expect(manager.stats().hold).to.include({ count: 2, sum: 200 })
      store.delete('lease:c')
      await clock.settle()
      expect(manager.stats().hold).to.include({ count: 3, sum: 400 + 2 * TTL })
      await manager.get('b')?.release()
      expect(manager.stats().hold, 'from the adoption on').to.include({ count: 4, sum: 400 + 4 * TTL })
      await leases[3]?.release()
      const { hold, released, lost } = manager.stats()
      expect(hold.count).to.equal(released + lost.missing)
    }))

  it('tell each listener of `measured` what the histograms count', () =>
    withManager({}, async ({ manager, clock }) => {
      const sums: Record<string, { count: number; sum: number }> = {}
      manager.on('measured', ({ name, duration, count }) => {
        sums[name] ??= { count: 0, sum: 0 }
        sums[name].count += count
        sums[name].sum += duration * count
      })
      const leases = await grantAll(manager.acquireMany(['a', 'b', 'c']))
      await clock.advance(TTL * 3)
      await Promise.all(leases.map((lease) => lease.release()))
      const { wait, hold, renewalLag, roundTrip } = manager.stats()
      for (const [name, { count, sum }] of Object.entries({ wait, hold, renewalLag, roundTrip })) {
        expect(count, name).to.be.greaterThan(0)
        expect(sums[name], name).to.deep.equal({ count, sum })
      }
    }))

  it('forget in a minute that an event loop was blocked', () =>
    withManager({}, async ({ manager, clock }) => {
      await grant(manager.tryAcquire('a'))
      await clock.advance(TTL)
      clock.jump(TTL / 2)
      await clock.advance(1_000)
      expect(manager.stats().renewalLag.minute.max).to.be.greaterThan(100)
      await clock.advance(61_000)
      const { renewalLag } = manager.stats()
      expect(renewalLag.minute.max).to.be.at.most(TICK)
      expect(renewalLag.max).to.be.greaterThan(100)
    }))

  it('count what the leases need without a look at each', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:taken', 'somebody', 600_000)
      await manager.acquireMany(Array.from({ length: 600 }, (_, index) => `key-${index}`))
      await manager.acquireMany(['long', 'longer'], { ttl: 60_000 })
      await manager.acquire('unrenewed', { autoRenew: false, ttl: 600_000 })
      const waiting = watch(manager.acquire('taken', { wait: 60_000 }))
      const asking = watch(manager.tryAcquire('free'))
      const looks = [
        sinon.stub(LeaseTable.prototype, 'cohorts'),
        sinon.stub(LeaseTable.prototype, 'values'),
        sinon.stub(WaitingLines.prototype, 'values'),
      ]
      for (const look of looks) look.throws(new Error('stats() looks at each lease'))
      try {
        const { load, queues, waiting: callers } = manager.stats()
        expect(load.demand).to.be.closeTo(600 * (3_000 / TTL) + 2 * 0.05, 1e-6)
        expect({ queues, callers }).to.deep.equal({ queues: 2, callers: 2 })
      } finally {
        for (const look of looks) look.restore()
      }
      await clock.settle()
      await asking.value?.release()
      for (const lease of manager) void lease.release()
      await clock.settle()
      expect(manager.stats().load).to.include({ demand: 0, behind: 0 })
      await clock.advance(60_100)
      expect(waiting.state).to.equal('rejected')
    }))

  it('count queues, demand and renewals behind rightly, whatever callers do', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ what: fc.nat({ max: 6 }), key: fc.nat({ max: 5 }) }), { maxLength: 40 }),
        (steps) =>
          withManager({ batchSize: 2 }, async ({ manager, backend, clock, store }) => {
            for (const { what, key: number } of steps) {
              const key = `key-${number}`
              if (what === 0) watch(manager.tryAcquire(key))
              else if (what === 1) watch(manager.acquire(key, { wait: 500, ttl: 1_000 * (number + 1) }))
              else if (what === 2) watch(manager.acquireMany([key, 'key-0'], { wait: number * 100 }))
              else if (what === 3) void manager.get(key)?.release()
              else if (what === 4) store.set(`lease:${key}`, 'somebody', 300)
              else if (what === 5) backend.pace = number === 0 ? Number.POSITIVE_INFINITY : 0.05
              else await clock.advance(number * 50)
              if (number % 2 === 0) await clock.settle()
              const leases = [...manager]
              const { load, queues, waiting } = manager.stats()
              const demand = leases.reduce((sum, { ttl }) => sum + 3_000 / ttl, 0)
              expect(load.demand).to.be.closeTo(demand, 1e-6)
              expect(load.behind).to.be.within(0, leases.length)
              expect(queues).to.be.within(waiting > 0 ? 1 : 0, Math.min(waiting, 6))
            }
            backend.heal()
            await clock.advance(2_000)
            for (const lease of manager) void lease.release()
            await clock.advance(2_000)
            expect(manager.stats()).to.include({ waiting: 0, queues: 0 })
          }),
      ),
      { seed: 99, numRuns: 30 },
    ))
})
