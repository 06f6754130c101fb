/** Keys, tokens and fences as they stand in the store, and what a manager is made from. */
import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend } from 'leasewheel/memory'
import { grant, TTL, withManager, withStage } from '../support/manager.ts'

describe('the key of a lock', () => {
  it('is stored with the prefix `lease:`', () =>
    withManager({}, async ({ manager, store }) => {
      const lease = await grant(manager.tryAcquire('order:42'))
      expect(lease.key).to.equal('order:42')
      expect(store.keys()).to.deep.equal(['lease:order:42'])
    }))

  it('is stored with any other prefix', () =>
    withManager({ prefix: '{jobs}:' }, async ({ manager, store, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      expect(store.keys()).to.deep.equal(['{jobs}:a'])
      await clock.advance(2 * TTL)
      expect(lease.held).to.equal(true)
      expect((await manager.inspect('a'))?.lease).to.equal(lease)
      await lease.release()
      expect(store.keys()).to.deep.equal([])
    }))

  it('is stored as it is without a prefix, so foreign locks exclude ours', () =>
    withManager({ prefix: '' }, async ({ manager, store }) => {
      store.set('a', 'of another library', TTL)
      expect(await manager.tryAcquire('a')).to.equal(null)
      const lease = await grant(manager.tryAcquire('b'))
      expect(store.get('b')).to.equal(lease.token)
    }))

  it('is another lock with another prefix', () =>
    withStage(async ({ open, store }) => {
      const [first, second] = [open({ prefix: 'one:' }), open({ prefix: 'two:' })]
      await grant(first.manager.tryAcquire('a'))
      await grant(second.manager.tryAcquire('a'))
      expect(store.keys()).to.have.members(['one:a', 'two:a'])
    }))

  it('may be any well-formed string', () =>
    withManager({}, async ({ manager, store, clock }) => {
      const keys = [' ', '__proto__', 'constructor', 'a\nb', '\0', 'ключ', '🔑', '{x}', '*', 'lease:', '0', '\uD7FF']
      const leases = await manager.acquireMany(keys)
      expect(leases.map((lease) => lease?.key)).to.deep.equal(keys)
      expect(store.keys()).to.have.members(keys.map((key) => `lease:${key}`))
      await clock.advance(2 * TTL)
      expect(leases.map((lease) => lease?.held)).to.deep.equal(keys.map(() => true))
    }))
})

describe('the token of a lease', () => {
  it('is new for each acquisition, and cannot be guessed', () =>
    withStage(async ({ open }) => {
      const [first, second] = [open(), open()]
      const tokens = new Set<string>()
      for (let round = 0; round < 100; round += 1) {
        for (const { manager } of [first, second]) {
          const lease = await grant(manager.tryAcquire('a'))
          tokens.add(lease.token)
          await lease.release()
        }
      }
      expect(tokens.size).to.equal(200)
      for (const token of tokens) expect(token).to.match(/^[^:]+:\d+:[\w-]{22}$/)
    }))

  it('does not come from `random`', async () => {
    const tokens = new Set<string>()
    for (let round = 0; round < 2; round += 1) {
      await withManager({ random: () => 0.5 }, async ({ manager }) => {
        tokens.add((await grant(manager.tryAcquire('a'))).token)
      })
    }
    expect(tokens.size).to.equal(2)
  })
})

describe('the fence of a lease', () => {
  it('P6 grows from holder to holder: after release, expiry, theft, deletion and flush', () =>
    withStage(async ({ open, clock, store }) => {
      const managers = [open(), open(), open({ autoRenew: false })]
      const fences: number[] = []
      const acquire = async (index: number): Promise<void> => {
        const { manager } = managers[index % managers.length] as (typeof managers)[number]
        fences.push((await grant(manager.tryAcquire('a'))).fence)
      }
      for (let round = 0; round < 30; round += 1) {
        await acquire(round)
        const [lease] = managers.flatMap(({ manager }) => [...manager])
        switch (round % 5) {
          case 0:
            await lease?.release()
            break
          case 1:
            clock.jump(2 * TTL)
            break
          case 2:
            store.delete('lease:a')
            await clock.advance(TTL)
            break
          case 3:
            store.set('lease:a', 'somebody', 100)
            await clock.advance(TTL)
            break
          default:
            // Everything is forgotten, the counter included.
            store.clear()
            await clock.advance(TTL)
        }
      }
      expect(fences).to.have.length(30)
      for (const [index, fence] of fences.entries()) {
        expect(Number.isSafeInteger(fence)).to.equal(true)
        if (index > 0) expect(fence).to.be.greaterThan(fences[index - 1] as number)
      }
    }))

  it('P6 does not change on renewal', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const { fence } = lease
      await clock.advance(5 * TTL)
      expect(lease.fence).to.equal(fence)
    }))

  it('P6 is larger for the holder that follows an unanswered acquire of another', () =>
    withStage(async ({ open, clock, store }) => {
      const [first, second] = [open(), open()]
      first.backend.dropAnswers(true)
      const call = first.manager.acquire('a', { timeout: 100 })
      await clock.advance(50)
      store.delete('lease:a')
      const lease = await grant(second.manager.tryAcquire('a'))
      await lease.release()
      first.backend.dropAnswers(false)
      await clock.advance(1_000)
      expect((await call).fence).to.be.greaterThan(lease.fence)
    }))
})

describe('a manager', () => {
  it('accepts a backend, a client or a URL, and names these for anything else', () => {
    for (const connection of [undefined, null, 5, {}, 'localhost:6379', { duplicate: true }]) {
      expect(() => new LeaseManager(connection as unknown as MemoryBackend)).to.throw(TypeError, '`connection`')
    }
  })

  it('names the option that is invalid', () => {
    const clock = new ManualClock()
    const wrong: [object, typeof TypeError | typeof RangeError, string][] = [
      [{ ttl: 5 }, RangeError, 'Expected `ttl` to be an integer >= 100'],
      [{ ttl: '30s' }, TypeError, '`ttl`'],
      [{ timeout: 20_000, ttl: 10_000 }, RangeError, '`timeout`'],
      [{ wait: -1 }, RangeError, '`wait`'],
      [{ retry: 5 }, TypeError, '`retry`'],
      [{ maxHold: 0 }, RangeError, '`maxHold`'],
      [{ autoRenew: 'yes' }, TypeError, '`autoRenew`'],
      [{ prefix: 5 }, TypeError, '`prefix`'],
      [{ batchSize: 0 }, RangeError, '`batchSize`'],
      [{ batchSize: 1_001 }, RangeError, '`batchSize`'],
      [{ driftFactor: 0.6 }, RangeError, '`driftFactor`'],
      [{ clock: {} }, TypeError, '`clock`'],
      [{ random: 5 }, TypeError, '`random`'],
      [{ tll: 5 }, TypeError, '`tll`'],
    ]
    for (const [options, type, message] of wrong) {
      expect(() => new LeaseManager(new MemoryBackend(), { clock, ...options }), message).to.throw(type, message)
    }
    expect(() => new LeaseManager(new MemoryBackend(), null as unknown as object)).to.throw(TypeError, 'options')
    expect(clock.timers).to.equal(0)
  })

  it('uses the clock of the machine by default', async () => {
    await using manager = new LeaseManager(new MemoryBackend(), { ttl: 60_000 })
    const lease = await grant(manager.tryAcquire('a'))
    expect(lease.remaining).to.be.within(50_000, 60_000)
    expect(await manager.tryAcquire('a')).to.equal(null)
    expect(await lease.release()).to.equal(true)
  })
})
