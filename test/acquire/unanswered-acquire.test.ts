/** Acquires without an answer, or with a late one: adopted with the same token, deleted or expired. */
import { expect } from 'chai'
import fc from 'fast-check'
import { type Lease, LockNotAcquiredError, UnavailableError } from 'leasewheel'
import {
  grant,
  heldFor,
  type Member,
  only,
  runs,
  type Stage,
  TICK,
  TTL,
  watch,
  withManager,
  withStage,
} from '../support/manager.ts'

describe('an acquire without an answer', () => {
  it('P11 the server recognises a repeated acquire by its token', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.dropAnswers(true)
      const call = watch(manager.acquire('a', { timeout: 100 }))
      await clock.advance(50)
      const token = store.get('lease:a')
      expect(token).not.to.equal(undefined)
      backend.dropAnswers(false)
      await clock.advance(200)
      const lease = call.value
      expect(lease.token).to.equal(token)
      expect(backend.requests.acquire).to.equal(2)
      expect(events.lines).to.deep.equal(['acquired a'])
      expect(backend.requests.release).to.equal(0)
    }))

  it('P1 P11 is held from the send time of the request that was answered', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      backend.dropAnswers(true)
      const call = watch(manager.acquire('a', { timeout: 100 }))
      await clock.advance(50)
      backend.dropAnswers(false)
      await clock.advance(200)
      const sentAt = backend.calls('acquire').at(-1)?.at ?? Number.NaN
      expect(call.value.remaining).to.equal(sentAt + heldFor(TTL) - clock.now())
    }))

  it('P11 an unwanted grant is undone as soon as the server answers', () =>
    withManager({ ttl: 30_000 }, async ({ manager, backend, clock, store, events }) => {
      backend.dropAnswers(true)
      const call = watch(manager.tryAcquire('a', { timeout: 100 }))
      await clock.advance(50)
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(500)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(store.keys()).to.deep.equal(['lease:a'])
      expect(manager.stats()).to.include({ held: 0, undoing: 1 })
      backend.dropAnswers(false)
      backend.fail(undefined)
      await clock.advance(5_000)
      expect(store.keys()).to.deep.equal([])
      expect(manager.stats().undoing).to.equal(0)
      expect(events.lines).to.deep.equal([])
      expect(backend.requests.renew).to.equal(0)
    }))

  it('P11 an acquire that lands long after its timeout leaves no orphan', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.block()
      const call = watch(manager.tryAcquire('a'))
      await clock.advance(2 * TTL)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(store.keys()).to.deep.equal([])
      backend.unblock()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
      await clock.advance(TTL)
      expect(store.keys()).to.deep.equal([])
      expect(events.lines).to.deep.equal([])
      expect(backend.requests.renew).to.equal(0)
    }))

  it('P11 an acquire that may still land is looked for until its ttl is over', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.there = 2_000
      const call = watch(manager.tryAcquire('a', { timeout: 100 }))
      await clock.advance(1)
      // Another connection, on which the deletion overtakes the request.
      backend.there = 0
      await clock.advance(100 + TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(backend.requests.release).to.be.greaterThan(0)
      await clock.advance(2_000 - 102 - TICK)
      expect(store.keys(), 'it has landed').to.deep.equal([])
      await clock.advance(1)
      expect(store.keys(), 'it has landed').to.deep.equal(['lease:a'])
      await clock.advance(500)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P11 leaves nothing if the caller’s wait ended before the answer came', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.there = 100
      backend.back = 100
      const call = watch(manager.acquire('a', { wait: 150 }))
      await clock.advance(150 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      await clock.advance(500)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P5 P11 is not undone once another caller holds the key', () =>
    withStage(async ({ clock, store, open }) => {
      const [first, second] = [open(), open()]
      first.backend.fail(new Error('ECONNRESET'))
      const call = watch(first.manager.tryAcquire('a'))
      await clock.advance(TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      const lease = await grant(second.manager.tryAcquire('a'))
      first.backend.fail(undefined)
      await clock.advance(TTL)
      expect(store.get('lease:a')).to.equal(lease.token)
      expect(lease.held).to.equal(true)
    }))

  it('P5 P11 is not undone if this manager has acquired the key meanwhile', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.dropAnswers(true)
      const call = watch(manager.tryAcquire('a', { timeout: 100 }))
      await clock.advance(100 + TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      store.delete('lease:a')
      backend.dropAnswers(false)
      const lease = await grant(manager.tryAcquire('a'))
      await clock.advance(TTL)
      expect(lease.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(lease.token)
    }))

  it('P11 undoes a key that an earlier attempt may have left, despite a refusal', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.fail(new Error('ECONNRESET'))
      const call = watch(manager.acquire('a', { wait: 600 }))
      await clock.advance(300)
      store.set('lease:a', 'somebody', 60_000)
      backend.fail(undefined)
      await clock.advance(300 + 2 * TICK)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
      await clock.advance(TTL)
      expect(store.get('lease:a')).to.equal('somebody')
      expect(manager.stats().undoing).to.equal(0)
    }))

  it('P11 ends adopted, deleted or expired, whatever faults come in whatever order', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('block', 'drop', 'fail', 'heal'), fc.integer({ min: 0, max: 900 })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.constantFrom(0, 300, 2_000),
        fc.boolean(),
        async (faults, wait, aborts) => {
          await withManager({ timeout: 150 }, async ({ manager, backend, clock, store }) => {
            const abort = new AbortController()
            const call = watch(manager.acquire('a', { wait, signal: abort.signal }))
            for (const [fault, duration] of faults) {
              if (fault === 'heal') backend.heal()
              else if (fault === 'block') backend.block()
              else if (fault === 'drop') backend.dropAnswers(true)
              else backend.fail(new Error('ECONNRESET'))
              await clock.advance(duration)
            }
            if (aborts) abort.abort()
            await clock.advance(200)
            backend.heal()
            await clock.advance(TTL + 200)
            if (call.state === 'fulfilled' && call.value.held) {
              expect(store.get('lease:a')).to.equal(call.value.token)
            } else {
              expect(store.keys()).to.deep.equal([])
            }
            expect(manager.stats()).to.include({ undoing: 0, waiting: 0 })
          })
        },
      ),
      runs(150),
    ))
})

