import { expect } from 'chai'
import fc from 'fast-check'
import { TimerWheel } from '#src/structures/timer-wheel.js'
import {
  deadlineOf,
  defaultTimeout,
  firstRenewalDue,
  phaseOf,
  phaseOfPlace,
  renewalDue,
  renewalRetryDelay,
  shareOf,
} from '#src/rules/timing.js'

const RUNS = { seed: 3_001, numRuns: 1_000 }
const DRIFT = 0.01

const anyTtl = fc.oneof(fc.integer({ min: 100, max: 2_000 }), fc.integer({ min: 100, max: 1_000_000 }))
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
/** A time on a manager's clock, fractions of a ms included. */
const anyTime = fc.double({ min: 0, max: 1e9, noNaN: true })
const anyLatency = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 20, noNaN: true }),
  fc.integer({ max: 3_000, min: 0 }),
)

/** How much earlier than a third of the ttl a renewal may be, to fall together with others. */
function beatOf(ttl: number): number {
  return Math.min(ttl / 100, 50)
}

describe('the deadline', () => {
  it('P1 is the send time plus the ttl less the margin', () => {
    expect(deadlineOf(1_000, 30_000, 0.01)).to.equal(1_000 + 30_000 - 302)
    expect(deadlineOf(1_000, 100, 0)).to.equal(1_098)
  })

  it('P1 lies before the ttl’s end even if the other clock drifts ahead', () => {
    const driftFactor = fc.double({ min: 0, max: 0.5, noNaN: true })
    fc.assert(
      fc.property(anyTime, anyTtl, driftFactor, (sentAt, ttl, drift) => {
        // The key was extended at `sentAt` at the earliest; its server counts `ttl` ms while this clock counts fewer.
        expect(deadlineOf(sentAt, ttl, drift)).to.be.lessThan(sentAt + ttl / (1 + drift))
      }),
      RUNS,
    )
  })
})

