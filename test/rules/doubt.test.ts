import { expect } from 'chai'
import { doubtAfter, grantedAfter, unknownAfter } from '#src/rules/doubt.js'

const TTL = 1_000

describe('a doubt', () => {
  it('counts unanswered requests, until the last key has expired', () => {
    const first = doubtAfter(undefined, 10, TTL)
    expect(first).to.deep.equal({ unanswered: 1, until: 1_010 })
    expect(doubtAfter(first, 20, TTL)).to.deep.equal({ unanswered: 2, until: 1_020 })
    expect(doubtAfter(first, 5, TTL), 'the earlier one is told later').to.deep.equal({ unanswered: 2, until: 1_010 })
  })

  it('is none about requests that were carried out, however many', () => {
    const first = grantedAfter(undefined, 10, TTL)
    expect(first).to.deep.equal({ unanswered: 0, until: 1_010 })
    expect(grantedAfter(first, 20, TTL)).to.deep.equal({ unanswered: 0, until: 1_020 })
    expect(unknownAfter(first, 30, TTL, true)).to.deep.equal({ unanswered: 0, until: 1_030 })
  })

  it('remains about an unanswered request, although a later one was carried out', () => {
    const first = unknownAfter(undefined, 10, TTL)
    expect(first).to.deep.equal({ unanswered: 1, until: 1_010 })
    expect(grantedAfter(first, 20, TTL)).to.deep.equal({ unanswered: 2, until: 1_020 })
    expect(unknownAfter(first, 20, TTL, true)).to.deep.equal({ unanswered: 2, until: 1_020 })
  })
})
