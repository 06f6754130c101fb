import { expect } from 'chai'
import { RouteNumbers } from '#src/redis/cluster/route-numbers.js'

describe('the number of a node', () => {
  it('stays the same while the node is known', () => {
    const numbers = new RouteNumbers()
    expect(['a', 'b', 'a', 'b'].map((name) => numbers.of(name))).to.deep.equal([0, 1, 0, 1])
  })

  it('is given to another once the node is gone, so that there are no more numbers than nodes', () => {
    const numbers = new RouteNumbers()
    for (const name of ['a', 'b', 'c']) numbers.of(name)
    for (let day = 0; day < 1_000; day += 1) {
      numbers.forget(day === 0 ? 'b' : `pod ${day - 1}`)
      expect(numbers.of(`pod ${day}`)).to.equal(1)
    }
    expect([numbers.of('a'), numbers.of('c'), numbers.of('d')]).to.deep.equal([0, 2, 3])
  })

  it('is not given away twice', () => {
    const numbers = new RouteNumbers()
    numbers.of('a')
    for (const name of ['a', 'a', 'nobody']) numbers.forget(name)
    expect(['b', 'c'].map((name) => numbers.of(name))).to.deep.equal([0, 1])
  })
})
