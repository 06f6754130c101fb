import { expect } from 'chai'
import { ManualClock } from 'leasewheel/memory'
import { Pause } from '#src/waiting/pause.js'
import { Scheduler } from '#src/time/scheduler.js'

const TICK = 10

/** A pause on a clock that stands still. */
function bench() {
  const clock = new ManualClock()
  const faults: unknown[] = []
  const scheduler = new Scheduler<object>(clock, {
    onDue: () => undefined,
    onTickEnd: () => undefined,
    onFault: (fault) => faults.push(fault),
  })
  return { clock, pause: new Pause(scheduler), faults }
}

describe('a pause', () => {
  it('P22 ends on time, and leaves no timer', async () => {
    const { clock, pause } = bench()
    const rest = pause.rest(100)
    expect(pause.active).to.equal(true)
    await clock.advance(99)
    expect(pause.active).to.equal(true)
    await clock.advance(1 + 2 * TICK)
    expect(await rest).to.equal(true)
    expect(pause.active).to.equal(false)
    expect(clock.timers).to.equal(0)
  })

  it('P22 can be ended early, once, and leaves no timer', async () => {
    const { clock, pause } = bench()
    const rest = pause.rest(100)
    pause.end()
    pause.end()
    expect(await rest).to.equal(false)
    await clock.settle()
    await clock.settle()
    expect([pause.active, clock.timers]).to.deep.equal([false, 0])
  })

  it('P22 an infinite pause has no timer', async () => {
    const { clock, pause } = bench()
    const rest = pause.rest(Number.POSITIVE_INFINITY)
    expect([pause.active, clock.timers]).to.deep.equal([true, 0])
    await clock.advance(1_000_000)
    pause.end()
    expect(await rest).to.equal(false)
  })

  it('P22 can be prolonged, shortened or made Infinity, with at most one timer', async () => {
    const { clock, pause } = bench()
    const rest = pause.rest(100)
    await clock.advance(90)
    pause.reset(100)
    expect(clock.timers).to.equal(1)
    await clock.advance(90)
    expect(pause.active).to.equal(true)
    pause.reset(Number.POSITIVE_INFINITY)
    await clock.settle()
    expect(clock.timers).to.equal(0)
    await clock.advance(1_000)
    pause.reset(10)
    await clock.advance(10 + 2 * TICK)
    expect(await rest).to.equal(true)
    expect(clock.timers).to.equal(0)
  })

  it('a pause cannot be ended before its begin', async () => {
    const { clock, pause } = bench()
    pause.end()
    expect(pause.active).to.equal(false)
    const rest = pause.rest(50)
    await clock.advance(50 + 2 * TICK)
    expect(await rest).to.equal(true)
  })

  it('can be reused any number of times', async () => {
    const { clock, pause } = bench()
    for (let times = 0; times < 3; times += 1) {
      const rest = pause.rest(50)
      await clock.advance(50 + 2 * TICK)
      expect(await rest).to.equal(true)
    }
    expect(clock.timers).to.equal(0)
  })
})
