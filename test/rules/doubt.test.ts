import { expect } from 'chai'
import { doubtAfter, doubtLeft, grantedAfter } from '#src/rules/doubt.js'

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
    expect(doubtLeft(first, { type: 'granted' }, 30, TTL)).to.deep.equal({ unanswered: 0, until: 1_030 })
    expect(doubtLeft(first, { type: 'unknown', landed: true }, 30, TTL)).to.deep.equal({ unanswered: 0, until: 1_030 })
  })

  it('remains about an unanswered request, although a later one was carried out', () => {
    const first = doubtLeft(undefined, { type: 'unknown' }, 10, TTL)
    expect(first).to.deep.equal({ unanswered: 1, until: 1_010 })
    expect(grantedAfter(first, 20, TTL)).to.deep.equal({ unanswered: 2, until: 1_020 })
    expect(doubtLeft(first, { type: 'unknown', landed: true }, 20, TTL)).to.deep.equal({ unanswered: 2, until: 1_020 })
  })

  it('is not added to by a refusal, or by a request that was never sent', () => {
    const first = doubtAfter(undefined, 10, TTL)
    expect(doubtLeft(first, { type: 'refused' }, 20, TTL)).to.equal(first)
    expect(doubtLeft(first, { type: 'unknown' }, undefined, TTL)).to.equal(first)
    expect(doubtLeft(undefined, { type: 'refused' }, 20, TTL)).to.equal(undefined)
  })

  it('ends if the backend itself gives back what the token has', () => {
    const first = doubtAfter(undefined, 10, TTL)
    expect(doubtLeft(first, { type: 'unknown', givenBack: true }, 20, TTL)).to.equal(undefined)
    expect(doubtLeft(first, { type: 'refused', givenBack: true }, 20, TTL)).to.equal(undefined)
  })
})
