/** Leases that change processes by detach and adopt, and locks that forceRelease takes away. */
import { expect } from 'chai'
import sinon from 'sinon'
import {
  type DetachedLease,
  LeaseLostError,
  LockNotAcquiredError,
  LockNotHeldError,
  ManagerClosedError,
  type ReleasedEvent,
  UnavailableError,
} from 'leasewheel'
import { grant, heldFor, only, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

describe('detach', () => {
  it('ends the lease here, and leaves its key in the store', () =>
    withManager({}, async ({ manager, store, clock, events }) => {
      const told: ReleasedEvent[] = []
      manager.on('released', (event) => told.push(event))
      const lease = await grant(manager.tryAcquire('a'))
      const { key, token, fence, ttl } = lease
      const { signal } = lease
      expect(lease.detach()).to.deep.equal({ key, token, fence, ttl })
      expect({ held: lease.held, state: lease.state, remaining: lease.remaining }).to.deep.equal({
        held: false,
        state: 'released',
        remaining: 0,
      })
      expect(signal.aborted, 'nothing was lost').to.equal(false)
      expect(manager.get('a')).to.equal(undefined)
      expect(manager.size).to.equal(0)
      expect(store.get('lease:a')).to.equal(token)
      expect(only(told)).to.deep.equal({ lease, confirmed: false, detached: true })
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
      await clock.settle()
      expect(manager.stats()).to.include({ released: 1, held: 0, timers: 0 })
    }))

  it('is marked in the `released` event as no release', () =>
    withManager({}, async ({ manager }) => {
      const told: ReleasedEvent[] = []
      manager.on('released', (event) => told.push(event))
      const lease = await grant(manager.tryAcquire('a'))
      await lease.release()
      expect(only(told)).to.deep.equal({ lease, confirmed: true, detached: false })
    }))

  it('P12 ends the renewals: the key expires a ttl after the last of them', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(TTL)
      lease.detach()
      const { renew } = backend.requests
      const remaining = store.remaining('lease:a') ?? Number.NaN
      await clock.advance(remaining - 1)
      expect(store.get('lease:a')).to.equal(lease.token)
      await clock.advance(1)
      expect(store.get('lease:a')).to.equal(undefined)
      expect(backend.requests).to.include({ renew, release: 0 })
    }))

  it('P12 is not undone by a renewal under way, and emits one last event', () =>
    withManager({}, async ({ manager, clock, backend, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      const renewing = watch(lease.renew())
      await clock.settle()
      lease.detach()
      await clock.settle()
      expect(renewing.error).to.be.instanceOf(LockNotHeldError)
      backend.deliverAll()
      await clock.advance(TTL)
      expect(lease.held).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
    }))

  it('throws LockNotHeldError if the lease is not held, with a loss as its cause', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, store, events }) => {
      const released = await grant(manager.tryAcquire('released'))
      await released.release()
      const detached = await grant(manager.tryAcquire('detached'))
      detached.detach()
      const expired = await grant(manager.tryAcquire('expired'))
      const releasing = await grant(manager.tryAcquire('releasing'))
      const release = releasing.release()
      for (const lease of [released, detached, releasing]) {
        expect(() => lease.detach())
          .to.throw(LockNotHeldError)
          .and.not.have.property('cause')
      }
      await release
      // Nobody has noticed yet.
      clock.jump(heldFor(TTL))
      expect(() => expired.detach())
        .to.throw(LockNotHeldError)
        .with.property('cause')
        .that.is.instanceOf(LeaseLostError)
      expect(events.lines.at(-1)).to.equal('lost expired: expired')
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P7 P13 returns no handle of a lease whose lost key will be deleted', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      for (let stop = 1; stop <= 3; stop += 1) {
        const lease = await grant(manager.tryAcquire('a'))
        let readings = 0
        const now = sinon.stub(clock, 'now').callsFake(() => {
          readings += 1
          if (readings === stop) clock.jump(heldFor(TTL))
          return now.wrappedMethod.call(clock)
        })
        let detached: DetachedLease | undefined
        try {
          detached = lease.detach()
        } catch (error) {
          expect(error).to.be.instanceOf(LockNotHeldError)
        } finally {
          now.restore()
        }
        expect(events.lines.at(-1)).to.equal(detached ? 'released a, unconfirmed' : 'lost a: expired')
        await clock.advance(TTL)
      }
      expect(events.lines.filter((line) => line === 'lost a: expired')).to.have.length.above(0)
    }))

  it('P5 deletes no key, even at a later release or close', () =>
    withManager({}, async ({ manager, store, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a', { ttl: 30_000 }))
      lease.detach()
      expect(await lease.release()).to.equal(false)
      await lease[Symbol.asyncDispose]()
      await manager.close()
      expect(store.get('lease:a')).to.equal(lease.token)
      expect(backend.requests.release).to.equal(0)
      await clock.advance(30_000)
    }))

  it('P7 gives the lock to no waiter, in this process or another', () =>
    withStage(async ({ open, clock, store }) => {
      const [here, there] = [open(), open()]
      const lease = await grant(here.manager.tryAcquire('a', { ttl: 10_000 }))
      const calls = [
        watch(here.manager.acquire('a', { wait: HOUR })),
        watch(there.manager.acquire('a', { wait: HOUR })),
      ]
      await clock.advance(2_000)
      lease.detach()
      const remaining = store.remaining('lease:a') ?? Number.NaN
      await clock.advance(remaining - 1)
      expect(calls.map(({ state }) => state)).to.deep.equal(['pending', 'pending'])
      expect(here.backend.requests.acquire, 'it looked once').to.be.at.most(2)
      await clock.advance(2 + 2 * TICK)
      expect(calls.map(({ state }) => state).toSorted()).to.deep.equal(['fulfilled', 'pending'])
    }))
})

