/** tryAcquire and acquire of one key: waiting, retry strategies, attempts and signals. */
import { getEventListeners } from 'node:events'
import { expect } from 'chai'
import {
  exponentialBackoff,
  fixedInterval,
  type Lease,
  LockNotAcquiredError,
  type RetryContext,
  type RetryStrategy,
  UnavailableError,
} from 'leasewheel'
import {
  grant,
  heldFor,
  only,
  randomFrom,
  rejectionOf,
  type TestBackend,
  TICK,
  TTL,
  watch,
  withManager,
  withStage,
} from '../support/manager.ts'

/** ms between one attempt and the next. */
function pauses(backend: TestBackend): number[] {
  const times = backend.calls('acquire').map(({ at }) => at)
  return times.slice(1).map((at, index) => at - (times[index] as number))
}

describe('tryAcquire', () => {
  it('acquires a free lock with one request', () =>
    withManager({}, async ({ manager, backend, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      expect(lease.held).to.equal(true)
      expect(lease.state).to.equal('held')
      expect(store.get('lease:a')).to.equal(lease.token)
      expect(store.remaining('lease:a')).to.equal(TTL)
      expect(backend.requests).to.include({ acquire: 1, renew: 0, release: 0 })
    }))

  it('returns null after one request if another manager holds the lock', () =>
    withStage(async ({ open }) => {
      const [holder, other] = [open(), open()]
      await grant(holder.manager.tryAcquire('a'))
      expect(await other.manager.tryAcquire('a')).to.equal(null)
      expect(other.backend.requests.acquire).to.equal(1)
      expect(other.events.lines).to.deep.equal([])
    }))

  it('returns null without a request if this manager holds the lock', () =>
    withManager({}, async ({ manager, backend }) => {
      await grant(manager.tryAcquire('a'))
      expect(await manager.tryAcquire('a')).to.equal(null)
      expect(backend.requests.acquire).to.equal(1)
    }))

  it('P1 asks the server again if this manager’s own lease is over, noticed or not', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      const lease = await grant(manager.tryAcquire('a'))
      expect(lease.held).to.equal(true)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired', 'acquired a'])
    }))

  it('returns null even if the lock expires a moment later', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 1)
      expect(await manager.tryAcquire('a')).to.equal(null)
      clock.jump(1)
      await grant(manager.tryAcquire('a'))
    }))

  it('rejects with UnavailableError, not with a refusal, if the server fails or hangs', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const refused = new Error('connect ECONNREFUSED')
      backend.fail(refused)
      const error = await rejectionOf(manager.tryAcquire('a'))
      expect(error).to.be.instanceOf(UnavailableError).and.to.include({ code: 'ERR_UNAVAILABLE', key: 'a' })
      expect((error as UnavailableError).cause).to.equal(refused)
      backend.fail(undefined)

      backend.block()
      const call = watch(manager.tryAcquire('a', { timeout: 100 }))
      await clock.advance(99)
      expect(call.state).to.equal('pending')
      await clock.advance(1 + TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
    }))

  it('accepts options for this one lease', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      const lease = await grant(manager.tryAcquire('a', { ttl: 500, autoRenew: false }))
      expect(lease.ttl).to.equal(500)
      expect(store.remaining('lease:a')).to.equal(500)
      await clock.advance(heldFor(500))
      expect(lease.held).to.equal(false)
      expect(backend.requests.renew).to.equal(0)
    }))

  it('does not accept `wait`, which belongs to acquire', () =>
    withManager({}, async ({ manager }) => {
      expect(await rejectionOf(manager.tryAcquire('a', { wait: 5 } as object)))
        .to.be.instanceOf(TypeError)
        .and.to.have.property('message')
        .that.includes('`tryAcquire`')
        .and.includes('`wait`')
    }))

  it('rejects an invalid key', () =>
    withManager({}, async ({ manager, backend }) => {
      for (const key of [undefined, null, 5, {}, ['a']]) {
        expect(await rejectionOf(manager.tryAcquire(key as string))).to.be.instanceOf(TypeError)
      }
      for (const key of ['', 'x'.repeat(4_097)]) {
        expect(await rejectionOf(manager.tryAcquire(key))).to.be.instanceOf(RangeError)
      }
      await grant(manager.tryAcquire('x'.repeat(4_096)))
      expect(backend.requests.acquire).to.equal(1)
    }))
})

