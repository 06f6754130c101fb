import { expect } from 'chai'
import fc from 'fast-check'
import type { Lease, LeaseManager } from 'leasewheel'
import type { ManualClock } from 'leasewheel/memory'
import sinon from 'sinon'
import {
  grant,
  grantAll,
  heldFor,
  only,
  randomFrom,
  runs,
  type TestBackend,
  TICK,
  TTL,
  watch,
  withManager,
} from '../support/manager.ts'

/** How many renewals of one lease are sent within any window of `width` ms, at most. */
function densestWindow(backend: TestBackend, token: string, width: number): number {
  const sent = backend.calls('renew').filter(({ entries }) => entries.some((entry) => entry.token === token))
  const times = sent.map(({ at }) => at)
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + width).length))
}

/** An idle timer is cancelled when the next turn of the event loop is over. */
async function idleTimerGone(clock: ManualClock): Promise<void> {
  await clock.settle()
  await clock.settle()
}

/** Lets `emit` itself throw once, after it has told an event that is told inside a tick. */
function throwOnce(manager: LeaseManager, name: 'lost' | 'jeopardy') {
  let thrown = false
  const stub = sinon.stub(manager, 'emit').callsFake((...values) => {
    const result: unknown = Reflect.apply(stub.wrappedMethod, manager, values)
    if (values[0] !== name || thrown) return result as boolean
    thrown = true
    throw new Error('from emit')
  })
  return {
    get thrown() {
      return thrown
    },
    restore: () => stub.restore(),
  }
}

describe('renewal', () => {
  it('P19 comes before half the ttl for each lease of one burst', () =>
    withManager({ random: randomFrom(1) }, async ({ manager, clock }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 2_000 }, (_, index) => `key-${index}`)))
      for (let elapsed = 0; elapsed < 3 * TTL; elapsed += TTL / 10) {
        await clock.advance(TTL / 10)
        const left = Math.min(...leases.map((lease) => lease.remaining ?? 0))
        expect(left).to.be.greaterThan(heldFor(TTL) - TTL / 2)
      }
    }))

  it('P19 falls due for each lease by its own ttl', () =>
    withManager({}, async ({ manager, clock }) => {
      const ttls = [100, 250, 700, 1_000, 5_000, 30_000, 120_000]
      const leases = await Promise.all(ttls.map((ttl) => grant(manager.tryAcquire(`key-${ttl}`, { ttl }))))
      for (let elapsed = 0; elapsed < 120_000; elapsed += 997) {
        await clock.advance(997)
        for (const lease of leases) {
          expect(lease.remaining).to.be.greaterThan(heldFor(lease.ttl) - lease.ttl / 2 - TICK)
        }
      }
    }))

  for (const random of [0, 0.5, 0.98, 0.999_999]) {
    it(`P19 continues after any first due time, even the moment of the acquisition: ${random}`, () =>
      fc.assert(
        fc.asyncProperty(fc.integer({ min: 100, max: 5_000 }), fc.nat({ max: 2_000 }), async (ttl, idle) => {
          await withManager({ ttl, random: () => random }, async ({ manager, clock, events }) => {
            await clock.advance(idle)
            const lease = await grant(manager.tryAcquire('a'))
            await clock.advance(3 * ttl)
            expect(events.lines.filter((line) => line === 'renewed a').length).to.be.within(6, 12)
            expect(lease.held).to.equal(true)
          })
        }),
        runs(20),
      ))
  }

  it('spreads over the whole period, though the leases were acquired in one burst', () =>
    withManager({ ttl: 30_000, random: randomFrom(1), batchSize: 50 }, async ({ manager, backend, clock }) => {
      await manager.acquireMany(Array.from({ length: 2_000 }, (_, index) => `key-${index}`))
      await clock.advance(30_000)
      const instants = new Map<number, number>()
      for (const { at, entries } of backend.calls('renew')) {
        instants.set(at, (instants.get(at) ?? 0) + entries.length)
      }
      expect(Math.max(...instants.values()), 'leases renewed at one instant').to.be.lessThan(1_000)
      expect(instants.size).to.be.greaterThan(10)
    }))

  it('travels in batches of bounded size', () =>
    withManager({ batchSize: 100 }, async ({ manager, backend, clock }) => {
      await manager.acquireMany(Array.from({ length: 1_000 }, (_, index) => `key-${index}`))
      await clock.advance(TTL / 2)
      const sizes = backend.calls('renew').map(({ entries }) => entries.length)
      expect(Math.max(...sizes)).to.be.at.most(100)
      expect(sizes).to.have.length.of.at.most(12)
    }))

  it('sends the ttl of the lease, not that of the manager', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      await grant(manager.tryAcquire('a', { ttl: 1_000 }))
      await clock.advance(5_000)
      for (const { entries } of backend.calls('renew')) expect(only(entries).ttl).to.equal(1_000)
      expect(store.remaining('lease:a')).to.be.at.most(1_000)
    }))

  it('P20 the missing answer for one lease delays the renewal of no other', () =>
    withManager({ timeout: 1_000 }, async ({ manager, backend, clock }) => {
      const hung = await grant(manager.tryAcquire('hung'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      expect(only(backend.answers).keys).to.deep.equal(['hung'])
      const stuck = backend.answers.splice(0)
      const other = await grant(manager.tryAcquire('other', { ttl: 500 }))
      for (let elapsed = 0; elapsed < 900; elapsed += 20) {
        await clock.advance(20)
        for (const answer of backend.answers.splice(0)) {
          if (answer.keys.includes('hung')) stuck.push(answer)
          else answer.deliver()
        }
        expect(other.remaining).to.be.greaterThan(heldFor(500) - 300)
      }
      expect(hung.held).to.equal(true)
      for (const answer of stuck) answer.deliver()
    }))

  it('is sent in the turn in which it falls due, before any throwing listener', () =>
    withManager({}, async ({ manager, clock, events }) => {
      manager.on('lost', () => {
        throw new Error('from a listener')
      })
      const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)
      for (const [index, key] of keys.entries()) await grant(manager.tryAcquire(key, { autoRenew: index % 2 === 0 }))
      await clock.advance(3 * TTL)
      expect(manager.size).to.equal(10)
      expect(events.takeErrors()).to.have.length(10)
    }))
})

