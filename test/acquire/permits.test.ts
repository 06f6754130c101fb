/** Permits: a key that so many may hold at a time. */
import { expect } from 'chai'
import { type DetachedLease, type Lease, LeaseLostError, LockNotAcquiredError } from 'leasewheel'
import {
  grant,
  heldFor,
  type Member,
  rejectionOf,
  TICK,
  TTL,
  watch,
  withManager,
  withStage,
} from '../support/manager.ts'

describe('permits', () => {
  it('P33 are as many leases as there are permits, each with its own fence and token', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const calls = Array.from({ length: 5 }, () => watch(manager.acquire('api', { permits: 3, wait: 1_000 })))
      await clock.settle()
      expect(calls.map(({ state }) => state)).to.deep.equal([
        'fulfilled',
        'fulfilled',
        'fulfilled',
        'pending',
        'pending',
      ])
      const leases = calls.slice(0, 3).map(({ value }) => value)
      expect(new Set(leases.map(({ fence }) => fence)).size).to.equal(3)
      expect(new Set(leases.map(({ token }) => token)).size).to.equal(3)
      expect(leases.map(({ key, mode, joint, held }) => [key, mode, joint?.weight, held])).to.deep.equal(
        leases.map(() => ['api', 'permit', 1, true]),
      )
      expect([...(store.sharing('lease:api')?.holders.keys() ?? [])]).to.have.members(leases.map(({ token }) => token))
      expect(manager.size).to.equal(3)
      expect([...manager]).to.have.members(leases)
      expect(events.lines).to.deep.equal(['acquired api', 'acquired api', 'acquired api'])
      await clock.advance(1_000 + 2 * TICK)
      for (const { error } of calls.slice(3)) expect(error).to.be.instanceOf(LockNotAcquiredError)
    }))

  it('travel in one request if they are asked for together', () =>
    withManager({}, async ({ manager, backend }) => {
      await Promise.all(Array.from({ length: 10 }, () => manager.acquire('api', { permits: 10 })))
      expect(backend.requests.acquire).to.equal(1)
    }))

  it('are renewed in the batches of all other leases', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const asked = ['a', 'b'].flatMap((key) => [1, 2, 3].map(() => manager.acquire(key, { permits: 3 })))
      const leases = await Promise.all([...asked, manager.acquire('plain')])
      await clock.advance(20 * TTL)
      expect(leases.every(({ held }) => held)).to.equal(true)
      expect(backend.requests.renew).to.be.at.most(65)
      expect(events.lines).not.to.include('lost a: expired')
      for (const call of backend.calls('renew')) expect(call.entries).to.have.length(7)
    }))

  it('go to waiters in the order of their calls', () =>
    withManager({}, async ({ manager, clock }) => {
      const served: number[] = []
      const calls = Array.from({ length: 30 }, async (_, index) => {
        const lease = await manager.acquire('api', { permits: 3, wait: Number.POSITIVE_INFINITY })
        served.push(index)
        await lease.release()
      })
      await clock.advance(2_000)
      await Promise.all(calls)
      expect(served).to.deep.equal([...served].sort((a, b) => a - b))
    }))

  it('P23 wake a waiter in another process at a release, without a poll', () =>
    withStage(async ({ clock, open }) => {
      const [one, other] = [open(), open()]
      const [lease] = await Promise.all([1, 2].map(() => one.manager.acquire('api', { permits: 2 })))
      const waiting = watch(other.manager.acquire('api', { permits: 2, wait: 60_000 }))
      await clock.settle()
      expect(other.backend.requests.acquire).to.equal(1)
      await lease?.release()
      await clock.settle()
      expect(waiting.value.held).to.equal(true)
      expect(other.backend.requests.acquire).to.equal(2)
    }))

  it('P23 wake the next caller after the release, also where each request leaves at once', () =>
    withManager({ batchSize: 1 }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('api', { permits: 1 }))
      const waiting = watch(manager.acquire('api', { permits: 1, wait: 60_000 }))
      await clock.settle()
      await lease.release()
      await clock.settle()
      expect(waiting.value.held).to.equal(true)
    }))

  it('are shared fairly by processes that all want more than there are', () =>
    withStage(async ({ clock, open }) => {
      const members = [open(), open()]
      const held = await crowd(members, clock, { permits: 4, callers: 12, hold: 20, duration: 10_000 })
      const [fewest, most] = [Math.min(...held), Math.max(...held)]
      expect(fewest).to.be.greaterThan(0.5 * most)
    }))

  it('P33 of a dead process are free at their ttl', () =>
    withStage(async ({ clock, open, store }) => {
      const [dead, alive] = [open(), open()]
      await Promise.all([1, 2].map(() => dead.manager.acquire('api', { permits: 2 })))
      const at = clock.now()
      dead.backend.block()
      const call = watch(alive.manager.acquire('api', { permits: 2, wait: 60_000 }))
      await clock.advance(TTL - TICK)
      expect(call.state).to.equal('pending')
      await clock.advance(3 * TICK)
      expect(call.value.held).to.equal(true)
      expect(clock.now() - at).to.be.at.most(TTL + 2 * TICK)
      expect(store.sharing('lease:api')?.holders.size).to.equal(1)
    }))

  it('P1 end at their deadline if the backend does not answer', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const lease = await manager.acquire('api', { permits: 2 })
      backend.block()
      await clock.advance(heldFor(TTL) + TICK)
      expect(lease.held).to.equal(false)
      expect(lease.signal.reason).to.be.instanceOf(LeaseLostError)
      expect(events.lines).to.include('lost api: expired')
    }))

  it('are lost one by one: the others of the key stay', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const [first, second] = (await Promise.all([1, 2].map(() => manager.acquire('api', { permits: 2 })))) as [
        Lease,
        Lease,
      ]
      const sharing = store.sharing('lease:api') ?? expect.fail('nobody holds it')
      const holders = new Map(sharing.holders)
      holders.delete(first.token)
      store.joint('lease:api', { ...sharing, holders, version: sharing.version + 1 })
      await clock.settle()
      expect(first.held).to.equal(false)
      expect(second.held).to.equal(true)
      expect(events.lines).to.include('lost api: missing')
    }))

  it('P11 leave none behind if an acquisition is not answered', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.dropAnswers(true)
      const call = watch(manager.tryAcquire('api', { permits: 1 }))
      await clock.settle()
      expect(store.sharing('lease:api')?.holders.size).to.equal(1)
      backend.dropAnswers(false)
      await clock.advance(TTL / 6 + TICK)
      expect(call.state).to.equal('rejected')
      expect(store.sharing('lease:api')).to.equal(undefined)
      await grant(manager.tryAcquire('api', { permits: 1 }))
    }))

  it('take their weight', () =>
    withManager({}, async ({ manager }) => {
      const heavy = await grant(manager.tryAcquire('api', { permits: 10, weight: 8 }))
      expect(heavy.joint).to.include({ permits: 10, weight: 8 })
      expect(await manager.tryAcquire('api', { permits: 10, weight: 3 })).to.equal(null)
      await grant(manager.tryAcquire('api', { permits: 10, weight: 2 }))
      await heavy.release()
      await grant(manager.tryAcquire('api', { permits: 10, weight: 8 }))
    }))

  it('exclude a plain lock of the key, and the other way round', () =>
    withManager({}, async ({ manager }) => {
      const permit = await grant(manager.tryAcquire('api', { permits: 10 }))
      expect(await manager.tryAcquire('api')).to.equal(null)
      await permit.release()
      const plain = await grant(manager.tryAcquire('api'))
      expect(await manager.tryAcquire('api', { permits: 10 })).to.equal(null)
      await plain.release()
      await grant(manager.tryAcquire('api', { permits: 10 }))
    }))

  it('wake a plain caller of the same process, and the other way round', () =>
    withManager({}, async ({ manager, clock }) => {
      const permit = await manager.acquire('api', { permits: 1 })
      const plain = watch(manager.acquire('api', { wait: 60_000 }))
      await clock.settle()
      await permit.release()
      await clock.settle()
      expect(plain.value.held).to.equal(true)
      const next = watch(manager.acquire('api', { permits: 1, wait: 60_000 }))
      await clock.settle()
      await plain.value.release()
      await clock.settle()
      expect(next.value.held).to.equal(true)
    }))

  it('P23 wake a caller whose first attempt was under way when one was released here', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const permit = await manager.acquire('api', { permits: 1 })
      backend.there = 20
      backend.back = 20
      const calls = [
        watch(manager.acquire('api', { permits: 1, wait: 60_000 })),
        watch(manager.acquire('api', { wait: 60_000 })),
      ]
      await clock.advance(10)
      void permit.release()
      await clock.advance(200)
      expect(calls.map(({ state }) => state).sort()).to.deep.equal(['fulfilled', 'pending'])
      void calls.find(({ state }) => state === 'fulfilled')?.value.release()
      await clock.advance(200)
      expect(calls.map(({ state }) => state)).to.deep.equal(['fulfilled', 'fulfilled'])
    }))

  it('move to another manager by `detach` and `adopt`, with their fence', () =>
    withStage(async ({ clock, open }) => {
      const [one, other] = [open(), open()]
      const leases = await Promise.all([1, 2].map(() => one.manager.acquire('api', { permits: 2 })))
      const detached = leases.map((lease) => lease.detach())
      const adopted = await Promise.all(
        detached.map((lease) => other.manager.adopt(JSON.parse(JSON.stringify(lease)) as DetachedLease)),
      )
      expect(adopted.map(({ fence }) => fence)).to.deep.equal(leases.map(({ fence }) => fence))
      expect(adopted.map(({ mode }) => mode)).to.deep.equal(['permit', 'permit'])
      await clock.advance(5 * TTL)
      expect(adopted.every(({ held }) => held)).to.equal(true)
      expect(await other.manager.adopt(adopted[0] as Lease)).to.equal(adopted[0])
    }))

  it('run work by `using`, and release afterwards', () =>
    withManager({}, async ({ manager, store }) => {
      let inside = 0
      let most = 0
      const work = async (lease: Lease): Promise<void> => {
        inside += 1
        most = Math.max(most, inside)
        expect(lease.held).to.equal(true)
        await Promise.resolve()
        inside -= 1
      }
      await Promise.all([1, 2, 3].map(() => manager.using('api', work, { permits: 3 })))
      expect(most).to.equal(3)
      expect(store.sharing('lease:api')).to.equal(undefined)
    }))

  it('show who holds them', () =>
    withManager({ owner: 'me' }, async ({ manager }) => {
      const leases = await Promise.all([1, 2].map((weight) => manager.acquire('api', { permits: 3, weight })))
      const seen = await manager.inspect('api')
      expect(seen?.joint?.mode).to.equal('permit')
      expect(seen?.joint?.holders.map(({ owner, weight, lease }) => [owner, weight, lease])).to.have.deep.members([
        ['me', 1, leases[0]],
        ['me', 2, leases[1]],
      ])
      const listed = []
      for await (const lock of manager.list()) listed.push([lock.key, lock.kind, lock.holders])
      expect(listed).to.deep.equal([['api', 'permit', 2]])
    }))

  it('refuse invalid options by name', () =>
    withManager({}, async ({ manager }) => {
      for (const [options, message] of [
        [{ permits: 0 }, 'Expected `permits`'],
        [{ permits: 1.5 }, 'Expected `permits`'],
        [{ weight: 1 }, 'Expected `permits` with `weight`'],
        [{ permits: 2, weight: 3 }, 'Expected `weight`'],
        [{ permits: 2, mode: 'read' }, 'Expected either `mode` or `permits`'],
        [{ mode: 'both' }, 'Expected `mode`'],
      ] as const) {
        expect(String(await rejectionOf(manager.acquire('api', options as never)))).to.include(message)
      }
    }))

  it('are not for calls that take plain locks only', () =>
    withManager({}, async ({ manager, backend }) => {
      const calls: Record<string, (options: object) => unknown> = {
        acquireMany: (options) => manager.acquireMany(['a'], options),
        acquireAll: (options) => manager.acquireAll(['a'], options),
        claim: (options) => manager.claim(['a'], options),
        share: (options) => manager.share(['a'], { group: 'g', ...options }),
        elect: (options) => manager.elect('a', { elected: () => undefined, ...options }),
      }
      for (const [name, call] of Object.entries(calls)) {
        for (const [option, value] of [
          ['permits', 2],
          ['weight', 1],
          ['mode', 'read'],
        ] as const) {
          const error = await rejectionOf((async () => call({ [option]: value }))())
          expect(error).to.be.instanceOf(TypeError)
          expect(String(error)).to.match(
            new RegExp(`^TypeError: Expected options of \`${name}\` .* got \`${option}\`$`),
          )
        }
      }
      expect(backend.requests).to.include({ acquire: 0 })
    }))

  it('are not adopted if what is joint of them is malformed, and the complaint names it', () =>
    withManager({}, async ({ manager, backend }) => {
      const permits = 'Expected `joint.permits` to be an integer >= 1 and <= 1000000 (permits), got'
      for (const [joint, message] of [
        [1, 'Expected `joint` to be an object or undefined, got `1` (number)'],
        [null, 'Expected `joint` to be an object or undefined, got `null`'],
        [{}, "Expected `joint.mode` to be 'permit', 'read' or 'write', got `undefined`"],
        [[], "Expected `joint.mode` to be 'permit', 'read' or 'write', got `undefined`"],
        [{ mode: 'both' }, "Expected `joint.mode` to be 'permit', 'read' or 'write', got `both` (string)"],
        [{ mode: 'permit' }, `${permits} \`undefined\``],
        [{ mode: 'permit', permits: '2', weight: 1 }, `${permits} \`2\` (string)`],
        [
          { mode: 'permit', permits: 2 },
          'Expected `joint.weight` to be an integer >= 1 and <= 2 (permits), got `undefined`',
        ],
      ] as const) {
        const detached = { key: 'api', token: 'token', fence: 1, ttl: 30_000, joint }
        const error = await rejectionOf(manager.adopt(detached as never))
        expect(error).to.be.instanceOf(TypeError)
        expect(error).to.have.property('message', message)
      }
      expect(backend.requests).to.include({ renew: 0 })
    }))
})

/** Callers that take permits again and again. @returns how long all callers of each member held permits together, in ms. */
async function crowd(
  members: readonly Member[],
  clock: { now(): number; advance(ms: number): Promise<unknown>; setTimer(work: () => void, ms: number): unknown },
  settings: { permits: number; callers: number; hold: number; duration: number },
): Promise<number[]> {
  const held = members.map(() => 0)
  const end = clock.now() + settings.duration
  const call = async (index: number): Promise<void> => {
    while (clock.now() < end) {
      const lease = await members[index]?.manager.acquire('api', { permits: settings.permits, wait: 600_000 })
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, settings.hold)
      })
      held[index] = (held[index] ?? 0) + settings.hold
      await lease?.release()
    }
  }
  const calls = members.flatMap((_, index) => Array.from({ length: settings.callers }, () => call(index)))
  await clock.advance(settings.duration + 5_000)
  await Promise.all(calls)
  return held
}
