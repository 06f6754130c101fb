import { expect } from 'chai'
import fc from 'fast-check'
import type { Clock, Timer } from 'leasewheel'
import { type Alarm, Scheduler, type SchedulerHandler, type Tick } from '#src/time/scheduler.js'

const TICK = 10

/** A clock whose timers ring while `advance` runs: tests need no turn of the event loop. */
class StepClock implements Clock {
  #now = 1_000_000
  #set = 0
  readonly #soon: (() => void)[] = []
  /** The process is stopped for so long right before the next timer is set, in ms. */
  stopBeforeNext = 0
  readonly #timers = new Map<object, { due: number; callback: () => void }>()

  now(): number {
    return this.#now
  }

  /** Timers that are set now, and that have been set so far. */
  get timers(): { now: number; everSet: number } {
    return { now: this.#timers.size, everSet: this.#set }
  }

  setTimer(callback: () => void, delay: number): Timer {
    this.#now += this.stopBeforeNext
    this.stopBeforeNext = 0
    if (!(delay >= 0)) throw new RangeError(`a timer was set for ${delay} ms`)
    const timer = { cancel: () => void this.#timers.delete(timer) }
    this.#timers.set(timer, { due: this.#now + delay, callback })
    this.#set += 1
    return timer
  }

  /** Is called back by `turn`, and at the latest when the time moves on. */
  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  /** A turn of the event loop ends. */
  turn(): void {
    for (const callback of this.#soon.splice(0)) callback()
  }

  advance(duration: number): void {
    const end = this.#now + duration
    for (;;) {
      this.turn()
      let next: object | undefined
      let due = end
      for (const [timer, appointment] of this.#timers) {
        if (appointment.due <= due) {
          next = timer
          due = appointment.due
        }
      }
      const appointment = next && this.#timers.get(next)
      if (next === undefined || appointment === undefined) break
      this.#now = Math.max(this.#now, appointment.due)
      this.#timers.delete(next)
      appointment.callback()
    }
    this.#now = end
  }

  /** The event loop is blocked, or the process stopped: time passes and nothing happens. */
  jump(duration: number): void {
    this.#now += duration
  }
}

interface Item {
  readonly name: string
  onDue?: (tick: Tick) => void
}

/** A scheduler, and what it has told. */
class Bench {
  readonly clock = new StepClock()
  readonly told: { readonly name: string; readonly tick: Tick }[] = []
  readonly faults: unknown[] = []
  onTickEnd: (() => void) | undefined
  readonly scheduler: Scheduler<Item>

  constructor() {
    const handler: SchedulerHandler<Item> = {
      onDue: (item, tick) => {
        this.told.push({ name: item.name, tick })
        item.onDue?.(tick)
      },
      onTickEnd: () => {
        this.told.push({ name: 'end', tick: { now: this.clock.now(), late: false } })
        this.onTickEnd?.()
      },
      onFault: (fault) => {
        this.faults.push(fault)
      },
    }
    this.scheduler = new Scheduler(this.clock, handler)
  }

  get names(): string[] {
    return this.told.map(({ name }) => name)
  }

  add(name: string, delay: number, onDue?: (tick: Tick) => void): number {
    const id = this.scheduler.add(onDue ? { name, onDue } : { name })
    this.scheduler.schedule(id, this.clock.now() + delay)
    return id
  }

  after(name: string, delay: number, callback?: (tick: Tick) => void): Alarm {
    return this.scheduler.after(delay, (tick) => {
      this.told.push({ name, tick })
      callback?.(tick)
    })
  }
}

describe('Scheduler', () => {
  describe('its alarms', () => {
    it('fire at a named time, no earlier, and at most a tick later', () => {
      const bench = new Bench()
      const rung: number[] = []
      for (const delay of [0, 95, 100, 101])
        bench.scheduler.at(bench.clock.now() + delay, ({ now }) => rung.push(now - 1_000_000 - delay))
      bench.clock.advance(120)
      expect(rung).to.have.length(4)
      for (const late of rung) expect(late).to.be.within(0, TICK)
    })

    it('P13 P15 fire within a tick if that time is past', () => {
      const bench = new Bench()
      let rung = false
      const due = bench.clock.now() + 100
      bench.clock.jump(60_000)
      bench.scheduler.at(due, () => {
        rung = true
      })
      bench.clock.advance(TICK)
      expect(rung).to.equal(true)
    })
  })

  describe('its items', () => {
    it('come when they are due, at most one tick early', () => {
      const bench = new Bench()
      bench.add('a', 105)
      bench.clock.advance(99)
      expect(bench.told).to.deep.equal([])
      bench.clock.advance(1)
      expect(bench.names).to.deep.equal(['a', 'end'])
      expect(bench.told[0]?.tick).to.deep.equal({ now: 1_000_100, late: false })
      expect(bench.scheduler.tick).to.equal(TICK)
    })

    it('P13 P15 come at once if the process was stopped while their timer was set', () => {
      const bench = new Bench()
      bench.clock.stopBeforeNext = 5_000
      bench.add('a', 1_000)
      bench.clock.advance(1)
      expect(bench.names).to.deep.equal(['a', 'end'])
      expect(bench.clock.timers.now).to.equal(0)
    })

    it('come together if they are due in one tick, before its end is emitted', () => {
      const bench = new Bench()
      for (const [name, delay] of [
        ['a', 100],
        ['b', 104],
        ['c', 109],
        ['d', 110],
      ] as const)
        bench.add(name, delay)
      bench.clock.advance(105)
      expect(bench.names).to.have.members(['a', 'b', 'c', 'end'])
      expect(bench.names.at(-1)).to.equal('end')
      bench.clock.advance(5)
      expect(bench.names.slice(-2)).to.deep.equal(['d', 'end'])
    })

    it('can be moved, removed and forgotten', () => {
      const bench = new Bench()
      const [earlier, later, cancelled, removed] = ['earlier', 'later', 'cancelled', 'removed'].map((name) =>
        bench.add(name, 500),
      ) as [number, number, number, number]
      const now = bench.clock.now()
      bench.scheduler.schedule(earlier, now + 100)
      bench.scheduler.schedule(later, now + 900)
      bench.scheduler.cancel(cancelled)
      bench.scheduler.remove(removed)
      expect(bench.scheduler.dueOf(later)).to.equal(now + 900)
      bench.clock.advance(600)
      expect(bench.names.filter((name) => name !== 'end')).to.deep.equal(['earlier'])
      bench.clock.advance(300)
      expect(bench.names.filter((name) => name !== 'end')).to.deep.equal(['earlier', 'later'])
      bench.scheduler.schedule(cancelled, bench.clock.now() + 10)
      bench.clock.advance(10)
      expect(bench.names).to.include('cancelled')
    })

    it('can be scheduled again as they come', () => {
      const bench = new Bench()
      const id = bench.add('a', 100, ({ now }) => bench.scheduler.schedule(id, now + 100))
      bench.clock.advance(1_000)
      expect(bench.names.filter((name) => name === 'a').length).to.equal(10)
      expect(bench.clock.timers.now).to.equal(1)
    })

    it('come in several turns if they take long, so the event loop stays responsive', () => {
      const bench = new Bench()
      const { clock } = bench
      for (let index = 0; index < 10; index += 1) bench.add(`item ${index}`, 100, () => clock.jump(1))
      bench.after('alarm', 101, () => clock.jump(1))
      const cancelled = bench.after('cancelled', 101)
      clock.advance(100)
      const stretch = bench.names.indexOf('end')
      expect(stretch).to.equal(4)
      cancelled.cancel()
      clock.advance(TICK)
      expect(bench.names.filter((name) => name.startsWith('item'))).to.have.length(10)
      expect(bench.names).to.include('alarm')
      expect(bench.names).not.to.include('cancelled')
      expect(bench.faults).to.deep.equal([])
    })

    it('P24 no longer come if it is closed between two turns', () => {
      const bench = new Bench()
      const { clock } = bench
      for (let index = 0; index < 10; index += 1) bench.add(`item ${index}`, 100, () => clock.jump(4))
      clock.advance(100)
      bench.scheduler.close()
      const told = bench.names.length
      clock.turn()
      expect(bench.names).to.have.length(told)
    })

    it('come at most once per tick, however often they are scheduled', () => {
      const bench = new Bench()
      const id = bench.add('a', 10, ({ now }) => bench.scheduler.schedule(id, now - 1_000))
      bench.clock.advance(1_000)
      expect(bench.names.filter((name) => name === 'a').length).to.equal(100)
    })
  })

  describe('its alarms', () => {
    it('fire once, not before their time and at most a tick later', () => {
      for (const delay of [0, 1, 5, 9.99, 10, 101, 50_000]) {
        for (const phase of [0, 3, 9.5]) {
          const bench = new Bench()
          bench.clock.jump(phase)
          const start = bench.clock.now()
          let waited = -1
          bench.after('a', delay, ({ now }) => {
            waited = now - start
          })
          bench.clock.advance(100_000)
          expect(bench.names.filter((name) => name === 'a').length).to.equal(1)
          expect(waited, `${delay} at ${phase}`).to.be.within(delay, delay + TICK)
        }
      }
    })

    it('do not fire if they were cancelled', () => {
      const bench = new Bench()
      const alarm = bench.after('a', 100)
      alarm.cancel()
      alarm.cancel()
      bench.clock.turn()
      bench.clock.turn()
      bench.clock.advance(1_000)
      expect(bench.told).to.deep.equal([])
    })

    it('do not fire if another item of the same tick has cancelled them', () => {
      const bench = new Bench()
      // Each cancels all the others: whichever comes first is the only one to ring.
      const alarms: Alarm[] = []
      for (let index = 0; index < 5; index += 1) {
        alarms.push(bench.after(`${index}`, 100, () => alarms.forEach((alarm) => alarm.cancel())))
      }
      bench.clock.advance(1_000)
      expect(bench.names.filter((name) => name !== 'end').length).to.equal(1)
      expect(bench.faults).to.deep.equal([])
    })

    it('cancel no other if they are cancelled after they have fired', () => {
      const bench = new Bench()
      const first = bench.after('first', 10)
      bench.clock.advance(100)
      // It is given the place in the wheel that the first one had.
      bench.after('second', 10)
      first.cancel()
      bench.clock.advance(100)
      expect(bench.names).to.include('second')
    })

    it('can set others as they fire', () => {
      const bench = new Bench()
      bench.after('a', 100, () => bench.after('b', 100))
      bench.clock.advance(300)
      expect(bench.names).to.deep.equal(['a', 'end', 'b', 'end'])
      expect(bench.clock.timers.now).to.equal(0)
    })
  })

  describe('its timer', () => {
    it('P22 does not exist while nothing is scheduled', () => {
      const bench = new Bench()
      const { scheduler, clock } = bench
      expect(scheduler.timers).to.equal(0)
      const id = scheduler.add({ name: 'a' })
      expect(clock.timers).to.deep.equal({ now: 0, everSet: 0 })
      for (const end of [
        () => scheduler.cancel(id),
        () => scheduler.schedule(id, Number.POSITIVE_INFINITY),
        () => clock.advance(1_000),
      ]) {
        scheduler.schedule(id, clock.now() + 100)
        expect([clock.timers.now, scheduler.timers]).to.deep.equal([1, 1])
        end()
        clock.turn()
        clock.turn()
        expect([clock.timers.now, scheduler.timers]).to.deep.equal([0, 0])
      }
      scheduler.schedule(id, clock.now() + 100)
      scheduler.remove(id)
      bench.after('b', 100).cancel()
      clock.turn()
      clock.turn()
      expect([clock.timers.now, scheduler.timers]).to.deep.equal([0, 0])
    })

    it('stays if the end of the turn sends a request: it is not set anew for each', () => {
      const bench = new Bench()
      const { scheduler, clock } = bench
      let last = bench.after('first', 100)
      const { everSet } = clock.timers
      for (let step = 0; step < 10; step += 1) {
        const id = scheduler.add({ name: 'a' })
        scheduler.schedule(id, clock.now() + 1_000)
        last.cancel()
        // A lock changes hands: its lease ends, and the request for the next one sets an alarm at the end of the turn.
        scheduler.remove(id)
        clock.soon(() => {
          last = bench.after('next', 500)
        })
        clock.turn()
      }
      expect(clock.timers.everSet).to.equal(everSet)
    })

    it('is a single one for any number of items', () => {
      const bench = new Bench()
      for (let index = 0; index < 1_000; index += 1) bench.add('a', 10 + ((index * 7_919) % 10_000))
      expect(bench.clock.timers.now).to.equal(1)
      bench.clock.advance(5_000)
      expect(bench.clock.timers.now).to.equal(1)
      bench.clock.advance(6_000)
      expect(bench.names.filter((name) => name === 'a').length).to.equal(1_000)
      expect(bench.clock.timers.now).to.equal(0)
    })

    it('stays if something is scheduled again in the same turn, at no cost', () => {
      const { scheduler, clock } = new Bench()
      for (let step = 0; step < 100; step += 1) {
        scheduler.after(100, () => undefined).cancel()
        if (step % 10 === 9) scheduler.after(100, () => undefined)
      }
      clock.turn()
      expect(clock.timers).to.deep.equal({ now: 1, everSet: 1 })
    })

    it('is set anew for an earlier item, and left alone for a later one', () => {
      const bench = new Bench()
      bench.add('a', 500)
      bench.add('b', 1_000)
      expect(bench.clock.timers).to.deep.equal({ now: 1, everSet: 1 })
      bench.add('c', 100)
      expect(bench.clock.timers).to.deep.equal({ now: 1, everSet: 2 })
      bench.clock.advance(100)
      expect(bench.names).to.deep.equal(['c', 'end'])
    })

    it('sleeps until something is due, not from tick to tick', () => {
      const bench = new Bench()
      for (const delay of [10_000, 20_000, 30_000]) bench.add('a', delay)
      bench.clock.advance(40_000)
      expect(bench.names).to.deep.equal(['a', 'end', 'a', 'end', 'a', 'end'])
      expect(bench.clock.timers).to.deep.equal({ now: 0, everSet: 3 })
    })

    it('is cancelled by close, and never set again', () => {
      const bench = new Bench()
      const id = bench.add('a', 100)
      const alarm = bench.after('b', 100)
      bench.scheduler.close()
      expect([bench.clock.timers.now, bench.scheduler.timers]).to.deep.equal([0, 0])
      for (const due of [bench.clock.now(), Number.NEGATIVE_INFINITY]) bench.scheduler.schedule(id, due)
      bench.add('c', 100)
      bench.after('d', 0)
      alarm.cancel()
      bench.scheduler.cancel(id)
      bench.scheduler.remove(id)
      bench.scheduler.close()
      bench.clock.advance(100_000)
      expect(bench.told).to.deep.equal([])
      expect(bench.clock.timers).to.deep.equal({ now: 0, everSet: 1 })
    })

    it('is not set again by a tick that closes the scheduler', () => {
      const bench = new Bench()
      bench.add('a', 100, () => bench.scheduler.close())
      bench.add('b', 500)
      bench.clock.advance(1_000)
      expect(bench.names).to.deep.equal(['a', 'end'])
      expect(bench.clock.timers.now).to.equal(0)
    })
  })

  describe('the lateness of a tick', () => {
    it('is reported if the event loop was blocked', () => {
      const bench = new Bench()
      bench.add('a', 100)
      bench.clock.jump(100 + 51)
      bench.clock.advance(0)
      expect(bench.told[0]?.tick).to.deep.equal({ now: 1_000_151, late: true })
    })

    it('is not reported for a delay that any process may have', () => {
      const bench = new Bench()
      bench.add('a', 100)
      bench.clock.jump(100 + 50)
      bench.clock.advance(0)
      expect(bench.told[0]?.tick.late).to.equal(false)
    })

    it('ends with the next tick', () => {
      const bench = new Bench()
      bench.add('a', 100)
      bench.after('b', 200)
      bench.clock.jump(170)
      bench.clock.advance(100)
      expect(bench.told.map(({ name, tick }) => [name, tick.late])).to.deep.equal([
        ['a', true],
        ['end', false],
        ['b', false],
        ['end', false],
      ])
    })

    it('is not reported if something is scheduled for a past time', () => {
      for (const idle of [0, 200, 60_000, 3_600_000]) {
        const bench = new Bench()
        bench.clock.advance(idle)
        bench.add('a', -1_000)
        bench.add('b', 0)
        bench.after('c', 0)
        bench.clock.advance(100)
        const items = bench.told.filter(({ name }) => name !== 'end')
        expect(items.length).to.equal(3)
        for (const { tick } of items) expect(tick.late, `after ${idle} ms`).to.equal(false)
      }
    })
  })

  describe('faults', () => {
    const fault = new Error('thrown within a tick')
    const fail = (): never => {
      throw fault
    }
    const throwers: Record<string, (bench: Bench) => void> = {
      'the handler': (bench) => bench.add('thrower', 100, fail),
      'an alarm': (bench) => bench.after('thrower', 95, fail),
      'the end of the tick': (bench) => {
        bench.add('thrower', 100)
        bench.onTickEnd = fail
      },
      'all of them': (bench) => {
        bench.add('thrower', 100, fail)
        bench.after('thrower', 95, fail)
        bench.onTickEnd = fail
      },
    }

    for (const [what, set] of Object.entries(throwers)) {
      it(`P22 ${what} throws: one timer is armed afterwards for the next item, which comes`, () => {
        const bench = new Bench()
        bench.add('before', 100)
        set(bench)
        bench.add('beside', 100)
        bench.add('later', 500)
        bench.clock.advance(110)
        expect(bench.names).to.include.members(['before', 'thrower', 'beside', 'end'])
        expect(bench.names).not.to.include('later')
        expect(new Set(bench.faults)).to.deep.equal(new Set([fault]))
        expect([bench.clock.timers.now, bench.scheduler.timers]).to.deep.equal([1, 1])
        bench.clock.advance(390)
        expect(bench.names).to.include('later')
      })

      it(`P22 ${what} throws, and nothing is scheduled: no timer is armed`, () => {
        const bench = new Bench()
        set(bench)
        bench.clock.advance(110)
        expect(bench.faults.length).to.be.greaterThan(0)
        expect([bench.clock.timers.now, bench.scheduler.timers]).to.deep.equal([0, 0])
      })

      it(`P22 ${what} throws every time: items that schedule themselves again continue`, () => {
        const bench = new Bench()
        const id = bench.add('steady', 100, ({ now }) => bench.scheduler.schedule(id, now + 100))
        for (let round = 0; round < 10; round += 1) {
          set(bench)
          bench.clock.advance(110)
        }
        expect(bench.names.filter((name) => name === 'steady').length).to.equal(11)
        expect(bench.clock.timers.now).to.equal(1)
      })
    }

    it('P22 has one timer while anything is scheduled, and is never late', () => {
      const what = fc.nat(100)
      const delay = fc.oneof(fc.integer({ min: -100, max: 300 }), fc.integer({ min: 0, max: 100_000 }))
      const operation = fc.oneof(
        fc.record({ type: fc.constantFrom('item' as const, 'alarm' as const), delay, throws: fc.boolean() }),
        fc.record({ type: fc.constant('move' as const), what, delay }),
        fc.record({ type: fc.constantFrom('cancel' as const, 'remove' as const, 'silence' as const), what }),
        fc.record({ type: fc.constantFrom('advance' as const, 'jump' as const), delay: fc.nat(500) }),
        fc.record({ type: fc.constant('break' as const), throws: fc.boolean() }),
      )
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 60, size: 'max' }), (operations) => {
          const bench = new Bench()
          const { clock, scheduler } = bench
          // When each is due, and from when on it is overdue: what is scheduled for the past comes with the next tick.
          const due = new Map<number, { at: number; since: number }>()
          const alarms = new Map<Alarm, number>()
          let ids: number[] = []
          const choose = (number: number): number | undefined => ids[number % Math.max(ids.length, 1)]
          const schedule = (id: number, delayed: number): void => {
            const now = clock.now()
            due.set(id, { at: now + delayed, since: now + Math.max(delayed, 0) })
            scheduler.schedule(id, now + delayed)
          }
          // Whatever is told is told no earlier than a tick before its time, and once; what is not told is still to come.
          const check = (): void => {
            // An idle timer is cancelled when the next turn is over.
            clock.turn()
            clock.turn()
            expect(scheduler.timers).to.equal(due.size + alarms.size > 0 ? 1 : 0)
            expect(clock.timers.now).to.equal(scheduler.timers)
          }
          for (const step of operations) {
            switch (step.type) {
              case 'item': {
                const onDue = ({ now }: Tick): void => {
                  expect(now).to.be.greaterThan((due.get(id)?.at ?? Number.NaN) - TICK)
                  due.delete(id)
                  if (step.throws) fail()
                }
                const id: number = scheduler.add({ name: 'item', onDue })
                ids.push(id)
                schedule(id, step.delay)
                break
              }
              case 'alarm': {
                const delayed = Math.max(step.delay, 0)
                const alarm: Alarm = scheduler.after(delayed, ({ now }) => {
                  expect(alarms.get(alarm)).to.be.at.most(now)
                  alarms.delete(alarm)
                  if (step.throws) fail()
                })
                alarms.set(alarm, clock.now() + delayed)
                break
              }
              case 'move': {
                const id = choose(step.what)
                if (id === undefined) break
                schedule(id, step.delay)
                break
              }
              case 'cancel':
              case 'remove': {
                const id = choose(step.what)
                if (id === undefined) break
                due.delete(id)
                scheduler[step.type](id)
                if (step.type === 'remove') ids = ids.filter((other) => other !== id)
                break
              }
              case 'silence': {
                const alarm = [...alarms.keys()][step.what % Math.max(alarms.size, 1)]
                if (alarm === undefined) break
                alarms.delete(alarm)
                alarm.cancel()
                break
              }
              case 'advance':
                clock.advance(step.delay)
                // The event loop was free: nothing that was due a tick ago has been left behind.
                for (const { since } of due.values()) expect(since).to.be.greaterThan(clock.now() - TICK)
                for (const since of alarms.values()) expect(since).to.be.greaterThan(clock.now() - TICK)
                break
              case 'jump':
                clock.jump(step.delay)
                break
              case 'break':
                bench.onTickEnd = step.throws ? fail : undefined
                break
              default:
                step satisfies never
            }
            check()
          }
          for (const thrown of bench.faults) expect(thrown).to.equal(fault)
          bench.onTickEnd = undefined
          clock.advance(300_000)
          expect([due.size, alarms.size]).to.deep.equal([0, 0])
          check()
        }),
        { seed: 22, numRuns: 300 },
      )
    })
  })
})