describe('adopt', () => {
  it('continues another process’s lease with its token and fence, and renews it', () =>
    withStage(async ({ open, clock, store }) => {
      const [from, to] = [open(), open()]
      const lease = await grant(from.manager.tryAcquire('a'))
      await clock.advance(900)
      // As it comes over a network.
      const handle = JSON.parse(JSON.stringify(lease.detach())) as DetachedLease
      const adopted = await to.manager.adopt(handle)
      expect(adopted).to.include({ key: 'a', token: lease.token, fence: lease.fence, ttl: TTL, held: true })
      expect(adopted.remaining).to.equal(heldFor(TTL))
      expect(store.remaining('lease:a')).to.equal(TTL)
      expect(to.manager.get('a')).to.equal(adopted)
      expect(to.manager.stats()).to.include({ held: 1, acquired: 1, asks: 0, asksPerGrant: 0 })
      await clock.advance(10 * TTL)
      expect(adopted.held).to.equal(true)
      expect(to.events.lines[0]).to.equal('acquired a')
      expect(await adopted.release()).to.equal(true)
      expect(store.get('lease:a')).to.equal(undefined)
    }))

  it('continues a lease of this very manager', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const adopted = await manager.adopt(lease.detach())
      expect(adopted).not.to.equal(lease)
      await clock.advance(2 * TTL)
      expect([lease.held, adopted.held]).to.deep.equal([false, true])
      expect(events.lines.slice(0, 3)).to.deep.equal(['acquired a', 'released a, unconfirmed', 'acquired a'])
    }))

  it('accepts options for this lease, and keeps its ttl by default', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const one = (await grant(from.manager.tryAcquire('a', { ttl: 1_000 }))).detach()
      const two = (await grant(from.manager.tryAcquire('b', { ttl: 2_000 }))).detach()
      const unrenewed = await to.manager.adopt(one, { autoRenew: false })
      const limited = await to.manager.adopt(two, { maxHold: 5_000 })
      expect([unrenewed.ttl, limited.ttl]).to.deep.equal([1_000, 2_000])
      await clock.advance(heldFor(1_000))
      expect(unrenewed.held).to.equal(false)
      await clock.advance(4_900 - heldFor(1_000))
      expect(limited.held).to.equal(true)
      await clock.advance(100 + 2 * TICK)
      expect(to.events.lines.at(-1)).to.equal('lost b: maxHold')
    }))

  it('resolves with the existing lease if it was adopted before', () =>
    withStage(async ({ open }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const first = await to.manager.adopt(handle)
      expect(await to.manager.adopt(handle)).to.equal(first)
      expect(to.events.lines).to.deep.equal(['acquired a'])
    }))

  for (const reason of ['missing', 'taken'] as const) {
    it(`P4 rejects with LockNotHeldError if the key is ${reason}, and leaves it alone`, () =>
      withStage(async ({ open, store }) => {
        const [from, to] = [open(), open()]
        const handle = (await grant(from.manager.tryAcquire('a'))).detach()
        store.delete('lease:a')
        if (reason === 'taken') store.set('lease:a', 'somebody', 777)
        const error = (await rejectionOf(to.manager.adopt(handle))) as LockNotHeldError
        expect(error).to.be.instanceOf(LockNotHeldError).and.to.include({ key: 'a', code: 'ERR_NOT_HELD' })
        expect(error.cause).to.be.instanceOf(LeaseLostError).and.to.include({ key: 'a', reason })
        expect(store.remaining('lease:a')).to.equal(reason === 'taken' ? 777 : undefined)
        expect(to.manager.stats()).to.include({ held: 0, acquired: 0, timers: 0 })
        expect(to.events.lines).to.deep.equal([])
      }))
  }

  it('rejects with UnavailableError without an answer, and can be tried again', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.backend.block()
      const call = watch(to.manager.adopt(handle, { timeout: 200 }))
      await clock.advance(200 + TICK)
      expect(call.error).to.be.instanceOf(UnavailableError).and.to.include({ key: 'a' })
      to.backend.unblock()
      const failure = new Error('ECONNREFUSED')
      to.backend.fail(failure)
      expect(((await rejectionOf(to.manager.adopt(handle))) as Error).cause).to.equal(failure)
      to.backend.fail(undefined)
      await clock.settle()
      expect(to.manager.size).to.equal(0)
      expect((await to.manager.adopt(handle)).held).to.equal(true)
    }))

  it('keeps its own timeout while it waits for another adoption of the key', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.backend.block()
      const patient = watch(to.manager.adopt(handle, { timeout: 2_000 }))
      const hasty = watch(to.manager.adopt(handle, { timeout: 200 }))
      await clock.advance(200 + TICK)
      expect(hasty.error).to.be.instanceOf(UnavailableError).and.to.include({ key: 'a' })
      expect((hasty.error as Error).message).to.equal(
        'Lock `a` could not be adopted: The backend did not answer within 200 ms',
      )
      expect(patient.error).to.equal(undefined)
      const other = watch(to.manager.adopt(handle, { timeout: 2_000 }))
      await clock.advance(2_000)
      expect(patient.error).to.be.instanceOf(UnavailableError)
      expect(other.error, 'it began later').to.equal(undefined)
      await clock.advance(200 + 2 * TICK)
      expect(other.error, 'what it waited for is part of its time').to.be.instanceOf(UnavailableError)
    }))

  it('P10 does not resolve with a lease whose answer came too late', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.backend.holdAnswers('renew')
      const call = watch(to.manager.adopt(handle, { timeout: TTL }))
      await clock.settle()
      clock.jump(heldFor(TTL))
      to.backend.deliverAll()
      await clock.settle()
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(to.manager.size).to.equal(0)
    }))

  it('P10 does not resolve with a lease that a listener has ended', () =>
    withStage(async ({ open }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.manager.on('acquired', ({ lease }) => void lease.release())
      expect(await rejectionOf(to.manager.adopt(handle))).to.be.instanceOf(LockNotHeldError)
    }))

  it('can no longer be aborted by a listener that learns of the adopted lease', () =>
    withStage(async ({ open }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const abort = new AbortController()
      to.manager.once('acquired', () => abort.abort())
      const lease = await to.manager.adopt(handle, { signal: abort.signal })
      expect(lease.held).to.equal(true)
      expect(to.manager.get('a')).to.equal(lease)
    }))

  it('causes no request from callers that wait for the same lock', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const waiting = watch(to.manager.acquire('a', { wait: 60_000 }))
      await clock.settle()
      const lease = await to.manager.adopt(handle)
      await clock.settle()
      expect(to.backend.requests.acquire).to.equal(1)
      await lease.release()
      await clock.settle()
      expect(waiting.value.held).to.equal(true)
    }))

  it('rejects with the reason of an abort, and leaves the key to later callers', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const reason = new Error('changed my mind')
      expect(await rejectionOf(to.manager.adopt(handle, { signal: AbortSignal.abort(reason) }))).to.equal(reason)
      await clock.settle()
      expect(to.backend.requests.renew, 'aborted before it was sent').to.equal(0)

      const abort = new AbortController()
      to.backend.holdAnswers('renew')
      const call = watch(to.manager.adopt(handle, { signal: abort.signal }))
      await clock.settle()
      abort.abort(reason)
      await clock.settle()
      expect(call.error).to.equal(reason)
      to.backend.deliverAll()
      await clock.settle()
      expect(to.manager.size).to.equal(0)
      expect((await to.manager.adopt(handle)).held).to.equal(true)
    }))

  it('rejects with ManagerClosedError once the manager is closed, or as it closes', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      to.backend.block()
      const call = watch(to.manager.adopt(handle))
      await clock.settle()
      const closed = to.manager.close()
      await clock.settle()
      expect(call.error).to.be.instanceOf(ManagerClosedError).and.to.include({ key: 'a' })
      to.backend.unblock()
      await clock.advance(1_000)
      await closed
      expect(await rejectionOf(to.manager.adopt(handle))).to.be.instanceOf(ManagerClosedError)
      expect(to.events.lines).to.deep.equal([])
    }))

  it('P7 replaces a lease of the key that this manager still lists, and wakes nobody', () =>
    withStage(async ({ open, store, clock }) => {
      const [from, to] = [open(), open({ watch: false })]
      const stale = await grant(to.manager.tryAcquire('a'))
      store.delete('lease:a')
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const call = watch(to.manager.acquire('a', { wait: HOUR }))
      await clock.settle()
      const adopted = await to.manager.adopt(handle)
      expect([stale.held, stale.state, adopted.held]).to.deep.equal([false, 'lost', true])
      expect(to.events.lines).to.deep.equal(['acquired a', 'lost a: taken', 'acquired a'])
      await clock.advance(TTL)
      expect(call.state).to.equal('pending')
      await adopted.release()
      await clock.advance(100)
      expect(call.value.held).to.equal(true)
    }))

  it('makes local waiters for the lock wait for its release', () =>
    withStage(async ({ open, clock }) => {
      const [from, to] = [open(), open()]
      const lease = await grant(from.manager.tryAcquire('a'))
      const call = watch(to.manager.acquire('a', { wait: HOUR }))
      await clock.advance(100)
      const adopted = await to.manager.adopt(lease.detach())
      await clock.advance(10 * TTL)
      expect(call.state).to.equal('pending')
      await adopted.release()
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))

  it('rejects an invalid detached lease, and names the fault', () =>
    withManager({}, async ({ manager, backend }) => {
      const good = { key: 'a', token: 'token', fence: 1, ttl: TTL }
      const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
        [undefined, TypeError, '`lease`'],
        [null, TypeError, '`lease`'],
        ['a', TypeError, '`lease`'],
        [{}, TypeError, '`key`'],
        [{ ...good, key: '' }, RangeError, '`key`'],
        [{ ...good, key: 'x'.repeat(4_097) }, RangeError, '`key`'],
        [{ ...good, token: 5 }, TypeError, '`token`'],
        [{ ...good, token: '' }, RangeError, '`token`'],
        [{ ...good, fence: '1' }, TypeError, '`fence`'],
        [{ ...good, fence: -1 }, RangeError, '`fence`'],
        [{ ...good, fence: 1.5 }, RangeError, '`fence`'],
        [{ ...good, fence: 2 ** 53 }, RangeError, '`fence`'],
        [{ ...good, ttl: 99 }, RangeError, '`ttl`'],
        [{ ...good, ttl: '3000' }, TypeError, '`ttl`'],
      ]
      for (const [value, type, name] of wrong) {
        const error = await rejectionOf(manager.adopt(value as DetachedLease))
        expect(error, name).to.be.instanceOf(type)
        expect((error as Error).message).to.include(name)
      }
      const options: [object, string][] = [
        [{ ttl: 500 }, '`ttl`'],
        [{ wait: 5 }, '`wait`'],
        [{ timeout: TTL + 1 }, '`timeout`'],
        [{ maxHold: 0 }, '`maxHold`'],
      ]
      for (const [value, name] of options) {
        const error = await rejectionOf(manager.adopt(good, value))
        expect((error as Error).message).to.include(name)
      }
      expect(backend.requests.renew).to.equal(0)
    }))
})

