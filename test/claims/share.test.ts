import { expect } from 'chai'
import {
  type Catalogue,
  LeaseManager,
  ManagerClosedError,
  type Share,
  type ShareOptions,
  UnavailableError,
} from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { type Member, type Stage, TTL, watch, withStage } from '../support/manager.ts'

const ITEMS = Array.from({ length: 200 }, (_, index) => `tenant:${index}`)
/** Members announce themselves so often, in ms. */
const EVERY = 150

interface Sharer extends Member {
  readonly share: Share
  readonly told: string[]
}

/** Who has each key, by what the members were told: a key that two have fails the test. */
class Owners {
  readonly of = new Map<string, string>()
  /** How often each key has come to a member. */
  readonly gains = new Map<string, number>()

  gained(key: string, name: string): void {
    expect(this.of.get(key), `${key} has an owner`).to.equal(undefined)
    this.of.set(key, name)
    this.gains.set(key, (this.gains.get(key) ?? 0) + 1)
  }

  lost(key: string): void {
    this.of.delete(key)
  }
}

function join({ open }: Stage, owners: Owners, owner: string, options: Partial<ShareOptions> = {}): Sharer {
  const member = open({ owner })
  const share = member.manager.share(ITEMS, { group: 'tenants', ...options })
  const told: string[] = []
  share.on('gained', ({ lease }) => {
    owners.gained(lease.key, owner)
    told.push(`gained ${lease.key}`)
  })
  share.on('lost', ({ lease, reason }) => {
    owners.lost(lease.key)
    told.push(`lost ${lease.key}: ${reason}`)
  })
  share.on('settled', ({ members, held }) => void told.push(`settled ${held} of ${members}`))
  return { ...member, share, told }
}

function sizes(...sharers: readonly Sharer[]): number[] {
  return sharers.map(({ share }) => share.size)
}

