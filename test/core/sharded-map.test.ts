import { expect } from 'chai'
import fc from 'fast-check'
import { ShardedMap } from '#src/core/sharded-map.js'

describe('ShardedMap', () => {
  it('does what a Map does, whatever is done to it', () => {
    const keys = fc.constantFrom('', 'a', 'b', 'aa', 'order:1', 'order:2', 'x'.repeat(100), '漢字')
    const operation = fc.record({
      name: fc.constantFrom('set', 'get', 'delete'),
      key: fc.oneof(keys, fc.string()),
      value: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const map = new ShardedMap<number>()
        const model = new Map<string, number>()
        for (const { name, key, value } of operations) {
          if (name === 'set') {
            map.set(key, value)
            model.set(key, value)
          } else if (name === 'delete') {
            map.delete(key)
            model.delete(key)
          }
          expect(map.get(key)).to.equal(model.get(key))
          expect(map.size).to.equal(model.size)
        }
        expect([...map.values()]).to.have.members([...model.values()])
      }),
    )
  })

  for (const [shape, keyOf] of [
    ['numbers at the end', (index: number) => `order:${String(index).padStart(8, '0')}`],
    ['numbers in the middle', (index: number) => `user:${String(index).padStart(8, '0')}:lock`],
    ['short numbers', (index: number) => String(index)],
  ] as const) {
    it(`spreads keys with ${shape} so that none of its maps is large`, () => {
      const map = new ShardedMap<number>()
      const sizes = new Map<unknown, number>()
      for (let index = 0; index < 64_000; index += 1) map.set(keyOf(index), index)
      // Those of one shard come one after another, in the order in which they were set: a step back is another shard.
      let shard = 0
      let before = -1
      for (const value of map.values()) {
        if (value < before) shard += 1
        before = value
        sizes.set(shard, (sizes.get(shard) ?? 0) + 1)
      }
      expect(Math.max(...sizes.values())).to.be.lessThan(10_000)
    })
  }

  it('may be changed while its values are come to', () => {
    const map = new ShardedMap<string>()
    for (let index = 0; index < 1_000; index += 1) map.set(`key ${index}`, `key ${index}`)
    const seen: string[] = []
    for (const key of map.values()) {
      seen.push(key)
      map.delete(key)
    }
    expect(seen).to.have.length(1_000)
    expect(map.size).to.equal(0)
  })
})