describe('forceRelease', () => {
  it('deletes the key of any holder, and reports whether there was one', () =>
    withStage(async ({ open, store, clock }) => {
      const [holder, operator] = [open(), open()]
      const lease = await grant(holder.manager.tryAcquire('a'))
      expect(await operator.manager.forceRelease('a')).to.equal(true)
      expect(await operator.manager.forceRelease('a')).to.equal(false)
      expect(store.get('lease:a')).to.equal(undefined)
      await clock.settle()
      expect(lease.held).to.equal(false)
      expect(holder.events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
      expect(operator.events.lines).to.deep.equal([])
    }))

  it('ends a lease of its own manager at once', () =>
    withManager({}, async ({ manager, events, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const before = clock.now()
      expect(await manager.forceRelease('a')).to.equal(true)
      await clock.settle()
      expect(lease.held).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
      expect(clock.now()).to.equal(before)
    }))

  it('P23 gives the lock to its waiters, also in its own process', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      expect(await manager.forceRelease('a')).to.equal(true)
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))

  it('rejects with UnavailableError without a server, with ManagerClosedError after close', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 10_000)
      backend.fail(new Error('ECONNREFUSED'))
      const error = (await rejectionOf(manager.forceRelease('a'))) as UnavailableError
      expect(error).to.be.instanceOf(UnavailableError).and.to.include({ key: 'a' })
      expect(error.message).to.include('could not be released').and.include('ECONNREFUSED')
      backend.fail(undefined)
      backend.block()
      const call = watch(manager.forceRelease('a'))
      await clock.advance(200 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
      await manager.close()
      expect(await rejectionOf(manager.forceRelease('a'))).to.be.instanceOf(ManagerClosedError)
    }))

  it('rejects an invalid key and the key of the fence counter', () =>
    withManager({ prefix: '' }, async ({ manager, backend }) => {
      expect(await rejectionOf(manager.forceRelease(5 as unknown as string))).to.be.instanceOf(TypeError)
      expect(await rejectionOf(manager.forceRelease(''))).to.be.instanceOf(RangeError)
      expect(await rejectionOf(manager.forceRelease('leasewheel:fence'))).to.be.instanceOf(RangeError)
      expect(backend.requests.forceRelease).to.equal(0)
    }))
})

