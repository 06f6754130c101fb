/** The deadline of a lease, and answers and losses that come after it. */
import { expect } from 'chai'
import fc from 'fast-check'
import { LeaseLostError, LockNotHeldError } from 'leasewheel'
import { grant, heldFor, only, rejectionOf, runs, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('the deadline of a lease', () => {
  it('P1 counts from the send time of the acquire, not from its answer', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      backend.there = 200
      backend.back = 250
      const sentAt = clock.now()
      const call = watch(manager.tryAcquire('a'))
      await clock.advance(450)
      const lease = await grant(Promise.resolve(call.value))
      expect(lease.remaining).to.equal(heldFor(TTL) - 450)

      clock.jump(sentAt + heldFor(TTL) - 1 - clock.now())
      expect(lease.held).to.equal(true)
      expect(lease.remaining).to.equal(1)
      clock.jump(1)
      expect(lease.held).to.equal(false)
      expect(lease.remaining).to.equal(0)
    }))

  it('P1 moves with each confirmed renewal, and counts from that renewal’s send time', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const acquiredAt = clock.now()
      const lease = await grant(manager.tryAcquire('a'))
      backend.there = 100
      backend.back = 200
      while (backend.calls('renew').length === 0) await clock.advance(TICK)
      const { at: sentAt } = only(backend.calls('renew'))

      await clock.advance(sentAt + 299 - clock.now())
      expect(lease.remaining, 'before the answer').to.equal(acquiredAt + heldFor(TTL) - clock.now())
      await clock.advance(1)
      expect(lease.remaining, 'after the answer').to.equal(sentAt + heldFor(TTL) - clock.now())
    }))

  it('P1 leaves a margin for a server with a fast clock, set by an option', async () => {
    for (const driftFactor of [0, 0.01, 0.1, 0.5]) {
      await withManager({ driftFactor, autoRenew: false }, async ({ manager, clock }) => {
        const lease = await grant(manager.tryAcquire('a'))
        expect(lease.remaining).to.equal(heldFor(TTL, driftFactor))
        clock.jump(heldFor(TTL, driftFactor))
        expect(lease.held).to.equal(false)
      })
    }
  })

  it('P1 holds for a hung server: the lease expires on time without any answer', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const start = clock.now()
      const lease = await grant(manager.tryAcquire('a'))
      backend.block()
      await clock.advance(heldFor(TTL) - 1)
      expect(lease.held).to.equal(true)
      await clock.advance(1)
      expect(lease.held).to.equal(false)
      await clock.settle()
      const lost = only(events.all.filter(({ name }) => name === 'lost'))
      expect(lost.at - start).to.be.within(heldFor(TTL), heldFor(TTL) + TICK)
    }))

  it('P1 is not extended by a renewal whose answer is lost', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.dropAnswers(true)
      await clock.advance(heldFor(TTL))
      expect(store.remaining('lease:a'), 'the key was extended all the same').to.be.greaterThan(TTL - heldFor(TTL))
      expect(lease.held).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'lost a: expired'])
    }))

  it('P1 holds for a blocked event loop: the first read is true before any timer', () =>
    withManager({}, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(heldFor(TTL))
      expect(lease.held).to.equal(false)
      expect(lease.remaining).to.equal(0)
      expect(lease.state).to.equal('lost')
      expect(manager.get('a')).to.equal(undefined)
      expect(manager.size).to.equal(0)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))

  for (const question of ['held', 'remaining', 'state', 'signal', 'get', 'iteration', 'release', 'renew'] as const) {
    it(`P1 is noticed by the first read: ${question}`, () =>
      withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
        const lease = await grant(manager.tryAcquire('a'))
        clock.jump(heldFor(TTL) + 1)
        switch (question) {
          case 'held':
            expect(lease.held).to.equal(false)
            break
          case 'remaining':
            expect(lease.remaining).to.equal(0)
            break
          case 'state':
            expect(lease.state).to.equal('lost')
            break
          case 'signal':
            expect(lease.signal.aborted).to.equal(true)
            break
          case 'get':
            expect(manager.get('a')).to.equal(undefined)
            break
          case 'iteration':
            expect([...manager]).to.deep.equal([])
            break
          case 'release':
            expect(await lease.release()).to.equal(false)
            break
          case 'renew':
            expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
            break
        }
        await clock.settle()
        expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
      }))
  }

  it('P1 holds for every ttl and latency', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 4_000 }),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.array(fc.double({ min: 0.01, max: 0.4, noNaN: true }), { minLength: 5, maxLength: 25 }),
        async (ttl, there, back, random, steps) => {
          await withManager({ ttl, timeout: ttl, random: () => random }, async ({ manager, backend, clock }) => {
            const lease = await grant(manager.tryAcquire('a'))
            backend.there = Math.round(ttl * there)
            backend.back = Math.round(ttl * back)
            for (const step of steps) {
              await clock.advance(Math.round(step * ttl))
              const deadline = (backend.confirmedAt(lease.token) ?? 0) + heldFor(ttl)
              if (lease.held) expect(clock.now()).to.be.lessThan(deadline)
              expect(lease.remaining).to.be.at.most(Math.max(deadline - clock.now(), 0))
            }
          })
        },
      ),
      runs(60),
    ))
})

