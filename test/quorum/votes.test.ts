import { expect } from 'chai'
import fc from 'fast-check'
import type { AcquireOutcome, ChangeOutcome } from 'leasewheel'
import { EndedTokens } from '#src/quorum/ended-tokens.js'
import { SpentTokens } from '#src/quorum/spent-tokens.js'
import { FenceClock } from '#src/quorum/fence-clock.js'
import { KeyHints } from '#src/quorum/key-hints.js'
import { AcquireVotes, ChangeVotes, majorityOf, viewOf } from '#src/quorum/votes.js'

const DONE: ChangeOutcome = { type: 'done' }
const TAKEN: ChangeOutcome = { type: 'refused', reason: 'taken' }
const MISSING: ChangeOutcome = { type: 'refused', reason: 'missing' }
const UNKNOWN = { type: 'unknown', error: new Error('on purpose') } as const

function granted(fence: number): AcquireOutcome {
  return { type: 'granted', fence }
}

function refused(holder: string, remaining = 1_000): AcquireOutcome {
  return { type: 'refused', holder, remaining, watched: true }
}

function acquireVotes(size: number, answers: readonly (readonly AcquireOutcome[])[]): AcquireVotes {
  const votes = new AcquireVotes(size, size)
  for (const answer of answers) votes.add(answer, true)
  return votes
}

describe('votes of a quorum', () => {
  it('P32 have a majority of all members, whatever the size', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(majorityOf)).to.deep.equal([1, 2, 2, 3, 3, 4, 4])
  })

  it('P32 confirm or lose an entry by a majority only, and are decided once nothing can change', () => {
    const answer = fc.constantFrom(DONE, TAKEN, MISSING, UNKNOWN)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.array(answer, { minLength: 7, maxLength: 7 }), (size, all) => {
        const votes = new ChangeVotes(size)
        const answers = all.slice(0, size)
        const majority = majorityOf(size)
        let early: string | undefined
        for (const outcome of answers) {
          votes.add([outcome])
          if (votes.isDecided(1)) early ??= votes.outcomes(1, () => UNKNOWN.error)[0]?.type
        }
        const count = (type: string): number => answers.filter((outcome) => outcome.type === type).length
        const expected = count('done') >= majority ? 'done' : count('refused') > size - majority ? 'refused' : 'unknown'
        expect(votes.outcomes(1, () => UNKNOWN.error)[0]?.type).to.equal(expected)
        expect(early).to.equal(expected)
      }),
    )
  })

  it('decide each entry of a batch on its own', () => {
    const votes = new ChangeVotes(3)
    votes.add([DONE, MISSING, DONE])
    votes.add([DONE, MISSING, TAKEN])
    expect(votes.isDecided(3)).to.equal(false)
    expect(votes.isDecided(2)).to.equal(true)
    votes.add([DONE, DONE, DONE])
    expect(votes.outcomes(3, () => UNKNOWN.error)).to.deep.equal([DONE, MISSING, DONE])
    expect([0, 1, 2].map((index) => votes.isConfirmed(index))).to.deep.equal([true, false, true])
  })

  it('P32 of members in quarantine do not count for a grant', () => {
    const votes = new AcquireVotes(3, 2)
    votes.add([granted(5)], false)
    votes.add([granted(7)], true)
    expect(votes.isGranted(0)).to.equal(false)
    expect(votes.isDecided(1)).to.equal(false)
    expect(votes.ballot(0)).to.deep.equal({ granted: 1, idle: 1, refused: 0, fence: 7, agreed: 1 })
    votes.add([granted(6)], true)
    expect(votes.isGranted(0)).to.equal(true)
    expect(votes.ballot(0)).to.include({ fence: 7, agreed: 1 })
  })

  it('are decided against a grant once a majority is out of reach', () => {
    const votes = acquireVotes(3, [[refused('x')]])
    expect(votes.isDecided(1)).to.equal(false)
    votes.add(undefined, true)
    expect(votes.isDecided(1)).to.equal(true)
  })

  it('are split if no other has a majority: the one with most votes is ahead, or the smallest token', () => {
    const isAhead = (token: string, ...answers: AcquireOutcome[]): unknown =>
      acquireVotes(
        5,
        answers.map((outcome) => [outcome]),
      ).isAhead(0, token)
    expect(isAhead('b', granted(1), granted(1), refused('a'))).to.equal(true)
    expect(isAhead('b', granted(1), refused('a'), refused('a'))).to.equal(false)
    expect(isAhead('b', granted(1), refused('a'))).to.equal(false)
    expect(isAhead('b', granted(1), refused('c'), refused('d'))).to.equal(true)
    expect(isAhead('b', granted(1), refused('a'), refused('a'), refused('a'))).to.equal(false)
    expect(isAhead('b', refused('a'), refused('c'))).to.equal(false)
    expect(isAhead('b', granted(1), granted(1))).to.equal(false)
  })

  it('report the holder that most members have', () => {
    const votes = acquireVotes(3, [[refused('a', 10)], [refused('b', 20)], [refused('b', 30)]])
    expect(votes.refusal(0, true)).to.deep.equal({ type: 'refused', holder: 'b', remaining: 20, watched: true })
    expect(votes.refusal(0, false)).to.include({ watched: false })
    expect(acquireVotes(3, [[granted(1)]]).refusal(0, true)).to.equal(undefined)
  })

  it('make one view of a key', () => {
    const view = (token: string, remaining: number) => ({ token, remaining })
    expect(viewOf([view('a', 10), view('a', 30), view('b', 20)])).to.deep.equal({ token: 'a', remaining: 10, votes: 2 })
    expect(viewOf([view('a', 10), null, null])).to.equal(null)
    expect(viewOf([view('a', 10), undefined, null])).to.deep.equal({ token: 'a', remaining: 10, votes: 1 })
    expect(viewOf([null, undefined, null])).to.equal(null)
  })
})

