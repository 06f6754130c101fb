import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers'
import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import sinon from 'sinon'

describe('ManualClock', () => {
  it('stands still until it is moved', async () => {
    const clock = new ManualClock()
    expect(clock.now()).to.equal(1_000_000)
    await new Promise(setImmediate)
    expect(clock.now()).to.equal(1_000_000)
    await clock.advance(5)
    expect(clock.now()).to.equal(1_000_005)
  })

  it('starts at the given time', () => {
    expect(new ManualClock(42).now()).to.equal(42)
  })

  it('fires each timer at its time, and once', async () => {
    const clock = new ManualClock(0)
    const rung: [string, number][] = []
    for (const [name, delay] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
    ] as const) {
      clock.setTimer(() => rung.push([name, clock.now()]), delay)
    }
    expect(clock.timers).to.equal(3)
    await clock.advance(20)
    expect(rung).to.deep.equal([
      ['a', 10],
      ['b', 20],
    ])
    expect(clock.timers).to.equal(1)
    await clock.advance(100)
    expect(rung).to.deep.equal([
      ['a', 10],
      ['b', 20],
      ['c', 30],
    ])
    expect(clock.timers).to.equal(0)
    expect(clock.now()).to.equal(120)
  })

  it('fires timers of one time in the order in which they were set', async () => {
    const clock = new ManualClock()
    const rung: number[] = []
    for (const name of [1, 2, 3]) clock.setTimer(() => rung.push(name), 10)
    await clock.advance(10)
    expect(rung).to.deep.equal([1, 2, 3])
  })

  it('fires timers that are set during a move, at their time', async () => {
    const clock = new ManualClock(0)
    const rung: number[] = []
    const again = (): void => {
      rung.push(clock.now())
      clock.setTimer(again, 10)
    }
    clock.setTimer(again, 10)
    await clock.advance(35)
    expect(rung).to.deep.equal([10, 20, 30])
    expect(clock.timers).to.equal(1)
  })

  it('fires a timer that is due already on the next move, even by 0', async () => {
    const clock = new ManualClock(0)
    const ring = sinon.fake()
    clock.setTimer(ring, 0)
    clock.setTimer(ring, -100)
    expect(ring.callCount).to.equal(0)
    await clock.advance(0)
    expect(ring.callCount).to.equal(2)
    expect(clock.now()).to.equal(0)
  })

  it('fires no cancelled timer', async () => {
    const clock = new ManualClock()
    const ring = sinon.fake()
    const second = clock.setTimer(ring, 10)
    clock.setTimer(() => second.cancel(), 5)
    clock.setTimer(ring, 10).cancel()
    await clock.advance(100)
    expect(ring.callCount).to.equal(0)
    expect(clock.timers).to.equal(0)
    second.cancel()
  })

  it('lets the consequences of a timer run before the next one fires', async () => {
    const clock = new ManualClock(0)
    const happened: string[] = []
    clock.setTimer(() => {
      happened.push('first')
      clock.soon(() => happened.push(`soon at ${clock.now()}`))
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => happened.push(`later at ${clock.now()}`))
    }, 10)
    clock.setTimer(() => happened.push('second'), 11)
    await clock.advance(20)
    expect(happened).to.deep.equal(['first', 'soon at 10', 'later at 10', 'second'])
  })

  it('lets pending work run before it moves', async () => {
    const clock = new ManualClock(0)
    let seen: number | undefined
    clock.soon(() => {
      seen = clock.now()
    })
    expect(seen).to.equal(undefined)
    await clock.advance(10)
    expect(seen).to.equal(0)
  })

  it('jumps without running anything, and fires overdue timers on the next move', async () => {
    const clock = new ManualClock(0)
    const rung: number[] = []
    clock.setTimer(() => rung.push(clock.now()), 10)
    clock.jump(1_000)
    await clock.settle()
    expect(clock.now()).to.equal(1_000)
    expect(rung).to.deep.equal([])
    await clock.advance(1)
    expect(rung).to.deep.equal([1_000])
    expect(clock.now()).to.equal(1_001)
  })

  it('settles without moving', async () => {
    const clock = new ManualClock(0)
    const ring = sinon.fake()
    const soon = sinon.fake()
    clock.setTimer(ring, 0)
    clock.soon(soon)
    await clock.settle()
    expect(clock.now()).to.equal(0)
    expect(soon.callCount).to.equal(1)
    expect(ring.callCount).to.equal(0)
  })

  it('does not go back if a timer jumps beyond the target time', async () => {
    const clock = new ManualClock(0)
    clock.setTimer(() => clock.jump(500), 10)
    await clock.advance(20)
    expect(clock.now()).to.equal(510)
  })
})

describe('fake timers', () => {
  for (const moment of ['before the clock is made', 'after that'] as const) {
    it(`fake timers do not stop a manual clock: installed ${moment}`, async () => {
      let fakes = moment === 'after that' ? undefined : sinon.useFakeTimers()
      try {
        const clock = new ManualClock()
        fakes ??= sinon.useFakeTimers()
        const leases = new LeaseManager(new MemoryBackend({ store: new MemoryStore({ clock }) }), { clock, ttl: 1_000 })
        const lease = await leases.acquire('a')
        await clock.advance(10_000)
        expect(lease.held).to.equal(true)
        await leases.close()
      } finally {
        fakes?.restore()
      }
    })
  }

  it('fake timers in `node:timers` do not stop a manual clock', async () => {
    const { setImmediate } = timers
    try {
      timers.setImmediate = (() => undefined) as unknown as typeof setImmediate
      syncBuiltinESMExports()
      await new ManualClock().advance(10_000)
    } finally {
      timers.setImmediate = setImmediate
      syncBuiltinESMExports()
    }
  })
})
