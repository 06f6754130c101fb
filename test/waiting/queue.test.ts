/** The queue of callers of one process that want the same key. */
import { expect } from 'chai'
import { fixedInterval, LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { grant, only, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

describe('callers of one process that want the same key', () => {
  it('are served in their order of arrival', () =>
    withManager({}, async ({ manager, clock }) => {
      const order: number[] = []
      const calls = Array.from({ length: 50 }, async (_, index) => {
        const lease = await manager.acquire('a', { wait: Infinity })
        order.push(index)
        await lease.release()
      })
      // Now and then the lock is left to others for a moment.
      await clock.advance(1_000)
      await Promise.all(calls)
      expect(order).to.deep.equal(Array.from({ length: 50 }, (_, index) => index))
    }))

  it('pass the lock on instantly: release and next acquire are one request', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const start = clock.now()
      const calls = Array.from({ length: 9 }, () => watch(manager.acquire('a', { wait: Infinity })))
      for (const call of calls) {
        await clock.settle()
        const lease = call.value
        expect(store.get('lease:a')).to.equal(lease.token)
        await lease.release()
      }
      expect(clock.now()).to.equal(start)
      expect(backend.requests).to.include({ acquire: 1, handOver: 8, release: 1 })
    }))

  it('send one request for thousands of callers', () =>
    withStage(async ({ clock, store, open }) => {
      const retry = fixedInterval({ interval: 100, jitter: false })
      const [crowd, single] = [open({ retry }), open({ retry })]
      store.set('lease:a', 'somebody', 60_000)
      const calls = Array.from({ length: 5_000 }, () => watch(crowd.manager.acquire('a', { wait: 5_000 })))
      calls.push(watch(single.manager.acquire('a', { wait: 5_000 })))
      await clock.advance(4_000)
      expect(crowd.manager.stats().waiting).to.equal(5_000)
      expect(crowd.backend.requests.acquire).to.be.within(30, 41)
      expect(crowd.backend.requests.acquire).to.be.at.most(single.backend.requests.acquire + 1)
      for (const { entries } of crowd.backend.calls('acquire')) expect(entries).to.have.length(1)

      await clock.advance(1_000 + 2 * TICK)
      for (const call of calls) expect(call.error).to.be.instanceOf(LockNotAcquiredError)
      expect(crowd.manager.stats()).to.include({ waiting: 0, timers: 0 })
    }))

  it('callers time out on their own, and say if they never asked', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const first = watch(manager.acquire('a', { wait: 2_000 }))
      const second = watch(manager.acquire('a', { wait: 500 }))
      await clock.advance(500 + 2 * TICK)
      expect(first.state).to.equal('pending')
      expect(second.error).to.be.instanceOf(LockNotAcquiredError)
      expect(second.error).to.include({ attempts: 0, remaining: undefined })
      expect((second.error as LockNotAcquiredError).waited).to.be.within(500, 500 + 2 * TICK)
      await clock.advance(2_000)
      expect(first.state).to.equal('rejected')
    }))

  it('wait for this manager’s own lease without asking the server about it', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const lease = await manager.acquire('a')
      const call = watch(manager.acquire('a', { wait: 60_000 }))
      await clock.advance(10 * TTL)
      expect(call.state).to.equal('pending')
      expect(backend.requests.acquire).to.equal(1)
      await lease.release()
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))

  it('wake up when that lease is lost', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const lease = await manager.acquire('a')
      const call = watch(manager.acquire('a', { wait: 60_000 }))
      await clock.advance(TTL + 100)
      expect(lease.held).to.equal(false)
      expect(call.value.held).to.equal(true)
    }))

  it('P7 no caller gets the key of a lost lease before its deletion', () =>
    withManager({ autoRenew: false, timeout: 100 }, async ({ manager, backend, clock }) => {
      const lease = await manager.acquire('a')
      const call = watch(manager.acquire('a', { wait: 60_000 }))
      await clock.advance(TTL - 500)
      backend.block()
      await clock.advance(1_000)
      expect(lease.held).to.equal(false)
      expect(call.state).to.equal('pending')
      backend.unblock()
      await clock.advance(1_000)
      expect(call.value.held).to.equal(true)
    }))

  it('do not wait for callers of another key', () =>
    withManager({}, async ({ manager, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      const waiting = watch(manager.acquire('a', { wait: 1_000 }))
      const lease = await manager.acquire('b')
      expect(lease.held).to.equal(true)
      await clock.advance(1_100)
      expect(waiting.state).to.equal('rejected')
    }))

  it('pass the turn on when the first one times out, aborts or fails', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 2_000)
      const abort = new AbortController()
      const calls = [
        manager.acquire('a', { wait: 500 }),
        manager.acquire('a', { signal: abort.signal }),
        manager.acquire('a', { retry: { next: () => null } }),
        manager.acquire('a', { retry: { next: () => Number.NaN } }),
        manager.acquire('a'),
      ].map((call) => watch(call))
      await clock.advance(700)
      abort.abort()
      await clock.advance(2_000)
      expect(calls.map(({ state }) => state)).to.deep.equal([
        'rejected',
        'rejected',
        'rejected',
        'rejected',
        'fulfilled',
      ])
    }))

  it('P23 callers miss no release that came while the first was asking', () =>
    withStage(async ({ clock, open }) => {
      const [holder, waiter] = [open(), open({ retry: fixedInterval({ interval: 5_000 }) })]
      const held = await grant(holder.manager.tryAcquire('a', { ttl: 1_000 }))
      const call = watch(waiter.manager.acquire('a'))
      await clock.settle()
      await held.release()
      // Nobody tells the other process; it asks again when what was left of the holder's ttl is over.
      await clock.advance(1_001 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))
})

