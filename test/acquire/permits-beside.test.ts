/** A caller that does not wait, beside a waiter of the same manager that is granted. */
import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'

describe('tryAcquire of a key that several may hold', () => {
  for (const [name, options, busy] of [
    ['a permit', { permits: 4 }, { permits: 4, weight: 4 }],
    ['a reader', { mode: 'read' }, { mode: 'write' }],
  ] as const) {
    it(`gives ${name} beside the waiter ahead`, async () => {
      const clock = new ManualClock()
      const store = new MemoryStore({ clock })
      const [one, other] = [1, 2].map(() => new LeaseManager(new MemoryBackend({ store }), { clock })) as [
        LeaseManager,
        LeaseManager,
      ]
      const held = await other.acquire('a', busy)
      const waiting = one.acquire('a', options)
      await clock.settle()
      void held.release()
      const [lease, beside] = await Promise.all([waiting, one.tryAcquire('a', options)])
      expect(lease.held).to.equal(true)
      expect(beside).to.have.property('held', true)
      await Promise.all([one.close(), other.close()])
    })
  }
})
