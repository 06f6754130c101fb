import { expect } from 'chai'
import { type Lease, LeaseManager, UnavailableError, type ReleaseEntry } from 'leasewheel'
import { MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { quorum } from 'leasewheel/quorum'
import { caught, NamedBackend, withWorld } from './world.ts'

const TTL = 10_000
const DOWN = new Error('down on purpose')

describe('a lock on a quorum', () => {
  it('is on every member, and nowhere after its release', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      expect(world.on('a')).to.deep.equal([lease.token, lease.token, lease.token])
      expect(await lease.release()).to.equal(true)
      await world.clock.settle()
      expect(world.count('a')).to.equal(0)
    }))

  it('P32 is granted by a majority while one member is away', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      members[2]?.fail(DOWN)
      expect(await manager.tryAcquire('a')).to.have.property('held', true)
      expect(world.count('a')).to.equal(2)
    }))

  it('P32 is not granted by a majority of the members that can be reached', () =>
    withWorld({ ttl: TTL, size: 5 }, async (world) => {
      const { manager, members, backend } = world.party()
      for (const member of members.slice(2)) member.fail(DOWN)
      const [outcome] = await backend.acquire([{ key: 'a', token: 'mine', ttl: TTL }])
      expect(outcome).to.have.nested.property('error.message').that.includes('2 of 5 members')
      const error = await caught(world.finish(manager.tryAcquire('a'), 50))
      expect(error).to.be.instanceOf(UnavailableError)
      expect(world.count('a')).to.equal(0)
    }))

  it('counts an even number of members, too: half of them is no majority', () =>
    withWorld({ ttl: TTL, size: 4 }, async (world) => {
      const { manager, members } = world.party()
      members[0]?.fail(DOWN)
      const lease = (await manager.tryAcquire('a')) as Lease
      expect(lease.held).to.equal(true)
      await lease.release()
      members[1]?.fail(DOWN)
      expect(await caught(world.finish(manager.tryAcquire('b'), 50))).to.be.instanceOf(UnavailableError)
    }))

  it('may have one member, which then decides alone', () =>
    withWorld({ ttl: TTL, size: 1 }, async (world) => {
      const [one, other] = [world.party(), world.party()]
      const lease = await one.manager.acquire('a')
      expect(await other.manager.tryAcquire('a')).to.equal(null)
      await lease.release()
      expect(await other.manager.tryAcquire('a')).to.have.property('held', true)
    }))

  it('is answered while a member hangs', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      members[1]?.block()
      const lease = await manager.acquire('a')
      await lease.renew()
      expect(await lease.release()).to.equal(true)
      expect(await world.finish(manager.inspect('b'))).to.equal(null)
      members[1]?.unblock()
      await world.clock.settle()
      expect(world.count('a')).to.equal(0)
    }))

  it('P11 leaves nothing on a member that was refused for, or hung meanwhile', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      for (const store of world.stores.slice(0, 2)) store.set('a', 'theirs', TTL)
      members[2]?.block()
      expect(await world.finish(manager.tryAcquire('a'))).to.equal(null)
      members[2]?.unblock()
      await world.clock.settle()
      expect(world.on('a')).to.deep.equal(['theirs', 'theirs', undefined])
    }))

  it('P11 leaves nothing on a member that was away at the release', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      members[2]?.fail(DOWN)
      expect(await lease.release()).to.equal(true)
      expect(world.count('a')).to.equal(1)
      expect(manager.stats().members[2]).to.include({ undoing: 1, usable: false })
      members[2]?.fail(undefined)
      await world.clock.settle()
      expect(world.count('a')).to.equal(0)
      expect(manager.stats().members[2]).to.include({ undoing: 0, usable: true })
    }))

  for (const [what, away] of [
    ['a member that voted for it before', [1]],
    ['the majority, one that voted for it before included', [0, 1]],
  ] as const) {
    it(`P11 leaves nothing behind if ${what} is away when it is asked for again`, () =>
      withWorld({ ttl: TTL }, async (world) => {
        const { backend, members, manager } = world.party()
        // Three callers have one vote each, and the smallest token is ahead: it is asked for again.
        world.stores[0]?.set('a', 'theirs', TTL)
        world.stores[2]?.set('a', 'yours', TTL)
        const asking = backend.acquire([{ key: 'a', token: 'mine', ttl: TTL }])
        await world.clock.settle()
        expect(world.on('a')).to.deep.equal(['theirs', 'mine', 'yours'])
        for (const index of away) members[index]?.fail(DOWN)
        const [outcome] = await world.finish(asking)
        expect(outcome).to.have.property('givenBack', true)
        for (const index of away) members[index]?.fail(undefined)
        await world.clock.settle()
        expect(world.on('a')).to.deep.equal(['theirs', undefined, 'yours'])
        expect(manager.stats().members.map(({ undoing }) => undoing)).to.deep.equal([0, 0, 0])
      }))
  }

  it('is refused with the time at which a majority could be free', () =>
    withWorld({ ttl: TTL, size: 5 }, async (world) => {
      const { backend } = world.party()
      world.stores.slice(0, 4).forEach((store, index) => store.set('a', 'theirs', (index + 1) * 1_000))
      const [outcome] = await backend.acquire([{ key: 'a', token: 'mine', ttl: TTL }])
      // Three refusals decide. The others may be free, so one of the three has to be.
      expect(outcome).to.include({ type: 'refused', holder: 'theirs', remaining: 1_000 })
    }))

  it('goes to exactly one of those who ask at the same moment, even if they split the members', () =>
    withWorld({ ttl: TTL, size: 3 }, async (world) => {
      const parties = [world.party(), world.party(), world.party()]
      for (let turn = 0; turn < 20; turn += 1) {
        // Each reaches another member first.
        parties.forEach(({ members }, index) => {
          members.forEach((member, at) => at !== (index + turn) % 3 && member.block())
        })
        const calls = parties.map(({ manager }) => manager.tryAcquire(`key ${turn}`))
        await world.clock.settle()
        for (const { members } of parties) for (const member of members) member.unblock()
        const leases = await world.finish(Promise.all(calls))
        expect(leases.filter((lease) => lease !== null)).to.have.length(1)
      }
    }))

  it('wakes a waiter as soon as a majority is free', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const [one, other] = [world.party(), world.party()]
      const lease = await one.manager.acquire('a')
      const waiting = other.manager.acquire('a')
      await world.clock.advance(10)
      const before = world.clock.now()
      await lease.release()
      expect(await world.finish(waiting)).to.have.property('held', true)
      expect(world.clock.now() - before).to.be.lessThan(500)
    }))

  it('is lost at once if a majority was deleted by others, and its last keys are deleted', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      world.stores[0]?.delete('a')
      await world.clock.settle()
      expect(lease.held).to.equal(true)
      world.stores[1]?.delete('a')
      await world.clock.advance(10)
      expect(lease.held).to.equal(false)
      expect(world.count('a')).to.equal(0)
    }))

  it('P1 ends by the first request, however long the members took to answer', () =>
    withWorld({ ttl: TTL, timeout: 5_000 }, async (world) => {
      const { manager, members } = world.party()
      members[1]?.block()
      members[2]?.block()
      const call = manager.acquire('a')
      await world.clock.advance(1_000)
      members[1]?.unblock()
      const lease = await call
      expect(lease.remaining).to.be.at.most(TTL - 1_000)
    }))

  it('P7 survives a deletion for an earlier attempt that arrives late', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const { manager, members } = world.party()
      const [first, ...others] = members
      if (first === undefined) return
      const release = first.release.bind(first)
      const late: (readonly ReleaseEntry[])[] = []
      first.release = (entries) => {
        late.push(entries)
        return Promise.reject(DOWN)
      }
      const acquires = others.map((member) => member.acquire.bind(member))
      for (const member of others) member.acquire = () => Promise.reject(DOWN)
      const call = manager.acquire('a', { wait: 10_000 })
      await world.clock.settle()
      expect(late).to.have.length.above(0)
      for (const [index, member] of others.entries()) member.acquire = acquires[index] as typeof member.acquire
      const lease = await world.finish(call)
      first.release = release
      for (const entries of late) await release(entries)
      expect(late.flat().map(({ token }) => token)).to.not.include(lease.token)
      await world.clock.advance(TTL)
      expect(world.on('a')).to.deep.equal([lease.token, lease.token, lease.token])
    }))

  it('P7 is not asked for with a token that was given back', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const { backend } = world.party()
      const entry = { key: 'a', token: 'mine', ttl: TTL }
      for (const store of world.stores.slice(0, 2)) store.set('a', 'theirs', TTL)
      const [refusal] = await world.finish(backend.acquire([entry]))
      expect(refusal).to.include({ type: 'refused', givenBack: true })
      for (const store of world.stores.slice(0, 2)) store.delete('a')
      const outcomes = await world.finish(backend.acquire([entry, { ...entry, key: 'b', token: 'another' }]))
      expect(outcomes[0]).to.include({ type: 'unknown', givenBack: true })
      expect(outcomes[1]).to.include({ type: 'granted' })
      expect(world.count('a')).to.equal(0)
      await world.clock.advance(TTL + 1)
      const [granted] = await world.finish(backend.acquire([entry]))
      expect(granted).to.include({ type: 'granted' })
    }))

  it('P11 is deleted where it lands after the release, because its request was late', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const { manager, members } = world.party()
      const [member] = members.slice(2)
      const acquire = member?.acquire.bind(member)
      if (member) member.acquire = () => Promise.reject(DOWN)
      const lease = await manager.acquire('a')
      await world.clock.advance(200)
      if (member && acquire) member.acquire = acquire
      await lease.release()
      expect(world.count('a')).to.equal(0)
      world.stores[2]?.set('a', lease.token, TTL)
      await world.clock.advance(2_000)
      expect(world.count('a')).to.equal(0)
    }))

  it('is taken together with others, or not at all', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const [one, other] = [world.party(), world.party()]
      await one.manager.acquire('b')
      const error = await caught(world.finish(other.manager.acquireAll(['a', 'b', 'c'], { wait: 100 }), 10))
      expect(error).to.have.property('code', 'ERR_NOT_ACQUIRED')
      await world.clock.advance(100)
      expect([world.count('a'), world.count('c')]).to.deep.equal([0, 0])
    }))
})