describe('callers without a wait', () => {
  it('share one attempt: one of them acquires the lock, the others are refused', () =>
    withManager({}, async ({ manager, backend }) => {
      const results = await Promise.all(Array.from({ length: 100 }, () => manager.tryAcquire('a')))
      expect(results[0]?.held).to.equal(true)
      expect(results.slice(1)).to.deep.equal(Array.from({ length: 99 }, () => null))
      expect(only(backend.calls('acquire')).entries).to.have.length(1)
    }))

  it('share a refusal', () =>
    withManager({}, async ({ manager, backend, store }) => {
      store.set('lease:a', 'somebody', TTL)
      const results = await Promise.all(Array.from({ length: 100 }, () => manager.tryAcquire('a')))
      expect(new Set(results)).to.deep.equal(new Set([null]))
      expect(backend.requests.acquire).to.be.at.most(100)
    }))

  it('share an attempt without an answer, and learn that', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.block()
      const calls = Array.from({ length: 10 }, () => watch(manager.tryAcquire('a', { timeout: 100 })))
      await clock.advance(100 + 2 * TICK)
      for (const call of calls) expect(call.error).to.be.instanceOf(UnavailableError)
    }))

  it('one attempt of a waiter answers all callers that do not wait', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', 60_000)
      const waiting = watch(manager.acquire('a', { retry: fixedInterval({ interval: 5_000, jitter: false }) }))
      await clock.advance(100)
      const before = clock.now()
      const results = await Promise.all(Array.from({ length: 10 }, () => manager.tryAcquire('a')))
      expect(new Set(results)).to.deep.equal(new Set([null]))
      expect(clock.now()).to.equal(before)
      expect(backend.requests.acquire).to.be.at.most(2)

      store.delete('lease:a')
      expect(await manager.tryAcquire('a'), 'first come, first served').to.equal(null)
      await clock.settle()
      expect(waiting.value.held).to.equal(true)
    }))

  it('do not use up the attempts of a waiter', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const retry = fixedInterval({ interval: 1_000, maxAttempts: 3, jitter: false })
      const waiting = watch(manager.acquire('a', { retry }))
      for (let times = 0; times < 50; times += 1) {
        await clock.advance(20)
        expect(await manager.tryAcquire('a')).to.equal(null)
      }
      expect(waiting.state).to.equal('pending')
      // Its pause begins anew with each attempt.
      await clock.advance(2_000 + 4 * TICK)
      expect(waiting.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('learn that the server is unavailable if the waiter’s attempt finds that', () =>
    withManager({}, async ({ manager, clock, backend }) => {
      backend.fail(new Error('ECONNREFUSED'))
      const waiting = watch(manager.acquire('a', { wait: 1_000 }))
      await clock.advance(20)
      const call = watch(manager.tryAcquire('a'))
      await clock.settle()
      expect(call.error).to.be.instanceOf(UnavailableError)
      await clock.advance(1_100)
      expect(waiting.error).to.be.instanceOf(UnavailableError)
    }))

  it('wait for the answer to an attempt that is under way', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      backend.back = 100
      const first = watch(manager.tryAcquire('a'))
      await clock.advance(50)
      const second = watch(manager.tryAcquire('a'))
      await clock.settle()
      expect(second.state).to.equal('pending')
      await clock.advance(50)
      expect([first.value, second.value]).to.deep.equal([null, null])
    }))
})