describe('an acquire with a late answer', () => {
  it('P10 does not resolve with an expired lease, and releases the key', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.back = heldFor(TTL)
      const call = watch(manager.tryAcquire('a', { timeout: TTL }))
      await clock.advance(heldFor(TTL))
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(events.lines).to.deep.equal([])
      expect(store.keys()).to.deep.equal([])
    }))

  it('P10 resolves with a lease that has a moment left', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      backend.back = heldFor(TTL) - 1
      const call = watch(manager.tryAcquire('a', { timeout: TTL }))
      await clock.advance(heldFor(TTL) - 1)
      const lease = await grant(Promise.resolve(call.value))
      expect(lease.held).to.equal(true)
      expect(lease.remaining).to.equal(1)
    }))

  it('P6 P10 is repeated with a new token if the caller still waits', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      backend.back = heldFor(TTL)
      const call = watch(manager.acquire('a', { timeout: TTL }))
      await clock.advance(heldFor(TTL))
      backend.back = 0
      await clock.advance(200)
      expect(call.value.held).to.equal(true)
      const tokens = backend.calls('acquire').map(({ entries }) => only(entries).token)
      expect(tokens).to.have.length(2)
      expect(tokens[1]).to.equal(call.value.token).and.not.to.equal(tokens[0])
      expect(events.lines).to.deep.equal(['acquired a'])
    }))

  it('P10 the clock decides if an answer lay in a blocked process’s socket', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.tryAcquire('a'))
      await clock.settle()
      clock.jump(2 * TTL)
      backend.deliverAll()
      await clock.settle()
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(events.lines).to.deep.equal([])
      expect(store.keys()).to.deep.equal([])
    }))

  it('P10 a blocked event loop reads an answer before the timeout counts', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const answers = ['before', 'after'] as const
      for (const when of answers) {
        backend.holdAnswers('acquire')
        const call = watch(manager.tryAcquire(when))
        await clock.settle()
        clock.jump(TTL / 2)
        if (when === 'before') backend.deliverAll()
        const moved = clock.advance(0)
        if (when === 'after') backend.deliverAll()
        await moved
        expect(call.state, when).to.equal('fulfilled')
        backend.deliverAll()
      }
    }))

  it('P10 checks the deadline after each listener, because a listener may take time', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock, events }) => {
      manager.once('acquired', () => clock.jump(heldFor(TTL)))
      const outcomes = await Promise.allSettled(['a', 'b', 'c'].map((key) => manager.tryAcquire(key)))
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') expect(outcome.value?.held).to.equal(true)
        else expect(outcome.reason).to.be.instanceOf(UnavailableError)
      }
      await clock.settle()
      expect(events.lines).to.not.include('acquired b')
      expect(backend.calls('acquire')).to.have.length(1)
    }))

  it('P10 resolves with a held lease or not at all, for every ttl and latency', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 5_000 }),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.double({ min: 0, max: 1.2, noNaN: true }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        async (ttl, there, back, wait) => {
          await withManager({ ttl, timeout: ttl }, async ({ manager, backend, clock }) => {
            backend.there = Math.round(there * ttl)
            backend.back = Math.round(back * ttl)
            let held: boolean | undefined
            void manager.acquire('a', { wait: wait * ttl }).then(
              (lease) => {
                held = lease.held
              },
              () => undefined,
            )
            await clock.advance(5 * ttl)
            expect(held).not.to.equal(false)
          })
        },
      ),
      runs(80),
    ))
})

