/** A network that goes silent for existing connections, or swallows answers and then breaks them. The server works. */
import { expect } from 'chai'
import { LockNotHeldError, UnavailableError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { type Proxy, withProxy } from '../support/proxy.ts'
import {
  clock,
  exists,
  expiredKeys,
  IMPATIENT,
  rejectionOf,
  type Session,
  until,
  untilRenewed,
  withManager,
} from '../redis/support.ts'

interface Network extends Session {
  readonly server: RedisServer
  readonly proxy: Proxy
}

/** A manager whose connections go through a proxy, and have come to know the server. */
function withNetwork(options: typeof IMPATIENT, work: (network: Network) => Promise<void>): Promise<void> {
  return withRedis((server) =>
    withProxy(server.port, (proxy) =>
      withManager(`redis://127.0.0.1:${proxy.port}`, options, async (session) => {
        const lease = await session.manager.acquire('warm')
        await lease.release()
        await server.command('DEL', 'leasewheel:fence')
        session.journal.entries.length = 0
        await work({ ...session, server, proxy })
      }),
    ),
  )
}

describe('a bad network', () => {
  it('P18 P21 a silent connection is replaced by another, and nothing is lost', () =>
    withNetwork(IMPATIENT, async ({ manager, journal, proxy }) => {
      const leases = await manager.acquireAll(['a', 'b', 'c'])
      for (let turn = 0; turn < 2; turn += 1) {
        proxy.silence()
        // One that is under way may have been answered before; the next one is not.
        const renewals = leases.map(async (lease) => lease.renew().then(async () => lease.renew()))
        const failures = await Promise.all(renewals.map(rejectionOf))
        for (const failure of failures) expect(failure).to.be.instanceOf(UnavailableError)
        // Nobody asks any more: the manager finds its way by itself.
        await until('nothing is in jeopardy', () => manager.stats().jeopardy === 0)
      }
      expect(journal.count('lost')).to.equal(0)
      expect(journal.count('jeopardy')).to.equal(6)
      expect(journal.count('safe')).to.equal(6)
      expect(await manager.acquire('d')).to.include({ held: true })
    }))

  it('P18 P21 a silent connection is noticed even if only the wheel sends renewals', () =>
    withNetwork({ ttl: 9_000, timeout: 500, wait: 15_000, random: () => 0.8 }, async ({ manager, journal, proxy }) => {
      const lease = await manager.acquire('a')
      proxy.silence()
      const before = journal.count('renewed')
      await until('a renewal is confirmed', () => journal.count('renewed') + journal.count('safe') > before)
      expect(journal.count('lost')).to.equal(0)
      expect(lease.held).to.equal(true)
    }))

  it('P1 P18 renewals with lost answers do not move the deadline of the lease', () =>
    withNetwork({ ttl: 2_000, timeout: 500, wait: 15_000, random: () => 0 }, async ({ manager, journal, proxy }) => {
      const lease = await manager.acquire('a')
      proxy.droppingAnswers = true
      const deadline = clock.now() + lease.remaining
      expect(await journal.until('lost', lease)).to.be.at.least(deadline)
      expect(journal.story(lease)).to.deep.equal(['acquired', 'jeopardy', 'lost: expired'])
      expect(lease.held).to.equal(false)
      expect(await rejectionOf(lease.renew())).to.be.instanceOf(LockNotHeldError)
      proxy.cut()
      proxy.droppingAnswers = false
    }))

  it('P11 an acquire with a lost answer is repeated with its token, and granted', () =>
    withNetwork(IMPATIENT, async ({ manager, journal, proxy, server }) => {
      proxy.droppingAnswers = true
      const call = manager.acquire('a', { ttl: 600_000, timeout: 5_000 })
      await until('the key is written', () => exists(server, 'lease:a'))
      const token = await server.command('GET', 'lease:a')
      proxy.cut()
      proxy.droppingAnswers = false
      const lease = await call
      expect(lease.token).to.equal(token)
      expect(await server.command('GET', 'lease:a')).to.equal(token)
      expect(lease.held).to.equal(true)
      expect(journal.story()).to.deep.equal(['acquired'])
      await untilRenewed(lease)
      expect(await lease.release()).to.equal(true)
      expect(await exists(server, 'lease:a')).to.equal(false)
    }))

  for (const [what, call] of [
    ['one attempt', ({ manager }) => manager.tryAcquire('a', { ttl: 600_000, timeout: 1_000 })],
    ['a caller without a wait', ({ manager }) => manager.acquire('a', { ttl: 600_000, timeout: 1_000, wait: 0 })],
    ['many keys', ({ manager }) => manager.acquireMany(['b', 'a', 'c'], { ttl: 600_000, timeout: 1_000 })],
    ['all or none', ({ manager }) => manager.acquireAll(['b', 'a', 'c'], { ttl: 600_000, timeout: 1_000, wait: 0 })],
  ] satisfies readonly (readonly [string, (session: Session) => Promise<unknown>])[]) {
    it(`P11 an acquire with a lost answer leaves no key behind: ${what}`, () =>
      withNetwork(IMPATIENT, async ({ manager, journal, proxy, server }) => {
        proxy.droppingAnswers = true
        const failure = rejectionOf(call({ manager, journal }))
        await until('the key is written', () => exists(server, 'lease:a'))
        // A connection that is made meanwhile is as mute: nobody is recognised on it.
        expect(await failure).to.be.instanceOf(UnavailableError)
        proxy.cut()
        proxy.droppingAnswers = false
        for (const key of ['a', 'b', 'c']) {
          await until(`\`${key}\` is gone`, async () => !(await exists(server, `lease:${key}`)))
        }
        expect(await expiredKeys(server)).to.equal(0)
        expect(journal.story(), 'nobody ever held it').to.deep.equal([])
        const next = await manager.acquire('a')
        expect(next.held).to.equal(true)
      }))
  }

  it('P11 an acquire that is aborted after a lost answer leaves no key behind', () =>
    withNetwork(IMPATIENT, async ({ manager, journal, proxy, server }) => {
      const controller = new AbortController()
      proxy.droppingAnswers = true
      const call = rejectionOf(manager.acquire('a', { ttl: 600_000, timeout: 5_000, signal: controller.signal }))
      await until('the key is written', () => exists(server, 'lease:a'))
      const reason = new Error('on purpose')
      controller.abort(reason)
      expect(await call).to.equal(reason)
      proxy.cut()
      proxy.droppingAnswers = false
      await until('the key is gone', async () => !(await exists(server, 'lease:a')))
      expect(await expiredKeys(server)).to.equal(0)
      expect(journal.story()).to.deep.equal([])
    }))

  it('P5 a release with a lost answer is repeated, and spares later holders', () =>
    withNetwork(IMPATIENT, async ({ manager, journal, proxy, server }) => {
      const lease = await manager.acquire('a')
      proxy.droppingAnswers = true
      const released = lease.release()
      await until('the key is gone', async () => !(await exists(server, 'lease:a')))
      await server.command('SET', 'lease:a', 'theirs')
      proxy.cut()
      proxy.droppingAnswers = false
      await released
      await until('the release is over', () => manager.stats().undoing === 0)
      expect(journal.story(lease).at(-1)).to.match(/^(released|lost: taken)$/)
      expect(await server.command('GET', 'lease:a')).to.equal('theirs')
    }))
})
