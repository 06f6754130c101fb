/** lease.renew(): renewals that the owner of a lease asks for. */
import { expect } from 'chai'
import { LeaseLostError, LockNotHeldError, UnavailableError } from 'leasewheel'
import { grant, grantAll, heldFor, only, rejectionOf, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('lease.renew', () => {
  it('moves the deadline on, and resolves once that is confirmed', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(1_000)
      backend.there = 50
      backend.back = 50
      const sentAt = clock.now()
      const call = watch(lease.renew())
      await clock.advance(99)
      expect(call.state).to.equal('pending')
      await clock.advance(1)
      expect(call.state).to.equal('fulfilled')
      expect(lease.remaining).to.equal(sentAt + heldFor(TTL) - clock.now())
      expect(store.remaining('lease:a')).to.equal(TTL - 50)
      expect(events.lines).to.deep.equal(['acquired a', 'renewed a'])
    }))

  it('resolves for a lease that was acquired at this very moment', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const call = watch(lease.renew())
      await clock.advance(TICK)
      expect(call.state).to.equal('fulfilled')
      await clock.advance(3 * TTL)
      expect(lease.held, 'and is renewed from then on').to.equal(true)
    }))

  it('P12 P21 is sent even if the answer to an earlier one comes meanwhile', () =>
    withManager({ autoRenew: false, batchSize: 1 }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const others = await grantAll(manager.acquireMany(Array.from({ length: 20 }, (_, index) => `other-${index}`)))
      backend.holdAnswers('renew')
      const first = watch(lease.renew())
      await clock.advance(TTL / 2)
      expect(first.error).to.be.instanceOf(UnavailableError)
      // These take all the places that there are.
      for (const other of others) watch(other.renew())
      await clock.settle()
      const second = watch(lease.renew())
      await clock.settle()
      const sent = (): number => backend.calls('renew').filter(({ entries }) => entries[0]?.key === 'a').length
      expect(sent()).to.equal(1)
      const sentAt = clock.now()
      backend.deliverAll()
      await clock.advance(TICK)
      expect(second.state).to.equal('fulfilled')
      expect(sent()).to.equal(2)
      expect(lease.remaining).to.be.at.least(heldFor(TTL) - (clock.now() - sentAt) - TICK)
    }))

  it('resolves each time if it is called twice at one moment', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      for (let times = 0; times < 2; times += 1) {
        const call = watch(lease.renew())
        await clock.settle()
        expect(call.state).to.equal('fulfilled')
      }
      expect(backend.requests.renew).to.equal(2)
    }))

  it('keeps a lease with `autoRenew: false` for as long as its owner calls it', () =>
    withManager({}, async ({ manager, clock, backend, events }) => {
      const lease = await grant(manager.tryAcquire('a', { autoRenew: false }))
      for (let step = 0; step < 5; step += 1) {
        await clock.advance(heldFor(TTL) - 1)
        await lease.renew()
      }
      expect(lease.held).to.equal(true)
      expect(backend.requests.renew).to.equal(5)
      await clock.advance(TTL)
      expect(lease.held).to.equal(false)
      expect(events.lines.at(-1)).to.equal('lost a: expired')
    }))

  it('is never sent by the wheel for a lease with `autoRenew: false`', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, backend }) => {
      await grant(manager.tryAcquire('a'))
      await clock.advance(2 * TTL)
      expect(backend.requests.renew).to.equal(0)
    }))

  it('can be called on a lease that the wheel renews as well', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      for (let step = 0; step < 20; step += 1) {
        await clock.advance(TTL / 4)
        await lease.renew()
        expect(lease.remaining).to.equal(heldFor(TTL))
      }
    }))

  it('P21 joins a renewal that is under way, for any number of callers', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      backend.holdAnswers('renew')
      const calls = Array.from({ length: 5 }, () => watch(lease.renew()))
      await clock.advance(100)
      calls.push(watch(lease.renew()))
      await clock.advance(100)
      expect(calls.map(({ state }) => state)).to.deep.equal(Array.from({ length: 6 }, () => 'pending'))
      expect(only(backend.calls('renew')).entries).to.have.length(1)
      backend.deliverAll()
      await clock.settle()
      expect(calls.map(({ state }) => state)).to.deep.equal(Array.from({ length: 6 }, () => 'fulfilled'))
    }))

  it('P21 joins the renewal of the wheel', () =>
    withManager({ timeout: TTL }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 2)
      const call = watch(lease.renew())
      await clock.advance(100)
      expect(call.state).to.equal('pending')
      expect(backend.requests.renew).to.equal(1)
      backend.deliverAll()
      await clock.settle()
      expect(call.state).to.equal('fulfilled')
    }))

  it('travels together with others of the same turn', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 50 }, (_, index) => `key-${index}`)))
      await clock.advance(500)
      await Promise.all(leases.map((lease) => lease.renew()))
      expect(only(backend.calls('renew')).entries).to.have.length(50)
    }))

  it('rejects with UnavailableError after its timeout, and the lease stays held', () =>
    withManager({ autoRenew: false, timeout: 200 }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      backend.block()
      const call = watch(lease.renew())
      await clock.advance(199)
      expect(call.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError).and.to.include({ code: 'ERR_UNAVAILABLE', key: 'a' })
      expect((call.error as UnavailableError).cause).to.be.instanceOf(UnavailableError)
      expect(lease.held).to.equal(true)
      expect(lease.state).to.equal('jeopardy')

      backend.unblock()
      await clock.settle()
      await lease.renew()
      expect(lease.state).to.equal('held')
      expect(events.lines.slice(0, 2)).to.deep.equal(['acquired a', 'jeopardy a'])
    }))

  it('P24 rejects after its timeout even if an earlier one has waited to be sent for longer', () =>
    withManager({ batchSize: 1, ttl: 20_000, autoRenew: false }, async ({ manager, backend, clock }) => {
      const others = await manager.acquireMany(
        Array.from({ length: 100 }, (_, index) => `other ${index}`),
        { timeout: 9_000 },
      )
      const lease = await manager.acquire('a', { timeout: 100 })
      backend.holdAnswers('renew')
      // Far more than may be under way at once.
      for (const other of others) void other?.renew().catch(() => undefined)
      for (let call = 0; call < 3; call += 1) {
        const renewal = watch(lease.renew())
        await clock.advance(100 + 3 * TICK)
        expect(renewal.error).to.be.instanceOf(UnavailableError)
        await clock.advance(1_000)
      }
      backend.deliverAll()
    }))

  it('rejects with UnavailableError if the server refuses, and names the cause', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      const failure = new Error('READONLY')
      backend.fail(failure)
      const error = await rejectionOf(lease.renew())
      expect(error).to.be.instanceOf(UnavailableError)
      expect((error as UnavailableError).cause).to.equal(failure)
    }))

  it('is not repeated for its owner, who decides when to renew by hand', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      backend.fail(new Error('READONLY'))
      await rejectionOf(lease.renew())
      await clock.advance(2 * TTL)
      expect(backend.requests.renew).to.equal(1)
    }))

  it('rejects with LockNotHeldError if the lock is taken or gone, with the cause', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, store, events }) => {
      const [taken, missing] = [await grant(manager.tryAcquire('a')), await grant(manager.tryAcquire('b'))]
      await clock.advance(500)
      store.set('lease:a', 'somebody', TTL)
      store.delete('lease:b')
      for (const [lease, reason] of [
        [taken, 'taken'],
        [missing, 'missing'],
      ] as const) {
        const error = await rejectionOf(lease.renew())
        expect(error).to.be.instanceOf(LockNotHeldError).and.to.include({ code: 'ERR_NOT_HELD', key: lease.key })
        const { cause } = error as LockNotHeldError
        expect(cause).to.be.instanceOf(LeaseLostError).and.to.include({ reason })
        expect(lease.held).to.equal(false)
      }
      expect(events.lines.slice(2)).to.deep.equal(['lost a: taken', 'lost b: missing'])
    }))

  it('rejects with LockNotHeldError without a request if the lease has ended already', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const [released, lost] = [await grant(manager.tryAcquire('a')), await grant(manager.tryAcquire('b'))]
      await released.release()
      expect(await rejectionOf(released.renew())).to.be.instanceOf(LockNotHeldError)
      clock.jump(TTL)
      const error = await rejectionOf(lost.renew())
      expect(error).to.be.instanceOf(LockNotHeldError)
      expect((error as LockNotHeldError).cause)
        .to.be.instanceOf(LeaseLostError)
        .and.to.include({ reason: 'expired' })
      expect(backend.requests.renew).to.equal(0)
    }))

  it('rejects with LockNotHeldError if the deadline comes before the answer', () =>
    withManager({ autoRenew: false, timeout: TTL }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(1_000)
      backend.block()
      const call = watch(lease.renew())
      await clock.advance(heldFor(TTL) - 1_000 + TICK)
      expect(call.error).to.be.instanceOf(LockNotHeldError)
    }))

  it('rejects with LockNotHeldError if the lease is released before the answer', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      backend.holdAnswers('renew')
      const call = watch(lease.renew())
      await clock.settle()
      await lease.release()
      expect(call.error).to.be.instanceOf(LockNotHeldError)
      backend.deliverAll()
      await clock.settle()
      expect(lease.state).to.equal('released')
    }))

  it('settles without a request if the lease is released before the send', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(500)
      const call = watch(lease.renew())
      const release = watch(lease.release())
      await clock.settle()
      expect(call.error).to.be.instanceOf(LockNotHeldError)
      expect(release.value).to.equal(true)
      expect(backend.requests.renew).to.equal(0)
    }))

  it('P2 rejects if the answer came after the deadline', () =>
    withManager({ autoRenew: false, timeout: TTL }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(1_000)
      backend.holdAnswers('renew')
      const call = watch(lease.renew())
      await clock.settle()
      clock.jump(heldFor(TTL) - 1_000)
      backend.deliverAll()
      await clock.settle()
      expect(call.error).to.be.instanceOf(LockNotHeldError)
    }))
})
