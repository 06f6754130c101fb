/** Renewals that are answered in part, and renewals that are never answered. */
import { expect } from 'chai'
import { type ChangeOutcome, type Lease, type LockEntry, UnavailableError } from 'leasewheel'
import { type Member, TICK, TTL, type TestBackend, watch, withManager } from '../support/manager.ts'

const DENIED: ChangeOutcome = { type: 'unknown', error: new Error('NOPERM') }

/** The server denies the renewal of these keys, each for itself. @returns how many keys each request had. */
function deny(
  backend: TestBackend,
  denied: ReadonlySet<string>,
  outcome: ChangeOutcome | undefined = DENIED,
): LockEntry[][] {
  const requests: LockEntry[][] = []
  const renew = backend.renew.bind(backend)
  backend.renew = async (entries, isWatched) => {
    requests.push([...entries])
    const outcomes = await renew(entries, isWatched)
    const mixed: unknown[] = outcomes.map((own, index) => (denied.has(entries[index]?.key ?? '') ? outcome : own))
    return mixed as ChangeOutcome[]
  }
  return requests
}

function keysOf(requests: readonly LockEntry[][]): string[] {
  return requests.map((entries) => entries.map(({ key }) => key).join(' '))
}

async function acquire({ manager }: Member, keys: readonly string[]): Promise<Record<string, Lease>> {
  const leases = await manager.acquireAll(keys)
  return Object.fromEntries(leases.map((lease) => [lease.key, lease]))
}

describe('a renewal with a partial answer', () => {
  for (const [how, outcome] of [
    ['denied', DENIED],
    ['left out', undefined],
  ] as const) {
    it(`P18 P20 P28 fails for the lease that is ${how}, and for no other of its cohort`, () =>
      withManager({}, async (member) => {
        const { backend, clock, events, manager } = member
        const leases = await acquire(member, ['a', 'b', 'c', 'd'])
        const denied = new Set(['c'])
        deny(backend, denied, outcome)
        await clock.advance(3 * TTL)
        expect(Object.values(leases).map(({ key, held }) => [key, held])).to.deep.equal([
          ['a', true],
          ['b', true],
          ['c', false],
          ['d', true],
        ])
        expect(events.lines.filter((line) => !line.startsWith('renewed'))).to.deep.equal([
          ...['a', 'b', 'c', 'd'].map((key) => `acquired ${key}`),
          'jeopardy c',
          'lost c: expired',
        ])
        expect(manager.stats()).to.include({ held: 3, jeopardy: 0 })
      }))
  }

  it('P28 P21 sends what was denied apart from the others, and the others together', () =>
    withManager({}, async (member) => {
      const { backend, clock } = member
      await acquire(member, ['a', 'b', 'c', 'd'])
      const requests = deny(backend, new Set(['b', 'c']))
      while (requests.length === 0) await clock.advance(TICK)
      // Everything is renewed at once.
      backend.listener.onSuspect()
      await clock.settle()
      expect(requests).to.have.length(3)
      await clock.advance(TTL / 2)
      const [first, ...others] = keysOf(requests)
      expect(first).to.equal('a b c d')
      for (const keys of others) expect(['a d', 'd a', 'b c', 'c b']).to.include(keys)
      expect(others.filter((keys) => keys.includes('a')).length).to.be.within(1, 3)
      expect(others.filter((keys) => keys.includes('b')).length).to.be.within(3, 30)
    }))

  it('P14 a lease is safe once permitted again, and renewed with the others', () =>
    withManager({}, async (member) => {
      const { backend, clock, events } = member
      await acquire(member, ['a', 'b', 'c'])
      const denied = new Set(['b'])
      const requests = deny(backend, denied)
      await clock.advance(TTL / 2)
      denied.clear()
      await clock.advance(5 * TTL)
      expect(events.lines.filter((line) => line.endsWith('b')).slice(0, 4)).to.deep.equal([
        'acquired b',
        'jeopardy b',
        'safe b',
        'renewed b',
      ])
      expect(keysOf(requests).at(-1)?.split(' ')).to.have.members(['a', 'b', 'c'])
    }))

  it('P9 resolves for owners whose lease was renewed, and rejects for the others', () =>
    withManager({}, async (member) => {
      const { backend, clock } = member
      const { a, b } = (await acquire(member, ['a', 'b'])) as { a: Lease; b: Lease }
      deny(backend, new Set(['b']))
      const [renewed, failed] = [watch(a.renew()), watch(b.renew())]
      await clock.settle()
      expect(renewed.state).to.equal('fulfilled')
      expect(failed.error).to.be.instanceOf(UnavailableError)
      expect(String(failed.error)).to.match(/NOPERM/)
    }))

  it('P20 a partial answer counts if it comes late, too', () =>
    withManager({ ttl: 10 * TTL, timeout: 500 }, async (member) => {
      const { backend, clock, events } = member
      const { a, b } = (await acquire(member, ['a', 'b', 'c'])) as { a: Lease; b: Lease }
      deny(backend, new Set(['b']))
      backend.holdAnswers('renew')
      const call = watch(a.renew())
      const sentAt = clock.now()
      await clock.advance(500 + 2 * TICK)
      expect(call.state).to.equal('rejected')
      expect(events.lines.slice(3)).to.deep.equal(['jeopardy a', 'jeopardy b', 'jeopardy c'])
      // The first is answered while another is under way.
      await clock.advance(1_000)
      expect(backend.answers.length).to.be.at.least(2)
      backend.answers.shift()?.deliver()
      await clock.settle()
      expect(events.lines.slice(6)).to.have.members(['safe a', 'safe c'])
      expect(a.remaining).to.equal(sentAt + 10 * TTL * 0.99 - 2 - clock.now())
      expect([a.state, b.state]).to.deep.equal(['held', 'jeopardy'])
      backend.deliverAll()
      await clock.advance(500)
      expect([a.state, b.state]).to.deep.equal(['held', 'jeopardy'])
    }))

  it('P28 concerns cohorts of one lease as well: the denied one is renewed apart', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      for (const key of ['a', 'b', 'c']) await manager.acquire(key, { ttl: TTL, timeout: key === 'a' ? 400 : 450 })
      const requests = deny(backend, new Set(['b']))
      for (let round = 0; round < 4; round += 1) {
        backend.listener.onSuspect()
        await clock.settle()
      }
      const mixed = keysOf(requests).filter((keys) => keys.includes('b') && keys !== 'b')
      expect(mixed.length).to.equal(1)
    }))
})

