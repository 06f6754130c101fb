/** Overload: a server that answers, but more slowly than all the leases need. */
import { expect } from 'chai'
import type { Lease, OverloadEvent } from 'leasewheel'
import { grantAll, type Member, type Stage, TICK, TTL, type Watched, watch, withManager } from '../support/manager.ts'

const COUNT = 120
/** Renewals per ms: as many as are needed, as many as keep all of them alive when each is renewed as late as possible, and too few. */
const NEEDED = COUNT / (TTL / 3)
const BARELY_ENOUGH = COUNT / (TTL * 0.7)
const TOO_FEW = COUNT / (TTL * 2)

interface Loaded extends Stage, Member {
  readonly reports: OverloadEvent[]
}

/** Runs `work` with leases that were renewed often enough to be spread evenly over time. */
function withLeases(work: (loaded: Loaded) => Promise<void>): Promise<void> {
  let drawn = 0
  const random = (): number => (drawn++ * 0.618_033_988_75) % 1
  return withManager({ batchSize: 1, random }, async (stage) => {
    const reports: OverloadEvent[] = []
    stage.manager.on('overload', (report) => reports.push(report))
    await grantAll(stage.manager.acquireMany(Array.from({ length: COUNT }, (_, index) => `key-${index}`)))
    await stage.clock.advance(2 * TTL)
    await work({ ...stage, reports })
  })
}

describe('renewals that keep up', () => {
  it('are no overload, and leave spare capacity', () =>
    withLeases(async ({ manager, backend, clock, reports }) => {
      backend.pace = 2 * NEEDED
      await clock.advance(5 * TTL)
      expect(reports).to.deep.equal([])
      const { load } = manager.stats()
      expect(load).to.include({ overloaded: false })
      expect(load.demand).to.be.closeTo(NEEDED * 1_000, 0.001)
      expect(manager.size).to.equal(COUNT)
    }))
})

describe('renewals that do not keep up', () => {
  it('P19 P21 are late without loss while each lease gets one before its deadline', () =>
    withLeases(async ({ manager, backend, clock }) => {
      backend.pace = BARELY_ENOUGH
      await clock.advance(10 * TTL)
      expect(manager.size).to.equal(COUNT)
    }))

  it('are reported at once and every second with delay, capacity and demand', () =>
    withLeases(async ({ manager, backend, clock, reports }) => {
      backend.pace = BARELY_ENOUGH
      await clock.advance(2 * TTL)
      const [first] = reports
      expect(first?.overloaded).to.equal(true)
      expect(first?.lag).to.be.within(1 / 6, 1 / 3)
      const before = reports.length
      await clock.advance(5_000)
      expect(reports.length - before).to.be.within(4, 6)
      for (const report of reports.slice(before)) {
        expect(report.lag).to.be.within(1 / 6, 2 / 3)
        expect(report.behind).to.be.greaterThan(0)
        expect(report.capacity).to.be.closeTo(BARELY_ENOUGH * 1_000, BARELY_ENOUGH * 100)
        expect(report.demand).to.be.closeTo(NEEDED * 1_000, 0.001)
      }
      expect(manager.stats().load).to.include({ overloaded: true })
    }))

  it('are reported once more when the overload ends', () =>
    withLeases(async ({ manager, backend, clock, reports }) => {
      backend.pace = BARELY_ENOUGH
      await clock.advance(3 * TTL)
      backend.pace = Number.POSITIVE_INFINITY
      await clock.advance(2 * TTL)
      expect(reports.at(-1)).to.include({ overloaded: false, behind: 0 })
      expect(reports.filter(({ overloaded }) => !overloaded)).to.have.length(1)
      expect(manager.stats().load).to.include({ overloaded: false, lag: 0, behind: 0 })
    }))

  it('P18 P21 keep as many leases as the server can renew in time', () =>
    withLeases(async ({ manager, backend, clock, events }) => {
      backend.pace = TOO_FEW
      await clock.advance(5 * TTL)
      const survivors = manager.size
      // What a server renews within a ttl is what can be held; some of it is spent on those that are lost at the beginning.
      expect(survivors).to.be.within(0.5 * TOO_FEW * TTL, TOO_FEW * TTL)
      events.clear()
      await clock.advance(10 * TTL)
      expect(manager.size).to.be.at.least(survivors * 0.9)
    }))

  it('P21 delete no expiring keys of lost leases, to save capacity for others', () =>
    withLeases(async ({ manager, backend, clock }) => {
      backend.pace = TOO_FEW
      await clock.advance(5 * TTL)
      expect(manager.stats().lost.expired).to.be.greaterThan(COUNT / 4)
      expect(backend.calls('release')).to.deep.equal([])
    }))

  it('P15 P20 P22 allow a listener to release leases, and none is forgotten', () =>
    withLeases(async ({ manager, backend, clock, events }) => {
      let shed = false
      manager.on('overload', () => {
        if (shed) return
        shed = true
        // Some of them are about to be sent at this very moment.
        for (const lease of [...manager].filter((_, index) => index % 2 === 0)) void lease.release()
      })
      backend.pace = BARELY_ENOUGH
      await clock.advance(3 * TTL)
      expect(shed).to.equal(true)
      backend.pace = Number.POSITIVE_INFINITY
      await clock.advance(TTL)
      expect(manager.size).to.equal(COUNT / 2)
      expect(events.errors).to.deep.equal([])
      events.clear()
      await clock.advance(TTL)
      const renewed = new Set(events.lines.filter((line) => line.startsWith('renewed')))
      expect(renewed.size, 'leases that are still renewed').to.equal(COUNT / 2)
    }))

  it('P22 leave no timer behind', () =>
    withLeases(async ({ manager, backend, clock }) => {
      backend.pace = TOO_FEW
      await clock.advance(2 * TTL)
      backend.pace = Number.POSITIVE_INFINITY
      for (const lease of manager) void lease.release()
      await clock.advance(2_000 + TICK)
      expect(manager.stats()).to.include({ held: 0, timers: 0 })
    }))
})