describe('a batch on a quorum', () => {
  it('P20 does not wait for a hung member because of one key that it would decide', () =>
    withWorld({ ttl: TTL, timeout: 2_000 }, async (world) => {
      const { manager, members } = world.party()
      world.stores[0]?.set('split', 'theirs', TTL)
      members[2]?.block()
      const before = world.clock.now()
      const leases = await world.finish(manager.acquireMany(['a', 'split', 'b']))
      expect(leases.map((lease) => lease?.held)).to.deep.equal([true, undefined, true])
      expect(world.clock.now() - before).to.be.lessThan(1_500)
      // The same for renewals: a key that only the hung member could confirm.
      world.stores[1]?.delete('a')
      const confirmed = leases[2]?.renew()
      await world.finish(confirmed as Promise<void>)
      expect(leases[2]?.held).to.equal(true)
    }))
})

describe('a member that lacks keys', () => {
  it('P32 gets them again under a majority that stands', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      members[1]?.restart()
      await world.clock.advance(10)
      expect(world.on('a')).to.deep.equal([lease.token, lease.token, lease.token])
      expect(manager.stats().members[1]).to.include({ healed: 1 })
    }))

  it('P32 gets none without a majority of the same question', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const { manager } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      world.stores[0]?.delete('a')
      world.stores[1]?.delete('a')
      await world.clock.advance(TTL / 2)
      expect(lease).to.include({ held: false, state: 'lost' })
      expect(world.count('a')).to.equal(0)
    }))

  it('P32 gets none for a lock that was released meanwhile', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const { manager, members } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      world.stores[2]?.delete('a')
      members[0]?.block()
      const renewal = lease.renew().catch(() => undefined)
      await world.clock.settle()
      const release = lease.release()
      await world.clock.settle()
      members[0]?.unblock()
      await world.finish(Promise.all([renewal, release]))
      await world.clock.advance(100)
      expect(world.count('a')).to.equal(0)
    }))

  it('keeps the key of another, and the lease stands all the same', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      world.stores[2]?.set('a', 'theirs', 100 * TTL)
      const lease = await world.finish(manager.acquire('a'))
      await world.clock.advance(3 * TTL)
      expect(lease.held).to.equal(true)
      expect(world.on('a')).to.deep.equal([lease.token, lease.token, 'theirs'])
    }))

  it('gets the key soon after a grant that it missed', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      world.stores[2]?.set('a', 'theirs', 20)
      const lease = await world.finish(manager.acquire('a'))
      expect(world.count('a')).to.be.within(2, 3)
      await world.clock.advance(200)
      expect(world.on('a')[2]).to.equal(lease.token)
    }))
})

