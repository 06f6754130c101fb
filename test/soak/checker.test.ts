/** The checker, fed with correct histories and with faulty ones. */
import { expect } from 'chai'
import fc from 'fast-check'
import type { JointMode } from 'leasewheel'
import { judge } from './checker.ts'
import type { AcceptedWrite } from './fenced-store.ts'
import type { Hold } from './history.ts'

/** A hold of `key` with a token of its own. */
function hold(id: string, begin: number, end: number, fence: number, more: Partial<Hold> = {}): Hold {
  return {
    id,
    key: 'key',
    token: `token ${id}`,
    fence,
    ttl: 100,
    grantedAt: begin,
    begin,
    end,
    refusedAt: undefined,
    ending: 'released',
    ...more,
  }
}

function write({ id, key, fence }: Hold): AcceptedWrite {
  return { hold: id, key, fence, at: 0 }
}

/** What is found, in short: the property and the first line. */
function found(holds: readonly Hold[], writes: readonly AcceptedWrite[] = [], tolerance?: number): string[] {
  return judge({ holds, writes }, tolerance).violations.map(({ message }) => message.split('\n')[0] as string)
}

const FIRST = hold('1.1', 0, 10, 100)
const SECOND = hold('2.1', 11, 20, 200)
const THIRD = hold('1.2', 21, 30, 300)

/** A hold of a permit, a reader or a writer. */
function shared(
  mode: JointMode,
  id: string,
  begin: number,
  end: number,
  fence: number,
  more: Partial<Hold> = {},
): Hold {
  return hold(id, begin, end, fence, { joint: { mode, permits: mode === 'permit' ? 3 : 0, weight: 1 }, ...more })
}

const OVERLAP = /^P7: two hold one key at once, for /
const SHRUNK = ['P6: a fence does not grow from one holder to the next']
const STALE = ['P6: a write of a stale holder was accepted']

