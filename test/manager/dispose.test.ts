import { expect } from 'chai'
import { ManagerClosedError } from 'leasewheel'
import { rejectionOf, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('await using', () => {
  it('releases a lease at the end of the block', () =>
    withManager({}, async ({ manager, store, events }) => {
      {
        await using lease = await manager.acquire('a')
        expect(store.get('lease:a')).to.equal(lease.token)
      }
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('releases a lease if the block throws, and passes on that error alone', () =>
    withManager({}, async ({ manager, store }) => {
      const fault = new Error('from the block')
      const work = async (): Promise<void> => {
        await using lease = await manager.acquire('a')
        expect(lease.held).to.equal(true)
        throw fault
      }
      expect(await rejectionOf(work())).to.equal(fault)
      expect(store.keys()).to.deep.equal([])
    }))

  it('accepts null for a refusal', () =>
    withManager({}, async ({ manager, store }) => {
      store.set('lease:a', 'somebody', TTL)
      await using lease = await manager.tryAcquire('a')
      expect(lease).to.equal(null)
    }))

  it('does not throw if the lease was released, was lost, or cannot be released', () =>
    withManager({ timeout: 100 }, async ({ manager, backend, clock, store }) => {
      const call = watch(
        (async () => {
          {
            await using lease = await manager.acquire('released')
            await lease.release()
          }
          {
            await using lease = await manager.acquire('stolen')
            store.set('lease:stolen', 'somebody', TTL)
            expect(lease.held).to.equal(true)
          }
          {
            await using lease = await manager.acquire('expired', { autoRenew: false })
            clock.jump(TTL)
            expect(lease.held).to.equal(false)
          }
          {
            await using lease = await manager.acquire('unanswered')
            backend.block()
            expect(lease.held).to.equal(true)
          }
        })(),
      )
      await clock.settle()
      await clock.advance(100 + 2 * TICK)
      expect(call.state).to.equal('fulfilled')
    }))

  it('closes a manager and its leases at the end of the block', () =>
    withManager({}, async ({ manager, store, clock }) => {
      {
        await using leases = manager
        await leases.acquireMany(['a', 'b'])
        expect(store.keys()).to.have.length(2)
      }
      expect(store.keys()).to.deep.equal([])
      expect(clock.timers).to.equal(0)
      expect(await rejectionOf(manager.acquire('a'))).to.be.instanceOf(ManagerClosedError)
    }))

  it('does not throw if a manager was closed before', () =>
    withManager({}, async ({ manager }) => {
      await using leases = manager
      await leases.close()
    }))
})
