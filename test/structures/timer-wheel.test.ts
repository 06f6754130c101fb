import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import fc from 'fast-check'
import { TimerWheel } from '#src/structures/timer-wheel.js'

const START = 1_000_000

/** A wheel with one entry per name, none of them scheduled. */
function wheelOf(names: readonly string[], options: { tick?: number; slots?: number } = {}) {
  const wheel = new TimerWheel<string>(START, options)
  const ids = names.map((name) => wheel.add(name))
  return { wheel, ids: ids as [number, number, number, ...number[]] }
}

describe('TimerWheel', () => {
  it('has a tick of 10 ms by default', () => {
    expect(new TimerWheel(START).tick).to.equal(10)
    expect(new TimerWheel(START, { tick: 25 }).tick).to.equal(25)
  })

  it('rejects a tick that is not a whole number of ms, 1 or more', () => {
    for (const tick of [0, -1, 0.1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new TimerWheel(START, { tick }), `${tick}`).to.throw(RangeError, /Expected `tick` to be .* got `/)
    }
  })

  it('rejects a number of slots that is not a power of two, 32 or more', () => {
    for (const slots of [0, 16, 33, 48, 64.5, -64, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new TimerWheel(START, { slots }), `${slots}`).to.throw(RangeError, /Expected `slots` to be .* got `/)
    }
    expect(() => new TimerWheel(START, { slots: 32 })).not.to.throw()
  })

  describe('handing out', () => {
    it('returns an entry at the start of its tick, less than a tick early', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 109)
      expect(wheel.advance(START + 99)).to.deep.equal([])
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
    })

    it('returns an entry exactly on time if it is due at a tick’s start', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 100)
      expect(wheel.advance(START + 99.999)).to.deep.equal([])
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
    })

    it('returns an entry once', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 100)
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
      expect(wheel.advance(START + 100)).to.deep.equal([])
      expect(wheel.advance(START + 1_000_000)).to.deep.equal([])
      expect(wheel.size).to.equal(0)
    })

    it('returns earlier slots first', () => {
      const { wheel, ids } = wheelOf(['a', 'b', 'c'])
      for (const [index, due] of [300, 100, 200].entries()) wheel.schedule(ids[index] as number, START + due)
      expect(wheel.advance(START + 1_000)).to.deep.equal(['b', 'c', 'a'])
    })

    it('returns all entries of one slot', () => {
      const names = Array.from({ length: 100 }, (_, index) => `${index}`)
      const { wheel, ids } = wheelOf(names)
      for (const id of ids) wheel.schedule(id, START + 50 + (id % 10))
      expect(wheel.advance(START + 50)).to.have.members(names)
    })

    it('returns overdue entries with the next tick', () => {
      const { wheel, ids } = wheelOf(['a', 'b'])
      wheel.schedule(ids[0], START - 5_000)
      wheel.schedule(ids[1], Number.NEGATIVE_INFINITY)
      expect(wheel.nextDue()).to.equal(START + 10)
      expect(wheel.advance(START + 9)).to.deep.equal([])
      expect(wheel.advance(START + 10)).to.have.members(['a', 'b'])
    })

    it('returns an entry once per tick, even if it is scheduled in the past', () => {
      const { wheel, ids } = wheelOf(['a'])
      let handedOut = 0
      wheel.schedule(ids[0], START)
      for (let now = START; now < START + 1_000; now += 0.5) {
        for (const _ of wheel.advance(now)) {
          handedOut += 1
          wheel.schedule(ids[0], now - 100)
        }
        // Asked again at the same instant, as a loop that does not wait would.
        expect(wheel.advance(now)).to.deep.equal([])
      }
      expect(handedOut).to.equal(99)
    })

    it('takes nothing back if the time goes backwards', () => {
      const { wheel, ids } = wheelOf(['a', 'b'])
      wheel.schedule(ids[0], START + 100)
      wheel.schedule(ids[1], START + 300)
      expect(wheel.advance(START + 200)).to.deep.equal(['a'])
      expect(wheel.advance(START - 1_000_000)).to.deep.equal([])
      expect(wheel.advance(START + 199)).to.deep.equal([])
      expect(wheel.nextDue()).to.equal(START + 300)
      expect(wheel.advance(START + 300)).to.deep.equal(['b'])
    })
  })

  describe('rescheduling', () => {
    it('moves an entry to an earlier time', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 500)
      wheel.schedule(ids[0], START + 100)
      expect(wheel.size).to.equal(1)
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
      expect(wheel.advance(START + 500)).to.deep.equal([])
    })

    it('moves an entry to a later time', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 100)
      wheel.schedule(ids[0], START + 500)
      expect(wheel.nextDue()).to.equal(START + 500)
      expect(wheel.dueOf(ids[0])).to.equal(START + 500)
      expect(wheel.advance(START + 499)).to.deep.equal([])
      expect(wheel.advance(START + 500)).to.deep.equal(['a'])
    })

    it('keeps the latest of several times within one slot', () => {
      const { wheel, ids } = wheelOf(['a'], { slots: 32 })
      const horizon = 320
      // Both rest in the last slot, and only the second is beyond it by less than a revolution.
      wheel.schedule(ids[0], START + 10 * horizon)
      wheel.schedule(ids[0], START + horizon + 50)
      expect(wheel.advance(START + horizon)).to.deep.equal([])
      expect(wheel.advance(START + horizon + 50)).to.deep.equal(['a'])
    })

    it('schedules an entry again after its return', () => {
      const { wheel, ids } = wheelOf(['a'])
      for (let due = START + 100; due < START + 2_000; due += 100) {
        wheel.schedule(ids[0], due)
        expect(wheel.advance(due)).to.deep.equal(['a'])
      }
    })

    it('cancels an entry', () => {
      const { wheel, ids } = wheelOf(['a', 'b', 'c'])
      for (const id of ids) wheel.schedule(id, START + 100)
      wheel.cancel(ids[1])
      expect(wheel.size).to.equal(2)
      expect(wheel.advance(START + 200)).to.have.members(['a', 'c'])
    })

    it('cancels the first, the last and the only entry of a slot', () => {
      for (const cancelled of [[0], [2], [0, 1], [1, 2], [2, 1, 0], [0, 1, 2]]) {
        const { wheel, ids } = wheelOf(['0', '1', '2'])
        for (const id of ids) wheel.schedule(id, START + 100)
        for (const index of cancelled) wheel.cancel(ids[index] as number)
        const left = ['0', '1', '2'].filter((name) => !cancelled.includes(Number(name)))
        expect(wheel.nextDue()).to.equal(left.length === 0 ? undefined : START + 100)
        expect(wheel.advance(START + 100)).to.have.members(left)
      }
    })

    it('cancels by an infinite time', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 100)
      wheel.schedule(ids[0], Number.POSITIVE_INFINITY)
      expect(wheel.size).to.equal(0)
      expect(wheel.advance(START + 1_000_000)).to.deep.equal([])
    })

    it('does nothing if it cancels an idle entry', () => {
      const { wheel, ids } = wheelOf(['a', 'b'])
      wheel.schedule(ids[0], START + 100)
      wheel.cancel(ids[1])
      wheel.cancel(ids[1])
      expect(wheel.size).to.equal(1)
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
    })

    it('rejects a time that is not a number, and leaves the entry where it was', () => {
      const { wheel, ids } = wheelOf(['a'])
      wheel.schedule(ids[0], START + 100)
      expect(() => wheel.schedule(ids[0], Number.NaN)).to.throw(
        RangeError,
        'Expected `due` to be a time in ms, got `NaN`',
      )
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
    })
  })

  describe('when to wake', () => {
    it('P22 has no wake-up time while nothing is scheduled', () => {
      const { wheel, ids } = wheelOf(['a'])
      expect(wheel.nextDue()).to.equal(undefined)
      wheel.schedule(ids[0], START + 100)
      wheel.cancel(ids[0])
      expect(wheel.nextDue()).to.equal(undefined)
      wheel.schedule(ids[0], START + 100)
      wheel.advance(START + 100)
      expect(wheel.nextDue()).to.equal(undefined)
      wheel.remove(ids[0])
      expect(wheel.nextDue()).to.equal(undefined)
    })

    it('wakes for the next occupied slot, wherever in the bitmap it is', () => {
      for (const slots of [32, 64, 256]) {
        for (let distance = 1; distance <= slots; distance += 1) {
          // Different starts turn the same distance into every combination of words and bits.
          const now = distance * 7_770
          const wheel = new TimerWheel<string>(now, { slots })
          wheel.schedule(wheel.add('a'), now + distance * 10)
          expect(wheel.nextDue()).to.equal(now + distance * 10)
          expect(wheel.advance(now + distance * 10 - 1)).to.deep.equal([])
          expect(wheel.advance(now + distance * 10)).to.deep.equal(['a'])
        }
      }
    })

    it('works on times larger than 32 bits of ticks', () => {
      const now = 2 ** 50
      const wheel = new TimerWheel<string>(now, { tick: 1, slots: 64 })
      wheel.schedule(wheel.add('a'), now + 63)
      expect(wheel.nextDue()).to.equal(now + 63)
      expect(wheel.advance(now + 62)).to.deep.equal([])
      expect(wheel.advance(now + 63)).to.deep.equal(['a'])
    })
  })

  describe('beyond the horizon', () => {
    it('visits an entry once per horizon and returns it when it is due', () => {
      const { wheel, ids } = wheelOf(['a'], { slots: 32 })
      const due = START + 3 * 320 + 150
      wheel.schedule(ids[0], due)
      const visits: number[] = []
      for (let next = wheel.nextDue(); next !== undefined; next = wheel.nextDue()) {
        visits.push(next - START)
        expect(wheel.advance(next)).to.deep.equal(next === due ? ['a'] : [])
      }
      expect(visits).to.deep.equal([320, 640, 960, 1_110])
    })

    it('loses nothing in a jump over many revolutions', () => {
      const { wheel, ids } = wheelOf(['a', 'b', 'c'], { slots: 32 })
      wheel.schedule(ids[0], START + 100)
      wheel.schedule(ids[1], START + 10_000)
      wheel.schedule(ids[2], START + 1_000_000)
      expect(wheel.advance(START + 500_000)).to.deep.equal(['a', 'b'])
      expect(wheel.size).to.equal(1)
      expect(wheel.advance(START + 1_000_000)).to.deep.equal(['c'])
    })

    it('returns no entry early that moves into a slot of the same call', () => {
      const { wheel, ids } = wheelOf(['near', 'far'], { slots: 32 })
      wheel.schedule(ids[0], START + 10)
      wheel.advance(START)
      // Rests in the slot of tick 32; at tick 60 it is placed anew for tick 70, whose slot is that of tick 38.
      wheel.schedule(ids[1], START + 700)
      expect(wheel.advance(START + 600)).to.deep.equal(['near'])
      expect(wheel.nextDue()).to.equal(START + 700)
      expect(wheel.advance(START + 700)).to.deep.equal(['far'])
    })

    it('keeps an entry that is due after any time there is', () => {
      const { wheel, ids } = wheelOf(['a'], { slots: 32 })
      wheel.schedule(ids[0], Number.MAX_VALUE)
      expect(wheel.advance(START + 10_000_000)).to.deep.equal([])
      expect(wheel.size).to.equal(1)
    })
  })

  describe('its entries', () => {
    it('reuses the ids of removed entries', () => {
      const { wheel, ids } = wheelOf(['a', 'b', 'c'])
      const [a, b] = ids
      wheel.schedule(a, START + 100)
      wheel.schedule(b, START + 100)
      wheel.remove(a)
      wheel.remove(b)
      expect([wheel.add('d'), wheel.add('e')]).to.have.members([a, b])
      expect(wheel.add('f')).not.to.be.oneOf(ids)
      expect(wheel.size).to.equal(0)
      expect(wheel.advance(START + 100)).to.deep.equal([])
    })

    it('rejects an id that it never gave out or has taken back', () => {
      const { wheel, ids } = wheelOf(['a', 'b'])
      wheel.schedule(ids[0], START + 100)
      wheel.remove(ids[1])
      for (const id of [ids[1], 2, 63, 64, 1_000, -1, 0.5, Number.NaN]) {
        const complaint = `Expected the id of an entry of this wheel, got \`${id}\``
        expect(() => wheel.remove(id), 'remove').to.throw(RangeError, complaint)
        expect(() => wheel.schedule(id, START), 'schedule').to.throw(RangeError, complaint)
        expect(() => wheel.cancel(id), 'cancel').to.throw(RangeError, complaint)
        expect(() => wheel.dueOf(id), 'dueOf').to.throw(RangeError, complaint)
      }
      expect(wheel.size).to.equal(1)
      expect(wheel.advance(START + 100)).to.deep.equal(['a'])
    })

    it('keeps everything as it grows', () => {
      const { wheel } = wheelOf([])
      const names = Array.from({ length: 10_000 }, (_, index) => `${index}`)
      for (const [index, name] of names.entries()) wheel.schedule(wheel.add(name), START + 10 + index)
      expect(wheel.size).to.equal(10_000)
      expect(wheel.advance(START + 20_000)).to.have.members(names)
    })

    it('starts the ids over after the last entry is removed', () => {
      const { wheel } = wheelOf([])
      for (let round = 0; round < 3; round += 1) {
        const ids = Array.from({ length: 200 }, () => wheel.add('a'))
        expect(ids).to.deep.equal(Array.from({ length: 200 }, (_, index) => index))
        for (const id of ids.toReversed()) wheel.schedule(id, START + id)
        for (const id of ids) wheel.remove(id)
        expect(wheel.size).to.equal(0)
        expect(wheel.nextDue()).to.equal(undefined)
      }
    })

    it('P25 frees the memory of its peak when the last entry is removed', () => {
      const { wheel } = wheelOf([])
      const before = typedArrayBytes()
      const ids = Array.from({ length: 1_000_000 }, () => wheel.add('a'))
      expect(typedArrayBytes() - before).to.be.greaterThan(15e6)
      for (const id of ids) wheel.remove(id)
      expect(typedArrayBytes() - before).to.be.lessThan(100e3)
      // And still works.
      wheel.schedule(wheel.add('b'), START + 10)
      expect(wheel.advance(START + 10)).to.deep.equal(['b'])
    })
  })

  describe('against a model', () => {
    for (const { tick, slots } of [
      { tick: 10, slots: 32 },
      { tick: 1, slots: 32 },
      { tick: 7, slots: 64 },
      { tick: 10, slots: 4_096 },
    ]) {
      it(`returns exactly the due entries, once, in their tick: ${slots} slots of ${tick} ms`, () => {
        fc.assert(
          fc.property(fc.nat(10 * tick * slots), commands(slots), (start, steps) => {
            const model = new Model(start, tick, slots)
            for (const step of steps) model.run(step)
          }),
          { seed: 4_711, numRuns: 300 },
        )
      })
    }
  })
})

