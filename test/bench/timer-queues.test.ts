import { expect } from 'chai'
import fc from 'fast-check'
import { FifoQueue } from '../../bench/timers/fifo-queue.ts'
import { HeapQueue } from '../../bench/timers/heap-queue.ts'
import { passQueue } from '../../bench/timers/passes.ts'
import type { TimerQueue } from '../../bench/timers/timer-queue.ts'
import { WheelQueue } from '../../bench/timers/wheel-queue.ts'

const times = fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { minLength: 1, maxLength: 60 })

/** How many are handed out at each look, every 10 ms, when each entry was put in and then moved. */
function firedBy(queue: TimerQueue, pairs: readonly (readonly [number, number])[]): number[] {
  for (const [entry, [first]] of pairs.entries()) queue.schedule(entry, first * 10)
  for (const [entry, [, second]] of pairs.entries()) queue.reschedule(entry, second * 10)
  return Array.from({ length: 302 }, (_, look) => queue.fire((look + 1) * 10))
}

function expected(pairs: readonly (readonly [number, number])[]): number[] {
  return Array.from({ length: 302 }, (_, look) => {
    return pairs.filter(([, second]) => Math.max(second, 1) === look + 1).length
  })
}

describe('The structures that the wheel is compared with', () => {
  it('return each entry on time after it was moved either way: heap and wheel', () => {
    fc.assert(
      fc.property(times, (pairs) => {
        expect(firedBy(new HeapQueue(pairs.length), pairs)).to.deep.equal(expected(pairs))
        expect(firedBy(new WheelQueue(), pairs)).to.deep.equal(expected(pairs))
      }),
    )
  })

  it('return each entry on time if all have the same ttl: FIFO', () => {
    fc.assert(
      fc.property(times, (pairs) => {
        const ordered = pairs.map(([first]) => first).toSorted((one, other) => one - other)
        const same = ordered.map((first) => [Math.min(first, 200), Math.min(first, 200) + 100] as const)
        expect(firedBy(new FifoQueue(same.length), same)).to.deep.equal(expected(same))
      }),
    )
  })

  it('find every entry if the last of a FIFO was moved before others', () => {
    const queue = new FifoQueue(3)
    for (const entry of [0, 1, 2]) queue.schedule(entry, 10)
    for (const entry of [2, 1, 0]) queue.reschedule(entry, 20)
    expect([queue.fire(10), queue.fire(20), queue.fire(30)]).to.deep.equal([0, 3, 0])
  })

  it('are not measured if they lose an entry', () => {
    const lossy: TimerQueue = { schedule: () => {}, reschedule: () => {}, fire: () => 0 }
    const due = Float64Array.of(10)
    expect(() => passQueue(lossy, due, due, Int32Array.of(0))).to.throw('0 of 1 entries were handed out')
  })
})
