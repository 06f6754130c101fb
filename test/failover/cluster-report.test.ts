import { expect } from 'chai'
import { findClusterBreaches, formatClusterRound, formatClusterTable } from './cluster-report.ts'
import { explainLosses } from './cluster-losses.ts'
import type { ClusterOutcome } from './cluster-messages.ts'
import type { ClusterRound } from './cluster-round.ts'
import { percentile } from './percentile.ts'

const GOOD: ClusterRound = {
  fault: 'kill',
  held: 100,
  lost: 0,
  astray: 0,
  reference: 2_000,
  resumed: 200,
  before: { renewals: 900, lag: 100, events: 0 },
  after: { renewals: 900, lag: 120, events: 0 },
  losses: [],
  scene: { behind: 0, pause: 30, replaced: 0 },
}

describe('the report of failovers in a cluster', () => {
  it('finds no breach at the bounds, and one beyond each of them', () => {
    expect(findClusterBreaches(GOOD)).to.deep.equal([])
    expect(findClusterBreaches({ ...GOOD, lost: 1 })).to.deep.equal(['1 leases lost'])
    expect(findClusterBreaches({ ...GOOD, astray: 2 })).to.have.lengthOf(1)
    expect(findClusterBreaches({ ...GOOD, resumed: 201 })).to.have.lengthOf(1)
    expect(findClusterBreaches({ ...GOOD, resumed: Number.POSITIVE_INFINITY })).to.deep.equal([
      'renewals resumed never after the plain client could write',
    ])
    expect(findClusterBreaches({ ...GOOD, after: { ...GOOD.after, events: 1 } })).to.have.lengthOf(1)
    expect(findClusterBreaches({ ...GOOD, after: { ...GOOD.after, lag: 121 } })).to.have.lengthOf(1)
  })

  it('takes two lags that a timer cannot tell apart for the same', () => {
    const before = { ...GOOD.before, lag: 1 }
    expect(findClusterBreaches({ ...GOOD, before, after: { ...before, lag: 11 } })).to.deep.equal([])
    expect(findClusterBreaches({ ...GOOD, before, after: { ...before, lag: 12 } })).to.have.lengthOf(1)
  })

  it('shows each round, and a row for each fault', () => {
    expect(formatClusterRound(GOOD)).to.contain('100 held before: none lost')
    const rows = formatClusterTable([GOOD, { ...GOOD, lost: 3, reference: 2_500 }]).split('\n')
    expect(rows).to.have.lengthOf(3)
    expect(rows[2]).to.equal('| kill | 2 | 3 of 200 | 2000 to 2500 | 200 | 0 | 100 | 120 |')
  })

  it('tells why leases were lost, and what else had happened', () => {
    const lost = (reason: ClusterOutcome['lost'], lostAt: number): ClusterOutcome => {
      return { key: 'k', token: 't', heldAt: 900, renewedAt: 0, lost: reason, lostAt }
    }
    const outcomes = [lost('expired', 2_500), lost('expired', 1_800), lost('expired', 3_000), lost('missing', 3_100)]
    const kept = { ...lost(undefined, 0), lostAt: undefined }
    const losses = explainLosses([...outcomes, kept], { faultAt: 1_000, wroteAt: 3_000 })
    expect(losses).to.deep.equal([
      { reason: "expired before the plain client's first write", count: 2, first: 800, last: 1_500 },
      { reason: "expired after the plain client's first write", count: 1, first: 2_000, last: 2_000 },
      { reason: "missing after the plain client's first write", count: 1, first: 2_100, last: 2_100 },
    ])
    const scene = { behind: undefined, pause: 812, replaced: 1 }
    const text = formatClusterRound({ ...GOOD, lost: 4, losses, scene })
    expect(text).to.contain("2 expired before the plain client's first write, 800 ms to 1500 ms after the fault")
    expect(text).to.contain(
      'the replica had lost its master, the holder stood still for 812 ms at most, 1 other masters',
    )
  })

  it('knows the value that a share of the numbers does not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect([99, 50, 100].map((percent) => percentile(hundred, percent))).to.deep.equal([99, 50, 100])
    expect(percentile([], 99)).to.equal(0)
  })
})