describe('acquire', () => {
  it('acquires a free lock with one request', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const before = clock.now()
      const lease = await manager.acquire('a')
      expect(lease.held).to.equal(true)
      expect(clock.now()).to.equal(before)
      expect(backend.requests.acquire).to.equal(1)
    }))

  it('acquires a lock released by another process within one pause of its strategy', () =>
    withStage(async ({ clock, open }) => {
      const [first, second] = [open(), open({ retry: fixedInterval({ interval: 100, jitter: false }) })]
      const held = await grant(first.manager.tryAcquire('a'))
      const call = watch(second.manager.acquire('a'))
      await clock.advance(1_000)
      expect(call.state).to.equal('pending')
      await held.release()
      await clock.advance(100 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('acquires an expiring lock when the holder’s ttl ends, even if the strategy pauses longer', () =>
    withManager({ retry: fixedInterval({ interval: 5_000 }) }, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 777)
      const call = watch(manager.acquire('a'))
      await clock.advance(776)
      expect(call.state).to.equal('pending')
      await clock.advance(2 + TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('rejects once the time to wait is over', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a', { wait: 2_000 }))
      await clock.advance(1_999)
      expect(call.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('reports its attempts, its wait and the rest of the holder’s ttl when it fails', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const start = clock.now()
      const call = watch(manager.acquire('a', { wait: 2_000, retry: fixedInterval({ interval: 300, jitter: false }) }))
      while (call.state === 'pending') await clock.advance(1)
      const error = call.error as LockNotAcquiredError
      const { at } = backend.calls('acquire').at(-1) ?? { at: Number.NaN }
      expect(error).to.include({
        name: 'LockNotAcquiredError',
        code: 'ERR_NOT_ACQUIRED',
        key: 'a',
        attempts: backend.requests.acquire,
        waited: clock.now() - start,
        remaining: start + 60_000 - at,
      })
      expect(error.waited).to.be.within(2_000, 2_000 + 2 * TICK)
      expect(error.attempts).to.be.within(6, 8)
      expect(error.message).to.match(/^Lock `a` is held by another: not acquired after \d attempts in 20\d\d ms/)
    }))

  it('waits ten seconds by default', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a'))
      await clock.advance(9_999)
      expect(call.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('uses the manager’s `wait` and `retry` if the call gives none', () =>
    withManager(
      { wait: 500, retry: fixedInterval({ interval: 100, jitter: false }) },
      async ({ manager, backend, clock, store }) => {
        store.set('lease:a', 'somebody', 60_000)
        const call = watch(manager.acquire('a'))
        await clock.advance(500 + 2 * TICK)
        expect(call.error).to.be.instanceOf(LockNotAcquiredError)
        expect(backend.requests.acquire).to.be.within(4, 6)
      },
    ))

  it('waits without limit if `wait` is Infinity', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 300_000)
      const call = watch(manager.acquire('a', { wait: Infinity }))
      await clock.advance(299_000)
      expect(call.state).to.equal('pending')
      await clock.advance(1_001 + TICK)
      expect(call.value.held).to.equal(true)
    }))

  describe('with `wait: 0`', () => {
    it('makes one attempt', () =>
      withManager({}, async ({ manager, backend, clock, store }) => {
        store.set('lease:a', 'somebody', 1_500)
        const before = clock.now()
        const error = await rejectionOf(manager.acquire('a', { wait: 0 }))
        expect(error).to.be.instanceOf(LockNotAcquiredError)
        expect(error).to.include({ attempts: 1, waited: 0, remaining: 1_500, key: 'a' })
        expect((error as Error).message).to.include('1 attempt in')
        expect(clock.now()).to.equal(before)
        expect(backend.requests.acquire).to.equal(1)
      }))

    it('reports that a lock without a ttl never expires', () =>
      withManager({}, async ({ manager, store }) => {
        store.set('lease:a', 'somebody', Infinity)
        const error = await rejectionOf(manager.acquire('a', { wait: 0 }))
        expect(error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ remaining: Infinity })
      }))

    it('acquires a free lock', () =>
      withManager({}, async ({ manager }) => {
        expect((await manager.acquire('a', { wait: 0 })).held).to.equal(true)
      }))

    it('sends no request if this manager holds the lock itself', () =>
      withManager({}, async ({ manager, backend }) => {
        await manager.acquire('a')
        const error = await rejectionOf(manager.acquire('a', { wait: 0 }))
        expect(error).to.be.instanceOf(LockNotAcquiredError)
        expect(error).to.include({ attempts: 0, waited: 0, remaining: undefined })
        expect(backend.requests.acquire).to.equal(1)
      }))

    it('rejects with UnavailableError if the attempt gets no answer', () =>
      withManager({}, async ({ manager, backend, clock }) => {
        backend.block()
        const call = watch(manager.acquire('a', { wait: 0, timeout: 200 }))
        await clock.advance(200 + TICK)
        expect(call.error).to.be.instanceOf(UnavailableError)
        expect(backend.requests.acquire).to.equal(1)
      }))
  })

  it('rejects invalid options, and sends no request', () =>
    withManager({}, async ({ manager, backend }) => {
      const wrong: [object, typeof TypeError | typeof RangeError, string][] = [
        [{ wait: -1 }, RangeError, '`wait`'],
        [{ wait: '5' }, TypeError, '`wait`'],
        [{ wait: Number.NaN }, RangeError, '`wait`'],
        [{ ttl: 99 }, RangeError, '`ttl`'],
        [{ ttl: 1_000.5 }, RangeError, '`ttl`'],
        [{ timeout: 9 }, RangeError, '`timeout`'],
        [{ timeout: TTL + 1 }, RangeError, '`timeout`'],
        [{ maxHold: 0 }, RangeError, '`maxHold`'],
        [{ autoRenew: 1 }, TypeError, '`autoRenew`'],
        [{ retry: {} }, TypeError, '`retry`'],
        [{ retry: () => 5 }, TypeError, '`retry`'],
        [{ signal: {} }, TypeError, '`signal`'],
        [{ tll: 1_000 }, TypeError, '`tll`'],
      ]
      for (const [options, type, name] of wrong) {
        const error = await rejectionOf(manager.acquire('a', options))
        expect(error, name).to.be.instanceOf(type)
        expect((error as Error).message).to.include(name)
      }
      expect(backend.requests.acquire).to.equal(0)
    }))
})

describe('the retry strategy of acquire', () => {
  it('asks at a fixed interval', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a', { retry: fixedInterval({ interval: 200, jitter: false }) }))
      await clock.advance(3_000)
      expect(backend.requests.acquire).to.be.within(14, 16)
      for (const pause of pauses(backend)) expect(pause).to.be.within(200, 200 + TICK)
      await clock.advance(10_000)
      expect(call.state).to.equal('rejected')
    }))

  it('the default strategy draws pauses from their upper half', () =>
    withManager({ random: randomFrom(1) }, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a', { retry: fixedInterval({ interval: 400 }) }))
      await clock.advance(9_000)
      for (const pause of pauses(backend)) expect(pause).to.be.within(200, 400 + TICK)
      expect(new Set(pauses(backend)).size).to.be.greaterThan(3)
      await clock.advance(2_000)
      expect(call.state).to.equal('rejected')
    }))

  it('asks at growing intervals', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const retry = exponentialBackoff({ minTimeout: 100, maxTimeout: 1_000, factor: 3, jitter: false })
      const call = watch(manager.acquire('a', { retry }))
      await clock.advance(4_000)
      for (const [index, expected] of [100, 300, 900, 1_000, 1_000].entries()) {
        expect(pauses(backend)[index]).to.be.within(expected, expected + TICK)
      }
      await clock.advance(7_000)
      expect(call.state).to.equal('rejected')
    }))

  for (const [name, retry] of Object.entries({
    fixedInterval: fixedInterval({ interval: 100, maxAttempts: 3 }),
    exponentialBackoff: exponentialBackoff({ minTimeout: 100, maxAttempts: 3 }),
  })) {
    it(`makes at most the allowed number of attempts: ${name}`, () =>
      withManager({}, async ({ manager, backend, clock, store }) => {
        store.set('lease:a', 'somebody', 60_000)
        const call = watch(manager.acquire('a', { retry }))
        await clock.advance(1_000)
        expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ attempts: 3 })
        expect(backend.requests.acquire).to.equal(3)
      }))
  }

  it('makes one attempt with `maxAttempts: 1`, however long it may wait', () =>
    withManager({}, async ({ manager, backend, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = manager.acquire('a', { retry: fixedInterval({ interval: 100, maxAttempts: 1 }), wait: Infinity })
      expect(await rejectionOf(call)).to.include({ attempts: 1, waited: 0 })
      expect(backend.requests.acquire).to.equal(1)
    }))

  it('a custom retry strategy receives the history, and its answer is followed', () =>
    withManager({ random: () => 0.25 }, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const told: RetryContext[] = []
      const retry: RetryStrategy = {
        next(context) {
          told.push(context)
          return context.attempts < 4 ? context.attempts * 100 : null
        },
      }
      const start = clock.now()
      const call = watch(manager.acquire('a', { retry, wait: 5_000 }))
      await clock.advance(2_000)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ attempts: 4 })
      expect(told.map(({ key, attempts, random }) => ({ key, attempts, random }))).to.deep.equal(
        [1, 2, 3, 4].map((attempts) => ({ key: 'a', attempts, random: 0.25 })),
      )
      const sent = backend.calls('acquire').map(({ at }) => at - start)
      expect(told.map(({ waited }) => waited)).to.deep.equal(sent)
      expect(told.map(({ remaining }) => remaining)).to.deep.equal(sent.map((at) => 60_000 - at))
      for (const [index, pause] of pauses(backend).entries()) {
        expect(pause).to.be.within((index + 1) * 100, (index + 1) * 100 + TICK)
      }
    }))

  it('learns nothing about the holder if an attempt gets no answer', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const told: (number | undefined)[] = []
      backend.fail(new Error('ECONNREFUSED'))
      const call = watch(
        manager.acquire('a', {
          retry: {
            next: ({ remaining, attempts }) => {
              told.push(remaining)
              return attempts < 3 ? 10 : null
            },
          },
        }),
      )
      await clock.advance(200)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(told).to.deep.equal([undefined, undefined, undefined])
    }))

  it('serves any number of callers at once', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const retry = fixedInterval({ interval: 100, maxAttempts: 3, jitter: false })
      const keys = ['a', 'b', 'c']
      for (const key of keys) store.set(`lease:${key}`, 'somebody', 60_000)
      const calls = keys.map((key) => watch(manager.acquire(key, { retry })))
      await clock.advance(1_000)
      for (const call of calls) expect(call.error).to.include({ attempts: 3 })
      expect(backend.calls('acquire').flatMap(({ entries }) => entries)).to.have.length(9)
    }))

  it('may return 0 without causing a hot loop', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a', { retry: { next: () => 0 }, wait: 1_000 }))
      await clock.advance(1_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
      expect(backend.requests.acquire).to.be.within(2, 2 + 1_000 / TICK)
    }))

  it('may return Infinity to wait for the end of the holder’s ttl', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 4_000)
      const call = watch(manager.acquire('a', { retry: { next: () => Infinity } }))
      await clock.advance(4_000)
      expect(backend.requests.acquire).to.equal(1)
      await clock.advance(1 + TICK)
      expect(call.value.held).to.equal(true)
    }))

  for (const answer of [Number.NaN, -1, undefined, '100', true]) {
    it(`must not return ${String(answer)}`, () =>
      withManager({}, async ({ manager, backend, clock, store }) => {
        store.set('lease:a', 'somebody', 60_000)
        const call = watch(manager.acquire('a', { retry: { next: () => answer as number } }))
        await clock.advance(100)
        expect(call.error).to.be.instanceOf(RangeError)
        expect((call.error as Error).message).to.include('`retry.next()`')
        expect(backend.requests.acquire).to.equal(1)
        expect(manager.stats().waiting).to.equal(0)
      }))
  }

  it('a retry strategy that throws rejects the call', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const fault = new TypeError('from the strategy')
      let calls = 0
      const retry: RetryStrategy = {
        next: () => {
          calls += 1
          if (calls === 2) throw fault
          return 10
        },
      }
      const call = watch(manager.acquire('a', { retry }))
      await clock.advance(100)
      expect(call.error).to.equal(fault)
      expect(manager.stats().waiting).to.equal(0)
    }))

  for (const [when, act] of Object.entries({
    before: (abort: () => void) => abort(),
    after: (abort: () => void) => queueMicrotask(abort),
  })) {
    it(`P31 a retry strategy that throws is heard, even if the call is aborted right ${when} that`, () =>
      withManager({}, async ({ manager, clock, store }) => {
        store.set('lease:a', 'somebody', 60_000)
        const [abort, fault] = [new AbortController(), new TypeError('from the strategy')]
        let calls = 0
        const retry: RetryStrategy = {
          next: () => {
            calls += 1
            if (calls === 1) return 10
            act(() => abort.abort())
            throw fault
          },
        }
        const call = watch(manager.acquire('a', { retry, signal: abort.signal }))
        await clock.advance(100)
        expect(call.error).to.equal(fault)
      }))
  }

  it('an invalid pause leaves no key of an unanswered attempt', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.dropAnswers(true)
      const call = watch(manager.acquire('a', { timeout: 100, retry: { next: () => Number.NaN } }))
      await clock.advance(100 + TICK)
      expect(call.error).to.be.instanceOf(RangeError)
      backend.dropAnswers(false)
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal([])
    }))
})