describe('a restarted member', () => {
  it('P32 does not help to a second holder before its quarantine is over', () =>
    withWorld({ ttl: TTL, watch: false }, async (world) => {
      const [one, other] = [world.party(), world.party()]
      one.members[2]?.fail(DOWN)
      const lease = await one.manager.acquire('a')
      expect(world.count('a')).to.equal(2)
      // The holder is cut off from it, so it cannot heal what the restart loses.
      one.members[1]?.fail(DOWN)
      other.members[1]?.restart()
      const error = await caught(
        world.finish(other.manager.tryAcquire('a'), 50).then((won) => won ?? Promise.reject(new Error('null'))),
      )
      expect(error.message).to.match(/null|no vote|members/)
      expect(lease.held).to.equal(true)
      const { quarantined } = other.manager.stats().members[1] ?? {}
      expect(quarantined).to.be.within(TTL / 2, TTL)
      await world.clock.advance(TTL)
      expect(lease.held).to.equal(false)
      expect(await world.finish(other.manager.tryAcquire('a'), 50)).to.have.property('held', true)
    }))

  it('P32 goes on confirming leases', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      const lease = await manager.acquire('a')
      await world.clock.settle()
      members[0]?.restart()
      await world.clock.advance(10)
      members[1]?.fail(DOWN)
      await world.clock.advance(TTL / 2)
      expect(lease.held).to.equal(true)
    }))

  it('is told of, and so are members that go and come back', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { members, errors } = world.party()
      members[0]?.restart()
      members[2]?.fail(DOWN)
      members[2]?.fail(undefined)
      expect(errors).to.deep.equal([
        'Member 1 of 3 was restarted, or another server answers for it: it has no vote on new locks for 10000 ms',
        'Member 3 of 3 is away: down on purpose',
        'Member 3 of 3 is back',
      ])
    }))

  it('has a vote at once with a delay of 0', () =>
    withWorld({ ttl: TTL, quorum: { restartDelay: 0 } }, async (world) => {
      const { manager, members, errors } = world.party()
      members[0]?.restart()
      members[1]?.fail(DOWN)
      expect(await manager.tryAcquire('a')).to.have.property('held', true)
      expect(errors).to.deep.equal(['Member 2 of 3 is away: down on purpose'])
    }))

  it('P32 is noticed by a manager that begins later, by how long the server has run', () =>
    withWorld({ ttl: TTL }, async ({ clock, stores }) => {
      const now = clock.now()
      const starts = [now - 4_000, now - 2 * TTL, undefined]
      const members = stores.map(
        (store, index) => new NamedBackend(`s${index}`, store, { id: `s${index}`, startedAt: starts[index] }),
      )
      const manager = new LeaseManager(quorum(members), { clock, ttl: TTL })
      members[1]?.fail(DOWN)
      const error = await caught(manager.tryAcquire('a'))
      expect(error.message).to.include('2 of 3')
      expect(error.message).to.include('member 1 of 3 (s0) was restarted and has no vote for another 6000 ms')
      await clock.advance(6_000)
      expect(await manager.tryAcquire('a')).to.have.property('held', true)
      await manager.close()
    }))

  it('stays without a vote for the longest ttl that was asked for', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      await manager.acquire('a', { ttl: 4 * TTL })
      members[0]?.restart()
      expect(manager.stats().members[0]?.quarantined).to.equal(4 * TTL)
    }))

  it('is a danger if a ttl is longer than `restartDelay`, which is told once', () =>
    withWorld({ ttl: TTL, quorum: { restartDelay: TTL } }, async (world) => {
      const { manager, errors } = world.party()
      await manager.acquire('a', { ttl: TTL + 1 })
      await manager.acquire('b', { ttl: TTL + 2 })
      expect(errors).to.have.length(1)
      expect(errors[0]).to.include('`restartDelay` of 10000 ms')
    }))
})

