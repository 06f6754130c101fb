import { expect } from 'chai'
import fc from 'fast-check'
import { hashed, ownerOf } from '#src/rules/rendezvous.js'
import { randomFrom, runs } from '../support/manager.ts'

const ITEMS = Array.from({ length: 5_000 }, (_, index) => hashed(`tenant:${index}`))

/** The name of the owner of each item. */
function ownersAmong(names: readonly string[]): string[] {
  const members = names.map(hashed)
  return ITEMS.map((item) => ownerOf(item, members).name)
}

function countMoves(before: readonly string[], after: readonly string[]): number {
  return before.filter((owner, index) => owner !== after[index]).length
}

const groups = fc.uniqueArray(fc.uuid(), { minLength: 2, maxLength: 12 })

describe('rendezvous hashing', () => {
  it('names one owner for an item, whatever the order of the members', () =>
    fc.assert(
      fc.property(groups, fc.string(), (names, item) => {
        const members = names.map(hashed)
        const owner = ownerOf(hashed(item), members).name
        expect(names).to.include(owner)
        expect(ownerOf(hashed(item), members.toReversed()).name).to.equal(owner)
      }),
      runs(200),
    ))

  it('moves only the items of a member that leaves, and only to those that stay', () =>
    fc.assert(
      fc.property(groups, (names) => {
        const [gone, ...others] = names
        const [before, after] = [ownersAmong(names), ownersAmong(others)]
        for (const [index, owner] of before.entries()) if (owner !== gone) expect(after[index]).to.equal(owner)
        expect(after).to.not.include(gone)
      }),
      runs(20),
    ))

  it('moves at most 1.1 / n of 5,000 items if one of n joins or leaves', () => {
    // More than 1.1 / n comes by chance once in some thousand times. These names are the same in each run.
    const random = randomFrom(1)
    for (let round = 0; round < 10; round += 1) {
      const names = Array.from({ length: 5 }, () => `member ${random()}`)
      for (let size = 2; size <= names.length; size += 1) {
        const moves = countMoves(ownersAmong(names.slice(0, size - 1)), ownersAmong(names.slice(0, size)))
        expect(moves / ITEMS.length, `${size} members`).to.be.at.most(1.1 / size)
        expect(moves / ITEMS.length, `${size} members`).to.be.at.least(0.9 / size)
      }
    }
  })

  it('has one owner if two members have the same hash', () => {
    const members = ['a', 'b'].map((name) => ({ name, hash: 1 }))
    for (const item of ITEMS.slice(0, 10)) {
      expect(ownerOf(item, members).name).to.equal('b')
      expect(ownerOf(item, members.toReversed()).name).to.equal('b')
    }
  })

  it('spreads items whose names differ in one letter', () => {
    const counts = new Map<string, number>()
    for (const owner of ownersAmong(['a', 'b', 'c', 'd'])) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    expect([...counts.keys()].toSorted()).to.deep.equal(['a', 'b', 'c', 'd'])
    for (const count of counts.values()) expect(count).to.be.within(1_125, 1_375)
  })
})
