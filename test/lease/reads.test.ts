/** Reads emit nothing, and a listener of a loss may call anything: losses are collected, then emitted. */
import { expect } from 'chai'
import type { Lease, LeaseManager } from 'leasewheel'
import { ManualClock } from 'leasewheel/memory'
import { grant, grantAll, heldFor, TTL, withManager } from '../support/manager.ts'

/** Everything that asks without changing anything. */
const READS: Record<string, (manager: LeaseManager, lease: Lease) => unknown> = {
  held: (_, lease) => lease.held,
  remaining: (_, lease) => lease.remaining,
  state: (_, lease) => lease.state,
  signal: (_, lease) => lease.signal,
  get: (manager, lease) => manager.get(lease.key),
  iteration: (manager) => [...manager],
  size: (manager) => manager.size,
  stats: (manager) => manager.stats(),
}

const MANY = 1_500

/** A turn of the event loop ends later than all that was promised in it is kept, as it does on the machine's clock. */
class LateClock extends ManualClock {
  override soon(callback: () => void): void {
    setImmediate(callback)
  }
}

describe('a read', () => {
  for (const [name, read] of Object.entries(READS)) {
    it(`P30 emits nothing while it finds a lease lost: ${name}`, () =>
      withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
        const lease = await grant(manager.tryAcquire('a'))
        const { signal } = lease
        let aborts = 0
        signal.addEventListener('abort', () => {
          aborts += 1
        })
        events.clear()
        clock.jump(heldFor(TTL) + 1)
        read(manager, lease)
        expect(events.lines).to.deep.equal([])
        expect(aborts).to.equal(0)
        await clock.advance(100)
        expect(events.lines).to.deep.equal(['lost a: expired'])
        expect(aborts).to.equal(1)
        expect(lease.signal).to.equal(signal)
      }))
  }

  it('P15 P30 a read of the signal after the loss returns an aborted one', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const before = lease.signal
      clock.jump(TTL)
      const after = lease.signal
      expect(after.aborted).to.equal(true)
      await clock.settle()
      expect(before.aborted).to.equal(true)
      expect(before.reason).to.equal(after.reason)
    }))

  it('P15 a read that finds a loss has it emitted without waiting for the timer', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      expect(lease.held).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))

  it('P14 tells of the loss before the key is acquired again in the same turn', () =>
    withManager({ autoRenew: false, batchSize: 1, clock: new LateClock() }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      expect(lease.held).to.equal(false)
      // A full batch is sent at once, and answered in this turn of the event loop.
      await grant(manager.tryAcquire('a'))
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired', 'acquired a'])
    }))

  it('P14 a read that finds a loss has it emitted before `close` resolves', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const closed = manager.close()
      clock.jump(TTL)
      expect(lease.held).to.equal(false)
      await closed
      expect(events.lines).to.deep.equal(['acquired a', 'lost a: expired'])
    }))
})

describe('a listener of `lost`', () => {
  const ACTS: Record<string, (manager: LeaseManager, leases: readonly Lease[]) => unknown> = {
    'reads all others': (_, leases) => leases.some(({ held }) => held),
    'iterates over the manager': (manager) => [...manager],
    'releases all others': (_, leases) => leases.map((lease) => lease.release()),
    'renews all others': (_, leases) => leases.map((lease) => lease.renew().catch(() => undefined)),
    'detaches all others': (_, leases) => leases.map(detach),
    'acquires all keys again': (manager, leases) => leases.map(({ key }) => manager.tryAcquire(key)),
  }
  for (const [name, act] of Object.entries(ACTS)) {
    it(`P30 a listener that ${name} is called once for each of ${MANY} losses`, () =>
      withManager({ autoRenew: false, watch: false }, async ({ manager, clock, events }) => {
        const told = new Map<string, number>()
        let depth = 0
        let acts = 0
        const leases = await grantAll(manager.acquireMany(Array.from({ length: MANY }, (_, index) => `key-${index}`)))
        manager.on('lost', ({ lease }) => {
          told.set(lease.token, (told.get(lease.token) ?? 0) + 1)
          depth += 1
          expect(depth, 'one inside another').to.equal(1)
          // The first of them finds all others lost.
          if (acts < 2) act(manager, leases)
          acts += 1
          depth -= 1
        })
        clock.jump(TTL)
        await clock.advance(100)
        expect(leases.map(({ token }) => told.get(token))).to.deep.equal(leases.map(() => 1))
        expect(events.takeErrors()).to.deep.equal([])
        await Promise.all([...manager].map((lease) => lease.release()))
        expect(manager.size).to.equal(0)
        const again = await grantAll(manager.acquireMany(leases.map(({ key }) => key)))
        expect(again.every(({ held }) => held)).to.equal(true)
      }))
  }

  it('P30 a listener that reads again on each call is never called inside another', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const leases = await grantAll(manager.acquireMany(Array.from({ length: 1_000 }, (_, index) => `key-${index}`)))
      let depth = 0
      let calls = 0
      manager.on('lost', () => {
        depth += 1
        calls += 1
        expect(depth).to.equal(1)
        expect(leases.some(({ held }) => held)).to.equal(false)
        depth -= 1
      })
      clock.jump(TTL)
      await clock.advance(100)
      expect(calls).to.equal(1_000)
    }))

  it('P30 a loss whose abort listeners release other leases is emitted once for each', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, events }) => {
      const leases = await grantAll(manager.acquireMany(['a', 'b', 'c']))
      for (const lease of leases) {
        lease.signal.addEventListener('abort', () => leases.forEach((other) => void other.release()))
      }
      clock.jump(TTL)
      await clock.advance(100)
      expect(events.lines.slice(3).sort()).to.deep.equal(['lost a: expired', 'lost b: expired', 'lost c: expired'])
    }))
})

function detach(lease: Lease): void {
  try {
    lease.detach()
  } catch {
    // It is lost.
  }
}