describe('the owner of a lock', () => {
  it('is part of the token, of inspections and of refusals', () =>
    withStage(async ({ open, clock }) => {
      const [holder, other] = [open({ owner: 'web-1' }), open({ owner: '' })]
      const lease = await grant(holder.manager.tryAcquire('a'))
      expect(lease.token).to.match(/^web-1:[\w-]{22}$/)
      expect(await other.manager.inspect('a')).to.include({ owner: 'web-1' })
      const error = (await rejectionOf(other.manager.acquire('a', { wait: 0 }))) as LockNotAcquiredError
      expect(error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ owner: 'web-1' })
      expect(error.message).to.include('held by another (web-1)')
      await lease.release()
      const unlabelled = await grant(other.manager.tryAcquire('a'))
      expect(unlabelled.token).to.match(/^[\w-]{22}$/)
      const refused = watch(holder.manager.acquire('a', { wait: 100 }))
      await clock.advance(100 + 2 * TICK)
      expect(refused.error).to.include({ owner: undefined })
    }))

  it('is unknown if nobody was asked, or if another library holds the lock', () =>
    withManager({}, async ({ manager, store }) => {
      await grant(manager.tryAcquire('a'))
      expect(await rejectionOf(manager.acquire('a', { wait: 0 }))).to.include({
        owner: undefined,
        remaining: undefined,
      })
      store.set('lease:b', 'f3b1c7de-1111-4222-8333-123456789abc', TTL)
      expect(await rejectionOf(manager.acquire('b', { wait: 0 }))).to.include({ owner: undefined, remaining: TTL })
    }))

  it('goes to the adopting process with the lease', () =>
    withStage(async ({ open }) => {
      const [from, to] = [open({ owner: 'web-1' }), open({ owner: 'web-2' })]
      const lease = await to.manager.adopt((await grant(from.manager.tryAcquire('a'))).detach())
      expect(await to.manager.inspect('a')).to.include({ owner: 'web-1', lease })
    }))
})