describe('renewal during an outage', () => {
  const faults: Record<string, { begin(backend: TestBackend, ttl: number): void; end(backend: TestBackend): void }> = {
    'a server that refuses': {
      begin: (backend) => backend.fail(new Error('connect ECONNREFUSED')),
      end: (backend) => backend.fail(undefined),
    },
    'a server that hangs': {
      begin: (backend) => backend.block(),
      end: (backend) => backend.unblock(),
    },
    'a network that loses answers': {
      begin: (backend) => backend.dropAnswers(true),
      end: (backend) => backend.dropAnswers(false),
    },
    'a network slower than the timeout': {
      begin: (backend, ttl) => {
        backend.there = ttl / 2
        backend.back = ttl / 2
      },
      end: (backend) => {
        backend.there = 0
        backend.back = 0
      },
    },
  }

  for (const [name, fault] of Object.entries(faults)) {
    it(`P21 loses nothing in an outage shorter than the remaining time: ${name}`, () =>
      withManager({}, async ({ manager, backend, clock, events }) => {
        const leases = await grantAll(manager.acquireMany(Array.from({ length: 20 }, (_, index) => `key-${index}`)))
        for (let outage = 0; outage < 5; outage += 1) {
          await clock.advance(TTL)
          const left = Math.min(...leases.map((lease) => lease.remaining ?? 0))
          fault.begin(backend, TTL)
          // The last request before the deadline is sent when a quarter of what is left has not yet passed twice.
          await clock.advance(left * 0.85)
          fault.end(backend)
          await clock.advance(left * 0.14)
          expect(leases.filter((lease) => lease.held)).to.have.length(20)
        }
        expect(events.lines.filter((line) => line.startsWith('lost'))).to.deep.equal([])
      }))

    it(`P21 repeats at a bounded rate, for every ttl: ${name}`, () =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 100, max: 20_000 }),
          fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
          async (ttl, random) => {
            await withManager({ ttl, random: () => random }, async ({ manager, backend, clock, events }) => {
              const { token } = await grant(manager.tryAcquire('a'))
              fault.begin(backend, ttl)
              await clock.advance(2 * ttl)
              expect(events.lines).to.include('jeopardy a')
              // Below some 600 ms the least timeout of 50 ms leaves no time for a second one.
              expect(densestWindow(backend, token, ttl)).to.be.within(ttl < 600 ? 1 : 2, 40)
              const sent = backend.calls('renew').map(({ at }) => at)
              const gaps = sent.slice(1).map((at, index) => at - (sent[index] as number))
              expect(Math.min(TICK, ...gaps)).to.be.at.least(5)
            })
          },
        ),
        runs(25),
      ))
  }

  it('P20 P21 loses nothing if more requests are due than can be under way', () =>
    withManager({ batchSize: 1 }, async ({ manager, backend, clock, events }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 100 }, (_, index) => `key-${index}`)))
      backend.block()
      await clock.advance(heldFor(TTL) * 0.8)
      expect(events.lines.filter((line) => line.startsWith('jeopardy'))).to.have.length(100)
      backend.unblock()
      await clock.advance(TTL / 10)
      expect(leases.map(({ state }) => state)).to.deep.equal(leases.map(() => 'held'))
      await clock.advance(2 * TTL)
      expect(manager.size).to.equal(100)
    }))

  it('P20 P21 loses no lease that could be kept if too many requests are due', () =>
    withManager({ batchSize: 1 }, async ({ manager, backend, clock }) => {
      // Slower than the leases can bear, if they were renewed one after another.
      backend.there = 100
      backend.back = 100
      const call = watch(manager.acquireMany(Array.from({ length: 100 }, (_, index) => `key-${index}`)))
      await clock.advance(200)
      expect(call.value.every((lease) => lease?.held)).to.equal(true)
      await clock.advance(5 * TTL)
      expect(manager.size).to.equal(100)
    }))

  it('P21 is repeated at once for leases in jeopardy when the server returns', () =>
    withManager({ watch: false }, async ({ manager, backend, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      backend.fail(new Error('connect ECONNREFUSED'))
      await clock.advance(TTL / 2)
      backend.fail(undefined)
      await clock.settle()
      const before = backend.requests.renew
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'safe a'])
      backend.fail(new Error('a flicker'))
      backend.fail(undefined)
      await clock.settle()
      expect(backend.requests.renew).to.equal(before)
    }))

  it('P21 leaves `autoRenew: false` to its owner when the server is back', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(10)
      backend.fail(new Error('connect ECONNREFUSED'))
      await lease.renew().catch(() => undefined)
      expect(lease.state).to.equal('jeopardy')
      backend.fail(undefined)
      await clock.advance(TTL)
      expect(backend.requests.renew).to.equal(1)
    }))

  it('P21 has at most one request per lease under way until answer or timeout', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 5_000 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.array(fc.tuple(fc.double({ min: 0, max: 0.6, noNaN: true }), fc.boolean()), { minLength: 3, maxLength: 20 }),
        async (ttl, patience, steps) => {
          const timeout = Math.max(10, Math.floor(ttl * patience))
          await withManager({ ttl, timeout, random: randomFrom(1) }, async ({ manager, backend, clock }) => {
            const leases = (await manager.acquireMany(['a', 'b', 'c'])) as Lease[]
            /** When the last renewal of each token was sent that has not been answered. */
            const unanswered = new Map<string, number>()
            const renew = backend.renew.bind(backend)
            sinon.replace(backend, 'renew', async (entries) => {
              const now = clock.now()
              const tokens = entries.map(({ token }) => token)
              for (const token of tokens) {
                expect(now - (unanswered.get(token) ?? Number.NEGATIVE_INFINITY)).to.be.at.least(timeout)
                unanswered.set(token, now)
              }
              const outcomes = await renew(entries)
              for (const token of tokens) if (unanswered.get(token) === now) unanswered.delete(token)
              return outcomes
            })
            for (const [latency, byHand] of steps) {
              backend.there = Math.round(latency * ttl)
              if (byHand) for (const lease of leases) lease.renew().catch(() => undefined)
              await clock.advance(Math.round(ttl / 7))
            }
          })
        },
      ),
      runs(40),
    ))
})

