import { expect } from 'chai'
import { type Election, LeaseLostError, ManagerClosedError, type Term, type TermEnd } from 'leasewheel'
import { type Member, only, type Stage, TICK, TTL, watch, withStage } from '../support/manager.ts'

/** For how long a candidate that resigned leaves the office to others, in ms. */
const REST = 1_000

interface Candidate extends Member {
  readonly election: Election
  readonly terms: Term[]
  readonly ends: TermEnd[]
}

interface Conduct {
  readonly elected?: (term: Term) => unknown
  readonly deposed?: (reason: TermEnd) => unknown
  readonly drain?: number
}

function stand({ open }: Stage, owner: string, conduct: Conduct = {}): Candidate {
  const member = open({ owner })
  const terms: Term[] = []
  const ends: TermEnd[] = []
  const election = member.manager.elect('scheduler', {
    elected: (term) => {
      terms.push(term)
      return conduct.elected?.(term)
    },
    deposed: (reason) => {
      ends.push(reason)
      return conduct.deposed?.(reason)
    },
    ...(conduct.drain === undefined ? {} : { drain: conduct.drain }),
  })
  return { ...member, election, terms, ends }
}

/** A promise that the test settles. */
function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}

describe('an election', () => {
  it('has one leader, and tells candidates who it is', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one')
      const other = stand(stage, 'other')
      await stage.clock.advance(10 * TTL)
      expect(one.election.isLeader).to.equal(true)
      expect(other.election.isLeader).to.equal(false)
      expect(other.terms).to.deep.equal([])
      const { fence, lease, signal } = only(one.terms)
      expect(fence).to.equal(lease.fence)
      expect(signal.aborted).to.equal(false)
      expect(await other.election.leader()).to.include({ owner: 'one', lease: undefined })
      expect(await one.election.leader()).to.include({ owner: 'one', lease })
      expect(JSON.parse(JSON.stringify(one.election))).to.deep.equal({ key: 'scheduler', isLeader: true, fence })
    }))

  it('returns before the first term begins', () =>
    withStage(async (stage) => {
      const { terms } = stand(stage, 'one')
      expect(terms).to.deep.equal([])
      await stage.clock.settle()
      expect(terms).to.have.length(1)
    }))

  it('elects another at once if the leader resigns', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one')
      await stage.clock.settle()
      const other = stand(stage, 'other')
      await stage.clock.settle()
      const resigned = watch(one.election.resign())
      expect(only(one.terms).signal.aborted).to.equal(true)
      await stage.clock.settle()
      expect(resigned.state).to.equal('fulfilled')
      expect(one.ends).to.deep.equal(['resigned'])
      expect(other.election.isLeader).to.equal(true)
      expect(only(other.terms).fence).to.be.greaterThan(only(one.terms).fence)
    }))

  it('elects a leader that resigned again, if there is no other candidate', () =>
    withStage(async (stage) => {
      const { election, terms } = stand(stage, 'one')
      await stage.clock.settle()
      await election.resign()
      await stage.clock.advance(REST - TICK)
      expect(terms).to.have.length(1)
      await stage.clock.advance(2 * TICK)
      expect(terms).to.have.length(2)
      expect(election.isLeader).to.equal(true)
    }))

  it('elects another within the ttl if the leader dies', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one')
      await stage.clock.settle()
      const other = stand(stage, 'other')
      // Nothing that it sends arrives any more.
      one.backend.block()
      await stage.clock.advance(TTL + TICK)
      expect(one.election.isLeader).to.equal(false)
      expect(one.ends).to.deep.equal(['expired'])
      expect(other.election.isLeader).to.equal(true)
    }))

  it('P35 aborts the signal of a term before anybody learns that it is over', () =>
    withStage(async (stage) => {
      const seen: boolean[] = []
      const candidate = stand(stage, 'one', { deposed: () => seen.push(only(candidate.terms).signal.aborted) })
      await stage.clock.settle()
      stage.store.set('lease:scheduler', 'somebody', TTL)
      await stage.clock.settle()
      expect(seen).to.deep.equal([true])
      expect(only(candidate.terms).signal.reason).to.be.instanceOf(LeaseLostError).and.to.include({ reason: 'taken' })
    }))

  it('does not wait for `deposed` before the signal aborts and another leads', () =>
    withStage(async (stage) => {
      const deposed = promised()
      const one = stand(stage, 'one', { deposed: () => deposed.promise })
      await stage.clock.settle()
      const other = stand(stage, 'other')
      one.backend.block()
      await stage.clock.advance(TTL + TICK)
      expect(only(one.terms).signal.aborted).to.equal(true)
      expect(other.election.isLeader).to.equal(true)
      deposed.resolve()
    }))

  it('waits for the work of the leader before the lock is released', () =>
    withStage(async (stage) => {
      const work = promised()
      const one = stand(stage, 'one', { elected: () => work.promise })
      await stage.clock.settle()
      const other = stand(stage, 'other')
      const resigned = watch(one.election.resign())
      await stage.clock.advance(2 * TTL)
      expect(other.terms).to.deep.equal([])
      expect(one.election.isLeader).to.equal(false)
      work.resolve()
      await stage.clock.settle()
      expect(resigned.state).to.equal('fulfilled')
      expect(other.election.isLeader).to.equal(true)
    }))

  it('releases the lock after the drain, even if the work goes on', () =>
    withStage(async (stage) => {
      const work = promised()
      const one = stand(stage, 'one', { elected: () => work.promise, drain: 500 })
      await stage.clock.settle()
      const other = stand(stage, 'other')
      const resigned = watch(one.election.resign())
      await stage.clock.advance(500 - TICK)
      expect(resigned.state).to.equal('pending')
      await stage.clock.advance(3 * TICK)
      expect(resigned.state).to.equal('fulfilled')
      expect(other.election.isLeader).to.equal(true)
      work.resolve()
    }))

  it('never elects a candidate whose last work still runs', () =>
    withStage(async (stage) => {
      const work = promised()
      const { election, terms } = stand(stage, 'one', { elected: () => work.promise })
      await stage.clock.settle()
      stage.store.delete('lease:scheduler')
      await stage.clock.advance(5 * TTL)
      expect(only(terms).signal.aborted).to.equal(true)
      expect(election.isLeader).to.equal(false)
      work.resolve()
      await stage.clock.settle()
      expect(terms).to.have.length(2)
      expect(election.isLeader).to.equal(true)
    }))

  it('ends the term of a leader whose `elected` fails, and reports the fault', () =>
    withStage(async (stage) => {
      const fault = new Error('no work today')
      for (const elected of [
        () => Promise.reject(fault),
        () => {
          throw fault
        },
      ]) {
        const one = stand(stage, 'one', { elected })
        await stage.clock.settle()
        const other = stand(stage, 'other')
        await stage.clock.settle()
        expect(one.events.takeErrors()).to.deep.equal([fault])
        expect(one.ends).to.deep.equal(['failed'])
        await stage.clock.settle()
        expect(other.election.isLeader).to.equal(true)
        await Promise.all([one.election.close(), other.election.close()])
      }
    }))

  it('reports what `deposed` throws or rejects with', () =>
    withStage(async (stage) => {
      const fault = new Error('not me')
      for (const deposed of [
        () => Promise.reject(fault),
        () => {
          throw fault
        },
      ]) {
        const { election, events } = stand(stage, 'one', { deposed })
        await stage.clock.settle()
        await election.close()
        expect(events.takeErrors()).to.deep.equal([fault])
      }
    }))

  it('takes work that ends with the reason of its signal for ended', () =>
    withStage(async (stage) => {
      const elected = ({ signal }: Term): Promise<never> =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      const { election, ends } = stand(stage, 'one', { elected })
      await stage.clock.settle()
      await election.close()
      expect(ends).to.deep.equal(['closed'])
    }))

  it('ends the term at `close`, and stands no more', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one')
      await stage.clock.settle()
      const other = stand(stage, 'other')
      await one.election.close()
      await one.election.close()
      await stage.clock.settle()
      expect(one.ends).to.deep.equal(['closed'])
      expect(other.election.isLeader).to.equal(true)
      await other.election.close()
      await stage.clock.advance(2 * TTL)
      expect(one.terms).to.have.length(1)
      expect(stage.store.keys()).to.deep.equal([])
    }))

  it('closes while it stands, and leaves nothing behind', () =>
    withStage(async (stage) => {
      stand(stage, 'one')
      const other = stand(stage, 'other')
      await stage.clock.settle()
      await other.election.close()
      expect(other.manager.stats().waiting).to.equal(0)
      expect(other.terms).to.deep.equal([])
    }))

  it('aborts the signal when the manager closes, and waits for the work', () =>
    withStage(async (stage) => {
      const work = promised()
      const one = stand(stage, 'one', { elected: () => work.promise })
      await stage.clock.settle()
      const other = stand(stage, 'other')
      const closed = watch(one.manager.close({ drain: 2_000 }))
      await stage.clock.settle()
      const { signal } = only(one.terms)
      expect(signal.reason).to.be.instanceOf(ManagerClosedError)
      expect(one.ends).to.deep.equal(['closed'])
      await stage.clock.advance(1_000)
      expect(closed.state).to.equal('pending')
      expect(other.election.isLeader).to.equal(false)
      work.resolve()
      await stage.clock.settle()
      expect(closed.state).to.equal('fulfilled')
      expect(other.election.isLeader).to.equal(true)
    }))

  it('does not keep a closing manager for longer than its drain', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one', { elected: () => new Promise(() => undefined) })
      await stage.clock.settle()
      const closed = watch(one.manager.close({ drain: 500 }))
      const election = watch(one.election.close())
      await stage.clock.advance(500 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(election.state).to.equal('fulfilled')
    }))

  it('takes a lease that is released by hand for a resignation', () =>
    withStage(async (stage) => {
      const one = stand(stage, 'one')
      await stage.clock.settle()
      const other = stand(stage, 'other')
      await stage.clock.settle()
      await one.election.lease?.release()
      await stage.clock.settle()
      expect(only(one.terms).signal.aborted).to.equal(true)
      expect(one.ends).to.deep.equal(['resigned'])
      expect(other.election.isLeader).to.equal(true)
    }))

  it('limits a term to `maxHold`', () =>
    withStage(async ({ open, clock }) => {
      const { manager } = open()
      const ends: TermEnd[] = []
      const election = manager.elect('a', {
        elected: () => undefined,
        deposed: (end) => ends.push(end),
        maxHold: 1_000,
      })
      await clock.advance(1_000 + 2 * TICK)
      expect(ends).to.deep.equal(['maxHold'])
      await election.close()
    }))

  it('goes on trying while the backend cannot be asked, and reports that once', () =>
    withStage(async (stage) => {
      const { manager, backend, events } = stage.open()
      backend.fail(new Error('WRONGPASS'))
      let terms = 0
      manager.elect('a', { elected: () => (terms += 1) })
      await stage.clock.advance(2 * TTL)
      expect(terms).to.equal(0)
      events.takeErrors()
      backend.fail(undefined)
      await stage.clock.advance(TTL)
      expect(terms).to.equal(1)
    }))

  it('refuses options that make no sense', () =>
    withStage(async ({ open }) => {
      const { manager } = open()
      const elected = (): void => undefined
      expect(() => manager.elect('', { elected })).to.throw(RangeError, /`key`/)
      expect(() => manager.elect('a', {} as never)).to.throw(TypeError, /`elected`/)
      expect(() => manager.elect('a', { elected, deposed: 1 as never })).to.throw(TypeError, /`deposed`/)
      expect(() => manager.elect('a', { elected, drain: -1 })).to.throw(RangeError, /`drain`/)
      expect(() => manager.elect('a', { elected, wait: 1 } as never)).to.throw(TypeError, /`wait`/)
      await manager.close()
      expect(() => manager.elect('a', { elected })).to.throw(ManagerClosedError)
    }))
})
