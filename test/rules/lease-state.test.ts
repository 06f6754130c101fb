import { expect } from 'chai'
import fc from 'fast-check'
import { isActive, type LeaseInput, type LeaseState, transition } from '#src/rules/lease-state.js'
import { deadlineOf } from '#src/rules/timing.js'

const STATES = ['held', 'jeopardy', 'releasing', 'released', 'lost'] as const satisfies readonly LeaseState[]

const limits = { deadline: 200, retireAt: 100 }
const IN_TIME = 99.999
const RETIRED = 100
const unlimited = { deadline: 200 }
const LAST_MOMENT = 199.999
const DEADLINE = 200

const error = new Error('unanswered')

function isTerminal(state: LeaseState): boolean {
  return state === 'released' || state === 'lost'
}

/** What a transition amounts to, in one line. */
function told(state: LeaseState, bounds: { deadline: number; retireAt?: number }, input: LeaseInput): string {
  const { to, notice, reason, extends: extended } = transition(state, bounds, input)
  return [to, notice && `(${notice})`, reason, extended && 'extends'].filter(Boolean).join(' ')
}

/** Each row: what happens, then what follows in each of `STATES`. A dot: nothing, the state stays and nobody is told. */
const TABLE: readonly [string, LeaseInput, ...string[]][] = [
  ['observed', { type: 'observed', now: IN_TIME }, '.', '.', '.', '.', '.'],
  [
    'confirmed',
    { type: 'confirmed', now: IN_TIME, sentAt: 50 },
    'held (renewed) extends',
    'held (safe) extends',
    '.',
    '.',
    '.',
  ],
  ['unanswered', { type: 'unanswered', now: IN_TIME, error }, 'jeopardy (jeopardy)', '.', '.', '.', '.'],
  [
    'refused: taken',
    { type: 'refused', now: IN_TIME, reason: 'taken' },
    'lost (lost) taken',
    'lost (lost) taken',
    '.',
    '.',
    '.',
  ],
  [
    'refused: missing',
    { type: 'refused', now: IN_TIME, reason: 'missing' },
    'lost (lost) missing',
    'lost (lost) missing',
    '.',
    '.',
    '.',
  ],
  ['release', { type: 'release', now: IN_TIME }, 'releasing', 'releasing', '.', '.', '.'],
  ['detach', { type: 'detach', now: IN_TIME }, 'released (released)', 'released (released)', '.', '.', '.'],
  ['deleted', { type: 'deleted' }, '.', '.', 'released (released)', '.', '.'],
  ['gone: taken', { type: 'gone', reason: 'taken' }, '.', '.', 'lost (lost) taken', '.', '.'],
  ['gone: missing', { type: 'gone', reason: 'missing' }, '.', '.', 'lost (lost) missing', '.', '.'],
  ['undecided', { type: 'undecided' }, '.', '.', 'released (released)', '.', '.'],
]

/** The inputs that carry a time, at another one. */
function timedAt(now: number): LeaseInput[] {
  return TABLE.flatMap(([, input]) => ('now' in input ? [{ ...input, now }] : []))
}

