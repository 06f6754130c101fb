import { getEventListeners } from 'node:events'
import { expect } from 'chai'
import { type LeaseManager, LockNotHeldError, ManagerClosedError } from 'leasewheel'
import sinon from 'sinon'
import { grant, only, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

/** Every method that rejects once the manager is closed. */
const METHODS: Record<string, (manager: LeaseManager) => Promise<unknown>> = {
  tryAcquire: (manager) => manager.tryAcquire('a'),
  acquire: (manager) => manager.acquire('a'),
  acquireMany: (manager) => manager.acquireMany(['a', 'b']),
  'acquireMany of nothing': (manager) => manager.acquireMany([]),
  acquireAll: (manager) => manager.acquireAll(['a', 'b']),
  'acquireAll of nothing': (manager) => manager.acquireAll([]),
  using: (manager) => manager.using('a', () => undefined),
  inspect: (manager) => manager.inspect('a'),
}

describe('close', () => {
  it('P24 releases every lease, in batches, and emits each end before it resolves', () =>
    withManager({ batchSize: 100 }, async ({ manager, backend, store, events }) => {
      const leases = await manager.acquireMany(Array.from({ length: 250 }, (_, index) => `key-${index}`))
      events.clear()
      await manager.close()
      expect(store.keys()).to.deep.equal([])
      expect(backend.calls('release').map(({ entries }) => entries.length)).to.deep.equal([100, 100, 50])
      expect(events.lines).to.have.members(leases.map((lease) => `released ${lease?.key}`))
      expect(manager.size).to.equal(0)
    }))

  it('P24 leaves neither timer nor listener behind', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const { signal } = new AbortController()
      store.set('lease:b', 'somebody', 60_000)
      await manager.acquire('a', { signal })
      const call = watch(manager.acquire('b', { signal }))
      await clock.advance(100)
      expect(clock.timers).to.equal(1)
      await manager.close()
      expect(call.state).to.equal('rejected')
      expect(clock.timers).to.equal(0)
      expect(getEventListeners(signal, 'abort')).to.have.length(0)
      expect(manager.stats()).to.include({ held: 0, waiting: 0, undoing: 0, timers: 0 })
    }))

  it('P24 rejects every waiter, whatever it waits for', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:held', 'somebody', 60_000)
      await manager.acquire('own')
      const calls: Record<string, Promise<unknown>> = {
        pause: manager.acquire('held'),
        turn: manager.acquire('held'),
        'own lease': manager.acquire('own'),
        using: manager.using('held', () => undefined),
        many: manager.acquireMany(['x', 'held'], { wait: 60_000 }),
        all: manager.acquireAll(['y', 'held'], { wait: 60_000 }),
      }
      const watched = Object.entries(calls).map(([name, call]) => ({ name, call: watch(call) }))
      await clock.advance(200)
      backend.holdAnswers('acquire')
      const asking = [manager.tryAcquire('p'), manager.tryAcquire('p'), manager.acquire('q')]
      for (const [index, call] of asking.entries()) watched.push({ name: `asking ${index}`, call: watch(call) })
      await clock.settle()

      const closed = watch(manager.close())
      await clock.settle()
      for (const { name, call } of watched) expect(call.error, name).to.be.instanceOf(ManagerClosedError)
      backend.deliverAll()
      await clock.advance(TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(store.keys()).to.deep.equal(['lease:held'])
    }))

  it('P24 settles the pending renewals', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(100)
      backend.block()
      const renewal = watch(lease.renew())
      await clock.settle()
      const closed = watch(manager.close({ timeout: 0 }))
      await clock.advance(1_100)
      expect(closed.state).to.equal('fulfilled')
      expect(renewal.error).to.be.instanceOf(LockNotHeldError)
    }))

  it('P24 settles a pending release', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.block()
      const release = watch(lease.release())
      const closed = watch(manager.close({ timeout: 100 }))
      await clock.advance(100 + 2 * TICK)
      expect(release.value).to.equal(false)
      expect(closed.state).to.equal('fulfilled')
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
    }))

  it('P24 settles a pending inspection', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.block()
      const call = watch(manager.inspect('a'))
      await clock.settle()
      const closed = watch(manager.close({ timeout: 100 }))
      await clock.advance(2_000)
      expect(closed.state).to.equal('fulfilled')
      expect(call.state).to.equal('rejected')
    }))

  it('P24 releases every lock that is granted while it closes', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const calls = [watch(manager.tryAcquire('a')), watch(manager.acquire('b'))]
      await clock.settle()
      expect(store.keys()).to.have.length(2)
      const closed = watch(manager.close())
      await clock.advance(100)
      expect(closed.state).to.equal('pending')
      backend.deliverAll()
      await clock.advance(TICK)
      expect(closed.state).to.equal('fulfilled')
      for (const call of calls) expect(call.error).to.be.instanceOf(ManagerClosedError)
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal([])
    }))

  for (const budget of [0, 100, 1_000]) {
    it(`P24 keeps to its budget if the server hangs: ${budget} ms`, () =>
      withManager({}, async ({ manager, backend, clock, events }) => {
        await manager.acquireMany(['a', 'b', 'c'])
        backend.block()
        const start = clock.now()
        const closed = watch(manager.close({ timeout: budget }))
        while (closed.state === 'pending' && clock.now() < start + 10_000) await clock.advance(1)
        expect(clock.now() - start).to.be.within(Math.min(budget, 500), budget + 3 * TICK)
        expect(events.lines.slice(3)).to.have.members(['a', 'b', 'c'].map((key) => `released ${key}, unconfirmed`))
        expect(clock.timers).to.equal(0)
      }))
  }

  it('P24 keeps to ten seconds by default', () =>
    withManager({ ttl: 12_000, timeout: 12_000 }, async ({ manager, backend, clock }) => {
      await manager.acquire('a')
      backend.block()
      const closed = watch(manager.close())
      await clock.advance(9_999)
      expect(closed.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
    }))

  it('P24 keeps to its budget with any number of leases, and emits each end', () =>
    withManager({ ttl: 6_000 }, async ({ manager, backend, clock, events }) => {
      await manager.acquireMany(Array.from({ length: 10_000 }, (_, index) => `key-${index}`))
      events.clear()
      backend.block()
      const closed = watch(manager.close({ timeout: 1_500 }))
      await clock.advance(1_500 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(events.all).to.have.length(10_000)
      expect(events.lines.every((line) => line.endsWith(', unconfirmed'))).to.equal(true)
      await clock.advance(6_000)
    }))

  it('P24 ends before its budget does if everything is answered', () =>
    withManager({}, async ({ manager, clock }) => {
      await manager.acquireMany(['a', 'b'])
      const before = clock.now()
      await manager.close({ timeout: 60_000 })
      expect(clock.now()).to.equal(before)
    }))

  it('P24 uses its budget for keys that are still being deleted', () =>
    withManager({ timeout: 100 }, async ({ manager, backend, clock, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      const release = watch(lease.release())
      await clock.advance(200)
      expect(release.value).to.equal(false)
      const closed = watch(manager.close())
      await clock.advance(200)
      expect(closed.state).to.equal('pending')
      backend.fail(undefined)
      await clock.advance(1_000)
      expect(closed.state).to.equal('fulfilled')
      expect(store.keys()).to.deep.equal([])
    }))

  it('P15 reports expired leases as lost, not as released', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      await manager.close()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))

  it('P16 reports leases whose key is gone as lost', () =>
    withManager({}, async ({ manager, store, events }) => {
      await manager.acquireMany(['a', 'b'])
      store.delete('lease:a')
      await manager.close()
      expect(events.lines.slice(2)).to.have.members(['lost a: missing', 'released b'])
    }))

  it('P12 sends no further renewal', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      await manager.acquireMany(['a', 'b'])
      await clock.advance(TTL)
      const { renew } = backend.requests
      backend.block()
      const closed = watch(manager.close())
      await clock.advance(3 * TTL)
      expect(closed.state).to.equal('fulfilled')
      expect(backend.requests.renew).to.equal(renew)
    }))

  it('is idempotent: all its callers wait for the same end', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const close = sinon.spy(backend, 'close')
      await manager.acquire('a')
      backend.back = 100
      const calls = [
        watch(manager.close()),
        watch(manager.close({ timeout: 0 })),
        watch(manager[Symbol.asyncDispose]()),
      ]
      await clock.advance(99)
      expect(calls.map(({ state }) => state)).to.deep.equal(['pending', 'pending', 'pending'])
      await clock.advance(1)
      expect(calls.map(({ state }) => state)).to.deep.equal(['fulfilled', 'fulfilled', 'fulfilled'])
      await manager.close()
      expect(close.callCount).to.equal(1)
      expect(backend.requests.release).to.equal(1)
    }))

  it('rejects invalid options, and does not close', () =>
    withManager({}, async ({ manager }) => {
      expect(await rejectionOf(manager.close({ timeout: -1 }))).to.be.instanceOf(RangeError)
      expect(await rejectionOf(manager.close({ timeout: 'soon' } as object))).to.be.instanceOf(TypeError)
      expect(await rejectionOf(manager.close({ budget: 5 } as object))).to.be.instanceOf(TypeError)
      await grant(manager.tryAcquire('a'))
    }))

  it('is not delayed by a backend that never closes', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const stub = sinon.stub(backend, 'close').returns(new Promise(() => undefined))
      const closed = watch(manager.close())
      await clock.advance(1_000 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(only(events.takeErrors()).message).to.include('1000 ms')
      stub.restore()
    }))

  it('never rejects, even if the backend fails to close', () =>
    withManager({}, async ({ manager, backend, events }) => {
      const stub = sinon.stub(backend, 'close').rejects(new Error('from close'))
      await manager.close()
      expect(only(events.takeErrors()).message).to.equal('from close')
      stub.restore()
    }))

  it('can be called by a listener of the events that it causes', () =>
    withManager({}, async ({ manager, store }) => {
      manager.on('released', () => {
        void manager.close()
      })
      const lease = await grant(manager.tryAcquire('a'))
      await manager.acquire('b')
      await lease.release()
      await manager.close()
      expect(store.keys()).to.deep.equal([])
    }))
})

