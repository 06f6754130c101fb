import { expect } from 'chai'
import { computeFigures } from '../../bench/hold-figures.ts'
import type { HoldMeasurement } from '../../bench/hold-measurement.ts'

const measurement: HoldMeasurement = {
  library: 'leasewheel',
  locks: 1_000,
  ttl: 3_000,
  acquire: { seconds: 0.1 },
  delay: { resolution: 1, p50: 1.1, p99: 2, max: 3 },
  cost: {
    seconds: 2,
    nodeCpu: 4_000,
    server: { cpu: 6_000, received: 140_000, calls: { evalsha: 8, mget: 8, pexpire: 2_000, info: 3 } },
    grown: 200_000,
    collections: 0,
  },
  crowd: null,
  heap: { bytes: 450_000, left: 1_024 },
  timers: { set: 3, told: 1 },
  age: { oldest: 1_020, lag: null },
  end: { held: 1_000, lost: 0, alive: 1_000 },
}

describe('The figures of the hold bench', () => {
  it('tell what a renewal costs, and what a second does', () => {
    expect(computeFigures(measurement)).to.include({
      renewalsPerSecond: 1_000,
      nodeCpu: 2,
      redisCpu: 3,
      nodeLoad: 2,
      redisLoad: 3,
      scriptsPerRenewal: 0.004,
      bytesPerRenewal: 70,
      commandsPerSecond: 4,
      heap: 450,
    })
  })

  it('tell what taking more locks costs while these are held, if that was measured', () => {
    expect(computeFigures(measurement).crowdCpu).to.eql(Number.NaN)
    const crowd = { locks: 200, seconds: 0.01, nodeCpu: 2_000, redisCpu: 500 }
    expect(computeFigures({ ...measurement, crowd })).to.include({ crowdPerSecond: 20_000, crowdCpu: 10 })
  })

  it('count the growth of the heap as allocated only without a collection', () => {
    expect(computeFigures(measurement).allocatedPerRenewal).to.equal(100)
    const collected = { ...measurement, cost: { ...measurement.cost, collections: 1 } }
    expect(computeFigures(collected).allocatedPerRenewal).to.eql(Number.NaN)
  })

  it("use a library’s own count of its timers, and Node's if it has none", () => {
    expect(computeFigures(measurement).timers).to.equal(1)
    expect(computeFigures({ ...measurement, timers: { set: 1_000, told: null } }).timers).to.equal(1_000)
  })

  it('P19 include the latest renewal that a library reports, even if nobody saw it', () => {
    expect(computeFigures(measurement).oldest).to.equal(0.34)
    expect(computeFigures({ ...measurement, age: { oldest: 1_020, lag: 500 } }).oldest).to.equal(0.5)
    expect(computeFigures({ ...measurement, age: { oldest: 1_800, lag: 500 } }).oldest).to.equal(0.6)
  })
})
