import { expect } from 'chai'
import { UnavailableError } from 'leasewheel'
import { grant, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

describe('inspect', () => {
  it('returns null if nobody holds the lock', () =>
    withManager({}, async ({ manager }) => {
      expect(await manager.inspect('a')).to.equal(null)
    }))

  it('describes a lease of this manager, and returns it', () =>
    withManager({ owner: 'web-1' }, async ({ manager, clock }) => {
      const before = Date.now()
      const lease = await grant(manager.tryAcquire('a'))
      const after = Date.now()
      await clock.advance(100)
      const { token } = lease
      const { since, ...rest } = (await manager.inspect('a')) ?? expect.fail('nobody holds it')
      expect(rest).to.deep.equal({ token, owner: 'web-1', remaining: TTL - 100, lease })
      expect(since?.getTime()).to.be.within(before, after)
    }))

  it('describes a lock that another manager holds', () =>
    withStage(async ({ open, store }) => {
      const [first, second] = [open({ owner: 'web-1' }), open({ owner: 'web-2' })]
      const { token } = await grant(first.manager.tryAcquire('a'))
      const view = await second.manager.inspect('a')
      expect(view).to.deep.include({ token, owner: 'web-1', remaining: TTL, lease: undefined })
      expect(view?.since).to.be.instanceOf(Date)
      store.set('lease:b', 'somebody', Infinity)
      expect(await second.manager.inspect('b')).to.deep.equal({
        token: 'somebody',
        owner: undefined,
        since: undefined,
        remaining: Infinity,
        lease: undefined,
      })
    }))

  it('tells another’s lock apart from the lease that this manager still lists', () =>
    withManager({}, async ({ manager, store }) => {
      await grant(manager.tryAcquire('a'))
      store.set('lease:a', 'somebody', TTL)
      expect(await manager.inspect('a')).to.include({ token: 'somebody', lease: undefined })
    }))

  it('does not return a lease that has ended', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.there = 10
      const call = watch(manager.inspect('a'))
      await clock.settle()
      clock.jump(TTL - 20)
      await clock.advance(20)
      expect(lease.held).to.equal(false)
      expect(call.value?.lease).to.equal(undefined)
    }))

  it('rejects with UnavailableError if the server refuses or does not answer', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock }) => {
      const failure = new Error('ECONNREFUSED')
      backend.fail(failure)
      const error = await rejectionOf(manager.inspect('a'))
      expect(error).to.be.instanceOf(UnavailableError).and.to.include({ key: 'a', code: 'ERR_UNAVAILABLE' })
      expect((error as UnavailableError).cause).to.equal(failure)

      backend.fail(undefined)
      backend.block()
      const call = watch(manager.inspect('a'))
      await clock.advance(199)
      expect(call.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(clock.timers).to.equal(0)
    }))

  it('rejects an invalid key', () =>
    withManager({}, async ({ manager }) => {
      expect(await rejectionOf(manager.inspect(5 as unknown as string))).to.be.instanceOf(TypeError)
      expect(await rejectionOf(manager.inspect(''))).to.be.instanceOf(RangeError)
    }))
})