describe('a lease that was requested more than once', () => {
  /** Acquires `a` at the second attempt, while the first is still on its way. @returns what lets the first land. */
  async function acquireTwice({ manager, backend, clock, store }: Stage & Member, maxHold?: number) {
    backend.there = 60_000
    const call = watch(manager.acquire('a', { timeout: 100, ...(maxHold && { maxHold }) }))
    await clock.advance(50)
    backend.there = 0
    await clock.advance(300)
    const lease = call.value
    const land = (): void => {
      if (store.get('lease:a') === undefined) store.set('lease:a', lease.token, lease.ttl)
    }
    return { lease, land }
  }

  const ways: Record<string, (lease: Lease, member: Stage & Member) => Promise<void>> = {
    'is released': async (lease) => {
      expect(await lease.release()).to.equal(true)
    },
    'reaches its maxHold': async (_lease, { clock }) => clock.advance(1_000),
    'is deleted by somebody': async (lease, { clock, store }) => {
      store.delete('lease:a')
      await clock.settle()
      expect(lease.state).to.equal('lost')
    },
  }
  for (const [how, end] of Object.entries(ways)) {
    it(`P11 no key is left if the first request lands after the lease ${how}`, () =>
      withManager({ ttl: 10_000 }, async (member) => {
        const { clock, store, manager } = member
        const { lease, land } = await acquireTwice(member, how === 'reaches its maxHold' ? 800 : undefined)
        await end(lease, member)
        expect(lease.held).to.equal(false)
        await clock.advance(300)
        land()
        expect(store.keys()).to.deep.equal(['lease:a'])
        await clock.advance(1_000)
        expect(store.keys()).to.deep.equal([])
        await clock.advance(20_000)
        expect(manager.stats().undoing).to.equal(0)
      }))
  }

  it('P11 a detached lease’s key is kept, because its adopter uses the token', () =>
    withManager({ ttl: 10_000 }, async (member) => {
      const { clock, store, backend } = member
      const { lease } = await acquireTwice(member)
      lease.detach()
      await clock.advance(3_000)
      expect(store.keys()).to.deep.equal(['lease:a'])
      expect(backend.requests.release).to.equal(0)
      store.delete('lease:a')
    }))

  it('P5 P11 the search for late requests deletes no later acquisition', () =>
    withManager({ ttl: 10_000 }, async (member) => {
      const { clock, manager } = member
      const { lease } = await acquireTwice(member)
      await lease.release()
      const later = await manager.acquire('a')
      await clock.advance(20_000)
      expect(later.held).to.equal(true)
    }))

  it('P21 the search for late requests is slow, and stops after a ttl', () =>
    withManager({ ttl: 10_000 }, async (member) => {
      const { clock, backend } = member
      const { lease } = await acquireTwice(member)
      await lease.release()
      await clock.advance(20_000)
      expect(backend.requests.release).to.be.within(5, 25)
      const another = await acquireTwice(member)
      await clock.advance(11_000)
      const before = backend.requests.release
      await another.lease.release()
      await clock.advance(20_000)
      expect(backend.requests.release).to.equal(before + 1)
    }))

  it('P11 looks for each request without an answer, not only for the first', () =>
    withManager({ ttl: 10_000 }, async ({ manager, backend, clock, store }) => {
      backend.there = 60_000
      const call = watch(manager.acquire('a', { timeout: 100, wait: 600 }))
      await clock.advance(800)
      backend.there = 0
      expect(call.error).to.be.instanceOf(UnavailableError)
      const [first] = backend.calls('acquire')
      const token = first ? only(first.entries).token : ''
      const asked = backend.calls('acquire').length
      expect(asked).to.be.within(3, 5)
      for (let landing = 0; landing < asked; landing += 1) {
        store.set('lease:a', token, 10_000)
        await clock.advance(1_500)
        expect(store.keys()).to.deep.equal([])
      }
    }))
})