describe('fences of a quorum', () => {
  it('P32 rise although members have different clocks and majorities differ', () =>
    withWorld(
      { ttl: TTL, size: 3 },
      async (world) => {
        const parties = [world.party(), world.party()]
        let last = 0
        for (let turn = 0; turn < 60; turn += 1) {
          const { manager, members } = parties[turn % 2] as (typeof parties)[number]
          const away = members[turn % 3]
          away?.fail(DOWN)
          const lease = await world.finish(manager.acquire('a'))
          expect(lease.fence).to.be.greaterThan(last)
          last = lease.fence
          await lease.release()
          away?.fail(undefined)
          await world.clock.advance(turn % 5)
        }
      },
      [-200, 0, 200],
    ))

  it('P32 are known to a majority before anybody gets them', () =>
    withWorld(
      { ttl: TTL, size: 3 },
      async (world) => {
        const { manager } = world.party()
        const { fence } = await manager.acquire('a')
        const next = world.stores.map((store) => store.nextFence())
        expect(next.filter((other) => other > fence)).to.have.length.of.at.least(2)
      },
      [0, 400, 150],
    ))

  it('do not run away from the time of the members', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const parties = [world.party(), world.party()]
      for (let turn = 0; turn < 400; turn += 1) {
        const { manager } = parties[turn % 2] as (typeof parties)[number]
        const lease = await world.finish(manager.acquire('a'))
        const ahead = lease.fence / 1_000 - world.clock.now()
        expect(ahead).to.be.lessThan(100)
        await lease.release()
        if (turn % 20 === 0) await world.clock.advance(10_000)
      }
    }))
})

