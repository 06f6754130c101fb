import { expect } from 'chai'
import fc from 'fast-check'
import { endsOfRuns, insertByRank, mergeByRank } from '#src/structures/ranks.js'
import { runs } from '../support/manager.ts'

interface Item {
  readonly rank: number
  readonly id: number
}

const items = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 })

function itemsOf(ranks: readonly number[], first = 0): Item[] {
  return ranks.map((rank, index) => ({ rank, id: first + index }))
}

/** In the order of ranks; `sort` is stable. */
function sorted(list: readonly Item[]): Item[] {
  return [...list].sort((a, b) => a.rank - b.rank)
}

describe('arrays in the order of ranks', () => {
  it('take in items behind those of their rank', () => {
    fc.assert(
      fc.property(items, (ranks) => {
        const all = itemsOf(ranks)
        const ordered: Item[] = []
        for (const item of all) insertByRank(ordered, item)
        expect(ordered).to.deep.equal(sorted(all))
      }),
      runs(200),
    )
  })

  it('merge in order, the items of the first before those of the second', () => {
    fc.assert(
      fc.property(items, items, (some, others) => {
        const [first, second] = [sorted(itemsOf(some)), sorted(itemsOf(others, 100))]
        expect(mergeByRank(first, second)).to.deep.equal(sorted([...first, ...second]))
      }),
      runs(200),
    )
  })

  it('are divided where the rank changes', () => {
    expect(endsOfRuns(itemsOf([]))).to.deep.equal([])
    expect(endsOfRuns(itemsOf([3]))).to.deep.equal([1])
    expect(endsOfRuns(itemsOf([1, 1, 2, 5, 5, 5]))).to.deep.equal([2, 3, 6])
  })
})
