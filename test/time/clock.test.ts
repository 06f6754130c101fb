import { expect } from 'chai'
import fc from 'fast-check'
import { SystemClock, type TimeSources } from 'leasewheel'
import sinon from 'sinon'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
/** What was slept counts for so much longer, in ms: the boot-time clock may be behind. */
const BEHIND = 10

/** A machine with three clocks, and all that may happen to them. */
class Machine implements TimeSources {
  #monotonic = 123_456.789
  #wall = 1_750_000_000_000
  #boot = 987_650
  /** How exact the boot-time clock is, in ms. */
  readonly #coarseness: number
  /** What happens the next time that clock is read, right before or right after. */
  onRead: { clock: keyof TimeSources; before?: () => void; after?: () => void } | undefined
  /** How often the boot-time clock was asked. */
  bootReads = 0

  constructor(coarseness = 0) {
    this.#coarseness = coarseness
  }

  readonly monotonic = (): number => this.#read('monotonic', () => this.#monotonic)

  readonly wall = (): number => this.#read('wall', () => Math.floor(this.#wall))

  readonly boot = (): number => {
    this.bootReads += 1
    return this.#read('boot', () =>
      this.#coarseness === 0 ? this.#boot : Math.floor(this.#boot / this.#coarseness) * this.#coarseness,
    )
  }

  /** Time passes. `slew`: how much of it the wall clock leaves out or adds. */
  run(duration: number, slew = 0): void {
    this.#monotonic += duration
    this.#boot += duration
    this.#wall += duration * (1 + slew)
  }

  /** Time passes while the machine sleeps. */
  suspend(duration: number): void {
    this.#boot += duration
    this.#wall += duration
  }

  /** Somebody sets the wall clock. */
  step(by: number): void {
    this.#wall += by
  }

  #read(clock: keyof TimeSources, read: () => number): number {
    const event = this.onRead?.clock === clock ? this.onRead : undefined
    if (event) this.onRead = undefined
    event?.before?.()
    const time = read()
    event?.after?.()
    return time
  }
}

function setUp(coarseness?: number): { machine: Machine; clock: SystemClock; elapsed: () => number } {
  const machine = new Machine(coarseness)
  const clock = new SystemClock(machine)
  const start = clock.now()
  return { machine, clock, elapsed: () => clock.now() - start }
}