describe('a caller that shares the attempt of another', () => {
  it('P23 a sharing caller is answered in time, at whatever moment after a refusal', () =>
    withStage(async ({ open, clock, store }) => {
      for (let moment = 0; moment < 25; moment += 1) {
        const { manager, backend } = open()
        store.set('lease:a', 'somebody', 3_600_000)
        const retry = fixedInterval({ interval: 5_000, jitter: false })
        const waiting = watch(manager.acquire('a', { wait: 3_600_000, retry }))
        await clock.settle()
        backend.holdAnswers('acquire')
        await clock.advance(5_000 + 2 * TICK)
        backend.deliverAll()
        for (let turn = 0; turn < moment; turn += 1) await Promise.resolve()
        const sharing = watch(manager.tryAcquire('a'))
        await clock.settle()
        expect(sharing.state, `after ${moment} turns`).to.equal('fulfilled')
        expect(sharing.value).to.equal(null)
        expect(waiting.state).to.equal('pending')
        waiting.error = undefined
        await manager.close()
        store.delete('lease:a')
      }
    }))

  it('P23 a sharing caller obeys its own timeout, whatever the other’s is', () =>
    withManager({ ttl: 60_000 }, async ({ manager, backend, clock }) => {
      backend.block()
      const others = [
        watch(manager.tryAcquire('a', { timeout: 10_000 })),
        watch(manager.acquire('b', { wait: 60_000, timeout: 10_000 })),
      ]
      await clock.settle()
      const calls = ['a', 'b'].flatMap((key) => [
        watch(manager.tryAcquire(key, { timeout: 500 })),
        watch(manager.acquire(key, { wait: 0, timeout: 500 })),
        watch(manager.acquireMany([key], { timeout: 500 })),
      ])
      await clock.advance(500 + 2 * TICK)
      for (const { error } of calls) expect(error).to.be.instanceOf(UnavailableError)
      for (const { state } of others) expect(state).to.equal('pending')
      backend.unblock()
    }))

  it('P23 a sharing caller gets no second timeout if the other leaves', () =>
    withManager({ ttl: 60_000 }, async ({ manager, backend, clock }) => {
      backend.block()
      const abort = new AbortController()
      const other = watch(manager.tryAcquire('a', { timeout: 10_000, signal: abort.signal }))
      await clock.settle()
      const sharing = watch(manager.tryAcquire('a', { timeout: 500 }))
      await clock.advance(400)
      abort.abort()
      await clock.advance(100 + 2 * TICK)
      expect(other.state).to.equal('rejected')
      expect(sharing.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
    }))

  it('P24 a waiter whose request leaves late ends with its `wait`, not with the timeout of the request', () =>
    withManager({ ttl: 60_000 }, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const retry = fixedInterval({ interval: 500 })
      const waiting = watch(manager.acquire('a', { wait: 2_000, timeout: 1_500, retry }))
      await clock.settle()
      backend.block()
      // The waiter asks at once, and its request leaves at the end of this turn.
      void watch(manager.tryAcquire('a'))
      clock.jump(1_900)
      await clock.advance(0)
      expect(waiting.state).to.equal('pending')
      await clock.advance(100 + 2 * TICK)
      expect(waiting.error).to.be.instanceOf(LockNotAcquiredError)
      backend.unblock()
    }))

  it('P24 callers whose time is up end together, not one after the other', () =>
    withManager({ ttl: 60_000 }, async ({ manager, backend, clock }) => {
      backend.block()
      const ahead = watch(manager.acquire('a', { wait: 300, timeout: 500 }))
      await clock.settle()
      const calls = Array.from({ length: 8 }, () => watch(manager.tryAcquire('a', { timeout: 500 })))
      await clock.settle()
      // The one ahead leaves without an answer, in a turn in which the time of all is up.
      clock.jump(600)
      await clock.advance(0)
      for (const { error } of [ahead, ...calls]) expect(error).to.be.instanceOf(UnavailableError)
      backend.unblock()
    }))
})
