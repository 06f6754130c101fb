/** Callers from other realms, unusual keys, log output, unheard faults, fake timers and process exit. */
import { spawn } from 'node:child_process'
import { type EventEmitter, getEventListeners, once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import {
  type Clock,
  LeaseError,
  LeaseLostError,
  LeaseManager,
  LockNotAcquiredError,
  type LostEvent,
  SystemClock,
} from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import sinon from 'sinon'
import { grant, heldFor, only, rejectionOf, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const HALF = '\ud83d'

describe('a key with half of a surrogate pair', () => {
  for (const key of [HALF, `order:${HALF}`, '\udd12 first', `${HALF} apart \udd12`]) {
    it(`is refused, with the reason: ${JSON.stringify(key)}`, () =>
      withManager({}, async ({ manager, backend }) => {
        const calls = [
          manager.tryAcquire(key),
          manager.acquire(key),
          manager.acquireMany(['a', key]),
          manager.acquireAll(['a', key]),
          manager.using(key, () => undefined),
          manager.inspect(key),
          manager.forceRelease(key),
          manager.adopt({ key, token: 't', fence: 1, ttl: 1_000 }),
        ]
        for (const call of calls) {
          const error = await rejectionOf(call)
          expect(error).to.be.instanceOf(RangeError)
          expect((error as Error).message)
            .to.include('`key`')
            .and.to.include('surrogate')
        }
        expect(() => manager.get(key)).to.throw(RangeError, 'surrogate')
        expect(backend.requests.acquire).to.equal(0)
      }))
  }

  it('is refused as a prefix, an owner and a token as well', () =>
    withManager({}, async ({ manager }) => {
      expect(() => new LeaseManager(new MemoryBackend(), { prefix: HALF })).to.throw(RangeError, '`prefix`')
      expect(() => new LeaseManager(new MemoryBackend(), { owner: HALF })).to.throw(RangeError, '`owner`')
      const error = await rejectionOf(manager.adopt({ key: 'a', token: HALF, fence: 1, ttl: 1_000 }))
      expect(error).to.be.instanceOf(RangeError)
    }))

  it('is told apart from a whole pair, which is accepted', () =>
    withManager({}, async ({ manager }) => {
      expect((await manager.acquire('🔒')).key).to.equal('🔒')
    }))
})

describe('forceRelease', () => {
  for (const key of [null, undefined, 5, {}]) {
    it(`complains about the key that came, and about nothing else: ${inspect(key)}`, () =>
      withManager({}, async ({ manager }) => {
        const error = await rejectionOf(manager.forceRelease(key as never))
        expect(error).to.be.instanceOf(TypeError)
        expect((error as Error).message).to.match(/^Expected `key` to be a string, got /)
      }))
  }
})

describe('a refused caller', () => {
  for (const wait of [0, 300]) {
    it(`is told that this manager holds it, and that locks are not reentrant: wait ${wait}`, () =>
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

  it('learns that others were ahead if its manager never asked', () =>
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

  it('learns the holder if it is another manager', () =>
    withManager({}, async ({ manager, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const error = await rejectionOf(manager.acquire('a', { wait: 0 }))
      expect((error as Error).message).to.include('held by another: not acquired after 1 attempt')
    }))
})

describe('the log output', () => {
  it('the log of a lease is its key and its state, never its token', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('order:42'))
      const secret = lease.token.slice(-22)
      const summary = {
        key: 'order:42',
        state: 'held',
        fence: lease.fence,
        ttl: TTL,
        remaining: Math.round(heldFor(TTL)),
      }
      expect(JSON.parse(JSON.stringify({ lease }))).to.deep.equal({ lease: summary })
      expect(inspect(lease))
        .to.match(/^Lease \{/)
        .and.to.include("'order:42'")
        .and.not.to.include(secret)
      expect(inspect({ deep: { deeper: { lease } } })).not.to.include(secret)
      clock.jump(TTL)
      expect(inspect(lease)).to.include("'lost'")
    }))

  it('P30 logging a lost lease emits no event', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      inspect(lease)
      JSON.stringify(lease)
      expect(events.lines).to.deep.equal(['acquired a'])
    }))

  it('the log of a manager is its number of leases', () =>
    withManager({}, async ({ manager }) => {
      await grant(manager.tryAcquire('a'))
      expect(inspect(manager)).to.equal('LeaseManager { held: 1, waiting: 0, closed: false }')
      expect(JSON.stringify(manager)).to.equal('{"held":1,"waiting":0,"closed":false}')
    }))
})

describe('a fault without a listener', () => {
  it('is a warning of the process, once for each manager', () =>
    withManager({}, async ({ manager, backend }) => {
      const warn = sinon.stub(process, 'emitWarning')
      try {
        manager.removeAllListeners('error')
        backend.listener.onError(new Error('connect ECONNREFUSED'))
        backend.listener.onError(new Error('another one'))
        expect(warn.callCount).to.equal(1)
        expect(warn.firstCall.args[0]).to.include('connect ECONNREFUSED').and.to.include('`error`')
        expect(warn.firstCall.args[1]).to.include({ code: 'LEASEWHEEL_UNHEARD_ERROR' })
      } finally {
        warn.restore()
      }
    }))
})

describe('a signal', () => {
  it('a signal that eleven managers share has one listener', () =>
    withStage(async ({ open, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      const controller = new AbortController()
      const { signal } = controller
      const calls = Array.from({ length: 11 }, () => watch(open().manager.acquire('a', { signal, wait: 60_000 })))
      await clock.settle()
      expect(getEventListeners(signal, 'abort')).to.have.length(1)
      controller.abort()
      await clock.settle()
      expect(calls.every(({ error }) => error === signal.reason)).to.equal(true)
      expect(getEventListeners(signal, 'abort')).to.have.length(0)
    }))

  it('a signal of another realm aborts like any other', () =>
    withManager({}, async ({ manager, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      const foreign = foreignSignal()
      expect(foreign.signal).not.to.be.instanceOf(AbortSignal)
      const call = watch(manager.acquire('a', { signal: foreign.signal, wait: 60_000 }))
      await clock.settle()
      foreign.abort('enough')
      await clock.settle()
      expect(call.error).to.equal('enough')
    }))

  for (const value of [null, 5, {}, { aborted: false }, new EventTarget()]) {
    it(`cannot be ${inspect(value)}`, () =>
      withManager({}, async ({ manager }) => {
        expect(await rejectionOf(manager.acquire('a', { signal: value as never }))).to.be.instanceOf(TypeError)
      }))
  }
})

describe('an error', () => {
  it('has a name that no minifier changes, and a subclass can have its own', () => {
    class Renamed extends LeaseLostError {}
    class Own extends LeaseLostError {
      override name = 'Own'
    }
    expect(new Renamed('a', 'taken').name).to.equal('LeaseLostError')
    expect(new Renamed('a', 'taken').stack).to.match(/^LeaseLostError: Lease of `a`/)
    expect(new Own('a', 'taken').name).to.equal('Own')
    expect(new Own('a', 'taken')).to.be.instanceOf(LeaseError)
    expect(Object.keys(new LeaseLostError('a', 'taken'))).not.to.include('name')
  })

  it('an error of another realm that a listener throws is emitted unchanged', () =>
    withManager({}, async ({ manager, events }) => {
      const fault: unknown = runInNewContext("new Error('from another realm')")
      expect(fault).not.to.be.instanceOf(Error)
      manager.on('acquired', () => {
        throw fault
      })
      await manager.acquire('a')
      expect(only(events.takeErrors())).to.equal(fault)
    }))

  it('an error of another realm that a listener rejects with is emitted, too', () =>
    withManager({}, async ({ manager, events, clock }) => {
      const rejected: unknown = runInNewContext("Promise.reject(new Error('later'))")
      manager.on('acquired', () => rejected)
      await manager.acquire('a')
      await clock.settle()
      expect(only(events.takeErrors()).message).to.equal('later')
    }))
})

describe('fake timers', () => {
  for (const moment of ['before the clock is made', 'after that'] as const) {
    it(`do not stop a manual clock: installed ${moment}`, async () => {
      let fakes = moment === 'after that' ? undefined : sinon.useFakeTimers()
      try {
        const clock = new ManualClock()
        fakes ??= sinon.useFakeTimers()
        const leases = new LeaseManager(new MemoryBackend({ store: new MemoryStore({ clock }) }), { clock, ttl: 1_000 })
        const lease = await leases.acquire('a')
        await clock.advance(10_000)
        expect(lease.held).to.equal(true)
        await leases.close()
      } finally {
        fakes?.restore()
      }
    })
  }

  it('do not stop a manual clock if they replace the exports of `node:timers`', async () => {
    const { setImmediate } = timers
    try {
      timers.setImmediate = (() => undefined) as unknown as typeof setImmediate
      syncBuiltinESMExports()
      await new ManualClock().advance(10_000)
    } finally {
      timers.setImmediate = setImmediate
      syncBuiltinESMExports()
    }
  })
})

describe('unref', () => {
  it('unreferences the timer and the backend, the present and the later ones', async () => {
    const unreferenced: string[] = []
    class Watched extends ManualClock {
      override setTimer(callback: () => void, delay: number): ReturnType<Clock['setTimer']> {
        return { ...super.setTimer(callback, delay), unref: () => unreferenced.push('timer') }
      }
    }
    class Backend extends MemoryBackend {
      unref(): void {
        unreferenced.push('backend')
      }
    }
    const clock = new Watched()
    const leases = new LeaseManager(new Backend({ store: new MemoryStore({ clock }) }), { clock, ttl: 1_000 })
    await leases.acquire('a')
    expect(unreferenced).to.deep.equal([])
    expect(leases.unref()).to.equal(leases)
    expect(unreferenced).to.deep.equal(['timer', 'backend'])
    await clock.advance(500)
    expect(unreferenced.length).to.be.greaterThan(2)
    await leases.close()
  })
})

describe('an unreferenced timer', () => {
  it('does not keep the process alive, even after its first sleep', () => {
    const unreferenced: number[] = []
    const sleeps: (() => void)[] = []
    let now = 0
    const time = (): number => now
    const clock = new SystemClock(
      { monotonic: time, wall: time, boot: time },
      {
        sleep: (callback) => {
          const index = sleeps.push(callback) - 1
          return { cancel: () => undefined, unref: () => unreferenced.push(index) }
        },
        soon: (callback) => callback(),
      },
    )
    const timer = clock.setTimer(() => undefined, 3_000)
    timer.unref?.()
    now = 1_000
    sleeps[0]?.()
    expect(unreferenced).to.deep.equal([0, 1])
  })

  it('lets a process exit that holds a lease and has done its work', async () => {
    const code = `
      import { LeaseManager } from 'leasewheel'
      import { MemoryBackend } from 'leasewheel/memory'
      const leases = new LeaseManager(new MemoryBackend(), { ttl: 600_000 })
      await leases.acquire('a')
      leases.unref()
      console.log('done')`
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', code])
    const [status] = (await once(child, 'close')) as [number]
    expect(status).to.equal(0)
  })
})

describe('once of node:events', () => {
  it('accepts a manager as an emitter', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      await manager.acquire('a')
      const lost = once(manager as unknown as EventEmitter, 'lost')
      await clock.advance(TTL)
      const [event] = (await lost) as [LostEvent]
      expect(event.lease.key).to.equal('a')
    }))
})

/** As jsdom and happy-dom have one: the right shape, and another class. */
function foreignSignal(): { readonly signal: AbortSignal; abort(reason: unknown): void } {
  const target = new EventTarget()
  const signal = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  }
  return {
    signal: signal as unknown as AbortSignal,
    abort: (reason) => {
      signal.aborted = true
      signal.reason = reason
      target.dispatchEvent(new Event('abort'))
    },
  }
}
