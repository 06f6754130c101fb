/** Final answers: an answer that will not change ends the wait of every caller. */
import { expect } from 'chai'
import { type Lease, UnavailableError } from 'leasewheel'
import { TICK, TTL, watch, withManager } from '../support/manager.ts'

const FINAL = new UnavailableError('NOPERM', undefined, { final: true })
const HOUR = 3_600_000

describe('an answer that is final', () => {
  const calls: Record<
    string,
    (manager: Parameters<Parameters<typeof withManager>[1]>[0]['manager']) => Promise<unknown>
  > = {
    acquire: async (manager) => manager.acquire('a', { wait: HOUR }),
    acquireMany: async (manager) => manager.acquireMany(['a', 'b'], { wait: HOUR }),
    acquireAll: async (manager) => manager.acquireAll(['a', 'b'], { wait: HOUR }),
    using: async (manager) => manager.using('a', () => undefined, { wait: HOUR }),
    tryAcquire: async (manager) => manager.tryAcquire('a'),
  }

  for (const [name, call] of Object.entries(calls)) {
    it(`a final answer ends ${name} at once, and says so`, () =>
      withManager({}, async ({ manager, backend, clock }) => {
        backend.fail(FINAL)
        const result = watch(call(manager))
        await clock.advance(TICK)
        expect(result.error).to.be.instanceOf(UnavailableError)
        expect(result.error).to.include({ final: true })
      }))

    it(`ends ${name} at once if no connection can be made`, () =>
      withManager({}, async ({ manager, backend, clock }) => {
        backend.ready = () => Promise.reject(FINAL) as unknown as undefined
        const result = watch(call(manager))
        await clock.advance(TICK)
        expect(result.error).to.include({ final: true })
        backend.ready = () => undefined
      }))
  }

  it('a final answer ends all callers in the queue together', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const results = Array.from({ length: 5 }, () => watch(manager.acquire('a', { wait: HOUR })))
      const many = watch(manager.acquireMany(['a', 'b'], { wait: HOUR }))
      await clock.advance(1_000)
      backend.fail(FINAL)
      const before = backend.calls('acquire').length
      backend.listener.onChange(['a'])
      await clock.settle()
      for (const { error } of results) expect(error).to.include({ final: true, code: 'ERR_UNAVAILABLE' })
      expect(backend.calls('acquire')).to.have.length(before + 1)
      // It waits until what it has acquired is released, or cannot be.
      await clock.advance(TTL / 6 + 2 * TICK)
      expect(many.error).to.include({ final: true, code: 'ERR_UNAVAILABLE' })
    }))

  it('P18 a final answer ends no lease before its deadline', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease: Lease = await manager.acquire('a')
      backend.fail(FINAL)
      await clock.advance(TTL / 2)
      expect(lease.state).to.equal('jeopardy')
      backend.fail(undefined)
      await clock.advance(TTL)
      expect(lease.held).to.equal(true)
      expect(events.lines).to.include('safe a').and.not.include('lost a: expired')
    }))

  it('is told apart from an answer after which another attempt may help', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.fail(new UnavailableError('LOADING'))
      const result = watch(manager.acquire('a', { wait: HOUR }))
      await clock.advance(TTL)
      expect(result.state).to.equal('pending')
      backend.fail(undefined)
      await clock.advance(TTL)
      expect(result.value.held).to.equal(true)
    }))
})
