/** Faults during which no lock can be asked for, one after another. What each of them is stands in `outages.ts`. */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { type Lease, UnavailableError } from 'leasewheel'
import { clock, heldFor, messagesOf, rejectionOf, scriptCalls, until } from '../redis/support.ts'
import { type Outage, OUTAGES } from './outages.ts'
import { BRIEF_TTL, expectRecovered, type Holder, type Scene, together, withEach, withScene } from './scene.ts'

/** A lease is renewed at most so many times in a ttl, failures included (`src/rules/timing.ts`). */
const RENEWALS_IN_A_TTL = 40
/** Connections of both managers together. */
const CONNECTIONS = 3
/** What a connection waits before it is made anew, at least, after the first few failures: a quarter of the managers' timeout. ms. */
const RECONNECT_DELAY = 50
const FIRST_FEW = 5

describe('an outage that outlasts one ttl and not the other', () => {
  for (const [title, outages] of Object.entries(OUTAGES)) {
    it(`P1 P2 P3 P14 P15 P18 P21 ${title}`, () =>
      together(outages.map((outage) => [outage.variant ?? '', async () => survive(outage)])))
  }
})

/** Lasting leases come to jeopardy and out of it; brief ones end at their deadline; nothing is asked too often; and the managers recover by themselves. */
function survive(outage: Outage): Promise<void> {
  return withScene({ server: outage.server ?? {}, brief: true }, async (scene) => {
    const { holders, server } = scene
    const expectFewRequests = await startCounting(scene)
    const begunAt = clock.now()
    const earliest = new Map(holders.flatMap(({ brief }) => brief.map((lease) => [lease, endOf(lease)])))
    const mend = await outage.inflict(scene)
    // What was ever confirmed was sent before this.
    const latest = clock.now() + heldFor(BRIEF_TTL)
    // Whoever waits for a lock need not know of the outage.
    const wanted = holders.map(async ({ name, manager }) => manager.acquire(`${name} wanted`))
    for (const call of wanted) call.catch(() => undefined)

    let asked = wanted.length
    await withEach(holders, async (holder) => {
      const overAt = begunAt + (outage.lasts ?? Number.POSITIVE_INFINITY)
      const during = [expectEnd(holder, earliest, latest), expectJeopardy(holder, outage, overAt)] as const
      await Promise.allSettled(during)
      asked += (await Promise.all(during))[1]
    })
    await mend()
    await expectFewRequests(asked)

    for (const lease of await Promise.all(wanted)) expect(lease.held).to.equal(true)
    await withEach(holders, async (holder) => {
      // Nobody asks for it: the manager comes back by itself, and renews what is in jeopardy.
      await expectRecovered(holder, server)
      const { manager, journal, brief, lasting } = holder
      expect(manager.stats().lost).to.deep.equal({ expired: brief.length, taken: 0, missing: 0, maxHold: 0 })
      for (const lease of lasting) expect(journal.story(lease)).to.include('jeopardy')
      for (const lease of brief) {
        const again = await manager.acquire(lease.key)
        expect(again.fence).to.be.greaterThan(lease.fence)
        expect(lease.held, 'what was lost stays lost').to.equal(false)
        expect(journal.story(lease).join(' ')).to.match(
          /^acquired( renewed| jeopardy safe)*( jeopardy)? lost: expired$/,
        )
      }
      expect(journal.errors.length, 'errors told of one outage').to.be.at.most(5)
    })
  })
}

/** The deadline that a lease has now, or had; ms. */
function endOf(lease: Lease): number {
  return clock.now() + lease.remaining
}

/** Brief leases are held until their deadline, whatever it is, and not after it. */
async function expectEnd(
  { brief, journal }: Holder,
  earliest: ReadonlyMap<Lease, number>,
  latest: number,
): Promise<void> {
  const [first] = brief as [Lease]
  for (;;) {
    const readAt = clock.now()
    if (!first.held) break
    expect(readAt, 'held at').to.be.below(latest)
    await setTimeout(1)
  }
  // Nobody looks at the others, and they are told all the same.
  for (const lease of brief) {
    expect(await journal.until('lost', lease)).to.be.at.least(earliest.get(lease) as number)
    expect([lease.held, lease.remaining, lease.state]).to.deep.equal([false, 0, 'lost'])
  }
}

/** Who asks during the outage is told that nothing is known, and why; lasting leases are held on to. @returns how often it was asked. */
async function expectJeopardy({ name, manager, lasting }: Holder, outage: Outage, overAt: number): Promise<number> {
  let asked = 0
  const isMentioned = async (call: Promise<unknown>): Promise<boolean> => {
    asked += 1
    const failure = await rejectionOf(call).catch((unexpected: unknown) => {
      // This machine is so slow that an outage which ends by itself has ended.
      if (clock.now() < overAt) throw unexpected
    })
    if (failure) expect(failure).to.be.instanceOf(UnavailableError)
    return !failure || outage.says.test(messagesOf(failure))
  }
  let isSaid = (await Promise.all(lasting.map((lease) => isMentioned(lease.renew())))).some(Boolean)
  // A connection that has just broken does not know yet why no other can be made.
  await until('it is said why', async () => {
    isSaid = (await isMentioned(manager.tryAcquire(`${name} other`))) || isSaid
    return isSaid
  })
  for (const lease of lasting) expect(lease.held).to.equal(true)
  if (clock.now() < overAt) expect(manager.stats().jeopardy).to.be.at.least(lasting.length)
  return asked
}

/**
 * Counts what is asked and how often a connection is made, until the function that it returns is called; that one fails where it was too much.
 *
 * Lasting leases are renewed at most once for each connection, and twice where changes are told; brief ones as often as may be in a ttl, and then
 * they are deleted, with the same backoff.
 */
async function startCounting({ server, proxy, holders }: Scene): Promise<(asked: number) => Promise<void>> {
  await server.command('CONFIG', 'RESETSTAT')
  const begunAt = clock.now()
  const accepted = proxy.accepted
  const requests = (): number => holders.reduce((sum, { manager }) => sum + manager.stats().requests, 0)
  const before = requests()
  return async (asked) => {
    const elapsed = clock.now() - begunAt
    const attempts = proxy.accepted - accepted
    expect(attempts, `attempts to connect in ${elapsed} ms`).to.be.at.most(
      CONNECTIONS * (FIRST_FEW + elapsed / RECONNECT_DELAY),
    )
    const most = asked + holders.length * 2 * RENEWALS_IN_A_TTL + 2 * attempts
    expect(requests() - before, 'requests').to.be.at.most(most)
    expect(await scriptCalls(server), 'scripts that the server was asked for').to.be.at.most(most)
  }
}
