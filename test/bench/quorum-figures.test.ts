import { expect } from 'chai'
import type { HoldMeasurement } from '../../bench/hold-measurement.ts'
import { computeFigures as computeHold } from '../../bench/hold-figures.ts'
import { formatRatios, formatScaling, type QuorumHoldFigures } from '../../bench/hold-quorum-report.ts'
import { computeFigures } from '../../bench/quorum-figures.ts'
import { formatCost } from '../../bench/quorum-report.ts'

const counters = (cpu: number) => ({ cpu, received: 0, calls: { evalsha: 8, pexpire: 2_000 } })

const held: HoldMeasurement = {
  library: 'leasewheel',
  locks: 1_000,
  ttl: 3_000,
  acquire: { seconds: 0.1 },
  delay: { resolution: 1, p50: 1, p99: 2, max: 3 },
  cost: {
    seconds: 2,
    nodeCpu: 4_000,
    server: counters(6_000),
    others: [counters(8_000), counters(2_000)],
    grown: 0,
    collections: 0,
  },
  crowd: null,
  heap: { bytes: 450_000, left: 0 },
  timers: { set: 1, told: 1 },
  age: { oldest: 1_000, lag: null },
  end: { held: 1_000, lost: 0, alive: 1_000 },
}

const figures = (of: Partial<QuorumHoldFigures> = {}): QuorumHoldFigures => ({ ...computeHold(held), kept: 1, ...of })

describe('The figures of quorums in the bench', () => {
  it('count the CPU of the server that needs most', () => {
    expect(computeHold(held)).to.include({ redisCpu: 4, redisLoad: 4, nodeCpu: 2, renewalsPerSecond: 1_000 })
  })

  it('compare leasewheel on the quorum with each other row, per renewal', () => {
    const text = formatRatios([
      { label: 'leasewheel, one server', figures: figures({ nodeCpu: 1, redisCpu: 4 }) },
      { label: 'leasewheel', figures: figures() },
      { label: 'redlock', figures: figures({ nodeCpu: 40, redisCpu: 8 }) },
    ])
    expect(text).to.equal(
      'leasewheel to leasewheel, one server, CPU per renewal: Node 2.00, each server at most 1.00\n' +
        'leasewheel to redlock, CPU per renewal: Node 0.05, each server at most 0.50',
    )
    expect(formatRatios([{ label: 'redlock', figures: figures() }])).to.include('No ratio')
  })

  it('name a row that holds fewer locks, and one that cannot keep up', () => {
    const rows = [
      { label: 'leasewheel', figures: figures() },
      { label: 'redlock', figures: figures({ locks: 500, alive: 500 }) },
      { label: 'redis-semaphore', figures: figures({ kept: 0.5, lost: 3, alive: 990 }) },
    ]
    expect(formatScaling(rows, 1_000)).to.deep.equal([
      'redlock held 500 locks, and not 1,000: compare what a renewal costs.',
      'redis-semaphore could not keep up with 1,000 locks: 50 % of the renewals that were due, 3 locks lost, 10 keys missing.',
    ])
  })

  it('tell what a member that hangs costs an acquire, and who does not get one', () => {
    const whole = { latencies: [100, 200, 300], stuck: 0 }
    const slower = computeFigures({ whole, hung: { latencies: [150, 220, 350], stuck: 0 } })
    expect(slower).to.include({ wholeMean: 200, wholeP50: 200, wholeP99: 300, hungMean: 240, acquires: 3, stuck: 0 })
    const stuck = computeFigures({ whole, hung: { latencies: [], stuck: 4 } })
    expect(stuck.hungMean).to.eql(Number.NaN)
    const rows = [
      { label: 'a', figures: slower },
      { label: 'b', figures: stuck },
    ]
    expect(formatCost(rows, 5_000)).to.equal(
      'a, one hangs to all members: mean 1.20, median 1.10\n' +
        'b, one hangs: an acquire or a release was not done after 5,000 ms',
    )
  })
})
