import { expect } from 'chai'
import { combineRounds, median, percentile } from '../../bench/figures.ts'

describe('The figures of several rounds', () => {
  it('are medians, of an even number of rounds too', () => {
    expect(median([3, 1, 2])).to.equal(2)
    expect(median([4, 1, 3, 2])).to.equal(2.5)
    expect(median([])).to.eql(Number.NaN)
  })

  it('are the worst of all rounds if a figure is a promise', () => {
    const rounds = [
      { cost: 1, lost: 0 },
      { cost: 9, lost: 2 },
      { cost: 2, lost: 0 },
    ]
    expect(combineRounds(rounds, { lost: Math.max })).to.deep.equal({ cost: 2, lost: 2 })
  })

  it('have percentiles that occur in the sample', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect(percentile(hundred, 50)).to.equal(50)
    expect(percentile(hundred, 99)).to.equal(99)
    expect(percentile(hundred, 100)).to.equal(100)
    expect(percentile([], 50)).to.eql(Number.NaN)
  })
})