describe('the due time of a renewal', () => {
  it('is a third of the ttl after the send time, or just before that', () => {
    fc.assert(
      fc.property(anyTime, anyTtl, (sentAt, ttl) => {
        const due = renewalDue(sentAt, ttl)
        expect(due).to.be.at.most(sentAt + ttl / 3 + 1e-6)
        expect(due).to.be.greaterThan(sentAt + ttl / 3 - beatOf(ttl) - 1e-6)
      }),
      RUNS,
    )
  })

  it('is a whole number of thirds after its phase, or just before that', () => {
    fc.assert(
      fc.property(anyTime, anyTtl, anyTime, (sentAt, ttl, phase) => {
        const thirds = (renewalDue(sentAt, ttl, phase) - phase) / (ttl / 3)
        const late = (Math.ceil(thirds - 1e-3) - thirds) * (ttl / 3)
        expect(late).to.be.lessThan(beatOf(ttl) + 1)
      }),
      RUNS,
    )
  })

  it('P21 is never the due time of the renewal that was just confirmed', () => {
    fc.assert(
      fc.property(anyTime, anyTtl, anyTime, (sentAt, ttl, phase) => {
        // More than the tick by which a wheel may be early.
        expect(renewalDue(sentAt, ttl, phase)).to.be.greaterThan(sentAt + 10 - 1e-6)
      }),
      RUNS,
    )
  })

  it('P19 comes, whatever its phase, before half the ttl is over', () => {
    fc.assert(
      fc.property(anyTime, anyTtl, anyTime, anyRandom, (sentAt, ttl, phase, random) => {
        expect(firstRenewalDue(sentAt, ttl, random)).to.be.lessThan(sentAt + ttl / 2)
        expect(renewalDue(sentAt, ttl)).to.be.lessThan(sentAt + ttl / 2)
        expect(renewalDue(sentAt, ttl, phase)).to.be.lessThan(sentAt + ttl / 2)
      }),
      RUNS,
    )
  })

  it('P19 P21 gives three renewals per ttl if all succeed', () => {
    const steady = fc.record({
      ttl: fc.oneof(anyTtl, fc.constantFrom(100, 1_000, 5_000, 10_000, 30_000)),
      latency: anyLatency,
      random: anyRandom,
      start: fc.double({ min: 0, max: 10, noNaN: true }),
    })
    fc.assert(
      fc.property(steady, ({ ttl, latency, random, start }) => {
        const wheel = new TimerWheel<string>(start)
        const id = wheel.add('lease')
        const phase = firstRenewalDue(start, ttl, random)
        const sent: number[] = []
        let now = start
        wheel.schedule(id, phase)
        for (let next = wheel.nextDue(); next !== undefined && now < start + 10 * ttl; next = wheel.nextDue()) {
          now = Math.max(next, now)
          if (wheel.advance(now).length === 0) continue
          sent.push(now)
          wheel.schedule(id, renewalDue(now, ttl, phase))
          now += latency
        }
        const within = sent.filter((at) => at < start + 10 * ttl).length
        expect(within).to.be.at.most(31)
        if (latency < ttl / 10) expect(within).to.be.at.least(29)
      }),
      RUNS,
    )
  })

  it('P19 returns to its own phase after a simultaneous renewal, which spreads the burst', () => {
    const ttl = 30_000
    const leases = 10_000
    const blockedUntil = 1_000_000
    const dues = Array.from({ length: leases }, (_, index) => {
      const phase = firstRenewalDue(900_000, ttl, index / leases)
      return renewalDue(blockedUntil, ttl, phase) - blockedUntil
    })
    for (let second = 0; second < 10; second += 1) {
      const within = dues.filter((due) => due >= second * 1_000 && due < (second + 1) * 1_000).length
      expect(within, `second ${second}`).to.be.within(leases * 0.08, leases * 0.12)
    }
  })

  it('P36 follows from the place, whenever the lease was confirmed', () => {
    fc.assert(
      fc.property(anyTime, anyTtl, anyRandom, (sentAt, ttl, share) => {
        const phase = phaseOf(share, ttl)
        expect(phase).to.be.within(0, (share * ttl) / 3)
        expect(phase).to.be.greaterThan((share * ttl) / 3 - beatOf(ttl) - 1e-6)
        const due = renewalDue(sentAt, ttl, phase)
        expect(due).to.be.greaterThan(sentAt)
        expect(due).to.be.at.most(sentAt + ttl / 3 + beatOf(ttl) + 10 + 1e-6)
        // On the grid of the clock, or just before.
        const late = (ttl / 3 - ((due - phase) % (ttl / 3))) % (ttl / 3)
        expect(Math.min(late, ttl / 3 - late)).to.be.at.most(beatOf(ttl) + 1e-3)
      }),
      RUNS,
    )
  })

  it('P36 is evenly spread over a third of the ttl for all places', () => {
    const tenths = Array.from({ length: 10 }, () => 0)
    for (let place = 0; place < 16_384; place += 1) {
      const tenth = Math.floor((phaseOfPlace(place, 16_384, 30_000) / 10_000) * 10)
      tenths[tenth] = (tenths[tenth] as number) + 1
    }
    for (const count of tenths) expect(count).to.be.within(1_600, 1_680)
  })

  for (const [ttl, places] of [
    [10_000, 16_384],
    [600, 16_384],
    [60_000, 16_384],
    [30_000, 64],
  ] as const) {
    it(`P36 never leaves a server with a third of ${places} places alone for long, at a ttl of ${ttl} ms`, () => {
      const ends = [0, 1 / 3, 2 / 3, 1].map((part) => Math.round(part * places))
      for (let server = 0; server < 3; server += 1) {
        const phases = new Set<number>()
        for (let place = ends[server] as number; place < (ends[server + 1] as number); place += 1) {
          phases.add(phaseOfPlace(place, places, ttl))
        }
        const sorted = [...phases].sort((a, b) => a - b)
        sorted.push((sorted[0] as number) + ttl / 3)
        const gaps = sorted.slice(1).map((phase, index) => phase - (sorted[index] as number))
        // With few places each of them is a block.
        expect(Math.max(...gaps)).to.be.at.most(Math.max(3 * beatOf(ttl), (5 * ttl) / 3 / places) + 1e-6)
      }
    })
  }

  it('P36 is the same for neighbouring places, except at the ends of blocks and beats', () => {
    let changes = 0
    for (let place = 1; place < 16_384; place += 1) {
      if (phaseOfPlace(place, 16_384, 10_000) !== phaseOfPlace(place - 1, 16_384, 10_000)) changes += 1
    }
    // 128 blocks, and 67 beats.
    expect(changes).to.be.at.most(128 + 67)
  })

  it('P36 is drawn evenly by the hashes of the keys of a crowded place', () => {
    const tenths = Array.from({ length: 10 }, () => 0)
    for (let index = 0; index < 10_000; index += 1) {
      const tenth = Math.floor(shareOf(`{user:42}:task:${index}`) * 10)
      tenths[tenth] = (tenths[tenth] as number) + 1
    }
    for (const count of tenths) expect(count).to.be.within(850, 1_150)
  })

  it('is the same for leases of one ttl that were confirmed within one beat', () => {
    const ttl = 30_000
    const dues = new Set<number>()
    for (let sentAt = 1_000_000; sentAt < 1_001_000; sentAt += 1) dues.add(renewalDue(sentAt, ttl))
    expect(dues.size).to.be.within(20, 21)
  })

  it('is spread over a third of the ttl for leases of one burst', () => {
    for (const ttl of [100, 1_000, 30_000, 600_000]) {
      const sentAt = 1_000_000
      const leases = 6_000
      const tenths = Array.from({ length: 10 }, () => 0)
      for (let index = 0; index < leases; index += 1) {
        const offset = firstRenewalDue(sentAt, ttl, index / leases) - sentAt
        // The beat may take it back to just before the acquisition: then it is due at once.
        expect(offset).to.be.within(-beatOf(ttl), ttl / 3)
        const tenth = Math.min(Math.floor((Math.max(offset, 0) / (ttl / 3)) * 10), 9)
        tenths[tenth] = (tenths[tenth] as number) + 1
      }
      // A beat is 3 % of a third of the ttl at most, so the edges of the tenths are that blurred: 30 % of a tenth.
      for (const count of tenths) expect(count, `${tenths.join(' ')}`).to.be.within(leases * 0.07, leases * 0.13)
    }
  })
})

