import { expect } from 'chai'
import { Turns } from '#src/turns.js'

/** How often the lock is passed on in a row. */
function stretch(turns: Turns, now = 0): number {
  let count = 0
  while (turns.passOn(now)) count += 1
  return count
}

describe('turns', () => {
  it('are eight at first, and twice as many each time nobody else took the lock, up to 64', () => {
    const turns = new Turns()
    const stretches: number[] = []
    for (let round = 0; round < 6; round += 1) {
      stretches.push(stretch(turns))
      turns.onUnwanted()
    }
    expect(stretches).to.deep.equal([8, 16, 32, 64, 64, 64])
  })

  it('are one while others want it, and grow again when they do not', () => {
    const turns = new Turns()
    stretch(turns)
    turns.onUnwanted()
    turns.onRefused()
    expect(stretch(turns)).to.equal(1)
    turns.onRefused()
    expect(stretch(turns)).to.equal(1)
    turns.onUnwanted()
    expect(stretch(turns)).to.equal(2)
    turns.onUnwanted()
    expect(stretch(turns)).to.equal(4)
  })

  it('take a second at most, from the first time the lock is passed on', () => {
    const turns = new Turns()
    expect(turns.passOn(10_000)).to.equal(true)
    expect(turns.passOn(10_999)).to.equal(true)
    expect(turns.passOn(11_000)).to.equal(false)
    turns.onUnwanted()
    expect(turns.passOn(11_000)).to.equal(true)
    expect(turns.passOn(11_999)).to.equal(true)
    expect(turns.passOn(12_000)).to.equal(false)
  })

  it('are over until others have had theirs', () => {
    const turns = new Turns()
    stretch(turns)
    expect(turns.passOn(0)).to.equal(false)
    expect(turns.passOn(0)).to.equal(false)
  })

  it('leave the lock to others for as long as they need to hear of it and to ask for it', () => {
    const turns = new Turns()
    expect(turns.pause).to.equal(5)
    turns.roundTrip = 30
    expect(turns.pause).to.equal(65)
  })
})