describe('the checker of a soak', () => {
  it('finds no fault in holds that follow each other, in any order of report', () => {
    expect(found([THIRD, FIRST, SECOND], [FIRST, FIRST, SECOND, THIRD, THIRD].map(write))).to.deep.equal([])
  })

  it('finds no fault in holds of different keys, whatever their times and fences', () => {
    const other = hold('2.1', 5, 15, 50, { key: 'other' })
    expect(found([FIRST, other], [write(FIRST), write(other), write(FIRST)])).to.deep.equal([])
  })

  it('P7 finds two holders of one key at once', () => {
    const violations = judge({ holds: [FIRST, hold('2.1', 9.5, 20, 200)], writes: [] }).violations
    expect(violations).to.have.length(1)
    expect(violations[0]?.message).to.match(OVERLAP).and.include('"id":"1.1"').and.include('"id":"2.1"')
    expect(violations[0]?.message).to.include('for 0.500 ms')
  })

  it('P7 finds one long hold during which other holds came and went', () => {
    const long = hold('3.1', 0, 100, 50)
    expect(found([long, hold('1.1', 10, 20, 100), hold('2.1', 30, 40, 200), hold('1.2', 101, 110, 300)]))
      .to.have.length(2)
      .and.satisfy((texts: string[]) => texts.every((text) => OVERLAP.test(text)))
  })

  it('P7 finds two holds of one process', () => {
    expect(found([FIRST, hold('1.2', 5, 8, 200)]).join()).to.match(OVERLAP)
  })

  it('P7 tolerates what is within the tolerance, and no more', () => {
    const early = hold('2.1', 8, 20, 200)
    expect(found([FIRST, early], [], 2)).to.deep.equal([])
    expect(found([FIRST, early], [], 1.9).join()).to.match(OVERLAP)
  })

  it('P6 finds a fence that is smaller than an earlier one, or equal', () => {
    expect(found([FIRST, hold('2.1', 11, 20, 99)])).to.deep.equal(SHRUNK)
    expect(found([FIRST, hold('2.1', 11, 20, 100)])).to.deep.equal(SHRUNK)
  })

  it('P6 compares a fence with the largest before it', () => {
    expect(found([FIRST, hold('2.1', 11, 20, 50), hold('1.2', 21, 30, 75)])).to.deep.equal([...SHRUNK, ...SHRUNK])
  })

  it('P6 demands that an adopted lease keeps its fence', () => {
    const { token } = FIRST
    expect(found([FIRST, hold('2.1', 11, 20, 100, { token }), THIRD])).to.deep.equal([])
    expect(found([FIRST, hold('2.1', 11, 20, 101, { token }), THIRD])).to.deep.equal(SHRUNK)
  })

  it('P7 finds a lease held by both its former and its adopting process', () => {
    expect(found([FIRST, hold('2.1', 9, 20, 100, { token: FIRST.token })]).join()).to.match(OVERLAP)
  })

  it('P6 finds a write that was accepted after one of a later holder', () => {
    const writes = [FIRST, SECOND, FIRST].map(write)
    expect(found([FIRST, SECOND], writes)).to.deep.equal(STALE)
  })

  it('P6 finds a stale write even if the fences are equal', () => {
    const later = hold('2.1', 11, 20, 100)
    expect(found([FIRST, later], [FIRST, later, FIRST].map(write))).to.deep.equal([...SHRUNK, ...STALE])
  })

  it('P6 finds a stale write of a lease that was adopted meanwhile', () => {
    const adopted = hold('2.1', 11, 20, 100, { token: FIRST.token })
    const later = hold('1.2', 21, 30, 100)
    expect(found([FIRST, adopted, later], [adopted, later, FIRST].map(write))).to.deep.equal([...SHRUNK, ...STALE])
  })

  it('P6 finds a store that accepted a smaller fence', () => {
    const writes = [write(FIRST), { ...write(FIRST), fence: 99 }]
    expect(found([FIRST], writes)).to.deep.equal(STALE)
  })

  it('P6 permits writes of a detached lease’s former process, which share its fence', () => {
    const adopted = hold('2.1', 11, 20, 100, { token: FIRST.token })
    expect(found([FIRST, adopted], [FIRST, adopted, FIRST].map(write))).to.deep.equal([])
  })

  it('P6 finds a write of a process that never held the lock', () => {
    expect(found([FIRST], [write(SECOND)])).to.deep.equal([
      'P6: a write was accepted of somebody who never held the lock',
    ])
  })

  it('P6 finds a holder that was refused', () => {
    expect(found([{ ...FIRST, refusedAt: 5 }])).to.deep.equal(['P6: a holder was refused as stale'])
  })

  describe('the checker of keys that several may hold', () => {
    const permit = shared.bind(undefined, 'permit')
    const reader = shared.bind(undefined, 'read')
    const writer = shared.bind(undefined, 'write')
    const three = [permit('1.1', 0, 10, 1), permit('2.1', 1, 12, 2), permit('3.1', 2, 14, 3)]

    it('finds no fault in as many permits as there are, whatever the order in which they were seen', () => {
      expect(found([...three, permit('1.2', 11, 20, 4), permit('2.2', 13, 20, 5)])).to.deep.equal([])
      expect(found([permit('1.1', 0, 10, 2), permit('2.1', 1, 12, 1, { askedAt: 0 })])).to.deep.equal([])
    })

    it('P33 finds more holders than permits', () => {
      expect(found([...three, permit('1.2', 9.5, 20, 4)])).to.deep.equal([
        'P33: 4 of 3 permits are held at once, for 0.500 ms',
      ])
    })

    it('P33 counts the weights of permits', () => {
      const heavy = { joint: { mode: 'permit', permits: 3, weight: 2 } } as const
      expect(found([permit('1.1', 0, 10, 1), permit('2.1', 0, 10, 2, heavy)])).to.deep.equal([])
      expect(found([permit('1.1', 0, 10, 1, heavy), permit('2.1', 5, 10, 2, heavy)])).to.deep.equal([
        'P33: 4 of 3 permits are held at once, for 5.000 ms',
      ])
    })

    it('P33 lets the largest number of permits count if holders disagree', () => {
      const five = { joint: { mode: 'permit', permits: 5, weight: 1 } } as const
      expect(found([...three, permit('1.2', 3, 9, 4, five)])).to.deep.equal([])
      expect(found([...three, permit('1.2', 3, 9, 4)])).to.have.length(1)
    })

    it('finds no fault in readers at once, and writers between them', () => {
      const first = writer('1.1', 0, 10, 1)
      const holds = [first, reader('2.1', 11, 30, 2), reader('3.1', 12, 29, 3), writer('1.2', 31, 40, 4)]
      expect(found(holds, [first, holds[3] as Hold].map(write))).to.deep.equal([])
    })

    it('P33 finds a reader beside a writer, whoever came first', () => {
      expect(found([reader('1.1', 0, 10, 1), writer('2.1', 9, 20, 2)])).to.deep.equal([
        'P33: reader and writer hold one key at once, for 1.000 ms',
      ])
      expect(found([writer('1.1', 0, 10, 1), reader('2.1', 9, 20, 2)])).to.deep.equal([
        'P33: writer and reader hold one key at once, for 1.000 ms',
      ])
    })

    it('P33 finds a writer beside one of several readers that has gone on for longer', () => {
      expect(found([reader('1.1', 0, 30, 1), reader('2.1', 1, 10, 2), writer('3.1', 20, 25, 3)])).to.deep.equal([
        'P33: reader and writer hold one key at once, for 5.000 ms',
      ])
    })

    it('P33 finds a plain lock beside a permit, a permit beside a reader, and two writers', () => {
      for (const [one, other, kinds] of [
        [hold('1.1', 0, 10, 1), permit('2.1', 5, 10, 2), 'lock and permit'],
        [permit('1.1', 0, 10, 1), reader('2.1', 5, 10, 2), 'permit and reader'],
        [writer('1.1', 0, 10, 1), writer('2.1', 5, 10, 2), 'writer and writer'],
      ] as const) {
        expect(found([one, other])).to.deep.equal([`P33: ${kinds} hold one key at once, for 5.000 ms`])
      }
    })

    it('P33 finds a permit in two processes at once', () => {
      const [first] = three as [Hold]
      expect(found([first, { ...first, id: '2.1', begin: 5 }]).join()).to.match(/^P33: permit and permit hold/)
    })

    it('P6 finds a permit and a reader with a smaller fence than one that was held before they were asked for', () => {
      expect(found([permit('1.1', 0, 10, 2), permit('2.1', 3, 12, 1, { askedAt: 1 })])).to.deep.equal(SHRUNK)
      expect(found([permit('1.1', 0, 10, 2), permit('2.1', 3, 12, 2, { askedAt: 1 })])).to.deep.equal(SHRUNK)
      expect(found([reader('1.1', 0, 10, 2), reader('2.1', 3, 12, 1, { askedAt: 1 })])).to.deep.equal(SHRUNK)
    })

    it('P6 finds a reader with a smaller fence than the writer before it, and the other way round', () => {
      expect(found([writer('1.1', 0, 10, 2), reader('2.1', 11, 12, 1)])).to.deep.equal(SHRUNK)
      expect(found([reader('1.1', 0, 10, 3), reader('2.1', 0, 10, 2), writer('3.1', 11, 12, 2)])).to.deep.equal(SHRUNK)
    })

    it('P6 demands that a writer that becomes a reader, and an adopted permit, keep their fences', () => {
      const one = writer('1.1', 0, 10, 1)
      const asReader = reader('1.2', 11, 30, 1, { token: one.token })
      expect(found([one, reader('2.1', 10.5, 30, 2), asReader])).to.deep.equal([])
      expect(found([one, reader('2.1', 10.5, 30, 2), { ...asReader, fence: 3 }])).to.deep.equal(SHRUNK)
      const [first, second] = three as [Hold, Hold]
      const adopted = permit('3.1', 11, 20, 1, { token: first.token })
      expect(found([first, second, adopted])).to.deep.equal([])
      expect(found([first, second, { ...adopted, fence: 4 }])).to.deep.equal(SHRUNK)
    })
  })

  describe('the checker of random histories', () => {
    /** Holds of some keys, disjoint for each key, with fences that grow; each writes some times. */
    const histories = fc
      .array(
        fc.record({
          key: fc.constantFrom('a', 'b', 'c'),
          pause: fc.double({ min: 0.001, max: 10, noNaN: true }),
          length: fc.double({ min: 0.001, max: 10, noNaN: true }),
          step: fc.integer({ min: 1, max: 5 }),
          writes: fc.integer({ min: 1, max: 3 }),
        }),
        { minLength: 2, maxLength: 40 },
      )
      .map((turns) => {
        let now = 0
        let fence = 0
        const holds = turns.map(({ key, pause, length, step }, index) => {
          const begin = now + pause
          now = begin + length
          fence += step
          return hold(`1.${index}`, begin, now, fence, { key })
        })
        const writes = holds.flatMap((one, index) =>
          Array.from({ length: turns[index]?.writes ?? 0 }, () => write(one)),
        )
        return { holds, writes }
      })

    /** Two neighbours of one key: where there are none, the sample is not used. */
    const neighbours = (holds: readonly Hold[], at: number): [Hold, Hold] => {
      const first = holds[at % holds.length] as Hold
      const second = holds.find(({ key, begin }) => key === first.key && begin > first.begin)
      fc.pre(second !== undefined)
      return [first, second]
    }

    it('finds nothing in a correct history', () => {
      fc.assert(fc.property(histories, (history) => judge(history).violations.length === 0))
    })

    it('P7 finds a hold that goes on too long', () => {
      fc.assert(
        fc.property(histories, fc.nat(), ({ holds, writes }, at) => {
          const [first, second] = neighbours(holds, at)
          const wrong = holds.map((one) => (one === first ? { ...one, end: (second.begin + second.end) / 2 } : one))
          const violations = judge({ holds: wrong, writes }).violations
          expect(violations.map(({ property }) => property)).to.deep.equal(['P7'])
        }),
      )
    })

    it('P6 finds a fence that was assigned too late', () => {
      fc.assert(
        fc.property(histories, fc.nat(), ({ holds }, at) => {
          const [first, second] = neighbours(holds, at)
          const wrong = holds.map((one) => (one === second ? { ...one, fence: first.fence } : one))
          expect(found(wrong)).to.deep.equal(SHRUNK)
        }),
      )
    })

    it('P6 finds a write that came too late', () => {
      fc.assert(
        fc.property(histories, fc.nat(), ({ holds, writes }, at) => {
          const [first] = neighbours(holds, at)
          expect(found(holds, [...writes, write(first)])).to.deep.equal(STALE)
        }),
      )
    })
  })
})
