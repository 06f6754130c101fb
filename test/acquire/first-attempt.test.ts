/** The first attempt of a caller, which skips the queue: later callers, and events while it is under way. */
import { expect } from 'chai'
import { fixedInterval, LockNotAcquiredError, LockNotHeldError, ManagerClosedError, UnavailableError } from 'leasewheel'
import { grant, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

describe('a first attempt', () => {
  it('a refused first attempt keeps its place ahead of callers that came later', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      backend.holdAnswers('acquire')
      const order: string[] = []
      const calls = ['first', 'second', 'third'].map(async (name) => {
        const lease = await manager.acquire('a', { wait: HOUR })
        order.push(name)
        await lease.release()
      })
      await clock.settle()
      expect(backend.calls('acquire')).to.have.length(1)
      backend.deliverAll()
      await clock.settle()
      store.delete('lease:a')
      await clock.advance(10 * TICK)
      await Promise.all(calls)
      expect(order).to.deep.equal(['first', 'second', 'third'])
    }))

  it('counts as an attempt, and its caller’s wait counts from the call', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'web-1:AAAAAAAAAAAAAAAAAAAAAA', HOUR)
      backend.back = 400
      const retry = fixedInterval({ interval: 1_000, jitter: false })
      const call = watch(manager.acquire('a', { wait: 1_500, retry }))
      await clock.advance(1_500 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
      expect(call.error).to.include({ attempts: 2, owner: 'web-1' })
      expect((call.error as LockNotAcquiredError).waited).to.be.within(1_500, 1_500 + 2 * TICK)
    }))

  for (const named of [true, false]) {
    it(`P23 a first attempt is repeated after ${named ? 'a hint of its key' : 'a hint of any key'}`, () =>
      withManager({}, async ({ manager, backend, clock, store }) => {
        store.set('lease:a', 'somebody', HOUR)
        backend.deaf = true
        backend.holdAnswers('acquire')
        const call = watch(manager.acquire('a', { wait: HOUR }))
        await clock.settle()
        store.delete('lease:a')
        backend.listener.onChange(named ? ['a'] : undefined)
        await clock.settle()
        backend.deliverAll()
        await clock.settle()
        expect(call.value.held).to.equal(true)
      }))
  }

  it('P23 a first attempt is repeated if this process deletes the key meanwhile', () =>
    withManager({ ttl: 30_000 }, async ({ manager, backend, clock, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('down'))
      void lease.release()
      await clock.settle()
      backend.fail(undefined)
      backend.holdAnswers('acquire')
      const call = watch(manager.acquire('a', { wait: HOUR }))
      await clock.advance(1_000)
      expect(store.get('lease:a')).to.equal(undefined)
      backend.deliverAll()
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))

  it('P18 a hint before the grant has the new lease verified', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.deaf = true
      backend.holdAnswers('acquire')
      const call = watch(manager.acquire('a'))
      await clock.settle()
      store.set('lease:a', 'somebody', HOUR)
      backend.listener.onChange(['a'])
      backend.deliverAll()
      await clock.settle()
      expect(call.value.state).to.equal('lost')
    }))

  it('P23 lets the next caller ask after an abort or a missing answer', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const abort = new AbortController()
      backend.holdAnswers('acquire')
      const first = watch(manager.acquire('a', { signal: abort.signal }))
      const second = watch(manager.acquire('a'))
      await clock.settle()
      abort.abort(new Error('enough'))
      await clock.settle()
      expect(first.error).to.have.property('message', 'enough')
      expect(backend.calls('acquire')).to.have.length(2)
      backend.deliverAll()
      await clock.advance(TTL)
      expect(second.value.held).to.equal(true)
      await second.value.release()

      backend.holdAnswers('acquire')
      const third = watch(manager.tryAcquire('a'))
      const fourth = watch(manager.acquire('a'))
      await clock.advance(500 + 2 * TICK)
      expect(third.error).to.be.instanceOf(UnavailableError)
      backend.deliverAll()
      await clock.advance(TTL)
      expect(fourth.value.held).to.equal(true)
    }))

  it('ends at once when its manager is closed, whatever the server does', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const calls = [watch(manager.tryAcquire('a')), watch(manager.acquire('b')), watch(manager.acquire('b'))]
      await clock.settle()
      const closed = manager.close()
      await clock.settle()
      for (const { error } of calls) expect(error).to.be.instanceOf(ManagerClosedError)
      backend.deliverAll()
      await clock.settle()
      await closed
    }))

  it('P11 can no longer be cancelled by a listener of its `acquired` event', () =>
    withManager({}, async ({ manager }) => {
      const abort = new AbortController()
      manager.once('acquired', () => abort.abort())
      const lease = await manager.acquire('a', { signal: abort.signal })
      expect(lease.held).to.equal(true)
    }))

  it('ends with its manager if a listener of its lease closes the manager', () =>
    withManager({}, async ({ manager, events, clock }) => {
      manager.once('acquired', ({ lease }) => {
        void lease.release()
        void manager.close()
      })
      const call = watch(manager.acquire('a'))
      await clock.advance(TICK)
      expect(call.error).to.be.instanceOf(LockNotHeldError)
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('ends before its caller’s wait if its timeout is shorter', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquire('a', { wait: 200, timeout: 400 }))
      await clock.advance(200 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
    }))

  it('a first attempt counts as waiting while it is under way', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const calls = [watch(manager.acquire('a')), watch(manager.acquire('a')), watch(manager.acquire('b'))]
      await clock.settle()
      expect(manager.stats()).to.include({ waiting: 3, queues: 2, asks: 2 })
      backend.deliverAll()
      await clock.settle()
      await calls[0]?.value.release()
      await clock.settle()
      expect(manager.stats()).to.include({ waiting: 0, queues: 0, asks: 3 })
      await calls[1]?.value.release()
    }))

  it('P10 fails without another request if a listener releases its lease', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      manager.on('acquired', ({ lease }) => void lease.release())
      const call = watch(manager.acquire('a'))
      await clock.settle()
      expect(call.error).to.be.instanceOf(LockNotHeldError)
      expect(backend.calls('acquire')).to.have.length(1)
    }))

  it('callers share a first attempt as granted even if a listener releases its lease', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      manager.once('acquired', ({ lease }) => void lease.release())
      backend.holdAnswers('acquire')
      const [waiting, sharing] = [watch(manager.acquire('a')), watch(manager.tryAcquire('a'))]
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(sharing.value).to.equal(null)
      expect(waiting.error).to.be.instanceOf(LockNotHeldError)
    }))

  it('leaves the key to an attempt that a listener of its lease has begun', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      manager.once('acquired', ({ lease }) => {
        void lease.release()
        void watch(manager.tryAcquire('a'))
      })
      backend.holdAnswers('acquire')
      const call = watch(manager.acquire('a', { wait: TTL / 2 }))
      await clock.settle()
      backend.listener.onChange(['a'])
      backend.deliverAll()
      await clock.settle()
      for (const { entries } of backend.calls('acquire')) expect(entries).to.have.length(1)
      expect(call.error).to.be.instanceOf(LockNotHeldError)
      expect(manager.get('a')?.held).to.equal(true)
    }))

  it('P25 ignores hints from an earlier attempt, even under constant requests for other keys', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const busy = watch(manager.tryAcquire('other'))
      await clock.settle()
      const attempt = async (hint: () => void): Promise<number> => {
        const before = backend.calls().length
        const call = watch(manager.tryAcquire('a'))
        await clock.settle()
        hint()
        backend.answers.at(-1)?.deliver()
        await clock.settle()
        await call.value?.release()
        return backend.calls().length - before
      }
      expect(await attempt(() => backend.listener.onChange(['a']))).to.equal(3)
      expect(await attempt(() => undefined)).to.equal(2)
      backend.deliverAll()
      await clock.settle()
      await busy.value?.release()
    }))

  it('a first attempt that an adoption displaced counts, and gets its place back', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      backend.holdAnswers('acquire')
      const first = watch(manager.acquire('a'))
      await clock.settle()
      const adopted = await manager.adopt(handle)
      expect(manager.stats()).to.include({ held: 1, waiting: 1, queues: 1 })
      void adopted.release()
      const second = watch(manager.tryAcquire('a'))
      expect(manager.stats()).to.include({ held: 0, waiting: 2, queues: 1 })
      await clock.settle()
      expect(backend.calls('acquire').map(({ entries }) => entries.length)).to.deep.equal([1, 1])
      backend.deliverAll()
      await clock.settle()
      expect(second.value).to.equal(null)
      expect(first.value.held).to.equal(true)
    }))

  it('a first attempt settles even if an adoption displaces it', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.backend.holdAnswers('acquire')
      const call = watch(to.manager.tryAcquire('a'))
      await clock.settle()
      const adopted = await to.manager.adopt(handle)
      to.backend.deliverAll()
      await clock.settle()
      expect(call.value).to.equal(null)
      expect(adopted.held).to.equal(true)
    }))

  it('P25 a first attempt that an adoption displaced leaves no hint behind', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      backend.holdAnswers('acquire')
      const first = watch(manager.tryAcquire('a'))
      await clock.settle()
      const adopted = await manager.adopt(handle)
      backend.listener.onChange(['a'])
      backend.deliverAll()
      await clock.settle()
      expect(first.value).to.equal(null)
      await adopted.release()
      const before = backend.calls().length
      await (await grant(manager.tryAcquire('a'))).release()
      expect(
        backend
          .calls()
          .slice(before)
          .map(({ operation }) => operation),
      ).to.deep.equal(['acquire', 'release'])
    }))
})