describe('renewal of short leases', () => {
  it('P21 is no hot loop, but a few requests per ttl at any latency', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 1_250 }),
        fc.double({ min: 0, max: 0.35, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        async (ttl, latency, random) => {
          await withManager(
            { ttl, timeout: ttl, random: () => random },
            async ({ manager, backend, clock, events }) => {
              const { token } = await grant(manager.tryAcquire('a'))
              backend.there = Math.floor((latency * ttl) / 2)
              backend.back = Math.floor((latency * ttl) / 2)
              await clock.advance(10 * ttl)
              expect(manager.get('a')?.token, 'no lease is lost').to.equal(token)
              expect(densestWindow(backend, token, ttl)).to.be.within(1, 6)
              expect(events.lines).to.not.include('jeopardy a')
            },
          )
        },
      ),
      runs(60),
    ))

  it('P21 is no hot loop if every answer is too late', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 100, max: 1_250 }), async (ttl) => {
        await withManager({ ttl, timeout: ttl }, async ({ manager, backend, clock }) => {
          const { token } = await grant(manager.tryAcquire('a'))
          backend.back = ttl
          await clock.advance(4 * ttl)
          expect(densestWindow(backend, token, ttl)).to.be.at.most(6)
        })
      }),
      runs(20),
    ))
})

