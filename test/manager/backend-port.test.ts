/** The backend port: what a manager promises to the backend that it is given. */
import { expect } from 'chai'
import type { Backend, BackendListener, BackendSettings } from 'leasewheel'
import { LeaseManager, UnavailableError } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import sinon from 'sinon'
import { grant, rejectionOf, type TestBackend, TICK, TTL, watch, withManager } from '../support/manager.ts'

/** A clock whose turns of the event loop are real ones, so that several things can happen in one. */
class TurningClock extends ManualClock {
  override soon(callback: () => void): void {
    setImmediate(callback)
  }

  override async settle(): Promise<void> {
    for (let turn = 0; turn < 4; turn += 1) await super.settle()
  }
}

function repeated(backend: TestBackend): string[] {
  return backend
    .calls()
    .filter(({ entries }) => new Set(entries.map(({ key }) => key)).size < entries.length)
    .map(({ operation, entries }) => `${operation} ${entries.map(({ key }) => key).join(' ')}`)
}

describe('the backend of a manager', () => {
  it('a backend is opened once, with its settings, and closed once', async () => {
    const clock = new ManualClock()
    const backend = new MemoryBackend({ store: new MemoryStore({ clock }) })
    const open = sinon.spy(backend, 'open')
    const close = sinon.spy(backend, 'close')
    const manager = new LeaseManager(backend, { clock, prefix: 'p:', ttl: 6_000, owner: 'web-1' })
    await manager.acquire('a')
    await manager.close()
    expect(open.callCount).to.equal(1)
    const [settings]: readonly [BackendSettings, BackendListener] = open.firstCall.args
    expect(settings).to.deep.equal({
      prefix: 'p:',
      timeout: 1_000,
      ttl: 6_000,
      watch: true,
      clock,
      credentials: undefined,
      owner: 'web-1',
      replicas: 0,
    })
    expect(close.callCount).to.equal(1)
  })

  it('can report faults that belong to no request', () =>
    withManager({}, async ({ backend, events, manager }) => {
      let listener: BackendListener | undefined
      const own: Backend = {
        watching: false,
        open: (_settings, told) => {
          listener = told
        },
        ready: () => undefined,
        acquire: (entries) => backend.acquire(entries),
        renew: (entries) => backend.renew(entries),
        release: (entries) => backend.release(entries),
        verify: (entries) => backend.verify(entries),
        inspect: (key) => backend.inspect(key),
        forceRelease: (key) => backend.forceRelease(key),
        close: () => Promise.resolve(),
      }
      const other = new LeaseManager(own, { clock: new ManualClock() })
      const faults: Error[] = []
      other.on('error', (error) => {
        faults.push(error)
      })
      const fault = new Error('the connection broke')
      listener?.onError(fault)
      expect(faults).to.deep.equal([fault])
      expect(events.errors).to.deep.equal([])
      expect(manager.size).to.equal(0)
      await other.close()
    }))

  it('a backend gets no request before it is ready', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      let open = (): void => undefined
      const ready = sinon.stub(backend, 'ready').returns(
        new Promise<void>((resolve) => {
          open = resolve
        }) as unknown as undefined,
      )
      const call = watch(manager.tryAcquire('a'))
      await clock.advance(300)
      expect(backend.requests.acquire).to.equal(0)
      ready.returns(undefined)
      open()
      await clock.settle()
      expect((await grant(Promise.resolve(call.value))).remaining).to.equal(TTL * 0.99 - 2)
    }))

  it('a backend that never becomes ready is unavailable, and nothing is undone', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const ready = sinon.stub(backend, 'ready').returns(new Promise(() => undefined) as unknown as undefined)
      const call = watch(manager.tryAcquire('a', { timeout: 200 }))
      await clock.advance(200 + TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(manager.stats().undoing).to.equal(0)
      ready.returns(Promise.reject(new Error('getaddrinfo ENOTFOUND')) as unknown as undefined)
      expect(await rejectionOf(manager.tryAcquire('a')))
        .to.have.property('message')
        .that.includes('ENOTFOUND')
      expect(backend.requests.acquire).to.equal(0)
      ready.restore()
    }))

  it('can reject or throw, which counts as an unanswered attempt', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      for (const operation of ['acquire', 'release'] as const) {
        const lease = operation === 'release' ? await grant(manager.tryAcquire('a')) : undefined
        const stub = sinon.stub(backend, operation)
        for (const fail of [() => stub.throws(new Error('thrown')), () => stub.rejects(new Error('rejected'))]) {
          fail()
          const call = watch<unknown>(lease ? lease.release() : manager.tryAcquire('a'))
          await clock.advance(TTL / 6 + 2 * TICK)
          if (lease) expect(call.value).to.equal(false)
          else expect(call.error).to.be.instanceOf(UnavailableError)
        }
        stub.restore()
        await clock.advance(TTL)
        expect(store.keys()).to.deep.equal([])
      }
    }))

  it('a backend that throws about its readiness counts as unanswered', () =>
    withManager({ batchSize: 1 }, async ({ manager, backend, clock }) => {
      const ready = sinon.stub(backend, 'ready').throws(new Error('not yet'))
      const [first, second] = [watch(manager.tryAcquire('a')), watch(manager.acquire('a'))]
      await clock.settle()
      expect(first.error).to.be.instanceOf(UnavailableError)
      ready.restore()
      await clock.advance(TTL)
      expect(second.value.held).to.equal(true)
    }))

  it('can return too few outcomes, which counts as an unanswered attempt', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const stub = sinon.stub(backend, 'acquire').resolves([])
      expect(await rejectionOf(manager.tryAcquire('a'))).to.be.instanceOf(UnavailableError)
      stub.restore()
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal([])
    }))

  it('gets releases before acquires, so that a key changes hands in one turn', () =>
    withManager({ clock: new TurningClock() }, async ({ manager, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const next = manager.acquire('a')
      const release = lease.release()
      expect(await release).to.equal(true)
      expect((await next).held).to.equal(true)
      expect(backend.calls().map(({ operation }) => operation)).to.deep.equal(['acquire', 'release', 'acquire'])
    }))

  it('gets no request for a caller that left before the request was sent', () =>
    withManager({ clock: new TurningClock() }, async ({ manager, backend, clock }) => {
      const abort = new AbortController()
      const first = watch(manager.acquire('a', { signal: abort.signal }))
      const second = watch(manager.acquire('a'))
      abort.abort()
      await clock.settle()
      expect(first.error).to.include({ name: 'AbortError' })
      await clock.advance(TTL / 10)
      expect(second.value.held).to.equal(true)
      expect(repeated(backend)).to.deep.equal([])
    }))

  it('gets no key twice in one call when an unanswered acquire is deleted again', () =>
    withManager({ timeout: 150 }, async ({ manager, backend, clock }) => {
      backend.block()
      const call = watch(manager.acquire('a', { wait: 300 }))
      await clock.advance(TTL)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(repeated(backend)).to.deep.equal([])
    }))

  it('gets no key twice in one call from simultaneous callers', () =>
    withManager({ clock: new TurningClock() }, async ({ manager, backend, clock }) => {
      const calls = watch(
        Promise.all([
          manager.tryAcquire('a'),
          manager.acquireMany(['a', 'b', 'a']),
          manager.using('a', () => undefined),
          manager.acquire('a', { wait: 100 }).catch(() => undefined),
        ]),
      )
      await clock.settle()
      await manager.get('a')?.release()
      await clock.advance(1_000)
      expect(calls.state).to.equal('fulfilled')
      expect(repeated(backend)).to.deep.equal([])
    }))
})
