import { expect } from 'chai'
import { type Bound, bounds, formatBroken, formatVerdicts, judge } from '../../bench/guard-bounds.ts'
import { computeGuardFigures, type GuardFigures, type GuardRound } from '../../bench/guard-figures.ts'
import type { HoldFigures } from '../../bench/hold-figures.ts'

const good: GuardFigures = {
  nodeCpuRatio: 0.07,
  redisCpuRatio: 0.25,
  heapRatio: 0.5,
  acquireRatio: 0.5,
  renewalsPerScript: 240,
  bytesPerRenewal: 68,
  allocatedPerRenewal: 100,
  timers: 1,
  nodeTimers: 2,
  lost: 0,
}

function holdFigures(figures: Partial<HoldFigures>): HoldFigures {
  const zero: HoldFigures = {
    locks: 0,
    acquiresPerSecond: 0,
    renewalsPerSecond: 0,
    nodeCpu: 0,
    redisCpu: 0,
    nodeLoad: 0,
    redisLoad: 0,
    commandsPerSecond: 0,
    scriptsPerRenewal: 0,
    bytesPerRenewal: 0,
    allocatedPerRenewal: 0,
    heap: 0,
    left: 0,
    delayP50: 0,
    delayP99: 0,
    delayMax: 0,
    timers: 0,
    oldest: 0,
    alive: 0,
    lost: 0,
    crowdPerSecond: 0,
    crowdCpu: 0,
  }
  return { ...zero, ...figures }
}

function round(ours: Partial<HoldFigures>, peer: Partial<HoldFigures>): GuardRound {
  return {
    ours: holdFigures(ours),
    peer: holdFigures(peer),
    nodeTimers: 2,
    bytesPerRenewal: 70,
    acquire: { ours: 5, peer: 10 },
  }
}

describe('The guard', () => {
  it('accepts figures within their bounds', () => {
    const verdicts = judge(good)
    expect(formatBroken(verdicts)).to.deep.equal([])
    expect(formatVerdicts(verdicts)).to.contain('kept').and.not.to.contain('BROKEN')
  })

  for (const { figure, kind, value } of bounds) {
    it(`notices when ${figure} gets worse, and accepts it up to its bound`, () => {
      const worse = kind === 'at most' ? value + 0.01 : value - 0.01
      expect(formatBroken(judge({ ...good, [figure]: value }))).to.deep.equal([])
      expect(formatBroken(judge({ ...good, [figure]: worse }))).to.have.length(1)
    })
  }

  it('reports in one line the broken figure, the excess and the bound', () => {
    const bound: Bound = { figure: 'lost', label: 'locks lost', kind: 'at most', value: 0, decimals: 0 }
    const verdicts = judge({ ...good, lost: 1_234 }, [bound])
    expect(formatBroken(verdicts)).to.deep.equal(['Broken: expected locks lost to be at most 0, got 1,234'])
    expect(formatVerdicts(verdicts)).to.contain('BROKEN')
  })

  it('treats a missing measurement as broken', () => {
    expect(formatBroken(judge({ ...good, allocatedPerRenewal: Number.NaN }))).to.deep.equal([
      'Broken: expected bytes allocated per renewal to be at most 200.0, it could not be measured',
    ])
  })

  it('compares with the peer within a round, and takes the median of the ratios', () => {
    const rounds = [
      round({ nodeCpu: 1, scriptsPerRenewal: 1 / 250 }, { nodeCpu: 10 }),
      // The machine was ten times as slow: nothing is wrong with the ratio.
      round({ nodeCpu: 10, scriptsPerRenewal: 1 / 200 }, { nodeCpu: 100 }),
      round({ nodeCpu: 9, scriptsPerRenewal: 1 / 100 }, { nodeCpu: 10 }),
    ]
    const figures = computeGuardFigures(rounds)
    expect(figures.nodeCpuRatio).to.equal(0.1)
    expect(figures.renewalsPerScript).to.equal(200)
    expect(figures.acquireRatio).to.equal(0.5)
  })

  it('takes the most timers and the most lost locks of all rounds', () => {
    const rounds = [
      round({ timers: 1, lost: 0 }, {}),
      round({ timers: 2, lost: 3 }, {}),
      round({ timers: 1, lost: 0 }, {}),
    ]
    expect(computeGuardFigures(rounds)).to.include({ timers: 2, lost: 3 })
  })
})
