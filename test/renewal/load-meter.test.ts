/** The load meter: when an overload begins and ends, and what the server can renew. */
import { expect } from 'chai'
import { ManualClock } from 'leasewheel/memory'
import { LoadMeter } from '#src/renewal/load-meter.js'
import type { LoadReport } from '#src/stats.js'
import { Scheduler } from '#src/time/scheduler.js'

const TTL = 6_000

function bench() {
  const clock = new ManualClock()
  const handler = {
    onDue: () => undefined,
    onTickEnd: () => undefined,
    onFault: (fault: unknown) => expect.fail(String(fault)),
  }
  const reports: LoadReport[] = []
  const meter = new LoadMeter({
    clock,
    scheduler: new Scheduler(clock, handler),
    demand: { behind: 7, demand: 50 },
    tell: (report) => reports.push(report),
  })
  return { clock, meter, reports }
}

describe('LoadMeter', () => {
  it('reports an overload in a turn of its own, never during a send', async () => {
    const { clock, meter, reports } = bench()
    meter.onWaited(TTL / 6 - 1, TTL)
    await clock.settle()
    expect(reports).to.deep.equal([])
    meter.onWaited(TTL / 6, TTL)
    expect(reports).to.deep.equal([])
    await clock.settle()
    expect(reports).to.deep.equal([{ lag: 1 / 6, behind: 7, demand: 50, capacity: 0, overloaded: true }])
  })

  it('does not end an overload while one renewal waits and nothing is sent', async () => {
    const { clock, meter, reports } = bench()
    meter.onWaiting(TTL / 6, TTL)
    await clock.advance(3_500)
    expect(reports.map(({ overloaded }) => overloaded)).to.deep.equal([true, true, true, true])
    expect(reports.at(-1)?.lag).to.be.closeTo(1 / 6 + 3_000 / TTL, 0.01)
    meter.onIdle()
    await clock.advance(2_500)
    expect(reports.map(({ overloaded }) => overloaded)).to.deep.equal([true, true, true, true, false])
    expect(clock.timers).to.equal(0)
  })

  it('counts renewals that are confirmed while others wait, and nothing else', async () => {
    const { clock, meter, reports } = bench()
    meter.onConfirmed(1_000)
    await clock.advance(5_000)
    meter.onWaiting(0, TTL)
    await clock.advance(2_000)
    meter.onConfirmed(300)
    meter.onWaiting(TTL / 6, TTL)
    await clock.settle()
    expect(reports[0]?.capacity).to.equal(150)
  })
})