describe('SystemClock', () => {
  it('counts elapsed time', () => {
    const { machine, elapsed } = setUp()
    machine.run(1_234.5)
    expect(elapsed()).to.be.closeTo(1_234.5, 1e-6)
  })

  it('reads the boot-time clock at most once in 50 ms while the others agree', () => {
    const { machine, clock } = setUp()
    const { bootReads } = machine
    for (let reading = 0; reading < 10_000; reading += 1) {
      machine.run(0.1)
      clock.now()
    }
    expect(machine.bootReads - bootReads).to.be.within(19, 20)
  })

  it('reads the boot-time clock once for each step of the wall clock', () => {
    const { machine, clock } = setUp()
    for (const step of [HOUR, -HOUR, 251]) {
      const { bootReads } = machine
      machine.step(step)
      for (let reading = 0; reading < 10; reading += 1) clock.now()
      expect(machine.bootReads).to.equal(bootReads + 1)
    }
  })

  for (const [direction, step] of [
    ['forward', HOUR],
    ['back', -HOUR],
    ['forward by less than it tolerates', 249],
    ['back by just more than it tolerates', -251],
  ] as const) {
    it(`P8 does not move if the wall clock steps ${direction}`, () => {
      const { machine, elapsed } = setUp()
      for (let round = 1; round <= 10; round += 1) {
        machine.step(step)
        expect(elapsed()).to.be.closeTo((round - 1) * SECOND, 1e-6)
        machine.run(SECOND)
        expect(elapsed()).to.be.closeTo(round * SECOND, 1e-6)
      }
    })
  }

  it('P8 counts a minute in which the machine was suspended', () => {
    const { machine, elapsed } = setUp()
    machine.run(SECOND)
    machine.suspend(MINUTE)
    expect(elapsed()).to.be.closeTo(MINUTE + SECOND + BEHIND, 1e-6)
    machine.run(SECOND)
    machine.suspend(MINUTE)
    expect(elapsed()).to.be.closeTo(2 * (MINUTE + SECOND) + BEHIND, 1e-6)
  })

  for (const [direction, step] of [
    ['forward', HOUR],
    ['back', -HOUR],
  ] as const) {
    it(`P8 counts a minute of suspend, even if the wall clock moved ${direction} an hour`, () => {
      const { machine, elapsed } = setUp()
      machine.suspend(MINUTE)
      machine.step(step)
      expect(elapsed()).to.be.closeTo(MINUTE + BEHIND, 1e-6)
      machine.run(SECOND)
      expect(elapsed()).to.be.closeTo(MINUTE + SECOND + BEHIND, 1e-6)
    })

    it(`P8 counts a suspend that follows the step of the wall clock an hour ${direction}`, () => {
      const { machine, elapsed } = setUp()
      machine.step(step)
      expect(elapsed()).to.be.closeTo(0, 1e-6)
      machine.suspend(MINUTE)
      expect(elapsed()).to.be.closeTo(MINUTE + BEHIND, 1e-6)
    })
  }

  it('P1 P8 never counts less than was slept, wherever the steps of the boot-time clock are', () => {
    for (let offset = 0; offset < 10; offset += 1) {
      for (const coarseness of [10, SECOND]) {
        const { machine, elapsed } = setUp(coarseness)
        const before = (offset * coarseness) / 10
        machine.run(before)
        for (let round = 1; round <= 3; round += 1) {
          machine.suspend(2_345)
          expect(elapsed()).to.be.within(before + round * 2_345, before + round * 2_345 + 2 * coarseness)
        }
      }
    }
  })

  for (const left of [0, 249, -249]) {
    it(`P8 counts, 50 ms later, a suspend that a clock step hides but for ${left} ms`, () => {
      for (const coarseness of [0, 10, SECOND]) {
        const { machine, elapsed } = setUp(coarseness)
        machine.run(777)
        elapsed()
        machine.suspend(6_445)
        machine.step(left - 6_445)
        machine.run(50)
        const most = 2 * Math.max(coarseness, BEHIND)
        expect(elapsed()).to.be.within(777 + 6_445 + 50, 777 + 6_445 + 50 + most)
        machine.run(SECOND)
        expect(elapsed()).to.be.within(777 + 6_445 + 50 + SECOND, 777 + 6_445 + 50 + SECOND + most)
      }
    })
  }

  it('P8 is not moved by the rounding of a boot-time clock in whole seconds', () => {
    const { machine, elapsed } = setUp(SECOND)
    for (let passed = 10; passed <= MINUTE; passed += 10) {
      machine.run(10)
      expect(elapsed()).to.be.closeTo(passed, 1e-6)
    }
  })

  it('P8 counts short suspends once they add up to more than it tolerates', () => {
    const { machine, elapsed } = setUp()
    for (let round = 1; round <= 100; round += 1) {
      machine.suspend(100)
      expect(elapsed()).to.be.within(round * 100 - 250, round * 100 + BEHIND + 1)
    }
  })

  it('P8 is not moved by a wall clock that is slewed slowly, however far', () => {
    for (const slew of [0.0005, -0.0005, 0.1, -0.1]) {
      const { machine, elapsed } = setUp()
      for (let minute = 1; minute <= 24 * 60; minute += 1) {
        machine.run(MINUTE, slew)
        expect(elapsed()).to.be.closeTo(minute * MINUTE, 1e-3)
      }
    }
  })

  it('P8 counts a suspend, and less than two seconds more, with a boot-time clock in seconds', () => {
    const { machine, elapsed } = setUp(SECOND)
    let passed = 0
    for (let round = 0; round < 100; round += 1) {
      machine.run(777)
      passed += 777
      machine.step(round % 2 === 0 ? HOUR : -HOUR)
      expect(elapsed()).to.be.within(passed - 1, passed + 2 * SECOND)
    }
    machine.suspend(MINUTE)
    passed += MINUTE
    expect(elapsed()).to.be.within(passed, passed + 2 * SECOND)
  })

  for (const clockRead of ['wall', 'boot'] as const) {
    it(`P8 P13 counts a later suspend in full after a stop before the ${clockRead} clock’s reading`, () => {
      const { machine, elapsed } = setUp()
      // What the stop makes the clocks look like must not be taken for a suspend, nor kept as the measure of one.
      machine.step(HOUR)
      machine.onRead = { clock: clockRead, before: () => machine.run(10 * SECOND) }
      elapsed()
      expect(machine.onRead).to.equal(undefined)
      expect(elapsed()).to.be.closeTo(10 * SECOND, 1e-6)
      machine.suspend(MINUTE)
      expect(elapsed()).to.be.closeTo(MINUTE + 10 * SECOND + BEHIND, 1e-6)
    })

    it(`P8 P13 counts a suspend in full after a stop before the first ${clockRead} reading`, () => {
      const machine = new Machine()
      machine.onRead = { clock: clockRead, before: () => machine.run(10 * SECOND) }
      const clock = new SystemClock(machine)
      const start = clock.now()
      machine.suspend(MINUTE)
      expect(clock.now() - start).to.be.closeTo(MINUTE + BEHIND, 1e-6)
    })

    it(`P8 counts a suspend that comes right before it reads the ${clockRead} clock`, () => {
      const { machine, clock, elapsed } = setUp()
      machine.step(HOUR)
      machine.onRead = { clock: clockRead, before: () => machine.suspend(MINUTE) }
      clock.now()
      expect(elapsed()).to.be.closeTo(MINUTE + BEHIND, 1e-6)
      machine.suspend(MINUTE)
      expect(elapsed()).to.be.closeTo(2 * MINUTE + BEHIND, 1e-6)
    })
  }

  it('P8 never goes back and follows elapsed time, whatever the machine’s clocks do', () => {
    const duration = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 24 * HOUR }))
    const step = fc.integer({ min: -HOUR, max: HOUR })
    const slew = fc.double({ min: -0.2, max: 0.2, noNaN: true })
    const event = fc.oneof(
      fc.record({ type: fc.constant('run' as const), duration, slew }),
      fc.record({ type: fc.constant('suspend' as const), duration }),
      fc.record({ type: fc.constant('step' as const), step }),
    )
    fc.assert(
      fc.property(fc.constantFrom(0, 10), fc.array(event, { maxLength: 60, size: 'max' }), (coarseness, events) => {
        const { machine, elapsed } = setUp(coarseness)
        let passed = 0
        let before = 0
        for (const happening of events) {
          switch (happening.type) {
            case 'run':
              machine.run(happening.duration, happening.slew)
              passed += happening.duration
              break
            case 'suspend':
              machine.suspend(happening.duration)
              passed += happening.duration
              break
            case 'step':
              machine.step(happening.step)
              break
            default:
              happening satisfies never
          }
          const now = elapsed()
          expect(now).to.be.at.least(before)
          // Short of what has passed by twice what it tolerates: a suspend that is not yet noticed, and one that was forgiven.
          expect(now).to.be.within(passed - 501 - coarseness, passed + 1 + coarseness + BEHIND)
          before = now
        }
      }),
      { seed: 1_984, numRuns: 300 },
    )
  })

  describe('its timers', () => {
    let timers: sinon.SinonFakeTimers

    beforeEach(() => {
      timers = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    })

    afterEach(() => timers.restore())

    /** Time passes, and what is due meanwhile happens. */
    function run(machine: Machine, duration: number): void {
      for (let ms = 0; ms < duration; ms += 1) {
        machine.run(1)
        timers.tick(1)
      }
    }

    it('fire once, when they are due', () => {
      const { machine, clock } = setUp()
      const ring = sinon.fake()
      clock.setTimer(ring, 20)
      run(machine, 19)
      expect(ring.callCount).to.equal(0)
      run(machine, 1)
      expect(ring.callCount).to.equal(1)
      run(machine, 5_000)
      expect(ring.callCount).to.equal(1)
      expect(timers.countTimers()).to.equal(0)
    })

    it('fire in the next turn of the event loop if they are overdue', () => {
      for (const delay of [0, -5]) {
        const { clock } = setUp()
        const ring = sinon.fake()
        clock.setTimer(ring, delay)
        expect(ring.callCount).to.equal(0)
        timers.tick(1)
        expect(ring.callCount).to.equal(1)
      }
    })

    it('never sleep for longer than a second at once, and fire on time', () => {
      const { machine, clock } = setUp()
      const ring = sinon.fake()
      const sleep = sinon.spy(globalThis, 'setTimeout')
      clock.setTimer(ring, 3_500)
      run(machine, 3_499)
      expect(ring.callCount).to.equal(0)
      run(machine, 1)
      expect(ring.callCount).to.equal(1)
      expect(sleep.args.map(([, delay]) => delay)).to.deep.equal([1_000, 1_000, 1_000, 500])
      sleep.restore()
    })

    it('P8 notice within a second that the machine was suspended past their due time', () => {
      const { machine, clock } = setUp()
      const ring = sinon.fake()
      clock.setTimer(ring, MINUTE)
      run(machine, 500)
      machine.suspend(HOUR)
      run(machine, 499)
      expect(ring.callCount).to.equal(0)
      run(machine, 1)
      expect(ring.callCount).to.equal(1)
    })

    it('P8 are neither early nor late after a step of the wall clock', () => {
      for (const step of [HOUR, -HOUR]) {
        const { machine, clock } = setUp()
        const ring = sinon.fake()
        clock.setTimer(ring, 2_500)
        run(machine, 1_200)
        machine.step(step)
        run(machine, 1_299)
        expect(ring.callCount).to.equal(0)
        run(machine, 1)
        expect(ring.callCount).to.equal(1)
      }
    })

    it('sleep again if they are woken before their time', () => {
      const { machine, clock } = setUp()
      const ring = sinon.fake()
      clock.setTimer(ring, 10)
      // Node's timers may come up to a millisecond early.
      machine.run(9.5)
      timers.tick(10)
      expect(ring.callCount).to.equal(0)
      machine.run(1)
      timers.tick(1)
      expect(ring.callCount).to.equal(1)
    })

    it('can be cancelled at any time', () => {
      const { machine, clock } = setUp()
      const ring = sinon.fake()
      const atOnce = clock.setTimer(ring, 3_500)
      atOnce.cancel()
      const later = clock.setTimer(ring, 3_500)
      run(machine, 2_200)
      later.cancel()
      later.cancel()
      expect(timers.countTimers()).to.equal(0)
      run(machine, 5_000)
      expect(ring.callCount).to.equal(0)
    })

    it('can be cancelled after they have fired, and set again as they fire', () => {
      const { machine, clock } = setUp()
      const second = sinon.fake()
      const timer = clock.setTimer(() => clock.setTimer(second, 10), 10)
      run(machine, 10)
      timer.cancel()
      run(machine, 10)
      expect(second.callCount).to.equal(1)
    })
  })

  describe('an unreferenced timer', () => {
    it('an unreferenced timer does not keep the process alive, even after its first sleep', () => {
      const unreferenced: number[] = []
      const sleeps: (() => void)[] = []
      let now = 0
      const time = (): number => now
      const clock = new SystemClock(
        { monotonic: time, wall: time, boot: time },
        {
          sleep: (callback) => {
            const index = sleeps.push(callback) - 1
            return { cancel: () => undefined, unref: () => unreferenced.push(index) }
          },
          soon: (callback) => callback(),
        },
      )
      const timer = clock.setTimer(() => undefined, 3_000)
      timer.unref?.()
      now = 1_000
      sleeps[0]?.()
      expect(unreferenced).to.deep.equal([0, 1])
    })
  })

  describe('on this machine', () => {
    it('counts ms, and never goes back', async () => {
      const clock = new SystemClock()
      let before = clock.now()
      let wentBack = 0
      for (let reading = 0; reading < 100_000; reading += 1) {
        const now = clock.now()
        if (now < before) wentBack += 1
        before = now
      }
      expect(wentBack).to.equal(0)
      const start = clock.now()
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
      expect(clock.now() - start).to.be.within(45, 5_000)
    })

    it('fires no timer early, and fires it', async () => {
      const clock = new SystemClock()
      await Promise.all(
        [0, 0.1, 1, 1.5, 7.3, 20, 50].map(async (delay) => {
          const start = clock.now()
          await new Promise<void>((resolve) => {
            clock.setTimer(resolve, delay)
          })
          expect(clock.now() - start).to.be.within(delay, delay + 5_000)
        }),
      )
    })

    it('does not fire a cancelled timer', async () => {
      const clock = new SystemClock()
      const ring = sinon.fake()
      const timers = [0, 1, 10].map((delay) => clock.setTimer(ring, delay))
      for (const timer of timers) timer.cancel()
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, 30)
      })
      expect(ring.callCount).to.equal(0)
    })

    it('runs a `soon` callback soon, but not at once', async () => {
      const done: string[] = []
      await new Promise<void>((resolve) => {
        new SystemClock().soon(() => {
          done.push('soon')
          resolve()
        })
        done.push('now')
        queueMicrotask(() => done.push('microtask'))
      })
      expect(done).to.deep.equal(['now', 'microtask', 'soon'])
    })
  })
})

describe('the steady time of a clock', () => {
  it('is that of all threads of the process', () => {
    const clock = new SystemClock()
    const before = Number(process.hrtime.bigint()) / 1e6
    const steady = clock.steady()
    const after = Number(process.hrtime.bigint()) / 1e6
    expect(steady).to.be.within(before - 1, after + 1)
    expect(clock.steady() + clock.ahead).to.be.closeTo(clock.now(), 1_000)
  })

  it('stands still while the machine sleeps, and `ahead` grows by that', () => {
    const machine = new Machine()
    const clock = new SystemClock(machine)
    const [steady, ahead] = [clock.steady(), clock.ahead]
    machine.run(SECOND)
    machine.suspend(MINUTE)
    expect(clock.ahead, 'nobody has read the clock').to.equal(ahead)
    const now = clock.now()
    expect(clock.steady() - steady).to.be.closeTo(SECOND, 1e-6)
    expect(clock.ahead - ahead).to.be.closeTo(MINUTE + BEHIND, 1e-6)
    expect(clock.steady() + clock.ahead).to.equal(now)
  })
})