describe('an answer that arrives after the deadline', () => {
  it('P2 does not revive the lease if it is read before any timer fires', () =>
    withManager({ timeout: TTL }, async ({ manager, backend, clock, events, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 2)
      clock.jump(heldFor(TTL) - TTL / 2)
      // The answer is there, the timers are overdue, and nobody has asked yet.
      backend.deliverAll()
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
      expect(lease.held).to.equal(false)
      expect(store.get('lease:a'), 'the key that it had extended').to.equal(undefined)
    }))

  it('P2 does not revive the lease if the timers fire first', () =>
    withManager({ timeout: TTL }, async ({ manager, backend, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(heldFor(TTL) + TICK)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
      backend.deliverAll()
      await clock.advance(TTL)
      expect(lease.held).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))

  it('P2 does not revive the lease if the server hung and then caught up', () =>
    withManager({}, async ({ manager, backend, clock, events, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(TTL / 6)
      backend.block()
      await clock.advance(2 * TTL)
      backend.unblock()
      await clock.advance(TTL)
      expect(lease.held).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a', 'lost a: expired'])
      expect(store.keys()).to.deep.equal([])
    }))

  it('P2 does not revive a lease that expired while a listener took its time', () =>
    withManager({}, async ({ manager, clock }) => {
      const leases = [await grant(manager.tryAcquire('a')), await grant(manager.tryAcquire('b'))]
      const over = new Set<string>()
      let slow = true
      manager.on('renewed', () => {
        if (slow) clock.jump(heldFor(TTL))
        slow = false
        for (const { key, held } of leases) if (!held) over.add(key)
      })
      await clock.advance(TTL)
      await clock.advance(TTL)
      expect(over.size).to.be.greaterThan(0)
      for (const { key, held } of leases) if (over.has(key)) expect(held).to.equal(false)
    }))

  it('P2 leaves no key without a holder: a late answer is followed by a deletion', () =>
    withManager({ ttl: 30_000 }, async ({ manager, backend, clock, store }) => {
      await grant(manager.tryAcquire('a'))
      backend.dropAnswers(true)
      await clock.advance(heldFor(30_000) - 1)
      backend.dropAnswers(false)
      backend.block()
      await clock.advance(1 + TICK)
      expect(store.get('lease:a'), 'the key outlives the lease').not.to.equal(undefined)
      backend.unblock()
      await clock.settle()
      expect(store.get('lease:a')).to.equal(undefined)
    }))
})

describe('a lease that is not held', () => {
  it('P3 is never held again, whatever is answered later', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(heldFor(TTL))
      expect(lease.held).to.equal(false)
      // Somebody puts the very same token on the key again.
      store.set('lease:a', lease.token, 10 * TTL)
      expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
      for (let step = 0; step < 30; step += 1) {
        await clock.advance(TTL / 10)
        expect(lease.held).to.equal(false)
        expect(lease.state).to.equal('lost')
      }
      expect(backend.requests.renew).to.equal(0)
    }))

  it('P3 stays released after its release, whatever the key says', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      await lease.release()
      store.set('lease:a', lease.token, 10 * TTL)
      await clock.advance(TTL)
      expect(lease.held).to.equal(false)
      expect(lease.state).to.equal('released')
      expect(await lease.release()).to.equal(false)
      store.delete('lease:a')
    }))

  it('keeps a readable handle with its last values', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { key, token, fence, ttl } = lease
      clock.jump(TTL)
      expect(lease.held).to.equal(false)
      expect({ key: lease.key, token: lease.token, fence: lease.fence, ttl: lease.ttl }).to.deep.equal({
        key,
        token,
        fence,
        ttl,
      })
      expect({ key, ttl }).to.deep.equal({ key: 'a', ttl: TTL })
    }))
})