describe('an attempt of acquire', () => {
  it('has its own timeout, after which it is repeated with the same token', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.block()
      const call = watch(manager.acquire('a', { timeout: 100, wait: 2_000 }))
      await clock.advance(1_000)
      expect(call.state).to.equal('pending')
      expect(backend.requests.acquire).to.be.greaterThan(2)
      backend.unblock()
      await clock.advance(1_000)
      const lease = call.value
      const tokens = backend.calls('acquire').map(({ entries }) => only(entries).token)
      expect(new Set(tokens)).to.deep.equal(new Set([lease.token]))
    }))

  it('ends with the caller’s wait if that is shorter than its timeout', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.block()
      const call = watch(manager.acquire('a', { timeout: 1_000, wait: 150 }))
      await clock.advance(150 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
    }))

  it('repeats until the server is up if the server is down at first', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.fail(new Error('connect ECONNREFUSED'))
      const call = watch(manager.acquire('a'))
      await clock.advance(2_000)
      expect(call.state).to.equal('pending')
      expect(backend.requests.acquire).to.be.within(3, 12)
      backend.fail(undefined)
      await clock.advance(1_100)
      expect(call.value.held).to.equal(true)
    }))

  it('rejects with UnavailableError, never LockNotAcquiredError, if the server stays down', async () => {
    const faults: ((backend: TestBackend) => void)[] = [
      (backend) => backend.fail(new Error('connect ECONNREFUSED')),
      (backend) => backend.block(),
      (backend) => backend.dropAnswers(true),
    ]
    for (const wait of [0, 50, 700, 3_000]) {
      for (const fault of faults) {
        await withManager({}, async ({ manager, backend, clock }) => {
          fault(backend)
          const call = watch(manager.acquire('a', { wait, timeout: 100 }))
          await clock.advance(Math.max(wait, 100) + 2 * TICK)
          expect(call.error).to.be.instanceOf(UnavailableError)
          expect(call.error).to.include({ code: 'ERR_UNAVAILABLE', key: 'a' })
        })
      }
    }
  })

  it('rejects with LockNotAcquiredError if its last answer was a refusal', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      backend.fail(new Error('connect ECONNREFUSED'))
      const call = watch(manager.acquire('a', { wait: 3_000 }))
      await clock.advance(1_000)
      backend.fail(undefined)
      await clock.advance(2_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('rejects with UnavailableError if the server was down last, after earlier refusals', () =>
    withManager({ retry: exponentialBackoff() }, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const call = watch(manager.acquire('a', { wait: 3_000 }))
      await clock.advance(1_000)
      backend.fail(new Error('connect ECONNREFUSED'))
      await clock.advance(2_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
    }))
})