describe('a call for many keys on a server that is slow', () => {
  const HELD = 4_000
  /** Keys per ms: twice what the renewals of these need. */
  const PACE = (2 * HELD) / (TTL / 3)
  const COUNT_NEW = 30_000

  /** Holds many, and asks for many more, whose own ttl needs hardly any renewals. */
  async function askForMore(
    { manager, backend, clock }: Member & Pick<Stage, 'clock'>,
    signal?: AbortSignal,
  ): Promise<Watched<(Lease | null)[]>> {
    await grantAll(manager.acquireMany(Array.from({ length: HELD }, (_, index) => `held-${index}`)))
    await clock.advance(2 * TTL)
    backend.pace = PACE
    backend.acquiresAtPace = true
    const keys = Array.from({ length: COUNT_NEW }, (_, index) => `new-${index}`)
    return watch(manager.acquireMany(keys, { ttl: 600_000, ...(signal && { signal }) }))
  }

  it('P21 lets the renewals of what is held pass', () =>
    withManager({}, async (stage) => {
      const { manager, clock } = stage
      const begun = clock.now() + 2 * TTL
      const call = await askForMore(stage)
      while (call.state === 'pending') await clock.advance(20)
      expect(manager.stats()).to.deep.include({ held: HELD + COUNT_NEW })
      expect(manager.stats().lost).to.include({ expired: 0 })
      // The server is busy all the time with one or the other.
      expect(clock.now() - begun).to.be.lessThan((2 * 2 * COUNT_NEW) / PACE)
    }))

  it('P24 rejects at once if it is aborted meanwhile', () =>
    withManager({}, async (stage) => {
      const abort = new AbortController()
      const call = await askForMore(stage, abort.signal)
      while (!stage.manager.stats().load.overloaded) await stage.clock.advance(20)
      expect(call.state).to.equal('pending')
      abort.abort(new Error('enough'))
      await stage.clock.settle()
      expect(String(call.error)).to.equal('Error: enough')
    }))
})