describe('requests that fill a batch', () => {
  it('leave at once, and those of the rest of the turn at its end', () =>
    withManager({ batchSize: 3 }, async ({ manager, backend, clock }) => {
      const calls = Array.from({ length: 7 }, (_, index) => manager.tryAcquire(`key:${index}`))
      expect(backend.calls('acquire')).to.have.length(2)
      await clock.settle()
      expect(backend.calls('acquire').map(({ entries }) => entries.length)).to.deep.equal([3, 3, 1])
      await Promise.all(calls)
    }))

  it('do not overtake releases from other batches if a listener asks for the key', () =>
    withStage(async ({ open, clock }) => {
      const [{ manager }, other] = [open({ batchSize: 2, autoRenew: false }), open()]
      const [taken, kept] = [await other.manager.acquire('a'), await other.manager.acquire('c')]
      const abort = new AbortController()
      const call = watch(manager.acquireMany(['a', 'b', 'c'], { wait: HOUR, signal: abort.signal }))
      await clock.advance(2_000)
      await taken.release()
      await clock.advance(500)
      // The lease of `b` is over when all are given back, and that of `a` is not.
      const calls: ReturnType<typeof watch>[] = []
      manager.once('lost', () => {
        calls.push(watch(manager.acquire('a')), watch(manager.acquire('d')))
      })
      clock.jump(1_000)
      abort.abort(new Error('enough'))
      await clock.settle()
      expect(call.error).to.have.property('message', 'enough')
      expect(calls.map(({ state }) => state)).to.deep.equal(['fulfilled', 'fulfilled'])
      await kept.release()
    }))

  it('do not overtake the releases of the same turn', () =>
    withManager({ batchSize: 2 }, async ({ manager, clock }) => {
      const held = await grant(manager.tryAcquire('a'))
      const released = held.release()
      const calls = [manager.tryAcquire('b'), manager.tryAcquire('a')]
      await clock.settle()
      expect(await released).to.equal(true)
      for (const call of calls) expect((await call)?.held).to.equal(true)
    }))
})
