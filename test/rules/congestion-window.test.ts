import { expect } from 'chai'
import { CongestionWindow } from '#src/rules/congestion-window.js'

const TIMEOUT = 600
const MOST = 16
const FEWEST = 2

/** Answers `count` requests that took `took` ms each, one after another. @returns the time after that. */
function answer(window: CongestionWindow, now: number, took: number, count = 1): number {
  for (let index = 0; index < count; index += 1) {
    window.onAnswered(now, now + took, TIMEOUT)
    now += took
  }
  return now
}

describe('CongestionWindow', () => {
  it('starts at its maximum, without a known round-trip time', () => {
    const window = new CongestionWindow()
    expect(window.limit(0)).to.equal(MOST)
    expect(window.roundTrip).to.equal(0)
  })

  it('P20 subtracts overdue batches, and always leaves room for two', () => {
    const window = new CongestionWindow()
    expect([1, 14, 15, 16, 1_000].map((overdue) => window.limit(overdue))).to.deep.equal([15, FEWEST, FEWEST, 2, 2])
  })

  it('is halved once for all batches in flight that a queue delayed', () => {
    const window = new CongestionWindow()
    let now = answer(window, 0, 10)
    window.onAnswered(now, now + 400, TIMEOUT)
    expect(window.limit(0)).to.equal(MOST / 2)
    window.onAnswered(now + 5, now + 405, TIMEOUT)
    expect(window.limit(0)).to.equal(MOST / 2)
    now += 401
    window.onAnswered(now, now + 400, TIMEOUT)
    expect(window.limit(0)).to.equal(MOST / 4)
    for (let turn = 0; turn < 10; turn += 1) now = answer(window, now + 500, 400)
    expect(window.limit(0)).to.equal(FEWEST)
  })

  it('is not halved by a long round trip', () => {
    const window = new CongestionWindow()
    answer(window, 0, 400, 100)
    expect(window.limit(0)).to.equal(MOST)
  })

  it('is not halved for good by a longer round trip', () => {
    const window = new CongestionWindow()
    let now = answer(window, 0, 100, 10)
    now = answer(window, now, 400, 10)
    expect(window.limit(0)).to.be.lessThan(MOST)
    now = answer(window, now, 400, 150)
    answer(window, now, 400, 150)
    expect(window.limit(0)).to.equal(MOST)
  })

  it('grows by one with each round of answers', () => {
    const window = new CongestionWindow()
    let now = answer(window, 0, 10)
    for (let turn = 0; turn < 10; turn += 1) now = answer(window, now + 500, 400)
    expect(window.limit(0)).to.equal(FEWEST)
    now = answer(window, now, 10, 2)
    expect(window.limit(0)).to.equal(FEWEST)
    now = answer(window, now, 10)
    expect(window.limit(0)).to.equal(FEWEST + 1)
    answer(window, now, 10, 200)
    expect(window.limit(0)).to.equal(MOST)
  })

  it('P20 is halved by a timeout if nothing is answered meanwhile, and only then', () => {
    const window = new CongestionWindow()
    answer(window, 0, 10)
    window.onOverdue(5, 605)
    expect(window.limit(0)).to.equal(MOST)
    window.onOverdue(11, 611)
    expect(window.limit(0)).to.equal(MOST / 2)
    window.onOverdue(12, 612)
    expect(window.limit(0)).to.equal(MOST / 2)
  })

  it('measures the round-trip time, and how much it varies', () => {
    const window = new CongestionWindow()
    let now = answer(window, 0, 100, 200)
    expect(window.roundTrip).to.be.closeTo(100, 1)
    for (let turn = 0; turn < 200; turn += 1) now = answer(window, now, turn % 2 === 0 ? 80 : 120)
    expect(window.roundTrip).to.be.within(120, 160)
  })
})