describe('the pause after a failed renewal', () => {
  it('starts at a sixtieth of the ttl, doubles, and stops growing at a tenth', () => {
    const ttl = 60_000
    const pauses = [1, 2, 3, 4, 5, 100, 1e9].map((failures) => renewalRetryDelay(ttl, failures, ttl, 1))
    expect(pauses).to.deep.equal([1_000, 2_000, 4_000, 6_000, 6_000, 6_000, 6_000])
  })

  it('is drawn from its upper half', () => {
    expect(renewalRetryDelay(60_000, 2, 60_000, 0)).to.equal(1_000)
    expect(renewalRetryDelay(60_000, 2, 60_000, 0.5)).to.equal(1_500)
  })

  it('is at most a quarter of what is left', () => {
    expect(renewalRetryDelay(60_000, 5, 8_000, 1)).to.equal(2_000)
  })

  it('is at least a hundredth of the ttl, and 5 ms', () => {
    fc.assert(
      fc.property(
        anyTtl,
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: -1_000, max: 1_000_000 }),
        anyRandom,
        (ttl, failures, remaining, random) => {
          const delay = renewalRetryDelay(ttl, failures, remaining, random)
          expect(delay).to.be.at.least(Math.max(ttl / 100, 5))
          expect(delay).to.be.at.most(ttl / 10)
        },
      ),
      RUNS,
    )
  })
})

interface Outage {
  readonly ttl: number
  /** How long each attempt takes to fail, in ms. */
  readonly latency: number
  /** The jitter of each pause in turn, over and over. */
  readonly randoms: readonly number[]
  /** When the first attempt is due, after an acquisition at 0. */
  readonly firstDue: number
}

const anyOutage: fc.Arbitrary<Outage> = fc
  .record({ ttl: anyTtl, latency: anyLatency, randoms: fc.array(anyRandom, { minLength: 1, maxLength: 10 }) })
  .map((outage) => ({ ...outage, firstDue: renewalDue(0, outage.ttl) }))

function randomAfter({ randoms }: Outage, failures: number): number {
  return randoms[failures % randoms.length] as number
}

/** The times at which a renewal is attempted while every attempt fails, until the deadline. */
function attemptsDuring(outage: Outage): number[] {
  const { ttl, latency, firstDue } = outage
  const deadline = deadlineOf(0, ttl, DRIFT)
  const attempts: number[] = []
  let now = firstDue
  while (now < deadline) {
    attempts.push(now)
    now += latency
    const failures = attempts.length
    now += renewalRetryDelay(ttl, failures, deadline - now, randomAfter(outage, failures))
  }
  return attempts
}

