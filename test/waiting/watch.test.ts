/** Callers that the server notifies of changes: they ask again if there is a reason, and not otherwise. */
import { expect } from 'chai'
import {
  exponentialBackoff,
  fixedInterval,
  LockNotAcquiredError,
  type RetryContext,
  UnavailableError,
} from 'leasewheel'
import {
  grant,
  only,
  rejectionOf,
  type TestBackend,
  TICK,
  TTL,
  watch,
  withManager,
  withStage,
} from '../support/manager.ts'

const HOUR = 3_600_000

/** ms between one attempt and the next. */
function pauses(backend: TestBackend): number[] {
  const times = backend.calls('acquire').map(({ at }) => at)
  return times.slice(1).map((at, index) => at - (times[index] as number))
}

describe('a caller that waits for the lock of another process', () => {
  const ends: readonly [string, (parts: { store: { delete(key: string): unknown; clear(): void } }) => unknown][] = [
    ['is deleted by somebody', ({ store }) => store.delete('lease:a')],
    ['is gone with everything else', ({ store }) => store.clear()],
  ]
  for (const [end, work] of ends) {
    it(`P23 a waiter acquires the lock at once if the lock ${end}`, () =>
      withManager({}, async ({ manager, clock, store, backend }) => {
        store.set('lease:a', 'somebody', HOUR)
        const call = watch(manager.acquire('a'))
        await clock.advance(100)
        const before = clock.now()
        work({ store })
        await clock.settle()
        expect(call.value.held).to.equal(true)
        expect(clock.now()).to.equal(before)
        expect(backend.requests.acquire).to.equal(2)
      }))
  }

  it('P23 a waiter acquires the lock at once when the holder releases it', () =>
    withStage(async ({ open, clock }) => {
      const [holder, waiter] = [open(), open()]
      const lease = await grant(holder.manager.tryAcquire('a'))
      const call = watch(waiter.manager.acquire('a'))
      await clock.advance(100)
      const before = clock.now()
      await lease.release()
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(clock.now()).to.equal(before)
      expect(waiter.backend.requests.acquire).to.equal(2)
      expect(waiter.manager.stats().wakeUps).to.include({ change: 1, timeout: 0 })
    }))

  it('P23 a waiter acquires a lock at once when an operator deletes its key', () =>
    withStage(async ({ open, clock }) => {
      const [holder, waiter, operator] = [open(), open(), open()]
      await grant(holder.manager.tryAcquire('a'))
      const call = watch(waiter.manager.acquire('a'))
      await clock.settle()
      expect(await operator.manager.forceRelease('a')).to.equal(true)
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(only(holder.events.lines.filter((line) => line.startsWith('lost')))).to.match(/^lost a: (missing|taken)$/)
    }))

  it('waits for the ttl of the new holder if the lock changes hands', () =>
    withManager({ wait: HOUR }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', 10_000)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      store.set('lease:a', 'somebody else', 20_000)
      await clock.settle()
      expect(backend.requests.acquire).to.equal(2)
      expect(call.state).to.equal('pending')
      await clock.advance(19_999)
      expect(backend.requests.acquire).to.equal(2)
      await clock.advance(2 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('P23 a resting waiter acquires an expired lock once anybody finds it expired', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 5_000)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      clock.jump(5_000)
      // A server tells of the expiry when it notices it.
      expect(store.get('lease:a')).to.equal(undefined)
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))

  it('asks once for each of the holder’s renewals, and goes on waiting', () =>
    withStage(async ({ open, clock }) => {
      const [holder, waiter] = [open(), open()]
      await grant(holder.manager.tryAcquire('a'))
      const call = watch(waiter.manager.acquire('a', { wait: HOUR }))
      await clock.advance(20 * TTL)
      expect(call.state).to.equal('pending')
      const { renew } = holder.backend.requests
      expect(renew).to.be.at.least(60)
      expect(waiter.backend.requests.acquire).to.be.within(renew, renew + 1)
      expect(waiter.manager.stats().wakeUps).to.deep.equal({ handOver: 0, change: renew, reconnect: 0, timeout: 0 })
      expect(waiter.manager.stats().timers).to.equal(1)
    }))

  it('the first waiter asks for all callers of its process', () =>
    withStage(async ({ open, clock }) => {
      const [holder, crowd] = [open(), open()]
      await grant(holder.manager.tryAcquire('a'))
      const calls = Array.from({ length: 1_000 }, () => watch(crowd.manager.acquire('a', { wait: 10 * TTL })))
      await clock.advance(5 * TTL)
      const { renew } = holder.backend.requests
      expect(crowd.backend.requests.acquire).to.be.within(renew, renew + 1)
      expect(crowd.manager.stats()).to.include({ waiting: 1_000, queues: 1 })
      await clock.advance(5 * TTL + 2 * TICK)
      for (const call of calls) expect(call.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('does not poll, but asks when the holder’s ttl is over', () =>
    withManager({ wait: HOUR }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', 20_000)
      const call = watch(manager.acquire('a'))
      await clock.advance(19_999)
      expect(backend.requests.acquire).to.equal(1)
      await clock.advance(2 + 2 * TICK)
      expect(backend.requests.acquire).to.equal(2)
      expect(call.value.held).to.equal(true)
    }))

  it('a waiter asks about once a minute if the holder has no ttl', () =>
    withManager({ wait: HOUR, random: () => 0.999_999 }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', Infinity)
      void watch(manager.acquire('a'))
      await clock.advance(HOUR - 1)
      for (const pause of pauses(backend)) expect(pause).to.be.within(59_900, 60_000 + 2 * TICK)
      expect(pauses(backend).length).to.be.within(58, 60)
    }))

  it('P23 acquires the lock by the end of the holder’s ttl after a missed release', () =>
    withStage(async ({ open, clock }) => {
      const [holder, waiter] = [open(), open()]
      const lease = await grant(holder.manager.tryAcquire('a'))
      const call = watch(waiter.manager.acquire('a'))
      await clock.settle()
      waiter.backend.deaf = true
      await lease.release()
      await clock.advance(TTL - 1)
      expect(call.state).to.equal('pending')
      await clock.advance(2 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('a waiter with a retry strategy of its own polls as that says', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const contexts: RetryContext[] = []
      const steady = fixedInterval({ interval: 200, jitter: false })
      const retry = {
        next(context: RetryContext) {
          contexts.push(context)
          return steady.next(context)
        },
      }
      void watch(manager.acquire('a', { retry }))
      await clock.advance(5_000)
      expect(backend.requests.acquire).to.be.within(23, 26)
      for (const pause of pauses(backend)) expect(pause).to.be.within(200, 200 + TICK)
      for (const { watched } of contexts) expect(watched).to.equal(true)
      const before = clock.now()
      store.delete('lease:a')
      await clock.settle()
      expect(manager.get('a')?.held).to.equal(true)
      expect(clock.now()).to.equal(before)
    }))
})

describe('a hint that the key may have changed', () => {
  it('P23 a hint is not lost if it comes while a request is under way', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      backend.holdAnswers('acquire')
      const call = watch(manager.acquire('a'))
      await clock.settle()
      // The answer is a refusal already, and lies on the way.
      store.delete('lease:a')
      await clock.settle()
      expect(backend.requests.acquire).to.equal(1)
      backend.deliverAll()
      await clock.settle()
      expect(backend.requests.acquire).to.equal(2)
      expect(call.value.held).to.equal(true)
    }))

  it('P23 a hint is not lost while another hint’s request is under way', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      backend.holdAnswers('acquire')
      store.set('lease:a', 'somebody else', HOUR)
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(backend.requests.acquire).to.equal(3)
    }))

  it('is no verdict: a caller that is refused again goes on waiting', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a', { wait: 5_000 }))
      await clock.advance(1_000)
      backend.listener.onChange(['a'])
      backend.listener.onChange(['another'])
      await clock.settle()
      expect(backend.requests.acquire).to.equal(2)
      expect(call.state).to.equal('pending')
      await clock.advance(4_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ attempts: 2 })
    }))

  it('is followed with growing delays after false alarms, and a release is still noticed', () =>
    withManager({ wait: HOUR, retry: { next: () => HOUR } }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      // A server without room for watched keys says that each has changed as soon as it is watched.
      const askedIn: number[] = []
      for (let second = 0; second < 30; second += 1) {
        const before = backend.requests.acquire
        for (let times = 0; times < 100; times += 1) {
          backend.listener.onChange(['a'])
          await clock.advance(10)
        }
        askedIn.push(backend.requests.acquire - before)
      }
      expect(askedIn[0]).to.be.at.most(10)
      for (const count of askedIn.slice(2)) expect(count).to.be.at.most(2)
      expect(askedIn.at(-1)).to.be.at.least(1)

      backend.deaf = true
      store.delete('lease:a')
      backend.listener.onChange(['a'])
      await clock.advance(1_000 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('is followed at once again after one that was justified', () =>
    withManager({ wait: HOUR }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      void watch(manager.acquire('a'))
      for (let times = 0; times < 200; times += 1) {
        await clock.advance(10)
        backend.listener.onChange(['a'])
      }
      store.set('lease:a', 'somebody else', HOUR)
      await clock.advance(1_000 + 2 * TICK)
      const before = backend.requests.acquire
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(backend.requests.acquire).to.equal(before + 1)
    }))

  it('does not use up the attempts that a strategy allows', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const retry = fixedInterval({ interval: 1_000, maxAttempts: 3, jitter: false })
      const call = watch(manager.acquire('a', { retry }))
      for (let times = 0; times < 20; times += 1) {
        await clock.advance(20)
        store.set('lease:a', `somebody ${times}`, HOUR)
      }
      await clock.settle()
      expect(backend.requests.acquire).to.equal(21)
      expect(call.state).to.equal('pending')
      await clock.advance(2_000 + 4 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError).and.to.include({ attempts: 23 })
    }))

  it('a hint rejects the caller if its strategy throws or returns an invalid pause', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      const thrown = new Error('thrown by the strategy')
      const bad: readonly [() => number, (error: unknown) => void][] = [
        [
          () => {
            throw thrown
          },
          (error) => expect(error).to.equal(thrown),
        ],
        [() => -1, (error) => expect(error).to.be.instanceOf(RangeError)],
      ]
      for (const [answer, check] of bad) {
        store.set('lease:a', 'somebody', HOUR)
        // Whoever was told of that by the last turn of this loop is gone.
        await clock.settle()
        let asked = 0
        const retry = {
          next() {
            asked += 1
            return asked === 1 ? 60_000 : answer()
          },
        }
        const call = watch(manager.acquire('a', { retry }))
        await clock.settle()
        expect(call.error).to.equal(undefined)
        backend.listener.onChange(['a'])
        await clock.settle()
        check(call.error)
      }
    }))

  it('a hint ends the wait if the strategy then gives up', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      let asked = 0
      const call = watch(manager.acquire('a', { retry: { next: () => (asked++ === 0 ? 60_000 : null) } }))
      await clock.settle()
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('reaches every queue if any key may have changed, even with thousands', () =>
    withManager({ wait: HOUR }, async ({ manager, clock, store }) => {
      const keys = Array.from({ length: 5_000 }, (_, index) => `key-${index}`)
      for (const key of keys) store.set(`lease:${key}`, 'somebody', HOUR)
      const calls = keys.map((key) => watch(manager.acquire(key)))
      await clock.settle()
      store.clear()
      await clock.settle()
      for (const call of calls) expect(call.value.held).to.equal(true)
      expect(manager.stats().wakeUps.reconnect).to.equal(5_000)
    }))

  it('P21 P23 makes callers ask again when the server or its notifications return', () =>
    withManager({ wait: HOUR }, async ({ manager, clock, store, backend }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      backend.listener.onUnwatched()
      await clock.settle()
      expect(backend.requests.acquire).to.equal(2)

      backend.fail(new Error('ECONNRESET'))
      store.delete('lease:a')
      await clock.settle()
      expect(call.state).to.equal('pending')
      expect(manager.stats().watching).to.equal(false)
      const before = clock.now()
      backend.fail(undefined)
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(clock.now()).to.equal(before)
      expect(manager.stats().watching).to.equal(true)
    }))
})

