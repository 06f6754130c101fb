import { expect } from 'chai'
import fc from 'fast-check'
import { KeyTable } from '#src/structures/key-table.js'

interface Entry {
  readonly key: string
  readonly value: number
}

const SEEDS = [0, 0.37, 0.5, 1 - Number.EPSILON]

describe('KeyTable', () => {
  it('behaves like a Map under any operations', () => {
    const keys = fc.constantFrom('', 'a', 'b', 'aa', 'order:1', 'order:2', 'x'.repeat(100), '漢字')
    const operation = fc.record({
      // Twice as many come as go, so that the tables grow.
      name: fc.constantFrom('set', 'claim', 'get', 'delete'),
      key: fc.oneof(keys, fc.nat({ max: 3_000 }).map(String)),
      value: fc.nat(),
    })
    fc.assert(
      fc.property(
        fc.constantFrom(...SEEDS),
        fc.array(operation, { maxLength: 3_000, size: 'max' }),
        (seed, operations) => {
          const table = new KeyTable<Entry>(seed)
          const model = new Map<string, Entry>()
          for (const { name, key, value } of operations) {
            if (name === 'set') {
              const entry = { key, value }
              expect(table.set(entry)).to.equal(model.get(key))
              model.set(key, entry)
            } else if (name === 'claim') {
              const entry = { key, value }
              expect(table.claim(entry)).to.equal(model.get(key))
              if (!model.has(key)) model.set(key, entry)
            } else if (name === 'delete') {
              expect(table.delete({ key, value })).to.equal(false)
              const entry = model.get(key)
              if (entry) expect(table.delete(entry)).to.equal(true)
              model.delete(key)
            }
            expect(table.get(key)).to.equal(model.get(key))
            expect(table.size).to.equal(model.size)
          }
          for (const [key, entry] of model) expect(table.get(key)).to.deep.equal(entry)
          expect(new Set([...table.values()].map(({ key }) => key))).to.deep.equal(new Set(model.keys()))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('finds every remaining entry after any growth and shrinking', () => {
    for (const seed of SEEDS) {
      const table = new KeyTable<Entry>(seed)
      for (let value = 0; value < 50_000; value += 1) table.set({ key: `key ${value}`, value })
      for (const entry of table.values()) if (entry.value % 100 !== 0) table.delete(entry)
      expect(table.size).to.equal(500)
      for (let value = 0; value < 50_000; value += 1) {
        expect(table.get(`key ${value}`)?.value).to.equal(value % 100 === 0 ? value : undefined)
      }
      expect([...table.values()]).to.have.length(500)
    }
  })

  it('keeps its size while entries come and go', () => {
    const table = new KeyTable<Entry>(0.37)
    for (let value = 0; value < 200_000; value += 1) {
      table.set({ key: `key ${value}`, value })
      const old = table.get(`key ${value - 10}`)
      if (old) table.delete(old)
    }
    expect([...table.values()].map(({ value }) => value)).to.have.members(
      Array.from({ length: 10 }, (_, index) => 199_990 + index),
    )
  })

  for (const [shape, keyOf] of [
    ['numbers at the end', (index: number) => `order:${String(index).padStart(8, '0')}`],
    ['numbers in the middle', (index: number) => `user:${String(index).padStart(8, '0')}:lock`],
    ['short numbers', (index: number) => String(index)],
    ['one character of two bytes', (index: number) => String.fromCodePoint(index)],
  ] as const) {
    it(`spreads keys with ${shape} so that no part of it is large`, () => {
      for (const seed of SEEDS) {
        const table = new KeyTable<Entry>(seed)
        for (let value = 0; value < 55_000; value += 1) table.set({ key: keyOf(value), value })
        // Those of one part come one after another, in the order in which they came: a step back is another part.
        const sizes = [0]
        let before = -1
        for (const { value } of table.values()) {
          if (value < before) sizes.push(0)
          before = value
          sizes[sizes.length - 1] = (sizes.at(-1) as number) + 1
        }
        expect(Math.max(...sizes)).to.be.lessThan(5 * (55_000 / 64))
      }
    })
  }

  it('can be changed during an iteration over its values', () => {
    const table = new KeyTable<Entry>(0.37)
    for (let value = 0; value < 1_000; value += 1) table.set({ key: `key ${value}`, value })
    const seen: string[] = []
    for (const entry of table.values()) {
      seen.push(entry.key)
      table.delete(entry)
      table.set({ key: `other ${entry.key}`, value: 0 })
    }
    expect(seen.filter((key) => key.startsWith('key'))).to.have.length(1_000)
    expect(new Set(seen).size).to.equal(seen.length)
    expect(table.size).to.equal(1_000)
  })
})
