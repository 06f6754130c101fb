import { expect } from 'chai'
import { explainLimits, isWithin, limitOption } from '../../bench/scale-limit.ts'

describe('The limits of scale', () => {
  it('keep the default for a library that is not named', () => {
    const limits = limitOption.parse('redlock=1_000')
    expect(limits).to.include({ redlock: 1_000, 'redis-semaphore': 300_000 })
  })

  it('reject an unknown library and an invalid number', () => {
    for (const text of ['redlock', 'redlock=', 'redlock=x', 'other=5', 'bare ioredis=5', 'redlock=1=2', '']) {
      expect(limitOption.parse(text), text).to.equal(undefined)
    }
  })

  it('exclude no library up to its limit, and leasewheel never', () => {
    const limits = { redlock: 1_000 }
    expect(isWithin(limits, 'redlock', 1_000)).to.equal(true)
    expect(isWithin(limits, 'redlock', 1_001)).to.equal(false)
    expect(isWithin(limits, 'leasewheel', 1e9)).to.equal(true)
  })

  it('are explained with their own reason if a library stays behind', () => {
    const names = ['leasewheel', 'redis-semaphore', 'redlock'] as const
    const sentences = explainLimits({ ...limitOption.initial, redlock: 5_000 }, names, 1_000_000)
    expect(sentences).to.have.length(2)
    expect(sentences[0]).to.match(/^redis-semaphore is measured up to 300,000 locks: a timer/)
    expect(sentences[1]).to.equal('redlock is measured up to 5,000 locks: as it was told by --limit.')
    expect(explainLimits(limitOption.initial, names, 100_000)).to.deep.equal([])
  })
})