describe('a request caused by a hint', () => {
  const ends = ['an abort', 'the end of the wait', 'close'] as const
  for (const end of ends) {
    it(`P11 leaves no key behind if ${end} comes first`, () =>
      withStage(async ({ open, clock, store }) => {
        const { manager, backend } = open()
        store.set('lease:a', 'somebody', HOUR)
        const abort = new AbortController()
        const call = watch(manager.acquire('a', { wait: 1_000, signal: abort.signal }))
        await clock.advance(800)
        backend.holdAnswers('acquire')
        store.delete('lease:a')
        await clock.settle()
        expect(store.get('lease:a'), 'it has been carried out').not.to.equal(undefined)
        const closed = end === 'close' ? manager.close() : undefined
        if (end === 'an abort') abort.abort()
        if (end === 'the end of the wait') await clock.advance(200 + 2 * TICK)
        await clock.settle()
        expect(call.state).to.equal('rejected')
        backend.deliverAll()
        await clock.advance(TICK)
        await closed
        expect(store.get('lease:a')).to.equal(undefined)
      }))
  }

  it('P11 leaves no key behind if the caller aborts at the moment of the grant', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      store.set('lease:a', 'somebody', HOUR)
      const abort = new AbortController()
      const call = watch(manager.acquire('a', { signal: abort.signal }))
      await clock.settle()
      backend.holdAnswers('acquire')
      store.delete('lease:a')
      await clock.settle()
      for (let microtasks = 0; microtasks < 12; microtasks += 1) {
        if (microtasks === 0) backend.deliverAll()
        await Promise.resolve()
        if (microtasks === 3) abort.abort()
      }
      await clock.settle()
      if (call.state === 'fulfilled') await call.value.release()
      else expect(call.error).to.include({ name: 'AbortError' })
      await clock.advance(TICK)
      expect(store.get('lease:a')).to.equal(undefined)
      expect(events.lines.filter((line) => line.startsWith('lost'))).to.deep.equal([])
    }))

  it('P11 a hint’s request leaves no key without a holder, whenever the caller aborts', () =>
    withStage(async ({ open, clock, store }) => {
      for (let moment = 0; moment < 25; moment += 1) {
        const { manager, backend } = open()
        store.set('lease:a', 'somebody', HOUR)
        const abort = new AbortController()
        const call = watch(manager.acquire('a', { signal: abort.signal }))
        await clock.settle()
        backend.holdAnswers('acquire')
        store.delete('lease:a')
        await clock.settle()
        backend.deliverAll()
        for (let turn = 0; turn < moment; turn += 1) await Promise.resolve()
        abort.abort()
        await clock.settle()
        if (call.state === 'fulfilled') await call.value.release()
        await clock.advance(TICK)
        expect(store.get('lease:a'), `aborted after ${moment} turns`).to.equal(undefined)
      }
    }))

  it('P11 a hint’s request without an answer is repeated with the same token', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a', { wait: HOUR }))
      await clock.settle()
      backend.dropAnswers(true)
      store.delete('lease:a')
      await clock.settle()
      const token = store.get('lease:a')
      backend.dropAnswers(false)
      await clock.advance(TTL / 6 + 1_000)
      expect(call.value.token).to.equal(token)
    }))

  it('a hint’s request becomes the caller’s attempt if the pause ends meanwhile', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const retry = fixedInterval({ interval: 300, jitter: false })
      const call = watch(manager.acquire('a', { retry }))
      await clock.advance(200)
      backend.holdAnswers('acquire')
      backend.listener.onChange(['a'])
      await clock.advance(200)
      expect(backend.requests.acquire, 'one question at a time').to.equal(2)
      backend.deliverAll()
      store.delete('lease:a')
      await clock.advance(300 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))
})