describe('the states of a lease', () => {
  it('either allow work or do not', () => {
    expect(STATES.filter(isActive)).to.deep.equal(['held', 'jeopardy'])
  })

  for (const [name, input, ...row] of TABLE) {
    for (const [index, state] of STATES.entries()) {
      const expected = row[index] === '.' ? state : row[index]
      it(`${state}, ${name}: ${expected === state ? 'nothing changes' : expected}`, () => {
        expect(told(state, limits, input)).to.equal(expected)
      })
    }
  }

  for (const state of ['held', 'jeopardy'] as const) {
    it(`P1 ${state}: is lost at the deadline, whatever happens then`, () => {
      for (const now of [DEADLINE, DEADLINE + 1_000_000]) {
        for (const input of timedAt(now))
          expect(told(state, unlimited, input), input.type).to.equal('lost (lost) expired')
      }
      for (const input of timedAt(LAST_MOMENT))
        expect(told(state, unlimited, input), input.type).not.to.include('expired')
    })

    it(`P2 ${state}: an answer at the deadline or later does not revive the lease`, () => {
      for (const now of [DEADLINE, DEADLINE + 0.001, DEADLINE + 1_000_000]) {
        const answer = transition(state, unlimited, { type: 'confirmed', now, sentAt: now })
        expect(answer).to.deep.equal({ to: 'lost', notice: 'lost', reason: 'expired' })
      }
    })

    it(`${state}: is lost at the end of maxHold, whatever happens then`, () => {
      for (const now of [RETIRED, LAST_MOMENT]) {
        for (const input of timedAt(now)) expect(told(state, limits, input), input.type).to.equal('lost (lost) maxHold')
      }
    })
  }

  for (const state of ['releasing', 'released', 'lost'] as const) {
    it(`${state}: ignores the deadline and maxHold`, () => {
      for (const now of [RETIRED, DEADLINE, Number.MAX_VALUE]) {
        for (const input of timedAt(now)) expect(told(state, limits, input), input.type).to.equal(state)
      }
    })
  }

  it('P3 never leaves a terminal state, and emits nothing more', () => {
    for (const state of ['released', 'lost'] as const) {
      for (const input of [...TABLE.map(([, untimed]) => untimed), ...timedAt(DEADLINE)]) {
        expect(transition(state, limits, input)).to.deep.equal({ to: state })
      }
    }
  })

  it('P16 a lease that is being released is lost neither by a renewal nor by time', () => {
    for (const now of [IN_TIME, RETIRED, DEADLINE]) {
      for (const input of timedAt(now))
        expect(transition('releasing', limits, input)).to.deep.equal({ to: 'releasing' })
    }
  })

  it('P16 a release that finds the key gone is a loss', () => {
    for (const reason of ['taken', 'missing'] as const) {
      const answer = transition('releasing', limits, { type: 'gone', reason })
      expect(answer).to.deep.equal({ to: 'lost', notice: 'lost', reason })
    }
  })

  it('P3 a detached lease has ended, and an ended lease cannot be detached', () => {
    for (const state of ['held', 'jeopardy'] as const) {
      const given = transition(state, unlimited, { type: 'detach', now: LAST_MOMENT })
      expect(given).to.deep.equal({ to: 'released', notice: 'released' })
      const late = transition(state, unlimited, { type: 'detach', now: DEADLINE })
      expect(late).to.deep.equal({ to: 'lost', notice: 'lost', reason: 'expired' })
    }
  })

  it('P18 an unanswered renewal is no loss, however many follow', () => {
    let state: LeaseState = 'held'
    const notices = []
    for (let now = 0; now < limits.deadline; now += 1) {
      const { to, notice } = transition(state, unlimited, { type: 'unanswered', now, error })
      state = to
      if (notice) notices.push(notice)
    }
    expect(state).to.equal('jeopardy')
    expect(notices).to.deep.equal(['jeopardy'])
  })

  it('returns existing objects, so that a renewal allocates nothing', () => {
    for (const state of STATES) {
      for (const [, input] of TABLE) {
        expect(transition(state, limits, input)).to.equal(transition(state, limits, { ...input }))
      }
    }
  })

  it('has no other states and no other inputs', () => {
    // Not reachable through the types; shown because the branches are there to prove that nothing was forgotten.
    expect(transition('asleep' as never, limits, { type: 'deleted' })).to.equal('asleep')
    const input = { type: 'dreamt' } as never
    expect(transition('held', limits, input)).to.equal(input)
    expect(transition('releasing', limits, input)).to.equal(input)
  })
})

const TTL = 1_000
const DRIFT = 0.01

/** An input, `elapsed` ms after the one before; what it confirms was sent `age` ms before it is applied. */
interface Happening {
  readonly type: LeaseInput['type']
  readonly reason: 'taken' | 'missing'
  readonly elapsed: number
  readonly age: number
}

function happenings(types: readonly LeaseInput['type'][]): fc.Arbitrary<Happening[]> {
  // Mostly short against a ttl, so that some leases live for long; sometimes up to its edges, or past them.
  const span = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: 985, max: 1_005 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
  )
  const reason = fc.constantFrom('taken' as const, 'missing' as const)
  const happening = fc.record({ type: fc.constantFrom(...types), reason, elapsed: span, age: span })
  return fc.array(happening, { maxLength: 60, size: 'max' })
}

function inputOf({ type, reason, age }: Happening, now: number): LeaseInput {
  switch (type) {
    case 'observed':
    case 'release':
    case 'detach':
      return { type, now }
    case 'confirmed':
      return { type, now, sentAt: now - age }
    case 'unanswered':
      return { type, now, error }
    case 'refused':
      return { type, now, reason }
    case 'gone':
      return { type, reason }
    case 'deleted':
    case 'undecided':
      return { type }
    default:
      return type satisfies never
  }
}

interface Moment {
  readonly now: number
  readonly state: LeaseState
  readonly deadline: number
  readonly held: boolean
}