describe('the signal of acquire', () => {
  it('rejects the call with its reason before any request if it is already aborted', () =>
    withManager({}, async ({ manager, backend }) => {
      const reason = new Error('no longer wanted')
      const signal = AbortSignal.abort(reason)
      for (const call of [
        manager.acquire('a', { signal }),
        manager.tryAcquire('a', { signal }),
        manager.using('a', () => undefined, { signal }),
        manager.acquireMany(['a', 'b'], { signal }),
        manager.acquireAll(['a', 'b'], { signal }),
      ]) {
        expect(await rejectionOf(call)).to.equal(reason)
      }
      expect(backend.requests.acquire).to.equal(0)
    }))

  it('ends a pause at once', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      const abort = new AbortController()
      const call = watch(manager.acquire('a', { signal: abort.signal }))
      await clock.advance(300)
      const reason = new Error('no longer wanted')
      abort.abort(reason)
      await clock.settle()
      expect(call.error).to.equal(reason)
      expect(manager.stats().waiting).to.equal(0)
      expect(clock.timers).to.equal(0)
    }))

  it('ends the wait in the local queue at once', () =>
    withManager({}, async ({ manager, clock }) => {
      const abort = new AbortController()
      await manager.acquire('a')
      const calls = [
        watch(manager.acquire('a', { wait: 60_000 })),
        watch(manager.acquire('a', { signal: abort.signal })),
      ]
      await clock.advance(300)
      abort.abort()
      await clock.settle()
      expect(calls.map(({ state }) => state)).to.deep.equal(['pending', 'rejected'])
      expect(calls[1]?.error).to.include({ name: 'AbortError' })
      expect(manager.stats().waiting).to.equal(1)
      void manager.get('a')?.release()
      await clock.settle()
      expect(calls[0]?.value.held).to.equal(true)
    }))

  it('P11 an aborted attempt ends at once, and its grant is released', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const abort = new AbortController()
      backend.block()
      const call = watch(manager.acquire('a', { signal: abort.signal }))
      await clock.advance(100)
      abort.abort()
      await clock.settle()
      expect(call.state).to.equal('rejected')
      backend.unblock()
      await clock.advance(TICK)
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal([])
    }))

  it('P11 an aborted tryAcquire ends at once, and its grant is released', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const abort = new AbortController()
      backend.there = 100
      backend.back = 100
      const call = watch(manager.tryAcquire('a', { signal: abort.signal }))
      await clock.advance(150)
      expect(store.keys()).to.deep.equal(['lease:a'])
      abort.abort('a reason that is no error')
      await clock.settle()
      expect(call.error).to.equal('a reason that is no error')
      await clock.advance(150)
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal([])
    }))

  it('P11 a signal that aborts in the turn of the call costs no key', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const abort = new AbortController()
      const calls = [manager.acquire('a', { signal: abort.signal }), manager.tryAcquire('b', { signal: abort.signal })]
      abort.abort()
      for (const call of calls) expect(await rejectionOf(call)).to.include({ name: 'AbortError' })
      await clock.advance(TICK)
      expect(store.keys()).to.deep.equal([])
      expect(manager.stats().undoing).to.equal(0)
    }))

  it('passes on a reason that is no error, even during a pause', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 60_000)
      for (const reason of ['a string', 5, null]) {
        const abort = new AbortController()
        const call = watch(manager.acquire('a', { signal: abort.signal }))
        await clock.advance(1_000)
        abort.abort(reason)
        await clock.settle()
        expect(call.state).to.equal('rejected')
        expect(call.error).to.equal(reason)
      }
    }))

  it('the signal of a call does not affect the acquired lease', () =>
    withManager({}, async ({ manager, clock }) => {
      const abort = new AbortController()
      const lease = await manager.acquire('a', { signal: abort.signal })
      abort.abort()
      await clock.advance(3 * TTL)
      expect(lease.held).to.equal(true)
      expect(lease.signal.aborted).to.equal(false)
    }))

  it('P24 has no listener left once the call has settled', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const { signal } = new AbortController()
      store.set('lease:held', 'somebody', 60_000)
      const calls: Promise<unknown>[] = [
        manager.acquire('a', { signal }),
        manager.tryAcquire('b', { signal }),
        manager.tryAcquire('held', { signal }),
        manager.acquireMany(['c', 'd', 'held'], { signal }),
        manager.acquire('held', { signal, wait: 500 }),
      ]
      expect(getEventListeners(signal, 'abort').length).to.be.greaterThan(0)
      const settled = Promise.allSettled(calls)
      await clock.advance(1_000)
      await settled
      backend.fail(new Error('ECONNREFUSED'))
      await manager.tryAcquire('e', { signal }).catch(() => undefined)
      expect(getEventListeners(signal, 'abort')).to.have.length(0)
    }))

  it('a signal has one listener for any number of calls', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const abort = new AbortController()
      store.set('lease:held', 'somebody', 60_000)
      backend.back = 100
      const calls = Array.from({ length: 200 }, (_, index) =>
        watch(manager.acquire(`key-${index}`, { signal: abort.signal })),
      )
      calls.push(...Array.from({ length: 200 }, () => watch(manager.acquire('held', { signal: abort.signal }))))
      await clock.advance(50)
      expect(getEventListeners(abort.signal, 'abort')).to.have.length(1)
      abort.abort()
      await clock.settle()
      expect(calls.every(({ state }) => state === 'rejected')).to.equal(true)
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal(['lease:held'])
    }))

  it('does not end a shared attempt for the other caller', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const abort = new AbortController()
      backend.there = 50
      backend.back = 50
      const first = watch(manager.tryAcquire('a', { signal: abort.signal }))
      const second = watch(manager.tryAcquire('a'))
      const third = watch<Lease>(manager.acquire('a'))
      await clock.advance(60)
      abort.abort()
      await clock.advance(1_000)
      expect(first.error).to.include({ name: 'AbortError' })
      // Whether the second is refused or acquires the lock: the server was never unavailable.
      expect(second.state).to.equal('fulfilled')
      second.value?.release().catch(() => undefined)
      await clock.advance(1_000)
      expect(third.value.held).to.equal(true)
    }))
})

