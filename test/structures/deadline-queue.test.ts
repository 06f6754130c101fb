import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import fc from 'fast-check'
import { DeadlineQueue } from '#src/structures/deadline-queue.js'

interface Item {
  readonly deadline: number
  wanted: boolean
}

function queueOf(deadlines: readonly number[], slack = 0): DeadlineQueue<Item> {
  const queue = new DeadlineQueue<Item>(slack)
  for (const deadline of deadlines) queue.add({ deadline, wanted: true })
  return queue
}

function isWanted(item: Item): boolean {
  return item.wanted
}

/** Takes out up to `count` items that are wanted. */
function take(queue: DeadlineQueue<Item>, count = Number.POSITIVE_INFINITY): Item[] {
  const taken: Item[] = []
  for (let item = queue.peek(isWanted); item !== undefined && taken.length < count; item = queue.peek(isWanted)) {
    queue.shift()
    taken.push(item)
  }
  return taken
}

function deadlinesOf(items: readonly Item[]): number[] {
  return items.map(({ deadline }) => deadline)
}

describe('DeadlineQueue', () => {
  it('has nothing if it is empty', () => {
    const queue = queueOf([])
    expect(queue.size).to.equal(0)
    expect(queue.peek(isWanted)).to.equal(undefined)
  })

  it('returns the nearest deadline first', () => {
    expect(deadlinesOf(take(queueOf([30, 10, 20])))).to.deep.equal([10, 20, 30])
  })

  it('looks at the first without taking it', () => {
    const queue = queueOf([20, 10])
    expect(queue.peek(isWanted)).to.equal(queue.peek(isWanted))
    expect(queue.size).to.equal(2)
    queue.shift()
    expect(queue.peek(isWanted)?.deadline).to.equal(20)
    expect(queue.size).to.equal(1)
  })

  it('puts later additions in their place among waiting items', () => {
    const queue = queueOf([10, 20, 30, 40])
    expect(deadlinesOf(take(queue, 2))).to.deep.equal([10, 20])
    for (const deadline of [35, 5]) queue.add({ deadline, wanted: true })
    expect(deadlinesOf(take(queue))).to.deep.equal([5, 30, 35, 40])
  })

  it('drops unwanted items, and only when their turn comes', () => {
    const queue = new DeadlineQueue<Item>(0)
    const items = [1, 2, 3, 4].map((deadline) => ({ deadline, wanted: true }))
    for (const item of items) queue.add(item)
    for (const index of [0, 1, 3]) (items[index] as Item).wanted = false
    expect(queue.size).to.equal(4)
    expect(queue.peek(isWanted)).to.equal(items[2])
    expect(queue.size).to.equal(2)
    queue.shift()
    expect(queue.peek(isWanted)).to.equal(undefined)
    expect(queue.size).to.equal(0)
  })

  it('works again after it was emptied', () => {
    const queue = queueOf([3, 1])
    take(queue)
    expect(queue.size).to.equal(0)
    for (const deadline of [9, 2]) queue.add({ deadline, wanted: true })
    expect(deadlinesOf(take(queue))).to.deep.equal([2, 9])
  })

  it('returns nothing from an empty queue', () => {
    const queue = queueOf([])
    queue.shift()
    expect(queue.size).to.equal(0)
    queue.add({ deadline: 1, wanted: true })
    expect(deadlinesOf(take(queue))).to.deep.equal([1])
  })

  it('ignores an order that is wrong by less than its slack', () => {
    expect(deadlinesOf(take(queueOf([100, 91, 105, 96], 10)))).to.deep.equal([100, 91, 105, 96])
  })

  it('corrects many small steps that add up to more than its slack', () => {
    const deadlines = Array.from({ length: 100 }, (_, index) => 1_000 - index * 9)
    expect(deadlinesOf(take(queueOf(deadlines, 10)))).to.deep.equal(deadlines.toReversed())
  })

  it('returns everything once, in order within its slack, for any sequence of calls', () => {
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.record({ type: fc.constant('add' as const), deadline: fc.nat(200) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('take' as const), count: fc.nat(6) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('drop' as const), index: fc.nat(100) }) },
    )
    const operations = fc.array(operation, { maxLength: 80, size: 'max' })
    fc.assert(
      fc.property(fc.constantFrom(0, 10), operations, (slack, steps) => {
        const queue = new DeadlineQueue<Item>(slack)
        const waiting = new Set<Item>()
        for (const step of steps) {
          switch (step.type) {
            case 'add': {
              const item = { deadline: step.deadline, wanted: true }
              queue.add(item)
              waiting.add(item)
              break
            }
            case 'drop': {
              const item = [...waiting][step.index % Math.max(waiting.size, 1)]
              if (item) item.wanted = false
              break
            }
            case 'take': {
              const expected = Math.min(step.count, [...waiting].filter(isWanted).length)
              const taken = take(queue, step.count)
              expect(taken.length).to.equal(expected)
              for (const item of taken) {
                expect(item.wanted).to.equal(true)
                expect(waiting.delete(item), 'handed out once').to.equal(true)
                for (const other of waiting) {
                  if (other.wanted) expect(item.deadline).to.be.at.most(other.deadline + slack)
                }
              }
              break
            }
            default:
              step satisfies never
          }
        }
        expect(take(queue)).to.have.members([...waiting].filter(isWanted))
        expect(queue.size).to.equal(0)
      }),
      { seed: 77, numRuns: 300 },
    )
  })

  it('P25 releases returned items, even if it never becomes empty', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const queue = queueOf(Array.from({ length: 10 }, () => 0))
    const handedOut: WeakRef<Item>[] = []
    for (let deadline = 0; deadline < 10_000; deadline += 1) {
      queue.add({ deadline, wanted: true })
      handedOut.push(...take(queue, 1).map((item) => new WeakRef(item)))
    }
    // What a WeakRef was made for lives at least until the end of that turn.
    await new Promise(setImmediate)
    collectGarbage()
    expect(queue.size).to.equal(10)
    expect(handedOut.filter((reference) => reference.deref() !== undefined).length).to.be.at.most(10)
  })
})
