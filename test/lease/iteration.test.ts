/** The leases of a manager: get, size and iteration. */
import { expect } from 'chai'
import { grant, rejectionOf, TTL, watch, withManager, withStage } from '../support/manager.ts'

describe('the leases of a manager', () => {
  it('are found by key, and the leases of other managers are not', () =>
    withStage(async ({ open, store }) => {
      const [first, second] = [open(), open()]
      const lease = await grant(first.manager.tryAcquire('a'))
      store.set('lease:b', 'somebody', TTL)
      expect(first.manager.get('a')).to.equal(lease)
      expect(first.manager.get('b')).to.equal(undefined)
      expect(second.manager.get('a')).to.equal(undefined)
    }))

  it('are counted', () =>
    withManager({}, async ({ manager }) => {
      expect(manager.size).to.equal(0)
      const leases = await manager.acquireMany(['a', 'b', 'c'])
      expect(manager.size).to.equal(3)
      await leases[1]?.release()
      expect(manager.size).to.equal(2)
    }))

  it('are iterated, each of them once', () =>
    withManager({}, async ({ manager }) => {
      for (const key of ['c', 'a', 'b']) await manager.acquire(key)
      expect([...manager].map(({ key }) => key)).to.have.members(['a', 'b', 'c'])
      await manager.get('c')?.release()
      await manager.acquire('c')
      expect([...manager].map(({ key }) => key)).to.have.members(['a', 'b', 'c'])
      expect([...manager].every((lease) => manager.get(lease.key) === lease)).to.equal(true)
    }))

  it('P1 are the leases that are held at this moment, noticed or not', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      clock.jump(TTL / 2)
      await grant(manager.tryAcquire('b'))
      clock.jump(TTL / 2)
      expect([...manager].map(({ key }) => key)).to.deep.equal(['b'])
      expect(manager.get('a')).to.equal(undefined)
      expect(manager.size).to.equal(1)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'acquired b', 'lost a: expired'])
    }))

  it('can be released during the iteration', () =>
    withManager({}, async ({ manager }) => {
      const all = ['a', 'b', 'c', 'd']
      await manager.acquireMany(all)
      const keys: string[] = []
      let other: string | undefined
      for (const lease of manager) {
        keys.push(lease.key)
        void lease.release()
        if (keys.length !== 2) continue
        other = all.find((key) => !keys.includes(key)) as string
        void manager.get(other)?.release()
      }
      expect(keys).to.have.members(all.filter((key) => key !== other))
      expect(keys).to.have.length(3)
      expect(manager.size).to.equal(0)
    }))

  it('exclude leases that are being acquired or released', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.tryAcquire('a'))
      await clock.settle()
      expect([...manager]).to.deep.equal([])
      expect(manager.get('a')).to.equal(undefined)
      backend.deliverAll()
      await clock.settle()
      const release = call.value?.release()
      expect([...manager]).to.deep.equal([])
      await release
    }))

  it('can be looked up by key only', () =>
    withManager({}, async ({ manager }) => {
      expect(() => manager.get(5 as unknown as string)).to.throw(TypeError, '`key`')
      expect(() => manager.get('')).to.throw(RangeError, '`key`')
      expect(await rejectionOf(manager.inspect(''))).to.be.instanceOf(RangeError)
    }))
})
