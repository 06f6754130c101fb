import { expect } from 'chai'
import { Fairness } from '#src/rules/fairness.js'

/** How often the lock is passed on in a row. */
function stretch(turns: Fairness, now = 0): number {
  let count = 0
  while (turns.passOn(now)) count += 1
  return count
}

describe('turns', () => {
  it('are eight at first, and double each time nobody else acquired the lock', () => {
    const turns = new Fairness()
    const stretches: number[] = []
    for (let round = 0; round < 6; round += 1) {
      stretches.push(stretch(turns))
      turns.onUnwanted()
    }
    expect(stretches).to.deep.equal([8, 16, 32, 64, 128, 256])
  })

  it('are eight again if another process acquired it', () => {
    const turns = new Fairness()
    stretch(turns)
    turns.onUnwanted()
    turns.onRefused()
    expect(stretch(turns)).to.equal(8)
    turns.onRefused()
    expect(stretch(turns)).to.equal(8)
    turns.onUnwanted()
    expect(stretch(turns)).to.equal(16)
  })

  it('end after half a second, counted from the first hand-off', () => {
    const turns = new Fairness()
    expect(turns.passOn(10_000)).to.equal(true)
    expect(turns.passOn(10_499)).to.equal(true)
    expect(turns.passOn(10_500)).to.equal(false)
    turns.onUnwanted()
    expect(turns.passOn(10_500)).to.equal(true)
    expect(turns.passOn(10_999)).to.equal(true)
    expect(turns.passOn(11_000)).to.equal(false)
  })

  it('are over until other processes have had theirs', () => {
    const turns = new Fairness()
    stretch(turns)
    expect(turns.passOn(0)).to.equal(false)
    expect(turns.passOn(0)).to.equal(false)
  })

  it('yield the lock as long as others need to learn of it and ask', () => {
    const turns = new Fairness()
    expect(turns.pause).to.equal(5)
    turns.onAnswered(30)
    expect(turns.pause).to.equal(65)
    // One slow answer says nothing about how far away the others are.
    turns.onAnswered(2_000)
    expect(turns.pause).to.equal(65)
  })
})
