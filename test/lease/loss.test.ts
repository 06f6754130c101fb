/** Losses that a renewal finds, errors that are no loss, and the keys that losses leave behind. */
import { expect } from 'chai'
import { LeaseLostError } from 'leasewheel'
import { ManualClock } from 'leasewheel/memory'
import { grant, heldFor, only, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('a lock that another client has taken away', () => {
  it('P4 stays gone: a renewal does not create the key again', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.delete('lease:a')
      await clock.advance(TTL / 2)
      expect(store.keys()).to.deep.equal([])
      expect(lease.held).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
    }))

  it('P4 P18 keeps the other’s token and ttl: one renewal learns of the loss', () =>
    withManager({ watch: false }, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.set('lease:a', 'somebody', 10 * TTL)
      await clock.advance(TTL)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
      expect(lease.held).to.equal(false)
      expect(backend.requests.renew, 'a definite answer is not asked for again').to.equal(1)
      expect(backend.requests.release, 'there is nothing of ours to delete').to.equal(0)
      expect(store.get('lease:a')).to.equal('somebody')
      expect(store.remaining('lease:a')).to.equal(9 * TTL)
    }))

  it('P4 a lock that expired on a fast server is lost, not reacquired', async () => {
    const storeClock = new ManualClock()
    await withManager({ storeClock }, async ({ manager, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      storeClock.jump(TTL)
      await clock.advance(TTL / 2)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: missing'])
      expect(store.keys()).to.deep.equal([])
    })
  })

  it('P4 an expired lock is not reacquired after another holder', async () => {
    const storeClock = new ManualClock()
    await withManager({ storeClock }, async ({ manager, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      storeClock.jump(TTL)
      store.set('lease:a', 'somebody', 500)
      await clock.advance(TTL / 2)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: taken'])
      expect(store.remaining('lease:a')).to.equal(500)
    })
  })

  it('P18 is reported as lost with the reason on error and signal alike', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const [gone, stolen] = [await grant(manager.tryAcquire('gone')), await grant(manager.tryAcquire('stolen'))]
      const signals = [gone.signal, stolen.signal]
      store.delete('lease:gone')
      store.set('lease:stolen', 'somebody', TTL)
      await clock.advance(TTL / 2)
      const reasons = signals.map((signal) => signal.reason as LeaseLostError)
      for (const reason of reasons) expect(reason).to.be.instanceOf(LeaseLostError)
      expect(reasons.map(({ reason }) => reason)).to.deep.equal(['missing', 'taken'])
    }))

  it('P18 affects no other lease of the same request', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`)
      const leases = await manager.acquireMany(keys)
      for (const key of keys.slice(0, 10)) store.delete(`lease:${key}`)
      for (const key of keys.slice(10, 20)) store.set(`lease:${key}`, 'somebody', TTL)
      await clock.advance(TTL)
      expect(leases.map((lease) => lease?.held)).to.deep.equal(keys.map((_, index) => index >= 20))
      expect(events.lines.filter((line) => line.endsWith(': missing'))).to.have.length(10)
      expect(events.lines.filter((line) => line.endsWith(': taken'))).to.have.length(10)
      expect(events.lines.filter((line) => line.startsWith('jeopardy'))).to.have.length(0)
    }))

  it('P18 a definite refusal after the timeout is a loss', () =>
    withManager({ timeout: 100 }, async ({ manager, backend, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      const [first] = backend.answers
      await clock.advance(300)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a'])
      store.set('lease:a', 'somebody', TTL)
      first?.deliver([{ type: 'refused', reason: 'taken' }])
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'lost a: taken'])
    }))
})

describe('an error', () => {
  const errors = [
    'connect ECONNREFUSED 127.0.0.1:6379',
    'read ECONNRESET',
    'LOADING Redis is loading the dataset in memory',
    'READONLY You can’t write against a read only replica.',
    'CLUSTERDOWN The cluster is down',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'NOSCRIPT No matching script. Please use EVAL.',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  ]
  for (const message of errors) {
    it(`P18 is not a loss: ${message.split(' ', 2).join(' ')}`, () =>
      withManager({}, async ({ manager, backend, clock, events }) => {
        const lease = await grant(manager.tryAcquire('a'))
        backend.fail(new Error(message))
        await clock.advance(heldFor(TTL) - 1)
        expect(lease.held).to.equal(true)
        backend.fail(undefined)
        await clock.settle()
        expect(lease.remaining).to.equal(heldFor(TTL))
        await clock.advance(3 * TTL)
        expect(lease.held).to.equal(true)
        expect(events.lines.filter((line) => line !== 'renewed a')).to.deep.equal([
          'acquired a',
          'jeopardy a',
          'safe a',
        ])
      }))
  }

  it('P18 an error is forgotten at the next renewal', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      backend.answers.splice(0).forEach((answer) => answer.reject(new Error('read ECONNRESET')))
      await clock.settle()
      backend.deliverAll()
      await clock.advance(TTL / 5)
      expect(lease.held).to.equal(true)
      expect(events.lines.slice(0, 3)).to.deep.equal(['acquired a', 'jeopardy a', 'safe a'])
    }))

  it('P18 an error of one lease in a request is a loss for none of them', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const leases = await manager.acquireMany(['a', 'b', 'c'])
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      const answer = only(backend.answers.splice(0))
      const error = new Error('CLUSTERDOWN')
      answer.deliver(answer.keys.map((key) => (key === 'b' ? { type: 'unknown', error } : { type: 'done' })))
      await clock.settle()
      backend.deliverAll()
      await clock.advance(3 * TTL)
      expect(leases.map((lease) => lease?.held)).to.deep.equal([true, true, true])
      expect(events.lines.filter((line) => line.startsWith('lost'))).to.deep.equal([])
      expect(events.lines).to.include('safe b')
    }))

  it('P18 also covers an answer with too few outcomes', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const leases = await manager.acquireMany(['a', 'b', 'c'])
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      only(backend.answers.splice(0)).deliver([])
      await clock.settle()
      expect(events.lines.filter((line) => line.startsWith('jeopardy'))).to.have.length(3)
      backend.deliverAll()
      await clock.advance(TTL)
      expect(leases.map((lease) => lease?.state)).to.deep.equal(['held', 'held', 'held'])
    }))
})

describe('the key of a lease that was lost by its deadline', () => {
  it('is deleted as soon as the server answers', () =>
    withManager({ ttl: 10_000 }, async ({ manager, backend, clock, store }) => {
      await grant(manager.tryAcquire('a'))
      // The renewals are carried out, so the key lives on.
      backend.dropAnswers(true)
      await clock.advance(heldFor(10_000) + TICK)
      expect(manager.stats()).to.include({ held: 0, undoing: 1 })
      backend.dropAnswers(false)
      await clock.advance(2_500)
      expect(store.get('lease:a')).to.equal(undefined)
      expect(manager.stats().undoing).to.equal(0)
    }))

  it('P5 a lost lease’s key is left to another holder', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(TTL)
      store.set('lease:a', 'somebody', 10 * TTL)
      backend.fail(undefined)
      await clock.advance(TTL)
      expect(store.get('lease:a')).to.equal('somebody')
      expect(manager.stats().undoing).to.equal(0)
    }))

  it('P5 a lost lease’s key is left to a later acquisition here', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, store }) => {
      await grant(manager.tryAcquire('a'))
      await clock.advance(heldFor(TTL) - 100)
      backend.block()
      await clock.advance(100 + TICK)
      store.delete('lease:a')
      const again = watch(manager.acquire('a'))
      await clock.settle()
      backend.unblock()
      await clock.advance(100)
      expect(again.value.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(again.value.token)
    }))

  it('a lost lease’s key is abandoned once it must have expired', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(3 * TTL)
      expect(manager.stats().undoing).to.equal(0)
      expect(clock.timers).to.equal(0)
      const { release } = backend.requests
      await clock.advance(10 * TTL)
      expect(backend.requests.release).to.equal(release)
    }))
})
