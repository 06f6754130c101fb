/** lease.release(): what it resolves with, its repetition, and its race with renewals and later acquisitions. */
import { expect } from 'chai'
import { grant, grantAll, heldFor, only, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

describe('lease.release', () => {
  it('deletes the key, and leaves the lock to any caller', () =>
    withStage(async ({ open, store }) => {
      const [first, second] = [open(), open()]
      const lease = await grant(first.manager.tryAcquire('a'))
      expect(await lease.release()).to.equal(true)
      expect(store.keys()).to.deep.equal([])
      expect(lease.state).to.equal('released')
      expect(first.manager.size).to.equal(0)
      await grant(second.manager.tryAcquire('a'))
    }))

  it('P3 ends the lease at the call, before anything is sent or answered', () =>
    withManager({}, async ({ manager, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const call = lease.release()
      expect(lease.held).to.equal(false)
      expect(lease.remaining).to.equal(0)
      expect(lease.state).to.equal('releasing')
      expect(manager.get('a')).to.equal(undefined)
      expect(manager.size).to.equal(0)
      expect(backend.requests.release).to.equal(0)
      await call
    }))

  it('returns one promise to all callers before the answer, and false afterwards', () =>
    withManager({}, async ({ manager, backend, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      expect(await Promise.all([lease.release(), lease.release(), lease.release()])).to.deep.equal([true, true, true])
      expect(await lease.release()).to.equal(false)
      expect(backend.requests.release).to.equal(1)
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('does not abort the signal', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { signal } = lease
      await lease.release()
      await clock.advance(2 * TTL)
      expect(signal.aborted).to.equal(false)
    }))

  it('travels together with others of the same turn', () =>
    withManager({}, async ({ manager, backend }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 50 }, (_, index) => `key-${index}`)))
      expect(new Set(await Promise.all(leases.map((lease) => lease.release())))).to.deep.equal(new Set([true]))
      expect(only(backend.calls('release')).entries).to.have.length(50)
    }))

  it('resolves with false for an expired lock, and sends no request', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(2 * TTL)
      expect(await lease.release()).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
      expect(backend.requests.renew).to.equal(0)
    }))

  it('P16 resolves with false if the key is gone, and reports the loss', () =>
    withManager({}, async ({ manager, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { signal } = lease
      store.delete('lease:a')
      expect(await lease.release()).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
      expect(lease.state).to.equal('lost')
      expect(signal.aborted).to.equal(true)
    }))

  it('P5 P16 resolves with false, reports the loss and leaves another holder’s key alone', () =>
    withManager({}, async ({ manager, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.set('lease:a', 'somebody', 60_000)
      expect(await lease.release()).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
      expect(store.get('lease:a')).to.equal('somebody')
      expect(store.remaining('lease:a')).to.equal(60_000)
    }))

  for (const answer of ['done', 'refused', 'unknown'] as const) {
    it(`P12 P16 stays a release when it races a renewal with any answer: ${answer}`, () =>
      withManager({}, async ({ manager, backend, clock, events }) => {
        const lease = await grant(manager.tryAcquire('a'))
        await clock.advance(100)
        backend.holdAnswers('renew')
        const renewal = watch(lease.renew())
        await clock.settle()
        backend.holdAnswers('release')
        const release = watch(lease.release())
        await clock.settle()
        const [renewed, released] = backend.answers.splice(0)
        expect([renewed?.operation, released?.operation]).to.deep.equal(['renew', 'release'])
        if (answer === 'done') renewed?.deliver()
        else if (answer === 'refused') renewed?.deliver([{ type: 'refused', reason: 'missing' }])
        else renewed?.reject(new Error('ECONNRESET'))
        await clock.settle()
        expect(events.lines).to.deep.equal(['acquired a'])
        released?.deliver()
        await clock.settle()
        expect(release.value).to.equal(true)
        expect(renewal.state).to.equal('rejected')
        expect(events.lines).to.deep.equal(['acquired a', 'released a'])
        await clock.advance(2 * TTL)
        expect(backend.requests.renew).to.equal(1)
      }))
  }

  it('P16 stays a release if a racing renewal finds the key already deleted', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(100)
      // The renewal takes another way, and finds the key that the release has deleted.
      backend.there = 100
      const renewal = watch(lease.renew())
      await clock.advance(10)
      backend.there = 0
      backend.back = 150
      const release = watch(lease.release())
      await clock.advance(90)
      expect(store.keys()).to.deep.equal([])
      await clock.advance(200)
      expect(release.value).to.equal(true)
      expect(renewal.state).to.equal('rejected')
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
    }))

  it('P12 stops the renewals, even if the server hangs and throws', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      const release = watch(lease.release())
      await clock.advance(5 * TTL)
      expect(release.value).to.equal(false)
      expect(backend.requests.renew).to.equal(0)
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
      expect(clock.timers).to.equal(0)
    }))

  it('takes no longer than its timeout if the server hangs, and deletes later', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.block()
      const release = watch(lease.release())
      await clock.advance(199)
      expect(release.state).to.equal('pending')
      await clock.advance(1 + 2 * TICK)
      expect(release.value).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
      expect(manager.stats().undoing).to.equal(1)
      backend.unblock()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
      await clock.advance(TTL)
      expect(manager.stats().undoing).to.equal(0)
    }))

  it('is repeated within its timeout, so that a short failure goes unnoticed', () =>
    withManager({}, async ({ manager, backend, clock, events, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNRESET'))
      const release = watch(lease.release())
      await clock.advance(20)
      backend.fail(undefined)
      await clock.advance(400)
      expect(release.value).to.equal(true)
      expect(events.lines).to.deep.equal(['acquired a', 'released a'])
      expect(store.keys()).to.deep.equal([])
    }))

  it('P16 is no loss if its repetition finds the key gone after a lost answer', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('release')
      const release = watch(lease.release())
      await clock.settle()
      only(backend.answers.splice(0)).reject(new Error('read ECONNRESET'))
      backend.deliverAll()
      await clock.advance(2 * TTL)
      expect(release.state).to.equal('fulfilled')
      expect(events.all.map(({ name }) => name)).to.deep.equal(['acquired', 'released'])
    }))

  it('P16 is no loss if its repetition finds another holder after a lost answer', () =>
    withManager({}, async ({ manager, backend, clock, events, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('release')
      const release = watch(lease.release())
      await clock.settle()
      store.set('lease:a', 'somebody', 60_000)
      only(backend.answers.splice(0)).reject(new Error('read ECONNRESET'))
      backend.deliverAll()
      await clock.advance(2 * TTL)
      expect(release.state).to.equal('fulfilled')
      expect(events.all.map(({ name }) => name)).to.deep.equal(['acquired', 'released'])
      expect(store.get('lease:a')).to.equal('somebody')
    }))

  it('reads an answer in the socket if a blocked event loop passed its timeout', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('release')
      const release = watch(lease.release())
      await clock.settle()
      clock.jump(1_000)
      const moved = clock.advance(0)
      backend.deliverAll()
      await moved
      expect(release.value).to.equal(true)
    }))

  it('P5 does not delete a later acquisition of this manager if it is repeated', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, store, events }) => {
      const first = await grant(manager.tryAcquire('a'))
      backend.dropAnswers(true)
      const release = watch(first.release())
      await clock.settle()
      backend.dropAnswers(false)
      const second = await grant(manager.tryAcquire('a'))
      await clock.advance(2 * TTL)
      expect(release.state).to.equal('fulfilled')
      expect(backend.requests.release).to.be.greaterThan(1)
      expect(second.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(second.token)
      expect(events.lines.filter((line) => line.startsWith('lost'))).to.deep.equal([])
    }))

  it('P5 does not delete a later acquisition of this manager if it lands late', () =>
    withManager({ timeout: 200, autoRenew: false }, async ({ manager, backend, clock, store }) => {
      const first = await grant(manager.tryAcquire('a'))
      backend.there = 1_000
      const release = watch(first.release())
      await clock.advance(300)
      expect(release.value).to.equal(false)
      backend.there = 0
      store.delete('lease:a')
      const second = await grant(manager.tryAcquire('a'))
      await clock.advance(1_000)
      expect(store.get('lease:a')).to.equal(second.token)
      expect(second.held).to.equal(true)
    }))

  it('P9 P5 ends no later acquisition with its late answer', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock, store, events }) => {
      const first = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('release')
      const release = watch(first.release())
      await clock.advance(300)
      expect(release.value).to.equal(false)
      const second = await grant(manager.tryAcquire('a'))
      backend.deliverAll()
      await clock.advance(TTL)
      expect(second.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(second.token)
      expect(events.lines.slice(0, 3)).to.deep.equal(['acquired a', 'released a, unconfirmed', 'acquired a'])
      expect(events.lines.filter((line) => line.startsWith('lost'))).to.deep.equal([])
    }))
})

describe('an answer to a renewal', () => {
  for (const [name, answer] of [
    ['confirmed', [{ type: 'done' }]],
    ['taken', [{ type: 'refused', reason: 'taken' }]],
    ['missing', [{ type: 'refused', reason: 'missing' }]],
    ['unknown', [{ type: 'unknown', error: new Error('ECONNRESET') }]],
  ] as const) {
    it(`P9 applies only to its own acquisition after a release and another acquire: ${name}`, () =>
      withManager({ autoRenew: false }, async ({ manager, backend, clock, events }) => {
        const first = await grant(manager.tryAcquire('a'))
        await clock.advance(100)
        backend.holdAnswers('renew')
        const renewal = watch(first.renew())
        await clock.settle()
        await first.release()
        const second = await grant(manager.tryAcquire('a'))
        await clock.advance(50)
        events.clear()
        only(backend.answers.splice(0)).deliver(answer)
        await clock.settle()
        expect(renewal.state).to.equal('rejected')
        expect(second.state).to.equal('held')
        expect(second.remaining).to.equal(heldFor(TTL) - 50)
        expect(first.state).to.equal('released')
        expect(events.lines).to.deep.equal([])
      }))
  }
})