describe('a closed manager', () => {
  for (const [name, call] of Object.entries(METHODS)) {
    it(`P24 rejects ${name} with ManagerClosedError, and sends no request`, () =>
      withManager({}, async ({ manager, backend }) => {
        await manager.close()
        const error = await rejectionOf(call(manager))
        expect(error).to.be.instanceOf(ManagerClosedError).and.to.include({ code: 'ERR_CLOSED' })
        expect(backend.requests).to.include({ acquire: 0, inspect: 0 })
      }))
  }

  it('P24 rejects calls from the start of close on', () =>
    withManager({}, async ({ manager }) => {
      const closed = manager.close()
      for (const [name, call] of Object.entries(METHODS)) {
        if (name.endsWith('of nothing')) continue
        expect(await rejectionOf(call(manager)), name).to.be.instanceOf(ManagerClosedError)
      }
      await closed
    }))

  it('rejects a listener that tries to acquire the lock again', () =>
    withManager({}, async ({ manager }) => {
      const errors: unknown[] = []
      manager.on('released', ({ lease }) => {
        manager.acquire(lease.key).catch((error: unknown) => errors.push(error))
      })
      await manager.acquire('a')
      await manager.close()
      expect(only(errors)).to.be.instanceOf(ManagerClosedError)
    }))

  it('holds nothing, and reports that', () =>
    withManager({}, async ({ manager }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await manager.close()
      expect(manager.get('a')).to.equal(undefined)
      expect(manager.size).to.equal(0)
      expect([...manager]).to.deep.equal([])
      expect(manager.stats().held).to.equal(0)
      expect(lease.held).to.equal(false)
      expect(await lease.release()).to.equal(false)
      expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
    }))

  it('leaves the locks of other managers on the same server alone', () =>
    withStage(async ({ open, clock }) => {
      const [first, second] = [open(), open()]
      await grant(first.manager.tryAcquire('a'))
      const lease = await grant(second.manager.tryAcquire('b'))
      await first.manager.close()
      await clock.advance(3 * TTL)
      expect(lease.held).to.equal(true)
    }))
})
