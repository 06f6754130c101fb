import { expect } from 'chai'
import {
  type JeopardyEvent,
  type Lease,
  type LeaseEvents,
  LeaseLostError,
  type LostEvent,
  type ReleasedEvent,
  UnavailableError,
} from 'leasewheel'
import { grant, heldFor, only, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const NAMES = ['acquired', 'renewed', 'jeopardy', 'safe', 'lost', 'released'] as const

describe('the events of a manager', () => {
  it('report an acquisition with the same lease before the call resolves with it', () =>
    withManager({}, async ({ manager, events }) => {
      const told: Lease[] = []
      manager.on('acquired', ({ lease }) => {
        expect(lease.held).to.equal(true)
        expect(manager.get('a')).to.equal(lease)
        told.push(lease)
      })
      const lease = await manager.tryAcquire('a').then((granted) => {
        expect(events.lines).to.deep.equal(['acquired a'])
        return granted
      })
      expect(lease).to.equal(only(told))
    }))

  it('report nothing if a lock was refused', () =>
    withStage(async ({ open, store }) => {
      const { manager, events } = open()
      store.set('lease:a', 'somebody', TTL)
      expect(await manager.tryAcquire('a')).to.equal(null)
      expect(events.lines).to.deep.equal([])
    }))

  it('report every confirmed renewal', () =>
    withManager({}, async ({ manager, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      await clock.advance(10 * TTL)
      const renewals = events.lines.filter((line) => line === 'renewed a').length
      expect(events.lines).to.have.length(renewals + 1)
      expect(renewals, 'due at a third of the ttl').to.be.within(25, 40)
    }))

  it('P14 report jeopardy once, however often the renewal is repeated, and its end', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('connect ECONNREFUSED'))
      await clock.advance(TTL / 2)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a'])
      expect(lease.state).to.equal('jeopardy')
      expect(lease.held).to.equal(true)
      expect(backend.requests.renew).to.be.greaterThan(1)

      backend.fail(undefined)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'safe a'])
      expect(lease.state).to.equal('held')
    }))

  it('P14 report jeopardy and safety as often as they alternate', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      await grant(manager.tryAcquire('a'))
      for (let round = 0; round < 4; round += 1) {
        backend.fail(new Error('ECONNRESET'))
        await clock.advance(TTL / 2)
        backend.fail(undefined)
        await clock.settle()
      }
      const dangers = events.lines.filter((line) => line !== 'renewed a')
      const round = ['jeopardy a', 'safe a']
      expect(dangers).to.deep.equal(['acquired a', ...round, ...round, ...round, ...round])
    }))

  it('say in `jeopardy` what failed and how long the lease still holds', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const told: (JeopardyEvent & { readonly left: number })[] = []
      manager.on('jeopardy', (event) => {
        told.push({ ...event, left: event.lease.remaining })
      })
      const failure = new Error('READONLY You can’t write against a read only replica.')
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(failure)
      await clock.advance(TTL / 2)
      const { error, remaining, left, lease: inDanger } = only(told)
      expect(inDanger).to.equal(lease)
      expect(error).to.equal(failure)
      expect(remaining)
        .to.equal(left)
        .and.to.be.within(heldFor(TTL) - TTL / 2, heldFor(TTL))
    }))

  it('say of an unanswered renewal that the backend was unavailable', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock }) => {
      const errors: Error[] = []
      manager.on('jeopardy', ({ error }) => {
        errors.push(error)
      })
      await grant(manager.tryAcquire('a'))
      backend.block()
      await clock.advance(TTL / 3 + 200 + 2 * TICK)
      expect(only(errors)).to.be.instanceOf(UnavailableError)
      expect(only(errors).message).to.include('200 ms')
    }))

  it('P14 report a loss once, after jeopardy, with its reason and its error', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const told: LostEvent[] = []
      manager.on('lost', (event) => {
        told.push(event)
      })
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('connect ECONNREFUSED'))
      await clock.advance(4 * TTL)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'lost a: expired'])
      const { lease: lost, reason, error } = only(told)
      expect(lost).to.equal(lease)
      expect(reason).to.equal('expired')
      expect(error).to.be.instanceOf(LeaseLostError).and.to.include({ code: 'ERR_LEASE_LOST', reason, key: 'a' })
      expect(error.message).to.include('`a`')
    }))

  it('report a release once, and whether it was confirmed', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const told: ReleasedEvent[] = []
      manager.on('released', (event) => {
        told.push(event)
      })
      const first = await grant(manager.tryAcquire('a'))
      await first.release()
      const second = await grant(manager.tryAcquire('a'))
      backend.block()
      const release = watch(second.release())
      await clock.advance(TTL)
      expect(release.value).to.equal(false)
      expect(told).to.deep.equal([
        { lease: first, confirmed: true, detached: false },
        { lease: second, confirmed: false, detached: false },
      ])
    }))

  it('P14 report a release during jeopardy', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('LOADING Redis is loading the dataset in memory'))
      await clock.advance(TTL / 2)
      backend.holdAnswers('renew')
      backend.fail(undefined)
      expect(await lease.release()).to.equal(true)
      backend.deliverAll()
      await clock.advance(TTL)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'released a'])
    }))

  it('P14 report nothing of a lease after its last event', () =>
    withManager({}, async ({ manager, backend, clock, events, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await lease.release()
      events.clear()
      backend.fail(new Error('gone'))
      await clock.advance(TTL)
      backend.fail(undefined)
      store.set('lease:a', 'somebody', TTL)
      await clock.advance(2 * TTL)
      await lease.release()
      expect(events.lines).to.deep.equal([])
    }))

  it('P14 keep the histories of two leases of one key apart', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const first = await grant(manager.tryAcquire('a'))
      await first.release()
      const second = await grant(manager.tryAcquire('a'))
      await clock.advance(heldFor(TTL) / 2)
      await second.release()
      expect(second).not.to.equal(first)
      expect(second.token).not.to.equal(first.token)
      const stories = [first, second].map((lease) => events.all.filter((told) => told.lease === lease))
      expect(stories.map((story) => story.map(({ name }) => name))).to.deep.equal([
        ['acquired', 'released'],
        ['acquired', 'renewed', 'released'],
      ])
    }))

  it('P14 keep their order for a late grant in a batch with failing renewals', () =>
    withManager({ batchSize: 2, random: () => 0.999 }, async ({ manager, backend, clock, store, events }) => {
      store.set('lease:taken', 'somebody', TTL)
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['taken', 'a', 'b']))
      await clock.settle()
      const [earlier, later] = backend.answers.splice(0)
      earlier?.deliver()
      backend.fail(new Error('ECONNRESET'))
      await clock.advance(TTL / 10)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a'])
      later?.deliver()
      await clock.settle()
      expect(call.value.map((lease) => lease?.state)).to.deep.equal([undefined, 'jeopardy', 'held'])
      expect(manager.stats().jeopardy).to.equal(1)
      backend.fail(undefined)
      await clock.advance(TTL / 2)
      const ofB = events.all.filter(({ lease }) => lease.key === 'b').map(({ name }) => name)
      expect(ofB.slice(0, 2)).to.deep.equal(['acquired', 'renewed'])
      expect(manager.stats().jeopardy).to.equal(0)
    }))

  it('P14 carry one and the same handle for the whole life of a lease', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const handles = new Set<Lease>()
      const seen = new Set<keyof LeaseEvents>()
      for (const name of NAMES) {
        manager.on(name, ({ lease }: { readonly lease: Lease }) => {
          handles.add(lease)
          seen.add(name)
        })
      }
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(TTL)
      backend.fail(new Error('gone'))
      await clock.advance(TTL / 2)
      backend.fail(undefined)
      await clock.settle()
      expect(manager.get('a')).to.equal(lease)
      await lease.release()
      expect([...handles]).to.deep.equal([lease])
      expect([...seen]).to.have.members(['acquired', 'renewed', 'jeopardy', 'safe', 'released'])
    }))

  it('find the lease’s state settled before they are emitted', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const states: string[] = []
      for (const name of NAMES) {
        manager.on(name, ({ lease }: { readonly lease: Lease }) => {
          states.push(`${name}: ${lease.state}, ${lease.held ? 'held' : 'not held'}, ${manager.size}`)
        })
      }
      const released = await grant(manager.tryAcquire('a'))
      await released.release()
      await grant(manager.tryAcquire('b'))
      store.delete('lease:b')
      await clock.advance(TTL / 2)
      expect(states).to.deep.equal([
        'acquired: held, held, 1',
        'released: released, not held, 0',
        'acquired: held, held, 1',
        'lost: lost, not held, 0',
      ])
    }))

  it('allow a listener to release the lease', () =>
    withManager({}, async ({ manager, clock, events }) => {
      manager.once('renewed', ({ lease }) => {
        void lease.release()
      })
      await Promise.all(['a', 'b', 'c'].map((key) => manager.tryAcquire(key)))
      await clock.advance(TTL)
      expect(events.lines.filter((line) => line.startsWith('released'))).to.have.length(1)
      expect(manager.size).to.equal(2)
    }))

  it('allow a listener to release other leases of the batch, which then stay silent', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const leases = await Promise.all(['a', 'b', 'c'].map((key) => grant(manager.tryAcquire(key))))
      manager.once('renewed', () => {
        for (const lease of leases) void lease.release()
      })
      await clock.advance(TTL)
      expect(events.lines.filter((line) => line.startsWith('renewed'))).to.have.length(1)
      expect(manager.size).to.equal(0)
    }))

  it('allow a listener to acquire the lost key', () =>
    withManager({ watch: false }, async ({ manager, clock, store, events }) => {
      manager.once('lost', ({ lease }) => {
        void manager.acquire(lease.key)
      })
      await grant(manager.tryAcquire('a'))
      store.delete('lease:a')
      await clock.advance(TTL / 2)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing', 'acquired a'])
      expect(manager.get('a')?.held).to.equal(true)
    }))
})
