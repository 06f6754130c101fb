import { expect } from 'chai'
import { findClusterBreaches, formatClusterRound, formatClusterTable } from './cluster-report.ts'
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

  it('knows the value that a share of the numbers does not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect([99, 50, 100].map((percent) => percentile(hundred, percent))).to.deep.equal([99, 50, 100])
    expect(percentile([], 99)).to.equal(0)
  })
})
