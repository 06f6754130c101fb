import { expect } from 'chai'
import { faultsOf, figuresOf } from './figures.ts'
import type { Told } from './messages.ts'

function told(waits: readonly number[], pending = 0): Told {
  return { kind: 'permit', waits, pending }
}

describe('the figures of `npm run fairness`', () => {
  it('count grants, and compare the callers', () => {
    expect(figuresOf([told([1, 2, 3]), told([4])])).to.deep.equal({
      callers: 2,
      grants: 4,
      fewest: 1,
      most: 3,
      fairness: 0.8,
      mean: 2.5,
      longest: 4,
    })
  })

  it('know a wait that was not over at the end', () => {
    expect(figuresOf([told([1]), told([1], 70)])).to.include({ mean: 1, longest: 70, fairness: 1 })
  })

  it('name a caller that had nothing', () => {
    expect(faultsOf('permit', figuresOf([told([1]), told([], 5)]), {})).to.deep.equal(['permit: a caller had nothing'])
    expect(faultsOf('permit', figuresOf([told([])]), {})).to.deep.equal(['permit: a caller had nothing'])
  })

  it('name too little fairness, and too long a wait', () => {
    const figures = figuresOf([told([1, 1, 1]), told([17])])
    expect(faultsOf('permit', figures, { fairness: 0.79, longest: 4 })).to.deep.equal([])
    expect(faultsOf('permit', figures, { fairness: 0.8, longest: 3 })).to.deep.equal([
      'permit: a fairness of 0.800 is not above 0.8',
      'permit: 17 ms are more than 3 times the mean of 5.0 ms',
    ])
  })
})
