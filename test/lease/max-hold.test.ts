/** maxHold: the longest time for which a lease is held, however well it is renewed. */
import { expect } from 'chai'
import { LeaseLostError, LockNotHeldError } from 'leasewheel'
import { grant, heldFor, rejectionOf, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('maxHold', () => {
  it('ends a lease despite its renewals, and releases its key', () =>
    withManager({ maxHold: 10_000 }, async ({ manager, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { signal } = lease
      await clock.advance(9_999)
      expect(lease.held).to.equal(true)
      clock.jump(1)
      expect(lease.held).to.equal(false)
      expect(lease.remaining).to.equal(0)
      await clock.settle()
      expect(events.lines.at(-1)).to.equal('lost a: maxHold')
      expect(signal.reason as unknown)
        .to.be.instanceOf(LeaseLostError)
        .and.to.include({ reason: 'maxHold' })
      expect(store.keys(), 'it was ours to delete').to.deep.equal([])
    }))

  it('P15 is reported at most one tick later, without any read', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const start = clock.now()
      const limits = [1, 50, 777, 2_000, 5_000, 60_000]
      for (const maxHold of limits) await grant(manager.tryAcquire(`key-${maxHold}`, { maxHold }))
      await clock.advance(61_000)
      const lost = events.all.filter(({ name }) => name === 'lost')
      expect(lost.map(({ line }) => line)).to.deep.equal(limits.map((maxHold) => `lost key-${maxHold}: maxHold`))
      for (const [index, maxHold] of limits.entries()) {
        expect((lost[index]?.at ?? 0) - start).to.be.within(maxHold, maxHold + TICK)
      }
    }))

  it('affects no other lease that is renewed by the same request', () =>
    withManager({}, async ({ manager, clock }) => {
      const leases = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          grant(manager.tryAcquire(`key-${index}`, index % 2 === 0 ? { maxHold: 1_500 + 100 * index } : {})),
        ),
      )
      await clock.advance(4 * TTL)
      expect(leases.map(({ held }) => held)).to.deep.equal(leases.map((_, index) => index % 2 === 1))
    }))

  it('does not extend a lease beyond its deadline', () =>
    withManager({ maxHold: 10_000, autoRenew: false }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(heldFor(TTL))
      expect(lease.held).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))

  it('is counted from the acquisition of each lease', () =>
    withManager({ maxHold: 1_000 }, async ({ manager, clock }) => {
      for (let round = 0; round < 3; round += 1) {
        const lease = await manager.acquire('a')
        await clock.advance(900)
        expect(lease.held).to.equal(true)
        await lease.release()
      }
    }))

  it('is not postponed by a manual renewal', () =>
    withManager({ maxHold: 2_000, autoRenew: false }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(1_500)
      await lease.renew()
      clock.jump(500)
      expect(lease.held).to.equal(false)
      expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
    }))

  it('P12 ends a lease during a renewal, and deletes the renewed key', () =>
    withManager({ maxHold: 1_200, timeout: 1_000 }, async ({ manager, backend, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      backend.block()
      await clock.advance(1_200 + TICK)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: maxHold'])
      backend.unblock()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
    }))

  it('passes the lock to the next caller in this process', () =>
    withManager({}, async ({ manager, clock }) => {
      const first = await manager.acquire('a', { maxHold: 1_000 })
      const call = watch(manager.acquire('a'))
      await clock.advance(1_000 + 100)
      expect(first.held).to.equal(false)
      expect(call.value.held).to.equal(true)
    }))

  it('can be set by the call, which overrides the manager', () =>
    withManager({ maxHold: 1_000 }, async ({ manager, clock }) => {
      const [short, long] = [
        await grant(manager.tryAcquire('a', { maxHold: 500 })),
        await grant(manager.tryAcquire('b', { maxHold: Infinity })),
      ]
      clock.jump(500)
      expect(short.held).to.equal(false)
      await clock.advance(10_000)
      expect(long.held).to.equal(true)
    }))
})