describe('renewals that are never answered', () => {
  /** Loses so many batches for good, each by itself, while the others are answered. */
  async function loseMany(
    member: Member,
    clock: { advance(duration: number): Promise<void> },
    advance: number,
  ): Promise<void> {
    const { backend } = member
    backend.dropAnswers(true)
    await clock.advance(advance)
    backend.dropAnswers(false)
  }

  /** How many requests are sent at once when all leases are due. */
  async function mostAtOnce({ manager, backend }: Member, clock: { settle(): Promise<void> }): Promise<number> {
    backend.holdAnswers('renew')
    const before = backend.calls('renew').length
    for (const lease of manager) lease.renew().catch(() => undefined)
    await clock.settle()
    const count = backend.calls('renew').length - before
    backend.deliverAll()
    await clock.settle()
    return count
  }

  it('P19 P21 do not count as under way for ever, so the congestion window recovers', () =>
    withManager({ ttl: 10 * TTL, timeout: 500, batchSize: 1 }, async (member) => {
      const { manager, clock } = member
      await manager.acquireMany(Array.from({ length: 40 }, (_, index) => `k${index}`))
      expect(await mostAtOnce(member, clock)).to.equal(16)
      await loseMany(member, clock, 5 * TTL)
      // Answers let the pace recover.
      await clock.advance(10 * TTL)
      expect(manager.size).to.equal(40)
      expect(await mostAtOnce(member, clock)).to.equal(16)
    }))

  it('P21 no longer count on a new connection, even if they are answered later', () =>
    withManager({ ttl: 10 * TTL, timeout: 500, batchSize: 1 }, async (member) => {
      const { manager, backend, clock } = member
      await manager.acquireMany(Array.from({ length: 40 }, (_, index) => `k${index}`))
      backend.holdAnswers('renew')
      await clock.advance(5 * TTL)
      const lost = backend.answers.splice(0)
      backend.deliverAll()
      await clock.advance(500 + 2 * TICK)
      backend.listener.onRecovered()
      // Answers let the pace recover, within less than a ttl.
      for (let round = 0; round < 15; round += 1) await mostAtOnce(member, clock)
      expect(await mostAtOnce(member, clock)).to.equal(16)
      for (const answer of lost) answer.deliver()
      await clock.settle()
      expect(await mostAtOnce(member, clock)).to.equal(16)
    }))
})
