/** Verification: the server notifies a holder of a change, and the holder asks once whether it still holds the key. */
import { expect } from 'chai'
import type { LeaseLostError } from 'leasewheel'
import { grant, heldFor, only, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

describe('the holder of a lock that another client takes away', () => {
  it('P18 learns of the loss and its reason at once', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const leases = [await grant(manager.tryAcquire('gone')), await grant(manager.tryAcquire('stolen'))]
      const signals = leases.map(({ signal }) => signal)
      const before = clock.now()
      store.delete('lease:gone')
      store.set('lease:stolen', 'somebody', TTL)
      await clock.settle()
      expect(clock.now()).to.equal(before)
      expect(events.lines.slice(2).toSorted()).to.deep.equal(['lost gone: missing', 'lost stolen: taken'])
      expect(signals.map(({ reason }) => (reason as LeaseLostError).reason)).to.deep.equal(['missing', 'taken'])
      expect(backend.requests).to.include({ renew: 1, release: 0 })
      expect(store.get('lease:stolen')).to.equal('somebody')
    }))

  it('P18 learns of the loss at once after any number of renewals', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      await clock.advance(5 * TTL)
      events.clear()
      store.delete('lease:a')
      await clock.settle()
      expect(events.lines).to.deep.equal(['lost a: missing'])
    }))

  it('P18 learns at once of the loss of a lease that it has adopted', () =>
    withStage(async ({ open, store, clock }) => {
      const [from, to] = [open(), open()]
      await to.manager.adopt((await grant(from.manager.tryAcquire('a'))).detach())
      store.set('lease:a', 'somebody', TTL)
      await clock.settle()
      expect(to.events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
    }))

  it('P18 learns of many losses at once, after one batch', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`)
      await manager.acquireMany(keys)
      for (const key of keys.slice(0, 60)) store.delete(`lease:${key}`)
      await clock.settle()
      expect(backend.requests).to.include({ verify: 0, renew: 1 })
      expect(only(backend.calls('renew')).entries).to.have.length(60)
      expect(events.lines.filter((line) => line.endsWith(': missing'))).to.have.length(60)
      expect(manager.size).to.equal(40)
    }))

  it('P18 learns of a change that came while its lock was being granted', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.tryAcquire('a'))
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(call.value?.state).to.equal('lost')
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('ignores its own changes, and verifies nothing after its own renewals and releases', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(5 * TTL)
      await lease.renew()
      await lease.release()
      await clock.advance(TTL)
      expect(backend.requests.verify).to.equal(0)
    }))
})

describe('a lock that goes from caller to caller in one process', () => {
  it('each caller requests a passed lock once, and nobody verifies it', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const calls = Array.from({ length: 50 }, async () => {
        const lease = await manager.acquire('a', { wait: HOUR })
        await lease.release()
      })
      await clock.advance(1_000)
      await Promise.all(calls)
      const { acquire, release, handOver, verify } = backend.requests
      expect([acquire + handOver, release + handOver, verify]).to.deep.equal([50, 50, 0])
      expect(manager.stats()).to.include({ asksPerGrant: 1 })
    }))
})

describe('a verification', () => {
  it('P4 P12 a verification of a held lock neither prolongs nor watches it', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(1_000)
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(backend.requests.verify).to.equal(1)
      expect(lease.remaining).to.equal(heldFor(TTL) - 1_000)
      expect(store.remaining('lease:a')).to.equal(TTL - 1_000)
      expect(events.lines).to.deep.equal(['acquired a'])
    }))

  it('P1 P7 restores a shortened ttl and watches the key again', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.set('lease:a', lease.token, 50)
      await clock.settle()
      expect(store.remaining('lease:a')).to.equal(TTL)
      expect(lease.remaining, 'the deadline is left alone').to.equal(heldFor(TTL))
      store.delete('lease:a')
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('P21 renews only once under repeated hints, as from a server with little memory', () =>
    withManager({ ttl: 60_000 }, async ({ manager, backend, clock }) => {
      await grant(manager.tryAcquire('a'))
      for (let times = 0; times < 50; times += 1) {
        backend.listener.onChange(['a'])
        await clock.advance(TICK)
      }
      expect(backend.calls('renew').filter(({ watched }) => watched.length > 0)).to.have.length(1)
      expect(backend.requests.verify).to.equal(49)
    }))

  it('P12 no verification is sent if the lease is released first', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.listener.onChange(['a'])
      await lease.release()
      await clock.settle()
      expect(backend.requests).to.include({ renew: 0, verify: 0 })
    }))

  it('P18 an unanswered verification is not a loss', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a', { autoRenew: false }))
      backend.listener.onChange(['a'])
      backend.fail(new Error('ECONNRESET'))
      await clock.settle()
      backend.fail(undefined)
      backend.block()
      backend.listener.onChange(['a'])
      await clock.advance(TTL / 6 + 2 * TICK)
      backend.unblock()
      await clock.settle()
      expect(lease.held).to.equal(true)
      expect(events.lines).to.deep.equal(['acquired a'])
    }))

  it('P18 a definite verification counts even after its timeout', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('verify')
      store.delete('lease:a')
      await clock.settle()
      await clock.advance(TTL / 6 + 2 * TICK)
      expect(events.lines, 'it was given up').to.deep.equal(['acquired a'])
      backend.deliverAll()
      await clock.settle()
      expect(lease.held).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('a verification is repeated if another hint comes before its answer', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      backend.holdAnswers('verify')
      backend.listener.onChange(['a'])
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(backend.requests.verify, 'one at a time').to.equal(1)
      backend.deliverAll()
      await clock.settle()
      expect(backend.requests.verify).to.equal(2)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('P16 a verification’s “missing” during the release is no loss', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('verify')
      backend.holdAnswers('release')
      backend.listener.onChange(['a'])
      await clock.settle()
      const release = watch(lease.release())
      await clock.settle()
      const [verification] = backend.answers
      expect(verification?.operation).to.equal('verify')
      verification?.deliver([{ type: 'refused', reason: 'missing' }])
      await clock.settle()
      expect([lease.state, release.state]).to.deep.equal(['releasing', 'pending'])
      backend.deliverAll()
      await clock.settle()
      expect(release.value).to.equal(true)
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('P9 a late verification does not affect a later lease', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('verify')
      backend.listener.onChange(['a'])
      await clock.settle()
      await lease.release()
      const later = await grant(manager.tryAcquire('a'))
      only(backend.answers.splice(0)).deliver([{ type: 'refused', reason: 'taken' }])
      await clock.settle()
      expect(later.held).to.equal(true)
      expect(events.lines).to.deep.equal(['acquired a', 'released a', 'acquired a'])
    }))

  it('P9 P14 a loss is reported once, though a renewal finds it, too', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('verify')
      backend.holdAnswers('renew')
      store.delete('lease:a')
      const renewing = watch(lease.renew())
      await clock.settle()
      expect(backend.answers.map(({ operation }) => operation).toSorted()).to.deep.equal(['renew', 'verify'])
      backend.deliverAll()
      await clock.settle()
      expect(renewing.state).to.equal('rejected')
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('a verification ends a lease whose renewal was just confirmed', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      const renewing = watch(lease.renew())
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
      backend.deliverAll()
      await clock.settle()
      expect(renewing.state).to.equal('rejected')
      expect(lease.held).to.equal(false)
      expect(events.lines).to.have.length(2)
    }))
})

describe('a notification that any key may have changed', () => {
  it('P18 makes the manager ask about every lease, and lose the missing ones', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      await grant(manager.tryAcquire('renewed'))
      await grant(manager.tryAcquire('by hand', { autoRenew: false }))
      const before = clock.now()
      store.clear()
      await clock.settle()
      expect(clock.now()).to.equal(before)
      expect(events.lines.slice(2).toSorted()).to.deep.equal(['lost by hand: missing', 'lost renewed: missing'])
    }))

  it('P12 makes the manager ask about leases with `autoRenew: false` without prolonging them', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const renewed = await grant(manager.tryAcquire('renewed'))
      const byHand = await grant(manager.tryAcquire('by hand', { autoRenew: false }))
      await clock.advance(500)
      backend.listener.onChange()
      await clock.settle()
      expect(renewed.remaining).to.equal(heldFor(TTL))
      expect(byHand.remaining).to.equal(heldFor(TTL) - 500)
      expect(store.remaining('lease:by hand')).to.equal(TTL - 500)
      expect(backend.requests).to.include({ renew: 1, verify: 1 })
      expect(backend.calls('renew').at(-1)?.watched).to.deep.equal(['renewed'])
    }))

  it('P21 reports losses during an outage as soon as the server is back', () =>
    withManager({ ttl: 30_000 }, async ({ manager, backend, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      await grant(manager.tryAcquire('b'))
      backend.fail(new Error('ECONNRESET'))
      store.delete('lease:a')
      await clock.advance(1_000)
      expect(events.lines).to.deep.equal(['acquired a', 'acquired b'])
      backend.fail(undefined)
      await clock.settle()
      expect(events.lines).to.include('lost a: missing').and.not.include('lost b: missing')
    }))
})

describe('the option `watchLimit`', () => {
  it('leases above `watchLimit` are not watched, and renewals notice losses', () =>
    withManager({ watchLimit: 2 }, async ({ manager, backend, clock, store, events }) => {
      const leases = []
      for (const key of ['a', 'b', 'c']) leases.push(await grant(manager.tryAcquire(key)))
      // The renewals of three are not watched.
      await clock.advance(TTL)
      expect(backend.calls('renew').every(({ watched }) => watched.length === 0)).to.equal(true)
      events.clear()
      store.delete('lease:a')
      await clock.settle()
      expect(events.lines).to.deep.equal([])
      await clock.advance(TTL / 2)
      expect(events.lines).to.include('lost a: missing')

      // Two are few enough again, from their next renewal on.
      await clock.advance(TTL)
      expect(backend.calls('renew').at(-1)?.watched).not.to.deep.equal([])
      events.clear()
      store.delete('lease:b')
      await clock.settle()
      expect(events.lines).to.deep.equal(['lost b: missing'])
    }))

  it('P23 does not affect waiters', () =>
    withManager({ watchLimit: 0 }, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a'))
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      expect(call.value.held).to.equal(true)
    }))
})

describe('a hint that any key may have changed', () => {
  it('P17 P22 does not repeat a renewal if a listener releases the lease', () =>
    withManager({ batchSize: 1 }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      const call = watch(lease.renew())
      await clock.settle()
      backend.listener.onChange()
      manager.once('renewed', ({ lease }) => void lease.release())
      backend.deliverAll()
      await clock.advance(TICK)
      expect(call.state).to.equal('fulfilled')
      expect(lease.state).to.equal('released')
      expect(events.errors).to.deep.equal([])
      expect(backend.calls('renew')).to.have.length(1)
    }))
})