describe('without change notifications', () => {
  it('a caller polls with backoff, at most a second apart', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open({ random: () => 0.999_999 }, { watch: false })
      expect(manager.stats().watching).to.equal(false)
      store.set('lease:a', 'somebody', HOUR)
      void watch(manager.acquire('a'))
      await clock.advance(9_000)
      const expected = [50, 100, 200, 400, 800, 1_000, 1_000, 1_000]
      for (const [index, pause] of expected.entries()) {
        expect(pauses(backend)[index], `pause ${index}`).to.be.within(pause - 1, pause + TICK)
      }
    }))

  it('P23 a caller asks when the holder’s ttl ends, if that comes before', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager } = open({ retry: exponentialBackoff({ minTimeout: 5_000, jitter: false }) }, { watch: false })
      store.set('lease:a', 'somebody', 777)
      const call = watch(manager.acquire('a'))
      await clock.advance(776)
      expect(call.state).to.equal('pending')
      await clock.advance(2 + 2 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('`watch: false` makes callers poll on any backend', () =>
    withManager({ watch: false }, async ({ manager, backend, clock, store }) => {
      const held = await grant(manager.tryAcquire('held'))
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.advance(5_000)
      expect(manager.stats()).to.include({ watching: false })
      expect(backend.requests.acquire).to.be.greaterThan(8)
      store.delete('lease:held')
      await clock.settle()
      expect(held.held).to.equal(true)
      await clock.advance(TTL / 2)
      expect(held.held).to.equal(false)
      store.delete('lease:a')
      await clock.advance(1_000 + TICK)
      expect(call.value.held).to.equal(true)
      expect(manager.stats().wakeUps).to.include({ change: 0, reconnect: 0 })
      for (const { watched } of backend.calls()) expect(watched).to.deep.equal([])
    }))

  it('a caller learns that the server is unavailable at the end of its wait', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open({}, { watch: false })
      store.set('lease:a', 'somebody', HOUR)
      const call = rejectionOf(manager.acquire('a', { wait: 2_000 }))
      await clock.advance(1_000)
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(1_000 + 2 * TICK)
      expect(await call).to.be.instanceOf(UnavailableError)
    }))
})