describe('a share', () => {
  it('is everything for a member that is alone', () =>
    withStage(async (stage) => {
      const { share, told } = join(stage, new Owners(), 'one')
      expect(share.members).to.equal(0)
      expect(share.settled).to.equal(false)
      await stage.clock.advance(EVERY)
      expect(share).to.include({ size: ITEMS.length, members: 1, settled: true, group: 'tenants' })
      expect(told.at(-1)).to.equal('settled 200 of 1')
      expect([...share]).to.have.length(ITEMS.length)
      expect(share.get('tenant:7')?.held).to.equal(true)
      const summary = { group: 'tenants', held: 200, members: 1, settled: true }
      expect(JSON.parse(JSON.stringify(share))).to.deep.equal(summary)
    }))

  it('moves its part to a member that joins, and nothing else', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      await stage.clock.advance(1_000)
      const two = join(stage, owners, 'two')
      await stage.clock.advance(1_000)
      expect(sizes(one, two).reduce((sum, size) => sum + size)).to.equal(ITEMS.length)
      expect(two.share.size).to.be.within(70, 130)
      expect(one.told.at(-1)).to.equal(`settled ${one.share.size} of 2`)
      expect(two.told.at(-1)).to.equal(`settled ${two.share.size} of 2`)
      const moved = [...owners.gains.values()].filter((count) => count > 1)
      expect(moved).to.deep.equal(Array.from({ length: two.share.size }, () => 2))
      const gains = [...owners.gains.values()].reduce((sum, count) => sum + count)
      const three = join(stage, owners, 'three')
      await stage.clock.advance(1_000)
      expect(three.share.size).to.equal([...owners.gains.values()].reduce((sum, count) => sum + count) - gains)
      expect(sizes(one, two, three).reduce((sum, size) => sum + size)).to.equal(ITEMS.length)
      expect(three.told.filter((line) => line.startsWith('lost'))).to.deep.equal([])
    }))

  it('P35 moves no key twice for one change, and none has two owners', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const sharers = ['one', 'two', 'three'].map((name) => join(stage, owners, name))
      await stage.clock.advance(2_000)
      owners.gains.clear()
      const [, , three] = sharers as [Sharer, Sharer, Sharer]
      const { size } = three.share
      await three.share.close()
      await stage.clock.advance(2_000)
      expect([...owners.gains.values()]).to.deep.equal(Array.from({ length: size }, () => 1))
      expect(owners.of.size).to.equal(ITEMS.length)
    }))

  it('moves nothing if one answer misses a member', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const two = join(stage, owners, 'two')
      await stage.clock.advance(2_000)
      const before = [one.told.length, two.told.length]
      // A failover to a server that has the locks, but not the announcements.
      stage.store.clearAnnouncements()
      await stage.clock.advance(20 * EVERY)
      expect([one.told.length, two.told.length]).to.deep.equal(before)
      expect([one.share.members, two.share.members]).to.deep.equal([2, 2])
    }))

  it('takes over the part of a member that leaves within a second', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const two = join(stage, owners, 'two')
      await stage.clock.advance(2_000)
      const closed = watch(two.share.close())
      await stage.clock.advance(1_000)
      expect(closed.state).to.equal('fulfilled')
      expect(one.share).to.include({ size: ITEMS.length, members: 1, settled: true })
    }))

  it('takes over the part of a member that dies within its ttl', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const two = join(stage, owners, 'two')
      await stage.clock.advance(2_000)
      // What it loses by time comes late: its events are no part of this.
      two.backend.block()
      const mine = [...one.told]
      await stage.clock.advance(TTL + 500)
      expect(one.told.slice(mine.length).filter((line) => line.startsWith('lost'))).to.deep.equal([])
      expect(one.share).to.include({ size: ITEMS.length, members: 1 })
    }))

  it('drains the work under a key before that moves', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const ends: (() => void)[] = []
      one.share.on('gained', ({ signal }) => {
        return new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => ends.push(resolve))
        })
      })
      await stage.clock.advance(1_000)
      const two = join(stage, new Owners(), 'two')
      await stage.clock.advance(2_000)
      expect(two.share.size).to.equal(0)
      expect(one.share.settled).to.equal(false)
      for (const end of ends) end()
      await stage.clock.advance(100)
      expect(two.share.size).to.equal(ends.length)
      expect(two.share.settled).to.equal(true)
    }))

  it('does not hold a key again while its last work under that key still runs', () =>
    withStage(async (stage) => {
      const one = join(stage, new Owners(), 'one', { drain: 300 })
      const ends: (() => void)[] = []
      const gains = new Map<string, number>()
      one.share.on('gained', ({ lease: { key }, signal }) => {
        gains.set(key, (gains.get(key) ?? 0) + 1)
        return new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => ends.push(resolve))
        })
      })
      await stage.clock.advance(1_000)
      const two = join(stage, new Owners(), 'two')
      await stage.clock.advance(2_000)
      // The drain is over: the keys have moved, and the first has settled, although its work goes on.
      expect(two.share.size).to.equal(ends.length)
      expect(one.share.settled).to.equal(true)
      await two.share.close()
      await stage.clock.advance(2_000)
      expect(one.share.size).to.equal(ITEMS.length - ends.length)
      expect(one.share.settled).to.equal(false)
      expect(Math.max(...gains.values())).to.equal(1)
      for (const end of ends.splice(0)) end()
      await stage.clock.advance(100)
      expect(one.share).to.include({ size: ITEMS.length, settled: true })
      const closed = watch(one.share.close())
      await stage.clock.advance(400)
      expect(closed.state).to.equal('fulfilled')
    }))

  it('keeps its part while the members cannot be asked for, and for a while after', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const two = join(stage, owners, 'two')
      await stage.clock.advance(2_000)
      const before = sizes(one, two)
      const told = [one.told.length, two.told.length]
      one.backend.block()
      two.backend.block()
      await stage.clock.advance(1_000)
      stage.store.clearAnnouncements()
      one.backend.unblock()
      // Long enough for three answers, and too short for a lease to expire.
      await stage.clock.advance(3 * EVERY)
      two.backend.unblock()
      await stage.clock.advance(TTL)
      expect(sizes(one, two)).to.deep.equal(before)
      expect([one.told.length, two.told.length]).to.deep.equal(told)
      one.events.takeErrors()
      two.events.takeErrors()
    }))

  it('knows the groups apart, even if their names begin in the same way', () =>
    withStage(async (stage) => {
      const one = join(stage, new Owners(), 'one', { group: 'a' })
      const other = stage.open({ owner: 'other' }).manager.share(['x'], { group: 'a:b' })
      await stage.clock.advance(1_000)
      expect(one.share.members).to.equal(1)
      expect(other.members).to.equal(1)
    }))

  it('is no manager that `members` shows', () =>
    withStage(async (stage) => {
      join(stage, new Owners(), 'one')
      const watcher = stage.open({ owner: 'watcher', announce: 100 })
      await stage.clock.advance(1_000)
      expect((await watcher.manager.members()).map(({ owner }) => owner)).to.deep.equal(['watcher'])
    }))

  it('ends when its manager closes', () =>
    withStage(async (stage) => {
      const owners = new Owners()
      const one = join(stage, owners, 'one')
      const two = join(stage, owners, 'two')
      await stage.clock.advance(2_000)
      await Promise.all([one.manager.close(), stage.clock.advance(1_000)])
      expect(one.share.size).to.equal(0)
      expect(two.share.size).to.equal(ITEMS.length)
      expect(stage.store.announced('lease:').size).to.equal(1)
    }))

  it('says nothing more once it is closed', () =>
    withStage(async (stage) => {
      const { share, told } = join(stage, new Owners(), 'one')
      await stage.clock.settle()
      await Promise.all([share.close(), stage.clock.advance(100)])
      await share.close()
      const before = told.length
      await stage.clock.advance(2_000)
      expect(told).to.have.length(before)
      expect(stage.store.keys()).to.deep.equal([])
    }))

  it('reports once that a backend refuses to name the members', () =>
    withStage(async ({ clock }) => {
      class Bare extends MemoryBackend {
        override get catalogue(): Catalogue | undefined {
          const refuse = () => Promise.reject(new UnavailableError('no permission', undefined, { final: true }))
          return { ...(super.catalogue as Catalogue), announce: refuse, withdraw: refuse }
        }
      }
      const manager = new LeaseManager(new Bare(), { clock })
      const errors: Error[] = []
      manager.on('error', (error) => void errors.push(error))
      const share = manager.share(ITEMS, { group: 'tenants' })
      await clock.advance(10 * EVERY)
      expect(errors).to.have.length(1)
      expect(errors[0]).to.be.instanceOf(UnavailableError)
      expect(share).to.include({ size: 0, members: 0, settled: false })
      await Promise.all([manager.close(), clock.advance(100)])
    }))

  it('refuses options that make no sense', () =>
    withStage(async ({ open }) => {
      const { manager } = open()
      expect(() => manager.share(['a'], {} as never)).to.throw(TypeError, /`group`/)
      expect(() => manager.share([''], { group: 'a' })).to.throw(RangeError, /`key`/)
      expect(() => manager.share(['a'], { group: 'a', every: 5 } as never)).to.throw(TypeError, /`every`/)
      await manager.close()
      expect(() => manager.share(['a'], { group: 'a' })).to.throw(ManagerClosedError)
    }))
})
