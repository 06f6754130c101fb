import { expect } from 'chai'
import { UnavailableError } from 'leasewheel'
import { rejectionOf, TICK, TTL, watch, withManager } from './support.ts'

describe('acquireMany', () => {
  it('acquires each key on its own, in the order of the keys', () =>
    withManager({}, async ({ manager, store, events }) => {
      store.set('lease:b', 'somebody', TTL)
      const leases = await manager.acquireMany(['c', 'b', 'a'])
      expect(leases.map((lease) => lease?.key)).to.deep.equal(['c', undefined, 'a'])
      expect(leases[1]).to.equal(null)
      expect(leases.map((lease) => lease?.held)).to.deep.equal([true, undefined, true])
      expect(events.lines).to.deep.equal(['acquired c', 'acquired a'])
    }))

  it('sends them together, in batches of bounded size', () =>
    withManager({ batchSize: 100 }, async ({ manager, backend }) => {
      const leases = await manager.acquireMany(Array.from({ length: 950 }, (_, index) => `key-${index}`))
      expect(leases.filter((lease) => lease?.held)).to.have.length(950)
      expect(backend.calls('acquire').map(({ entries }) => entries.length)).to.deep.equal([
        ...Array.from({ length: 9 }, () => 100),
        50,
      ])
    }))

  it('acquires any number of keys', () =>
    withManager({ autoRenew: false, batchSize: 1_000 }, async ({ manager }) => {
      const keys = Array.from({ length: 25_000 }, (_, index) => `key-${index}`)
      const leases = await manager.acquireMany(keys)
      expect(leases.map((lease) => lease?.key)).to.deep.equal(keys)
      expect(manager.size).to.equal(25_000)
    }))

  it('P7 answers a key that stands twice with null the second time', () =>
    withManager({}, async ({ manager }) => {
      const leases = await manager.acquireMany(['a', 'b', 'a', 'a'])
      expect(leases.map((lease) => lease?.key)).to.deep.equal(['a', 'b', undefined, undefined])
    }))

  it('takes anything that can be iterated, and nothing else', () =>
    withManager({}, async ({ manager, backend }) => {
      function* generate() {
        yield 'x'
        yield 'y'
      }
      expect((await manager.acquireMany(new Set(['a', 'b']))).map((lease) => lease?.key)).to.deep.equal(['a', 'b'])
      expect((await manager.acquireMany(generate())).map((lease) => lease?.key)).to.deep.equal(['x', 'y'])
      expect(await manager.acquireMany([])).to.deep.equal([])
      const { acquire } = backend.requests
      for (const keys of ['abc', undefined, 5, [5], ['c', null]]) {
        expect(await rejectionOf(manager.acquireMany(keys as string[]))).to.be.instanceOf(TypeError)
      }
      expect(await rejectionOf(manager.acquireMany(['c', '']))).to.be.instanceOf(RangeError)
      expect(backend.requests.acquire).to.equal(acquire)
    }))

  it('does not wait for what is held, unless it is told to', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 1_000)
      const before = clock.now()
      expect((await manager.acquireMany(['a', 'b'])).map((lease) => lease?.key)).to.deep.equal(['a', undefined])
      expect(clock.now()).to.equal(before)

      const call = watch(manager.acquireMany(['b', 'c'], { wait: 2_000 }))
      await clock.advance(999)
      expect(call.state).to.equal('pending')
      expect(manager.get('c')?.held).to.equal(true)
      await clock.advance(2 + TICK)
      expect(call.value.map((lease) => lease?.key)).to.deep.equal(['b', 'c'])
    }))

  it('answers with null what was waited for in vain, and keeps the rest', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const call = watch(manager.acquireMany(['a', 'b'], { wait: 1_000 }))
      await clock.advance(1_000 + 2 * TICK)
      expect(call.value.map((lease) => lease?.key)).to.deep.equal(['a', undefined])
      expect(call.value[0]?.held).to.equal(true)
    }))

  it('rejects with UnavailableError where nothing was answered', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.block()
      const call = watch(manager.acquireMany(['a', 'b'], { timeout: 100 }))
      await clock.advance(100 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
    }))

  it('gives everything back where one attempt was not answered', () =>
    withManager({ batchSize: 2 }, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['a', 'b', 'c', 'd', 'e', 'f']))
      await clock.settle()
      const [first, second, third] = backend.answers.splice(0)
      first?.deliver()
      second?.reject(new Error('ECONNRESET'))
      third?.deliver()
      await clock.advance(100)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(call.error).to.have.property('message').that.includes('ECONNRESET')
      expect(manager.size).to.equal(0)
      expect(store.keys()).to.deep.equal([])
      const keys = ['a', 'b', 'e', 'f']
      expect(events.lines).to.have.members([
        ...keys.map((key) => `acquired ${key}`),
        ...keys.map((key) => `released ${key}`),
      ])
    }))

  it('gives everything back where it is aborted while it waits for some', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const abort = new AbortController()
      const call = watch(manager.acquireMany(['a', 'b', 'c'], { wait: Infinity, signal: abort.signal }))
      await clock.advance(500)
      expect(store.keys()).to.have.members(['lease:a', 'lease:b', 'lease:c'])
      abort.abort()
      await clock.advance(TICK)
      expect(call.error).to.include({ name: 'AbortError' })
      expect(store.keys()).to.deep.equal(['lease:b'])
    }))

  it('gives its options to every lease', () =>
    withManager({}, async ({ manager, clock }) => {
      const leases = await manager.acquireMany(['a', 'b'], { ttl: 500, autoRenew: false })
      expect(leases.map((lease) => lease?.ttl)).to.deep.equal([500, 500])
      await clock.advance(500)
      expect(leases.map((lease) => lease?.held)).to.deep.equal([false, false])
    }))
})