describe('inspect on a quorum', () => {
  it('reports the votes, and what each member has', () =>
    withWorld({ ttl: TTL, size: 5 }, async (world) => {
      const { manager, members } = world.party()
      world.stores[0]?.set('a', 'theirs', 3_000)
      const lease = await world.finish(manager.acquire('a'))
      members[4]?.fail(DOWN)
      const seen = await world.finish(manager.inspect('a'))
      const { token } = lease
      expect(seen).to.include({ token, votes: 3, lease })
      expect(seen?.members?.map((member) => member.token)).to.deep.equal(['theirs', token, token, token, undefined])
    }))

  it('reports nobody if a majority has no token', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      world.stores[0]?.set('a', 'theirs', TTL)
      expect(await manager.inspect('a')).to.equal(null)
    }))

  it('rejects without a majority', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      members[0]?.fail(DOWN)
      members[1]?.fail(DOWN)
      expect(await caught(world.finish(manager.inspect('a'), 50))).to.be.instanceOf(UnavailableError)
      expect(await caught(world.finish(manager.forceRelease('a'), 50))).to.be.instanceOf(UnavailableError)
    }))
})

describe('a call for permits, a reader or a writer on a quorum', () => {
  it('is refused, and leaves those alone that wait for the same key', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      const held = await world.party().manager.acquire('a')
      const waiting = manager.acquire('a')
      for (const options of [{ permits: 2 }, { mode: 'read' }, { mode: 'write' }] as const) {
        expect(await caught(manager.acquire('a', options))).to.be.instanceOf(TypeError)
      }
      await world.finish(held.release())
      expect(await world.finish(waiting)).to.have.property('held', true)
    }))
})