describe('the timer of a manager', () => {
  it('P22 is set once while a lease is held, and not otherwise', () =>
    withManager({}, async ({ manager, clock }) => {
      expect(clock.timers).to.equal(0)
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 100 }, (_, index) => `key-${index}`)))
      for (let step = 0; step < 20; step += 1) {
        expect(clock.timers).to.equal(1)
        expect(manager.stats().timers).to.equal(1)
        await clock.advance(TTL / 7)
      }
      await Promise.all(leases.map((lease) => lease.release()))
      expect(clock.timers).to.equal(0)
      expect(manager.stats().timers).to.equal(0)
    }))

  it('P22 is gone after the last lease was lost', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      await manager.acquireMany(['a', 'b', 'c'])
      await clock.advance(TTL + TICK)
      expect(clock.timers).to.equal(0)
    }))

  it('P22 is gone after a refusal, a rejection or an abort', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', TTL)
      await manager.tryAcquire('a')
      await idleTimerGone(clock)
      expect(clock.timers).to.equal(0)
      await manager.acquire('a', { wait: 0 }).catch(() => undefined)
      await idleTimerGone(clock)
      expect(clock.timers).to.equal(0)
      const abort = new AbortController()
      const call = manager.acquire('a', { signal: abort.signal }).catch(() => undefined)
      await clock.settle()
      expect(clock.timers).to.equal(1)
      abort.abort()
      await call
      await idleTimerGone(clock)
      expect(clock.timers).to.equal(0)
      expect(backend.requests.acquire).to.equal(3)
    }))

  it('P22 survives what is thrown during a loss, and other leases are still served', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const emit = throwOnce(manager, 'lost')
      const unrenewed = [
        await grant(manager.tryAcquire('a', { autoRenew: false })),
        await grant(manager.tryAcquire('b', { autoRenew: false })),
        await grant(manager.tryAcquire('c', { autoRenew: false, ttl: 2 * TTL })),
      ]
      const renewed = await grant(manager.tryAcquire('renewed'))
      await clock.advance(heldFor(TTL) + TICK)
      expect(emit.thrown).to.equal(true)
      expect(events.takeErrors().map(({ message }) => message)).to.deep.equal(['from emit'])
      expect(clock.timers).to.equal(1)
      expect(manager.size).to.equal(2)
      emit.restore()

      await clock.advance(2 * TTL)
      expect(events.lines.filter((line) => line.startsWith('lost'))).to.have.length(3)
      expect(unrenewed.map(({ held }) => held)).to.deep.equal([false, false, false])
      expect(renewed.held).to.equal(true)
      expect(clock.timers).to.equal(1)
    }))

  it('P22 survives what is thrown at a renewal’s timeout, and the renewal is repeated', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, events }) => {
      const emit = throwOnce(manager, 'jeopardy')
      const lease = await grant(manager.tryAcquire('a'))
      backend.dropAnswers(true)
      await clock.advance(TTL / 3 + 200 + 2 * TICK)
      expect(emit.thrown).to.equal(true)
      expect(events.takeErrors().map(({ message }) => message)).to.deep.equal(['from emit'])
      expect(clock.timers).to.equal(1)
      emit.restore()
      backend.dropAnswers(false)
      await clock.advance(4 * TTL)
      expect(lease.held).to.equal(true)
    }))

  it('P22 survives a backend that throws instead of rejecting, and one that rejects', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const renew = sinon.stub(backend, 'renew')
      renew.throws(new Error('thrown'))
      await clock.advance(TTL / 2)
      expect(lease.state).to.equal('jeopardy')
      renew.rejects(new Error('rejected'))
      await clock.advance(TTL / 4)
      expect(lease.state).to.equal('jeopardy')
      expect(clock.timers).to.equal(1)
      renew.restore()
      await clock.advance(TTL / 5)
      expect(lease.state).to.equal('held')
      expect(events.lines.slice(0, 3)).to.deep.equal(['acquired a', 'jeopardy a', 'safe a'])
    }))
})
