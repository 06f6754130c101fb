import { expect } from 'chai'
import { type Claim, type ClaimOptions, LeaseLostError, LockNotHeldError, ManagerClosedError } from 'leasewheel'
import { grant, type Member, TICK, TTL, watch, withStage } from '../support/manager.ts'

/** What a claim told, as lines. */
function record(claim: Claim): string[] {
  const told: string[] = []
  claim.on('gained', ({ lease }) => void told.push(`gained ${lease.key}`))
  claim.on('lost', ({ lease, reason }) => void told.push(`lost ${lease.key}: ${reason}`))
  return told
}

function claimIn({ manager }: Member, keys: readonly string[], options?: ClaimOptions): [Claim, string[]] {
  const claim = manager.claim(keys, options)
  return [claim, record(claim)]
}

function keysOf(claim: Claim): string[] {
  return [...claim].map(({ key }) => key).toSorted()
}

describe('a claim', () => {
  it('acquires the keys that can be had, in one batch', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      const [claim, told] = claimIn(member, ['a', 'b', 'c'])
      expect(told).to.deep.equal([])
      await clock.settle()
      expect(told).to.deep.equal(['gained a', 'gained b', 'gained c'])
      expect(member.backend.calls('acquire')).to.have.length(1)
      expect(claim.size).to.equal(3)
      expect(keysOf(claim)).to.deep.equal(['a', 'b', 'c'])
      expect(claim.get('a')).to.equal(member.manager.get('a'))
      expect(claim.get('z')).to.equal(undefined)
      expect(JSON.parse(JSON.stringify(claim))).to.deep.equal({ held: 3, claimed: 3 })
    }))

  it('acquires a key that another held as soon as that is free', () =>
    withStage(async ({ open, clock }) => {
      const other = open()
      const lease = await grant(other.manager.tryAcquire('b'))
      const [claim, told] = claimIn(open(), ['a', 'b'])
      await clock.advance(20 * TTL)
      expect(told).to.deep.equal(['gained a'])
      await lease.release()
      await clock.settle()
      expect(told).to.deep.equal(['gained a', 'gained b'])
      expect(claim.size).to.equal(2)
    }))

  it('acquires a key again after its loss', () =>
    withStage(async ({ open, clock, store }) => {
      const [claim, told] = claimIn(open(), ['a', 'b'])
      await clock.settle()
      const first = claim.get('a')
      store.delete('lease:a')
      await clock.settle()
      expect(told.slice(2)).to.deep.equal(['lost a: missing', 'gained a'])
      expect(claim.get('a')?.fence).to.be.greaterThan(first?.fence ?? 0)
      store.set('lease:a', 'somebody', TTL)
      await clock.settle()
      expect(claim.size).to.equal(1)
      await clock.advance(TTL + TICK)
      expect(told.slice(4)).to.deep.equal(['lost a: taken', 'gained a'])
    }))

  it('acquires all keys again in batches after an outage', () =>
    withStage(async ({ open, clock }) => {
      const keys = Array.from({ length: 1_000 }, (_, index) => `key ${index}`)
      const member = open({ batchSize: 256 })
      const [claim] = claimIn(member, keys)
      await clock.settle()
      expect(claim.size).to.equal(1_000)
      member.backend.fail(new Error('the server is away'))
      await clock.advance(2 * TTL)
      expect(claim.size).to.equal(0)
      const before = member.backend.calls('acquire').length
      await clock.advance(TTL)
      // The pauses between attempts grow.
      expect(member.backend.calls('acquire').length - before).to.be.lessThan(20)
      member.backend.fail(undefined)
      await clock.advance(2_000)
      expect(claim.size).to.equal(1_000)
      member.events.takeErrors()
    }))

  it('costs nothing but renewals while nothing happens, however many keys it has', () =>
    withStage(async ({ open, clock }) => {
      const keys = Array.from({ length: 10_000 }, (_, index) => `key ${index}`)
      const member = open()
      const [claim] = claimIn(member, keys)
      await clock.settle()
      expect(claim.size).to.equal(10_000)
      const asked = member.backend.calls('acquire').length
      await clock.advance(10 * TTL)
      expect(member.backend.calls('acquire')).to.have.length(asked)
      expect(member.manager.stats()).to.include({ held: 10_000, waiting: 0, timers: 1 })
      // Each batch renews 256 keys, three times per ttl.
      expect(member.backend.calls('renew').length).to.be.at.most((10 * 3 + 3) * Math.ceil(10_000 / 256))
    }))

  it('aborts the signal of a key that is lost, before it tells anybody', () =>
    withStage(async ({ open, clock, store }) => {
      const claim = open().manager.claim(['a'])
      const signals: AbortSignal[] = []
      const seen: boolean[] = []
      claim.on('gained', ({ signal }) => void signals.push(signal))
      claim.on('lost', () => void seen.push(signals[0]?.aborted ?? false))
      await clock.settle()
      store.delete('lease:a')
      await clock.settle()
      expect(seen).to.deep.equal([true])
      expect(signals[0]?.reason).to.be.instanceOf(LeaseLostError)
      expect(signals[1]?.aborted).to.equal(false)
    }))

  it('does not acquire a key again while its last work still runs', () =>
    withStage(async ({ open, clock, store }) => {
      const claim = open().manager.claim(['a'])
      let end = (): void => undefined
      let gains = 0
      claim.on('gained', () => {
        gains += 1
        return new Promise<void>((resolve) => {
          end = resolve
        })
      })
      await clock.settle()
      store.delete('lease:a')
      await clock.advance(5 * TTL)
      expect(gains).to.equal(1)
      end()
      await clock.settle()
      expect(gains).to.equal(2)
      end()
    }))

  it('drains the work under each key before it gives that back', () =>
    withStage(async ({ open, clock, store }) => {
      const member = open()
      const claim = member.manager.claim(['a', 'b'], { drain: 2_000 })
      const ends: Record<string, () => void> = {}
      claim.on('gained', ({ lease, signal }) => {
        if (lease.key === 'b') return undefined
        expect(signal.aborted).to.equal(false)
        return new Promise<void>((resolve) => {
          ends[lease.key] = resolve
        })
      })
      const told = record(claim)
      await clock.settle()
      const closed = watch(claim.close())
      await clock.advance(1_000)
      expect(told.slice(2)).to.deep.equal(['lost a: closed', 'lost b: closed'])
      expect(store.keys()).to.deep.equal(['lease:a'])
      expect(closed.state).to.equal('pending')
      ends['a']?.()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
      expect(closed.state).to.equal('fulfilled')
      expect(member.manager.size).to.equal(0)
    }))

  it('gives a key back after the drain, even if the work goes on', () =>
    withStage(async ({ open, clock, store }) => {
      const claim = open().manager.claim(['a'], { drain: 300 })
      claim.on('gained', () => new Promise(() => undefined))
      await clock.settle()
      const signal = claim.get('a')
      const closed = watch(claim.close())
      await clock.advance(300 - TICK)
      expect(store.keys()).to.have.length(1)
      await clock.advance(3 * TICK)
      expect(store.keys()).to.deep.equal([])
      expect(closed.state).to.equal('fulfilled')
      expect(signal?.held).to.equal(false)
    }))

  it('waits for a promise of a `lost` listener, too', () =>
    withStage(async ({ open, clock, store }) => {
      const claim = open().manager.claim(['a'])
      let end = (): void => undefined
      claim.on('lost', () => new Promise<void>((resolve) => (end = resolve)))
      await clock.settle()
      const closed = watch(claim.close())
      await clock.settle()
      expect(store.keys()).to.have.length(1)
      end()
      await clock.settle()
      expect(closed.state).to.equal('fulfilled')
    }))

  it('closes while it waits, and leaves no waiter behind', () =>
    withStage(async ({ open, clock }) => {
      await open().manager.acquire('a')
      const member = open()
      const [claim, told] = claimIn(member, ['a', 'b'])
      await clock.settle()
      expect(member.manager.stats().waiting).to.equal(1)
      await claim.close()
      await claim.close()
      expect(member.manager.stats()).to.include({ waiting: 0, held: 0 })
      expect(told).to.deep.equal(['gained b', 'lost b: closed'])
      expect(JSON.parse(JSON.stringify(claim))).to.deep.equal({ held: 0, claimed: 0 })
    }))

  it('gives back what it is granted after its close', () =>
    withStage(async ({ open, clock, store }) => {
      const member = open()
      member.backend.holdAnswers('acquire')
      const [claim, told] = claimIn(member, ['a'])
      await clock.settle()
      const closed = watch(claim.close())
      member.backend.deliverAll()
      await clock.settle()
      expect(closed.state).to.equal('fulfilled')
      expect(told).to.deep.equal([])
      expect(store.keys()).to.deep.equal([])
    }))

  it('ends when its manager closes, with the reason of that', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      const claim = member.manager.claim(['a'])
      const signals: AbortSignal[] = []
      claim.on('gained', ({ signal }) => void signals.push(signal))
      const told = record(claim)
      await clock.settle()
      await member.manager.close()
      expect(told.slice(1)).to.deep.equal(['lost a: closed'])
      expect(signals[0]?.reason).to.be.instanceOf(ManagerClosedError)
    }))

  it('acquires a key again that somebody released by hand', () =>
    withStage(async ({ open, clock }) => {
      const [claim, told] = claimIn(open(), ['a'])
      await clock.settle()
      await claim.get('a')?.release()
      await clock.settle()
      expect(told).to.deep.equal(['gained a', 'lost a: released', 'gained a'])
    }))

  it('does not ask without end for a key that a listener gives back at once', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      member.manager.on('acquired', ({ lease }) => void lease.release())
      member.manager.claim(['a'])
      await clock.advance(10_000)
      expect(member.backend.calls('acquire').length).to.be.within(2, 60)
      member.events.takeErrors()
    }))

  it('reports what its listeners throw or reject with', () =>
    withStage(async ({ open, clock }) => {
      const { manager, events } = open()
      const claim = manager.claim(['a'])
      const faults = [new Error('one'), new Error('two')] as const
      claim.on('gained', () => {
        throw faults[0]
      })
      claim.on('gained', () => Promise.reject(faults[1]))
      const told = record(claim)
      await clock.settle()
      expect(events.takeErrors()).to.have.members([...faults])
      expect(told).to.deep.equal(['gained a'])
    }))

  it('calls a listener no more that was removed', () =>
    withStage(async ({ open, clock }) => {
      const claim = open().manager.claim(['a'])
      let calls = 0
      const listener = (): void => {
        calls += 1
      }
      claim.on('gained', listener).off('gained', listener)
      await clock.settle()
      expect(calls).to.equal(0)
      expect(() => claim.on('gained', 5 as never)).to.throw(TypeError, /`listener`/)
    }))

  it('takes a key that stands twice for one', () =>
    withStage(async ({ open, clock }) => {
      const [claim, told] = claimIn(open(), ['a', 'a'])
      await clock.settle()
      expect(told).to.deep.equal(['gained a'])
      expect(JSON.parse(JSON.stringify(claim))).to.deep.equal({ held: 1, claimed: 1 })
    }))

  it('gives keys back with a reason that says so', () =>
    withStage(async ({ open, clock }) => {
      const claim = open().manager.claim(['a'])
      const signals: AbortSignal[] = []
      claim.on('gained', ({ signal }) => void signals.push(signal))
      await clock.settle()
      await claim.close()
      expect(signals[0]?.reason).to.be.instanceOf(LockNotHeldError)
    }))

  it('refuses keys and options that make no sense', () =>
    withStage(async ({ open }) => {
      const { manager } = open()
      expect(() => manager.claim(['a', ''])).to.throw(RangeError, /`key`/)
      expect(() => manager.claim('a')).to.throw(TypeError, /`keys`/)
      expect(() => manager.claim(['a'], { autoRenew: false } as never)).to.throw(TypeError, /`autoRenew`/)
      expect(() => manager.claim(['a'], { drain: Number.NaN })).to.throw(RangeError, /`drain`/)
      await manager.close()
      expect(() => manager.claim(['a'])).to.throw(ManagerClosedError)
    }))
})