/** One step; entries are chosen by number among those that exist, times are in ticks from now. */
type Command =
  | { readonly type: 'add' }
  | { readonly type: 'schedule'; readonly entry: number; readonly ticks: number }
  | { readonly type: 'cancel' | 'remove'; readonly entry: number }
  | { readonly type: 'advance'; readonly ticks: number }
  | { readonly type: 'wake' }

function commands(slots: number): fc.Arbitrary<Command[]> {
  const entry = fc.nat(1_000)
  // Around the edges of a tick and of the horizon, and anywhere.
  const ticks = fc.oneof(
    fc.double({ min: -2, max: 40, noNaN: true }),
    fc.double({ min: slots - 2, max: slots + 2, noNaN: true }),
    fc.double({ min: -5 * slots, max: 5 * slots, noNaN: true }),
    fc.integer({ min: -2, max: 3 * slots }),
  )
  const schedule = fc.record({ type: fc.constant('schedule' as const), entry, ticks })
  return fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant<Command>({ type: 'add' }) },
      { weight: 6, arbitrary: schedule },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('cancel' as const), entry }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('remove' as const), entry }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('advance' as const), ticks }) },
      { weight: 3, arbitrary: fc.constant<Command>({ type: 'wake' }) },
    ),
    { maxLength: 120, size: 'max' },
  )
}