describe('a retry strategy that acts while it is called', () => {
  const acts: Record<string, (abort: AbortController) => void> = {
    'aborts the call': (abort) => abort.abort(new Error('enough')),
  }
  for (const [how, act] of Object.entries(acts)) {
    for (const when of ['after the first attempt', 'during a pause'] as const) {
      it(`P24 ${how} ${when}: it is over at once`, () =>
        withManager({}, async ({ manager, backend, clock, store }) => {
          store.set('lease:a', 'somebody', 60_000)
          const abort = new AbortController()
          let asked = 0
          const retry = {
            next: (): number => {
              asked += 1
              if (asked === (when === 'during a pause' ? 2 : 1)) act(abort)
              return Number.POSITIVE_INFINITY
            },
          }
          const call = watch(manager.acquire('a', { wait: Number.POSITIVE_INFINITY, retry, signal: abort.signal }))
          await clock.settle()
          if (when === 'during a pause') backend.listener.onChange(['a'])
          await clock.settle()
          expect(String(call.error)).to.equal('Error: enough')
          expect(manager.stats()).to.include({ waiting: 0, timers: 0 })
        }))
    }
  }

  it('P23 releases the lock that is waited for, which is requested again at once', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await manager.acquire('b')
      const retry = { next: () => (void lease.release(), Number.POSITIVE_INFINITY) }
      const call = watch(manager.acquire('b', { wait: 60_000, retry }))
      await clock.settle()
      await lease.release()
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))
})
