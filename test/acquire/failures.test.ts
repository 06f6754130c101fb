/** What the error of a refused caller says. */
import { expect } from 'chai'
import { LockNotAcquiredError } from 'leasewheel'
import { rejectionOf, TICK, watch, withManager } from '../support/manager.ts'

describe('a refused caller', () => {
  for (const wait of [0, 300]) {
    it(`a nested caller learns that this manager holds the lock: wait ${wait}`, () =>
      withManager({}, async ({ manager, clock }) => {
        const call = watch(manager.using('a', () => manager.using('a', () => 'never', { wait })))
        await clock.advance(wait + 2 * TICK)
        expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ key: 'a', attempts: 0 })
        expect((call.error as Error).message)
          .to.include('this LeaseManager itself')
          .and.to.include('not reentrant')
          .and.not.to.include('another')
      }))
  }

  it('a refused caller learns that others were ahead if its manager never asked', () =>
    withManager({}, async ({ manager, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      void manager.acquire('a', { wait: 1_000 }).catch(() => undefined)
      await clock.settle()
      const call = watch(manager.acquire('a', { wait: 300 }))
      await clock.advance(1_100)
      expect((call.error as Error).message)
        .to.include('other callers of this process')
        .and.not.to.include('0 attempts')
    }))

  it('a refused caller learns that another manager holds the lock', () =>
    withManager({}, async ({ manager, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const error = await rejectionOf(manager.acquire('a', { wait: 0 }))
      expect((error as Error).message).to.include('held by another: not acquired after 1 attempt')
    }))
})