interface ModelEntry {
  readonly id: number
  /** The tick in which it is to be handed out; undefined while it is not scheduled. */
  handOut: number | undefined
  /** The tick in whose slot it rests until then. */
  rests: number
}

/** A wheel, and a plain list of what each entry waits for. */
class Model {
  readonly #wheel: TimerWheel<ModelEntry>
  readonly #tick: number
  readonly #slots: number
  #entries: ModelEntry[] = []
  #now: number
  #current: number

  constructor(now: number, tick: number, slots: number) {
    this.#wheel = new TimerWheel(now, { tick, slots })
    this.#tick = tick
    this.#slots = slots
    this.#now = now
    this.#current = Math.floor(now / tick)
  }

  run(command: Command): void {
    switch (command.type) {
      case 'add':
        this.#add()
        break
      case 'schedule':
        this.#withEntry(command.entry, (entry) => this.#schedule(entry, this.#now + command.ticks * this.#tick))
        break
      case 'cancel':
        this.#withEntry(command.entry, (entry) => {
          this.#wheel.cancel(entry.id)
          entry.handOut = undefined
        })
        break
      case 'remove':
        this.#withEntry(command.entry, (entry) => {
          this.#wheel.remove(entry.id)
          this.#entries = this.#entries.filter((other) => other !== entry)
        })
        break
      case 'advance':
        this.#advance(this.#now + command.ticks * this.#tick)
        break
      case 'wake': {
        const next = this.#wheel.nextDue()
        if (next !== undefined) this.#wake(next)
        break
      }
      default:
        command satisfies never
    }
    this.#compare()
  }

  #add(): void {
    const draft = { id: -1, handOut: undefined, rests: 0 }
    draft.id = this.#wheel.add(draft)
    expect(this.#entries.map(({ id }) => id)).not.to.include(draft.id)
    this.#entries.push(draft)
  }

  #schedule(entry: ModelEntry, due: number): void {
    this.#wheel.schedule(entry.id, due)
    entry.handOut = Math.max(Math.floor(due / this.#tick), this.#current + 1)
    entry.rests = Math.min(entry.handOut, this.#current + this.#slots)
  }

  #advance(now: number): void {
    this.#now = now
    this.#current = Math.max(this.#current, Math.floor(now / this.#tick))
    const expected = this.#waiting().filter(({ handOut }) => handOut <= this.#current)
    for (const entry of this.#waiting()) {
      if (entry.rests <= this.#current) entry.rests = Math.min(entry.handOut, this.#current + this.#slots)
    }
    const handedOut = this.#wheel.advance(now)
    expect(handedOut.map(({ id }) => id)).to.have.members(expected.map(({ id }) => id))
    for (const entry of handedOut) entry.handOut = undefined
  }

  /** What `nextDue` names is no empty slot: either something is handed out, or something is placed anew. */
  #wake(next: number): void {
    const resting = this.#waiting().filter(({ rests }) => rests * this.#tick === next)
    expect(resting.length).to.be.greaterThan(0)
    this.#advance(next)
  }

  #compare(): void {
    const waiting = this.#waiting()
    const earliest = Math.min(...waiting.map(({ rests }) => rests))
    expect(this.#wheel.size).to.equal(waiting.length)
    expect(this.#wheel.nextDue()).to.equal(waiting.length === 0 ? undefined : earliest * this.#tick)
  }

  #waiting(): (ModelEntry & { handOut: number })[] {
    return this.#entries.filter((entry): entry is ModelEntry & { handOut: number } => entry.handOut !== undefined)
  }

  #withEntry(number: number, act: (entry: ModelEntry) => void): void {
    const entry = this.#entries[number % this.#entries.length]
    if (entry !== undefined) act(entry)
  }
}

let collectGarbage: (() => void) | undefined

/** What all typed arrays together take, once garbage has been collected. */
function typedArrayBytes(): number {
  if (collectGarbage === undefined) {
    setFlagsFromString('--expose-gc')
    collectGarbage = runInNewContext('gc') as () => void
  }
  // The first run marks what is garbage, the second one waits until its memory has been given back.
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}