/** The same on a wheel, which rounds every pause to the start of a tick. `phase`: where in a tick the lease was acquired. */
function attemptsOnWheelDuring(outage: Outage, phase: number): number[] {
  const { ttl, latency, firstDue } = outage
  const deadline = phase + deadlineOf(0, ttl, DRIFT)
  const wheel = new TimerWheel<string>(phase)
  const id = wheel.add('lease')
  const attempts: number[] = []
  let now = phase
  wheel.schedule(id, phase + firstDue)
  for (let next = wheel.nextDue(); next !== undefined; next = wheel.nextDue()) {
    now = Math.max(next, now)
    if (wheel.advance(now).length === 0) continue
    if (now >= deadline) break
    attempts.push(now)
    now += latency
    const failures = attempts.length
    wheel.schedule(id, now + renewalRetryDelay(ttl, failures, deadline - now, randomAfter(outage, failures)))
  }
  return attempts
}

describe('the repetition of failing renewals', () => {
  it('P21 makes at most 21 attempts between the due time and the deadline', () => {
    fc.assert(
      fc.property(anyOutage, (outage) => {
        expect(attemptsDuring(outage).length).to.be.at.most(21)
      }),
      RUNS,
    )
  })

  it('P21 makes at most 28 attempts if the first follows the last confirmation directly', () => {
    fc.assert(
      fc.property(anyOutage, (outage) => {
        expect(attemptsDuring({ ...outage, firstDue: 0 }).length).to.be.at.most(28)
      }),
      RUNS,
    )
  })

  it('P21 makes at most 28 attempts, or 40, one per tick, on an early wheel', () => {
    fc.assert(
      fc.property(anyOutage, fc.double({ min: 0, max: 10, noNaN: true }), (outage, phase) => {
        const attempts = attemptsOnWheelDuring(outage, phase)
        expect(attempts.length).to.be.at.most(28)
        expect(new Set(attempts.map((at) => Math.floor(at / 10))).size).to.equal(attempts.length)
        expect(attemptsOnWheelDuring({ ...outage, firstDue: 0 }, phase).length).to.be.at.most(40)
      }),
      RUNS,
    )
  })

  it('P21 reaches these bounds exactly with the shortest pauses and immediate answers', () => {
    const most = { late: 0, early: 0, lateOnWheel: 0, earlyOnWheel: 0 }
    for (let ttl = 100; ttl < 1_000_000; ttl = Math.ceil(ttl * 1.002)) {
      const late = { ttl, latency: 0, randoms: [0], firstDue: renewalDue(0, ttl) }
      const early = { ...late, firstDue: 0 }
      most.late = Math.max(most.late, attemptsDuring(late).length)
      most.early = Math.max(most.early, attemptsDuring(early).length)
      for (const phase of [0, 3, 7, 9.9]) {
        most.lateOnWheel = Math.max(most.lateOnWheel, attemptsOnWheelDuring(late, phase).length)
        most.earlyOnWheel = Math.max(most.earlyOnWheel, attemptsOnWheelDuring(early, phase).length)
      }
    }
    expect(most).to.deep.equal({ late: 21, early: 28, lateOnWheel: 28, earlyOnWheel: 40 })
  })

  it('P21 makes ten attempts or more if each fails within a hundredth of the ttl', () => {
    fc.assert(
      fc.property(anyOutage, fc.double({ min: 0, max: 0.01, noNaN: true }), (outage, part) => {
        expect(attemptsDuring({ ...outage, latency: outage.ttl * part }).length).to.be.at.least(10)
      }),
      RUNS,
    )
  })

  it('P21 makes its last attempt right before the deadline, so late recoveries still help', () => {
    fc.assert(
      fc.property(anyOutage, (outage) => {
        const { ttl, latency } = outage
        const deadline = deadlineOf(0, ttl, DRIFT)
        const left = deadline - (attemptsDuring(outage).at(-1) as number)
        // Only an attempt that is still under way can stand between the last one and the very end.
        expect(left).to.be.at.most(Math.max(ttl / 100, 5) + latency)
      }),
      RUNS,
    )
  })
})

describe('the default timeout', () => {
  it('is a sixth of the ttl, a whole number of ms from 50 to 2,000', () => {
    const timeouts = [100, 300, 305, 1_000, 6_000, 12_000, 30_000, 2 ** 31 - 1].map(defaultTimeout)
    expect(timeouts).to.deep.equal([50, 50, 51, 167, 1_000, 2_000, 2_000, 2_000])
  })

  it('is never longer than the ttl, and leaves time for several attempts', () => {
    fc.assert(
      fc.property(anyTtl, (ttl) => {
        expect(defaultTimeout(ttl)).to.be.at.most(Math.max(ttl / 6 + 0.5, 50))
      }),
      RUNS,
    )
  })
})
