import { expect } from 'chai'
import { LeaseLostError, LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { heldFor, rejectionOf, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('using', () => {
  it('runs the work under the lock, returns its result, and releases the lock', () =>
    withManager({}, async ({ manager, store, events }) => {
      const result = await manager.using('a', async (lease) => {
        await Promise.resolve()
        expect(lease.held).to.equal(true)
        expect(store.get('lease:a')).to.equal(lease.token)
        return lease.key
      })
      expect(result).to.equal('a')
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('accepts synchronous work', () =>
    withManager({}, async ({ manager, store }) => {
      expect(await manager.using('a', () => 5)).to.equal(5)
      expect(await manager.using('a', () => undefined)).to.equal(undefined)
      expect(store.keys()).to.deep.equal([])
    }))

  it('renews the lock for as long as the work takes', () =>
    withManager({}, async ({ manager, clock, store }) => {
      let finish = (): void => undefined
      const call = watch(
        manager.using('a', (lease) => {
          return new Promise<boolean>((resolve) => {
            finish = () => resolve(lease.held)
          })
        }),
      )
      await clock.advance(10 * TTL)
      expect(store.keys()).to.deep.equal(['lease:a'])
      finish()
      await clock.settle()
      expect(call.value).to.equal(true)
      expect(store.keys()).to.deep.equal([])
    }))

  it('releases the lock and rethrows the error of the work', () =>
    withManager({}, async ({ manager, store, events }) => {
      const fault = new Error('from the work')
      expect(await rejectionOf(manager.using('a', () => Promise.reject(fault)))).to.equal(fault)
      const thrown = await rejectionOf(
        manager.using('a', () => {
          throw fault
        }),
      )
      expect(thrown).to.equal(fault)
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal(['acquired a', 'released a', 'acquired a', 'released a'])
    }))

  it('rejects with LeaseLostError if the lease was lost before the work ended', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      let finish = (): void => undefined
      const call = watch(
        manager.using('a', () => {
          return new Promise<string>((resolve) => {
            finish = () => resolve('done')
          })
        }),
      )
      await clock.settle()
      store.set('lease:a', 'somebody', 60_000)
      await clock.advance(TTL)
      finish()
      await clock.settle()
      expect(call.error).to.be.instanceOf(LeaseLostError).and.to.include({ reason: 'taken', key: 'a' })
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
      expect(store.get('lease:a')).to.equal('somebody')
    }))

  it('P1 rejects with LeaseLostError if blocking work hid the loss', () =>
    withManager({}, async ({ manager, clock }) => {
      const error = await rejectionOf(manager.using('a', () => clock.jump(heldFor(TTL))))
      expect(error).to.be.instanceOf(LeaseLostError).and.to.include({ reason: 'expired' })
    }))

  it('rejects with LeaseLostError if only the release finds the loss', () =>
    withManager({}, async ({ manager, store, events }) => {
      const error = await rejectionOf(
        manager.using('a', () => {
          store.set('lease:a', 'somebody', 60_000)
          return 'done'
        }),
      )
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
      expect(error).to.be.instanceOf(LeaseLostError).and.to.include({ reason: 'taken' })
    }))

  it('reports the loss to the work by the signal of the lease', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const call = watch(
        manager.using('a', ({ signal }) => {
          return new Promise<never>((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error))
          })
        }),
      )
      await clock.advance(TTL)
      expect(call.error).to.be.instanceOf(LeaseLostError).and.to.include({ reason: 'expired' })
    }))

  it('lets the work release the lock itself', () =>
    withManager({}, async ({ manager, events }) => {
      const result = await manager.using('a', async (lease) => {
        await lease.release()
        return 'done'
      })
      expect(result).to.equal('done')
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('takes no longer than its timeout for an unanswered release', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, events }) => {
      const call = watch(manager.using('a', () => backend.block()))
      await clock.advance(200 + 2 * TICK)
      expect(call.state).to.equal('fulfilled')
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
    }))

  it('does not begin the work if the lock was not acquired', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      let begun = 0
      const work = (): void => {
        begun += 1
      }
      store.set('lease:a', 'somebody', 60_000)
      expect(await rejectionOf(manager.using('a', work, { wait: 0 }))).to.be.instanceOf(LockNotAcquiredError)
      const waiting = watch(manager.using('a', work, { wait: 500 }))
      await clock.advance(600)
      expect(waiting.error).to.be.instanceOf(LockNotAcquiredError)
      backend.fail(new Error('ECONNREFUSED'))
      expect(await rejectionOf(manager.using('a', work, { wait: 0 }))).to.be.instanceOf(UnavailableError)
      expect(begun).to.equal(0)
    }))

  it('takes turns with other users of the same key', () =>
    withManager({}, async ({ manager, clock }) => {
      let inside = 0
      let most = 0
      const calls = Array.from({ length: 20 }, () =>
        manager.using('a', async () => {
          inside += 1
          most = Math.max(most, inside)
          await Promise.resolve()
          inside -= 1
        }),
      )
      const all = watch(Promise.all(calls))
      // Now and then the lock is left to others for a moment.
      while (all.state === 'pending') await clock.advance(TICK)
      expect(most).to.equal(1)
    }))

  it('rejects work that is no function, and sends no request', () =>
    withManager({}, async ({ manager, backend }) => {
      for (const work of [undefined, 5, {}]) {
        const error = await rejectionOf(manager.using('a', work as () => void))
        expect(error).to.be.instanceOf(TypeError)
        expect((error as Error).message).to.include('`work`')
      }
      expect(backend.requests.acquire).to.equal(0)
    }))
})
