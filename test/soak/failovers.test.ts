/** Which losses a failover excuses, and which it does not. */
import { expect } from 'chai'
import { judge } from './checker.ts'
import type { Failover, Replicated } from './failovers.ts'
import type { Hold } from './history.ts'

const TTL = 3_000
/** The master fails at 10,000, a replica takes its place at 12,000, and the Sentinels say so at 13,000. */
const TIMES = { beganAt: 10_000, promotedAt: 12_000, switchedAt: 13_000 }

function hold(id: string, begin: number, end: number, more: Partial<Hold> = {}): Hold {
  const rest = { grantedAt: begin, fence: begin, refusedAt: undefined, ending: 'released' } as const
  return { id, key: 'key', token: `token ${id}`, ttl: TTL, begin, end, ...rest, ...more }
}

/** Another gets the lock from the new master. */
const NEXT = hold('2.1', 13_100, 15_000)

/** What is found when this hold overlaps with the next, and the new master had this of the key. */
function verdict(first: Hold, replicated?: Replicated, next: Hold = NEXT): 'named' | 'violation' {
  const known = new Set([next.token, ...(replicated === undefined ? [] : [replicated.token])])
  const failover: Failover = { ...TIMES, replicated: new Map(replicated && [['key', replicated]]), known }
  const { violations, named } = judge({ holds: [first, next], writes: [], failovers: [failover] })
  expect(violations.length + named.length).to.equal(1)
  return named.length === 1 ? 'named' : 'violation'
}

describe('a lock with two holders around a failover', () => {
  it('a double holding is named if the old master granted after the promotion', () => {
    expect(verdict(hold('1.1', 12_500, 13_200))).to.equal('named')
  })

  it('a double holding is named if the old grant was not copied', () => {
    expect(verdict(hold('1.1', 9_950, 13_200, { ttl: 5_000 }))).to.equal('named')
  })

  it('a double holding is a violation if both grants precede the fault', () => {
    expect(verdict(hold('1.1', 9_800, 13_200, { ttl: 5_000 }))).to.equal('violation')
  })

  it('a double holding is a violation if the new master had the key', () => {
    const replicated = { token: 'token 1.1', expiresAt: 14_900 }
    expect(verdict(hold('1.1', 11_900, 13_200), replicated)).to.equal('violation')
  })

  it('a grant of the old master long after the announcement is a violation', () => {
    expect(verdict(hold('1.1', 13_300, 13_400), undefined, hold('2.1', 13_350, 15_000))).to.equal('violation')
    expect(verdict(hold('1.1', 13_000, 13_400, { grantedAt: 13_300 }))).to.equal('violation')
  })

  it('a holder that goes on believing after its deadline is a violation', () => {
    expect(verdict(hold('1.1', 12_500, 13_250 + TTL))).to.equal('named')
    expect(verdict(hold('1.1', 12_500, 13_251 + TTL))).to.equal('violation')
  })

  it('a double holding is named if the renewal was not copied', () => {
    expect(verdict(hold('1.1', 5_000, 13_200), { token: 'token 1.1', expiresAt: 13_050 })).to.equal('named')
  })

  it('a double holding is a violation if the new master still had the key', () => {
    expect(verdict(hold('1.1', 5_000, 13_200), { token: 'token 1.1', expiresAt: 13_150 })).to.equal('violation')
  })

  it('a double holding is a violation if the second grant precedes the promotion', () => {
    const next = hold('2.1', 11_950, 15_000)
    expect(verdict(hold('1.1', 11_000, 12_500), undefined, next)).to.equal('violation')
  })

  it('a double holding is named even if the first holder learned later', () => {
    const late = hold('1.1', 13_200, 13_300, { grantedAt: 12_900, fence: 14_000 })
    expect(verdict(late)).to.equal('named')
  })

  it('a refused write of the first holder is named again', () => {
    const failover: Failover = { ...TIMES, replicated: new Map(), known: new Set([NEXT.token]) }
    const refused = hold('1.1', 12_500, 13_200, { refusedAt: 13_150 })
    const { violations, named } = judge({ holds: [refused, NEXT], writes: [], failovers: [failover] })
    expect(violations).to.deep.equal([])
    expect(named.map(({ overlap }) => overlap)).to.deep.equal([100, 0])
  })

  it('a first holder that wakes up late is named by fence and writes', () => {
    const failover: Failover = { ...TIMES, replicated: new Map(), known: new Set([NEXT.token]) }
    // It was stopped between the grant and its first look at the lease.
    const late = hold('1.1', 13_200, 13_300, { grantedAt: 12_900, fence: 12_900 })
    const writes = [
      { hold: '2.1', key: 'key', fence: NEXT.fence, at: 13_150 },
      { hold: '1.1', key: 'key', fence: late.fence, at: 13_250 },
    ]
    const history = { holds: [late, NEXT], writes }
    const { violations, named } = judge({ ...history, failovers: [failover] })
    expect(violations).to.deep.equal([])
    expect(named.map(({ overlap }) => overlap)).to.deep.equal([100, 0, 0])
    expect(judge(history).violations, 'without a failover').to.have.length(3)
  })
})