interface Step {
  readonly input: LeaseInput
  /** Both at the time of the input. */
  readonly before: Moment
  readonly after: Moment
  readonly notice: string | undefined
}

/** Lives the life of a lease acquired at 0, applying what `transition` decides in the way the table of leases does. */
function live(events: readonly Happening[], retireAt: number): Step[] {
  let now = 0
  let state: LeaseState = 'held'
  let deadline = deadlineOf(0, TTL, DRIFT)
  const moment = (): Moment => {
    return { now, state, deadline, held: isActive(state) && now < deadline && now < retireAt }
  }
  return events.map((event) => {
    now += event.elapsed
    const before = moment()
    const input = inputOf(event, now)
    const { to, notice, extends: extended } = transition(state, { deadline, retireAt }, input)
    state = to
    if (extended && input.type === 'confirmed') deadline = Math.max(deadline, deadlineOf(input.sentAt, TTL, DRIFT))
    return { input, before, after: moment(), notice }
  })
}

describe('the life of a lease, whatever happens in whatever order', () => {
  const everything = TABLE.map(([, { type }]) => type)
  // Where nothing is a definite end, lives are long enough to be renewed and endangered many times.
  const nothingFinal = ['observed', 'confirmed', 'unanswered'] as const

  function forEveryLife(check: (life: readonly Step[]) => void): void {
    for (const types of [everything, nothingFinal]) {
      const retireAt = fc.constantFrom(Number.POSITIVE_INFINITY, 2_500)
      const property = fc.property(happenings(types), retireAt, (events, limit) => check(live(events, limit)))
      fc.assert(property, { seed: 815, numRuns: 300 })
    }
  }

  it('P1 is held no longer than the last confirmed send time allows', () => {
    forEveryLife((life) => {
      let allowed = deadlineOf(0, TTL, DRIFT)
      for (const { input, before, after } of life) {
        // Only an answer that finds the lease held can count.
        if (input.type === 'confirmed' && before.held) allowed = Math.max(allowed, deadlineOf(input.sentAt, TTL, DRIFT))
        expect(after.deadline).to.equal(allowed)
        if (after.held) expect(after.now).to.be.lessThan(allowed)
      }
    })
  })

  it('P1 moves its deadline only by a confirmed answer, and never backwards', () => {
    forEveryLife((life) => {
      for (const { input, before, after } of life) {
        expect(after.deadline).to.be.at.least(before.deadline)
        if (input.type !== 'confirmed') expect(after.deadline).to.equal(before.deadline)
      }
    })
  })

  it('P2 P3 is never held again after one instant without it', () => {
    forEveryLife((life) => {
      const asked = life.flatMap(({ before, after }) => [before.held, after.held])
      const end = asked.indexOf(false)
      if (end !== -1) expect(asked.slice(end)).not.to.include(true)
    })
  })

  it('P3 stays in its final state', () => {
    forEveryLife((life) => {
      for (const { before, after } of life) if (isTerminal(before.state)) expect(after).to.deep.equal(before)
    })
  })

  it('P14 emits its events in order: (renewed | jeopardy safe)* jeopardy? (released | lost)', () => {
    const letters: Record<string, string> = { renewed: 'n', jeopardy: 'j', safe: 's', released: 'r', lost: 'l' }
    forEveryLife((life) => {
      const story = life.map(({ notice }) => letters[notice ?? ''] ?? '').join('')
      expect(story).to.match(/^(n|js)*j?[rl]?$/)
    })
  })

  it('P14 emits its end when it ends, and once', () => {
    forEveryLife((life) => {
      for (const { before, after, notice } of life) {
        const ends = !isTerminal(before.state) && isTerminal(after.state)
        expect(notice === 'released' || notice === 'lost').to.equal(ends)
      }
    })
  })

  it('P16 is not lost by a renewal or by time after its owner’s release', () => {
    forEveryLife((life) => {
      for (const { input, before, notice } of life) {
        if (before.state === 'releasing' && notice === 'lost') expect(input.type).to.equal('gone')
      }
    })
  })

  it('goes through every state and emits everything in these tests', () => {
    const states = new Set<string>()
    const notices = new Set<string | undefined>()
    forEveryLife((life) => {
      for (const { after, notice } of life) {
        states.add(after.state)
        notices.add(notice)
      }
    })
    expect([...states]).to.have.members([...STATES])
    expect([...notices]).to.have.members(['renewed', 'jeopardy', 'safe', 'released', 'lost', undefined])
  })
})
