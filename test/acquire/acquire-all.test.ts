/** acquireAll: all of the keys or none, acquired in their order. */
import { expect } from 'chai'
import { LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { grant, only, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

describe('acquireAll', () => {
  it('acquires all the keys, in their order', () =>
    withManager({}, async ({ manager, backend }) => {
      const leases = await manager.acquireAll(['c', 'a', 'b'])
      expect(leases.map(({ key }) => key)).to.deep.equal(['c', 'a', 'b'])
      expect(leases.map(({ held }) => held)).to.deep.equal([true, true, true])
      expect(backend.requests.acquire).to.equal(1)
    }))

  it('acquires none of the keys if another manager holds one', () =>
    withManager({}, async ({ manager, store, events }) => {
      store.set('lease:b', 'somebody', TTL)
      const error = await rejectionOf(manager.acquireAll(['a', 'b', 'c'], { wait: 0 }))
      expect(error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ key: 'b' })
      expect(store.keys()).to.deep.equal(['lease:b'])
      expect(manager.size).to.equal(0)
      expect(events.lines.filter((line) => line.startsWith('released'))).to.have.length(2)
    }))

  it('waits for a held key without holding any key that comes after it', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 1_500)
      const call = watch(manager.acquireAll(['a', 'b', 'c'], { wait: 5_000 }))
      await clock.advance(1_000)
      expect(store.keys()).to.have.members(['lease:a', 'lease:b'])
      await clock.advance(1_000)
      expect(call.value.map(({ key, held }) => [key, held])).to.deep.equal([
        ['a', true],
        ['b', true],
        ['c', true],
      ])
    }))

  it('rejects once the wait is over, and names the key that was held', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const call = watch(manager.acquireAll(['a', 'b', 'c'], { wait: 1_000 }))
      await clock.advance(1_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ key: 'b' })
      expect(store.keys()).to.deep.equal(['lease:b'])
    }))

  it('does not deadlock with another process that names the keys in the opposite order', () =>
    withStage(async ({ clock, store, open }) => {
      const [first, second] = [open({ random: () => 0.3 }), open({ random: () => 0.7 })]
      let done = 0
      const work = async ({ manager }: typeof first, keys: string[]): Promise<void> => {
        for (let round = 0; round < 10; round += 1) {
          const leases = await manager.acquireAll(keys, { wait: 60_000 })
          expect(leases.every(({ held }) => held)).to.equal(true)
          expect(store.keys()).to.have.length(keys.length)
          await Promise.all(leases.map((lease) => lease.release()))
          done += 1
        }
      }
      const workers = [work(first, ['a', 'b', 'c']), work(second, ['c', 'b', 'a']), work(first, ['b', 'c', 'a'])]
      const finished = watch(Promise.all(workers))
      await clock.advance(60_000)
      expect(first.backend.overrun || second.backend.overrun, 'a livelock').to.equal(false)
      expect(finished.state).to.equal('fulfilled')
      expect(done).to.equal(30)
    }))

  it('does not deadlock with other callers of the same process', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const orders = [
        ['a', 'b', 'c'],
        ['b', 'c', 'a'],
        ['c', 'a', 'b'],
        ['c', 'b', 'a'],
      ]
      const calls = watch(
        Promise.all(
          orders.map(async (keys) => {
            const leases = await manager.acquireAll(keys, { wait: 60_000 })
            expect(leases.map(({ key }) => key)).to.deep.equal(keys)
            await Promise.all(leases.map((lease) => lease.release()))
          }),
        ),
      )
      await clock.advance(60_000)
      expect(backend.overrun, 'a livelock').to.equal(false)
      expect(calls.state).to.equal('fulfilled')
    }))

  it('rejects with RangeError if a key is listed twice, and sends no request', () =>
    withManager({}, async ({ manager, backend }) => {
      const error = await rejectionOf(manager.acquireAll(['a', 'b', 'a']))
      expect(error).to.be.instanceOf(RangeError)
      expect((error as Error).message).to.include('`a`')
      expect(backend.requests.acquire).to.equal(0)
    }))

  it('acquires no key if the list is empty', () =>
    withManager({}, async ({ manager, backend }) => {
      expect(await manager.acquireAll([])).to.deep.equal([])
      expect(backend.requests.acquire).to.equal(0)
    }))

  it('rejects with UnavailableError if the server does not answer, and holds nothing', () =>
    withManager({ batchSize: 1 }, async ({ manager, backend, clock, store }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireAll(['a', 'b'], { wait: 0 }))
      await clock.settle()
      const [first, second] = backend.answers.splice(0)
      first?.deliver()
      second?.reject(new Error('ECONNRESET'))
      await clock.advance(100)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(store.keys()).to.deep.equal([])
      expect(manager.size).to.equal(0)
    }))

  it('repeats an unanswered request while there is time', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.fail(new Error('ECONNREFUSED'))
      const call = watch(manager.acquireAll(['b', 'a'], { wait: 10_000 }))
      await clock.advance(3_000)
      expect(call.state).to.equal('pending')
      backend.fail(undefined)
      await clock.advance(3_000)
      expect(call.value.map(({ key, held }) => [key, held])).to.deep.equal([
        ['b', true],
        ['a', true],
      ])
    }))

  it('releases the first key if the others can no longer be requested', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 1_000)
      const call = watch(manager.acquireAll(['a', 'b'], { wait: 10_000, timeout: 100 }))
      await clock.advance(900)
      manager.once('acquired', () => backend.fail(new Error('ECONNREFUSED')))
      await clock.advance(9_000)
      expect(call.state).to.equal('pending')
      await clock.advance(300)
      expect(call.error).to.be.instanceOf(UnavailableError)
      backend.fail(undefined)
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P10 does not report success if one of the leases has ended meanwhile', () =>
    withManager({ batchSize: 1, autoRenew: false, timeout: TTL }, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireAll(['a', 'b'], { wait: 10_000 }))
      await clock.settle()
      const [first, second] = backend.answers.splice(0)
      first?.deliver()
      await clock.settle()
      // The lease of `a` has a short life of its own.
      await manager.get('a')?.release()
      backend.deliverAll()
      second?.deliver()
      await clock.advance(200)
      expect(call.value.map(({ held }) => held)).to.deep.equal([true, true])
    }))

  it('rejects on abort, and holds nothing afterwards', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const abort = new AbortController()
      const call = watch(manager.acquireAll(['a', 'b'], { signal: abort.signal }))
      await clock.advance(500)
      abort.abort()
      await clock.settle()
      expect(call.error).to.include({ name: 'AbortError' })
      expect(store.keys()).to.deep.equal(['lease:b'])
    }))

  it('P31 rejects with what a strategy threw, even if the caller aborts while the keys are released', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const [abort, fault] = [new AbortController(), new Error('no next pause')]
      const retry = {
        next: (): number => {
          backend.holdAnswers('release')
          throw fault
        },
      }
      const call = watch(manager.acquireAll(['a', 'b'], { wait: 10_000, signal: abort.signal, retry }))
      await clock.advance(500)
      expect(call.state).to.equal('pending')
      abort.abort()
      await clock.settle()
      expect(call.error).to.equal(fault)
      backend.deliverAll()
    }))

  it('acquireAll leaves later keys untouched while it waits for one', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 2_000)
      const all = watch(manager.acquireAll(['a', 'b'], { wait: 10_000 }))
      await clock.advance(500)
      const single = await grant(manager.tryAcquire('b'))
      await clock.advance(2_000)
      expect(all.state).to.equal('pending')
      await single.release()
      await clock.advance(100)
      expect(all.value).to.have.length(2)
    }))

  it('acquireAll requests all keys in one batch once all are free', () =>
    withManager({}, async ({ manager, backend }) => {
      await manager.acquireAll(Array.from({ length: 100 }, (_, index) => `key-${index}`))
      expect(only(backend.calls('acquire')).entries).to.have.length(100)
    }))
})