describe('members of a quorum', () => {
  it('must be different servers', () =>
    withWorld({ ttl: TTL }, async ({ clock, stores }) => {
      const ids = ['one', 'two', 'one']
      const members = stores.map(
        (store, index) => new NamedBackend(`s${index}`, store, { id: ids[index] as string, startedAt: undefined }),
      )
      const manager = new LeaseManager(quorum(members), { clock, ttl: TTL })
      const errors: string[] = []
      manager.on('error', ({ message }) => errors.push(message))
      const error = (await caught(manager.tryAcquire('a'))) as UnavailableError
      expect(error.final).to.equal(true)
      expect(error.message).to.include('Member 1 of 3 (s0) and member 3 of 3 (s2) are the same server')
      await caught(manager.tryAcquire('a'))
      expect(errors).to.have.length(1)
      await manager.close()
    }))

  const one = new MemoryBackend()
  const invalid: readonly [string, () => unknown, string][] = [
    ['no list', () => quorum('redis://localhost' as never), 'Expected `members` to be an array'],
    ['none', () => quorum([]), 'Expected 1 to 31 members, got 0'],
    ['too many', () => quorum(Array.from({ length: 32 }, () => new MemoryBackend())), 'got 32'],
    ['one twice', () => quorum([one, new MemoryBackend(), one]), 'the same as number 1 and 3'],
    ['no connection', () => quorum([one, 7 as never]), 'Expected `connection` to be'],
    [
      'another quorum',
      () => quorum([quorum([one]), new MemoryBackend()]),
      'Expected member 1 to be a backend with `raiseFences`',
    ],
    ['a bad delay', () => quorum([one], { restartDelay: -1 }), 'Expected `restartDelay` to be an integer >= 0'],
    ['no random function', () => quorum([one], { random: 4 as never }), 'Expected `random` to be a function'],
  ]
  for (const [what, make, message] of invalid) {
    it(`are checked: ${what}`, () => {
      expect(make).to.throw(message)
    })
  }

  it('are counted: grants, refusals, round trips', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager } = world.party()
      world.stores[1]?.set('a', 'theirs', 5 * TTL)
      await world.finish(manager.acquire('a'))
      const { members } = manager.stats()
      expect(members.map(({ granted, refused }) => [granted > 0, refused > 0])).to.deep.equal([
        [true, false],
        [false, true],
        [true, false],
      ])
      for (const { name, roundTrip, watching, lag } of members) {
        expect(name).to.match(/^member \d$/)
        expect(roundTrip.count).to.be.greaterThan(0)
        expect(watching).to.equal(true)
        expect(lag).to.be.at.least(0)
      }
    }))

  it('are none if the backend is no quorum', async () => {
    const manager = new LeaseManager(new MemoryBackend({ store: new MemoryStore() }))
    expect(manager.stats().members).to.deep.equal([])
    await manager.close()
  })

  it('connect and disconnect the quorum as a majority comes and goes', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members, backend } = world.party()
      const told: string[] = []
      manager.on('disconnected', () => told.push('disconnected'))
      manager.on('connected', () => told.push('connected'))
      expect(backend.name).to.equal('the quorum of member 1, member 2, member 3')
      members[0]?.fail(DOWN)
      await world.clock.settle()
      expect([told, backend.connected]).to.deep.equal([[], true])
      members[1]?.fail(DOWN)
      await world.clock.settle()
      expect([told, backend.connected]).to.deep.equal([['disconnected'], false])
      expect(backend.fault).to.equal(undefined)
      members[0]?.fail(undefined)
      await world.clock.settle()
      expect(told).to.deep.equal(['disconnected', 'connected'])
    }))

  it('P24 leave no timer when the quorum is closed', () =>
    withWorld({ ttl: TTL }, async (world) => {
      const { manager, members } = world.party()
      await manager.acquire('a')
      members[2]?.fail(DOWN)
      await world.finish(manager.close())
      expect(world.clock.timers).to.equal(0)
    }))
})