describe('the clock of fences', () => {
  it('foresees a fence a little above the fastest member', () => {
    const clock = new FenceClock()
    expect(clock.floor(1_000)).to.equal(0)
    clock.onFence(0, 5_000_000, 0, 1_000)
    clock.onFence(1, 5_300_000, 0, 1_000)
    expect(clock.floor(1_000)).to.equal(5_302_000)
    expect(clock.floor(1_001)).to.equal(5_303_000)
    clock.forget(1)
    expect(clock.floor(1_000)).to.equal(5_002_000)
  })

  it('does not take its own floors for the time of a member', () => {
    const clock = new FenceClock()
    clock.onFence(0, 5_000_000, 0, 1_000)
    for (let now = 1_000; now < 500_000; now += 100) {
      const floor = clock.floor(now)
      clock.onFence(0, floor + 1, floor, now)
    }
    expect(clock.floor(500_000)).to.equal(500_000_000 + 4_002_000)
  })

  it('follows the time of a member that goes faster than ours', () => {
    const clock = new FenceClock()
    for (let now = 0; now < 1_000_000; now += 1_000) clock.onFence(0, now * 1_001 + 10_000_000, 0, now)
    const ahead = clock.floor(1_000_000) - (1_000_000 * 1_001 + 10_000_000)
    expect(ahead).to.be.within(-130_000, 2_000)
  })
})

describe('ended tokens', () => {
  it('are remembered as long as an older question is under way', () => {
    const tokens = new EndedTokens()
    tokens.add('nobody asks')
    const first = tokens.open()
    tokens.add('a')
    const second = tokens.open()
    tokens.add('b')
    expect(['nobody asks', 'a', 'b'].map((token) => tokens.has(token))).to.deep.equal([false, true, true])
    tokens.close(first)
    expect(['a', 'b'].map((token) => tokens.has(token))).to.deep.equal([false, true])
    tokens.add('c')
    tokens.close(second)
    expect(tokens.size).to.equal(0)
  })
})

describe('spent tokens', () => {
  it('are remembered until their time is over, by their last time', () => {
    const tokens = new SpentTokens()
    tokens.add('a', 100)
    tokens.add('b', 200)
    tokens.add('a', 300)
    tokens.forget(250)
    expect(['a', 'b'].map((token) => tokens.has(token))).to.deep.equal([true, false])
    tokens.forget(300)
    expect(tokens.size).to.equal(0)
  })
})

describe('hints of members', () => {
  it('are told once a majority may be free, and once only', () => {
    const hints = new KeyHints(3, 2)
    expect(hints.onChange('a', 0, 0)).to.equal(false)
    expect(hints.onChange('a', 0, 0)).to.equal(false)
    expect(hints.onChange('a', 2, 0)).to.equal(true)
    expect(hints.onChange('a', 1, 0)).to.equal(false)
    expect(hints.size).to.equal(0)
  })

  it('are told at the first change if other members report nothing, or lack the key', () => {
    expect(new KeyHints(3, 2).onChange('a', 0, 0b100)).to.equal(true)
    const hints = new KeyHints(3, 2)
    expect(hints.onAnswered('a', 0b010, 0)).to.equal(false)
    expect(hints.onChange('a', 0, 0)).to.equal(true)
  })

  it('are told again after another question', () => {
    const hints = new KeyHints(3, 2)
    hints.onChange('a', 0, 0)
    expect(hints.onChange('a', 1, 0)).to.equal(true)
    hints.onAsked('a', 0)
    expect(hints.onChange('a', 2, 0)).to.equal(true)
    hints.onChange('b', 0, 0)
    hints.onAsked('b', 0b111)
    expect(hints.size).to.equal(0)
    expect(hints.onChange('b', 1, 0)).to.equal(false)
  })

  it('that came before the answer are told with it', () => {
    const hints = new KeyHints(3, 2)
    expect(hints.onChange('a', 0, 0)).to.equal(false)
    expect(hints.onAnswered('a', 0b010, 0)).to.equal(true)
    expect(hints.onLacks('c', 1, 0)).to.equal(false)
    expect(hints.onChange('c', 0, 0)).to.equal(true)
    hints.forget('c')
    hints.forget('a')
    expect(hints.onAnswered('a', 0, 0)).to.equal(false)
    hints.onAnswered('b', 0b010, 0)
    hints.clear()
    expect(hints.size).to.equal(0)
  })
})