describe('the loss of a lease', () => {
  for (const ttl of [100, 101, 137, 999, 3_000, 30_000, 100_000]) {
    it(`P15 is reported once, within a tick after the deadline, without any read: ttl ${ttl}`, () =>
      withManager({ ttl, autoRenew: false }, async ({ manager, clock, events }) => {
        const start = clock.now()
        await grant(manager.tryAcquire('a'))
        await clock.advance(2 * ttl)
        const [acquired, lost, ...more] = events.all
        expect(acquired?.name).to.equal('acquired')
        expect(lost?.line).to.equal('lost a: expired')
        expect((lost?.at ?? 0) - start).to.be.within(heldFor(ttl), heldFor(ttl) + TICK)
        expect(more).to.deep.equal([])
      }))
  }

  it('P15 is reported for each of many leases, at each one’s own time', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const start = clock.now()
      const ttls = Array.from({ length: 200 }, (_, index) => 100 + 7 * index)
      await Promise.all(ttls.map((ttl) => manager.tryAcquire(`key-${ttl}`, { ttl })))
      await clock.advance(3_000)
      const lost = events.all.filter(({ name }) => name === 'lost')
      expect(lost).to.have.length(ttls.length)
      for (const { at, lease } of lost) {
        expect(at - start).to.be.within(heldFor(lease.ttl), heldFor(lease.ttl) + TICK)
      }
    }))

  it('P15 aborts the signal with the error of the event', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const errors: Error[] = []
      manager.on('lost', ({ error }) => {
        errors.push(error)
      })
      const lease = await grant(manager.tryAcquire('a'))
      const { signal } = lease
      expect(signal.aborted).to.equal(false)
      expect(lease.signal).to.equal(signal)
      await clock.advance(TTL)
      expect(signal.aborted).to.equal(true)
      const reason: unknown = signal.reason
      expect(reason)
        .to.be.instanceOf(LeaseLostError)
        .and.to.include({ code: 'ERR_LEASE_LOST', reason: 'expired', key: 'a' })
      expect(reason).to.equal(only(errors))
    }))

  it('P15 aborts the signal before the event, so that a listener finds it aborted', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { signal } = lease
      let aborted: boolean | undefined
      manager.on('lost', () => {
        aborted = signal.aborted
      })
      await clock.advance(TTL)
      expect(aborted).to.equal(true)
    }))

  it('P15 leaves a signal that is first read afterwards aborted with the same reason', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const errors: Error[] = []
      manager.on('lost', ({ error }) => {
        errors.push(error)
      })
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(TTL)
      const { signal } = lease
      expect(signal.aborted).to.equal(true)
      expect(signal.reason as unknown).to.equal(only(errors))
      expect(lease.signal).to.equal(signal)
    }))

  it('P15 aborts a signal that is first read at the deadline', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(heldFor(TTL))
      expect(lease.signal.aborted).to.equal(true)
    }))

  it('names the last failure as its cause', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const refused = new Error('connect ECONNREFUSED')
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(refused)
      await clock.advance(TTL)
      expect((lease.signal.reason as LeaseLostError).cause).to.equal(refused)
    }))
})
