/** The server wakes callers that wait for a lock. None of them would ask again by itself within the hour. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import type { LeaseManager, LeaseManagerOptions } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { createCertificate } from '../support/certificate.ts'
import { withProxy } from '../support/proxy.ts'
import {
  exists,
  Hourly,
  LASTING,
  type Session,
  until,
  untilWatching,
  withClient,
  withManager,
  withWorkers,
} from './support.ts'

/** What another library's unlocking looks like. */
const COMPARE_AND_DELETE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

/** Runs `work` with a manager that is told of changes, and with a strategy for those who wait in it. */
function withWaiting(
  work: (session: Session & { readonly server: RedisServer; readonly retry: Hourly }) => Promise<void>,
): Promise<void> {
  return withRedis((server) => {
    const retry = new Hourly()
    return withManager(server.url, { ...LASTING, retry }, async (session) => {
      await untilWatching(session.manager)
      await work({ ...session, server, retry })
    })
  })
}

/** Ways in which a lock of somebody else comes free. */
const WAYS: readonly {
  readonly what: string
  readonly put: readonly [string, ...(string | number)[]]
  readonly free: readonly [string, ...(string | number)[]]
}[] = [
  { what: 'a DEL', put: ['SET', 'lease:a', 'theirs'], free: ['DEL', 'lease:a'] },
  { what: 'an UNLINK', put: ['SET', 'lease:a', 'theirs', 'PX', 600_000], free: ['UNLINK', 'lease:a'] },
  { what: 'a GETDEL', put: ['SET', 'lease:a', 'theirs', 'PX', 600_000], free: ['GETDEL', 'lease:a'] },
  { what: 'a RENAME', put: ['SET', 'lease:a', 'theirs', 'PX', 600_000], free: ['RENAME', 'lease:a', 'elsewhere'] },
  { what: 'a FLUSHALL', put: ['SET', 'lease:a', 'theirs', 'PX', 600_000], free: ['FLUSHALL'] },
  { what: 'a FLUSHDB', put: ['SET', 'lease:a', 'theirs', 'PX', 600_000], free: ['FLUSHDB'] },
  {
    what: "another library's script",
    put: ['SET', 'lease:a', 'theirs', 'NX', 'PX', 600_000],
    free: ['EVAL', COMPARE_AND_DELETE, 1, 'lease:a', 'theirs'],
  },
  {
    what: 'the end of a ttl that it did not have before',
    put: ['SET', 'lease:a', 'theirs'],
    free: ['PEXPIRE', 'lease:a', 1],
  },
  { what: 'the last element of a list', put: ['RPUSH', 'lease:a', 'theirs'], free: ['LPOP', 'lease:a'] },
]

describe('a caller that waits', () => {
  for (const { what, put, free } of WAYS) {
    it(`P23 is woken by ${what}`, () =>
      withWaiting(async ({ manager, server, retry }) => {
        await server.command(...put)
        const call = manager.acquire('a')
        await retry.untilTold()
        await server.command(...free)
        const lease = await call
        expect(lease.held).to.equal(true)
        expect(await server.command('GET', 'lease:a')).to.equal(lease.token)
        expect(manager.stats().wakeUps.change + manager.stats().wakeUps.reconnect).to.be.at.least(1)
      }))
  }

  it('P7 P23 is woken by a release in another manager', () =>
    withWaiting(async ({ manager, server, retry }) => {
      // It renews nothing meanwhile: that would be another change.
      await withManager(server.url, { ...LASTING, autoRenew: false }, async ({ manager: other }) => {
        const lease = await other.acquire('a')
        const call = manager.acquire('a')
        await retry.untilTold()
        expect(await lease.release()).to.equal(true)
        expect((await call).fence).to.be.greaterThan(lease.fence)
        const { wakeUps, asks, asksPerGrant } = manager.stats()
        expect(wakeUps).to.deep.equal({ handOver: 0, change: 1, reconnect: 0, timeout: 0 })
        expect([asks, asksPerGrant]).to.deep.equal([2, 2])
      })
    }))

  it('P7 P23 is woken in another process', () =>
    withWaiting(async ({ manager, server }) => {
      // It is not renewed meanwhile: that would be another change.
      const lease = await manager.acquire('a', { autoRenew: false })
      await withWorkers([WAITER], server, async ([worker]) => {
        await worker?.until('told')
        await lease.release()
        await worker?.until('granted')
        expect(await worker?.until('wakeUps')).to.equal('wakeUps 0 1 0 0')
        expect(await manager.tryAcquire('a')).to.equal(null)
      })
    }))

  it('P23 asks again at the end of the ttl that somebody else has set', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await server.command('SET', 'lease:a', 'theirs', 'PX', 300)
      const lease = await manager.acquire('a')
      expect(retry.contexts[0]?.remaining).to.be.within(0, 300)
      expect(lease.held).to.equal(true)
    }))

  it('P7 P23 is woken, refused because another took the lock, and woken again', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await server.command('SET', 'lease:a', 'first', 'PX', 600_000)
      const call = manager.acquire('a')
      await retry.untilTold()
      for (const [turn, token] of ['second', 'third', 'fourth', 'fifth'].entries()) {
        await server.command('SET', 'lease:a', token, 'PX', 600_000)
        await until('it was refused once more', () => retry.contexts.length >= turn + 2)
      }
      expect(
        retry.contexts.every(({ watched }) => watched),
        'each time its next change is told',
      ).to.equal(true)
      await server.command('DEL', 'lease:a')
      expect((await call).held).to.equal(true)
      expect(manager.stats().wakeUps).to.deep.equal({ handOver: 0, change: 5, reconnect: 0, timeout: 0 })
    }))

  it('asks at most once for each renewal of the holder, and sleeps on', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await withManager(server.url, { ...LASTING, autoRenew: false }, async ({ manager: other }) => {
        const lease = await other.acquire('a')
        const call = manager.acquire('a')
        await retry.untilTold()
        const before = manager.stats().asks
        for (let turn = 1; turn <= 5; turn += 1) await lease.renew()
        await until('it was refused again', () => retry.contexts.length >= 2)
        expect(manager.stats().asks - before).to.be.within(1, 5)
        await lease.release()
        expect((await call).held).to.equal(true)
        // Only the first of them counts as an attempt of the strategy.
        expect(new Set(retry.contexts.map(({ attempts }) => attempts))).to.deep.equal(new Set([1]))
      })
    }))

  it('P23 is woken one after another, in as many managers as there are', () =>
    withRedis(async (server) => {
      const retry = new Hourly()
      const served: number[] = []
      const enter = async (index: number): Promise<void> =>
        withManager(server.url, { ...LASTING, retry }, async ({ manager }) => {
          await untilWatching(manager)
          await manager.using('a', () => void served.push(index))
        })
      await withManager(server.url, LASTING, async ({ manager }) => {
        const lease = await manager.acquire('a')
        const waiting = Promise.all(Array.from({ length: 8 }, (_, index) => enter(index)))
        await until('all wait', () => retry.contexts.filter(({ watched }) => watched).length >= 8)
        await lease.release()
        await waiting
        expect(served).to.have.members([0, 1, 2, 3, 4, 5, 6, 7])
      })
    }))

  it('P23 never sleeps through a release, however often the lock changes hands', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, retry: new Hourly() }, async (first) =>
        withManager(server.url, { ...LASTING, retry: new Hourly() }, async (second) => {
          await untilWatching(first.manager)
          await untilWatching(second.manager)
          let turns = 0
          const takeTurns = async (manager: LeaseManager): Promise<void> => {
            for (let turn = 0; turn < 150; turn += 1) {
              await manager.using('a', () => {
                turns += 1
              })
            }
          }
          await Promise.all([takeTurns(first.manager), takeTurns(second.manager), takeTurns(second.manager)])
          expect(turns).to.equal(450)
          expect(first.manager.stats().wakeUps.timeout + second.manager.stats().wakeUps.timeout).to.equal(0)
        }),
      ),
    ))

  it('P23 has its turn before hundreds that queue in another manager', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await withManager(server.url, { ...LASTING, retry: new Hourly() }, async ({ manager: other }) => {
        await untilWatching(other)
        const order: string[] = []
        const lease = await other.acquire('a')
        const crowd = Array.from({ length: 300 }, async () => other.using('a', () => void order.push('crowd')))
        const call = manager.using('a', () => void order.push('alone'))
        await retry.untilTold()
        await lease.release()
        await Promise.all([...crowd, call])
        expect(order).to.have.length(301)
        expect(order.indexOf('alone')).to.be.below(300)
      })
    }))

  it('P23 learns of the next change, though the server had forgotten the script', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
      const call = manager.acquire('a')
      await retry.untilTold()
      for (let turn = 1; turn <= 3; turn += 1) {
        await server.command('SCRIPT', 'FLUSH')
        await server.command('SET', 'lease:a', `theirs ${turn}`, 'PX', 600_000)
        await until('it was refused once more', () => retry.contexts.length > turn)
      }
      await server.command('SCRIPT', 'FLUSH')
      await server.command('DEL', 'lease:a')
      expect((await call).held).to.equal(true)
      expect(manager.stats().wakeUps).to.deep.equal({ handOver: 0, change: 4, reconnect: 0, timeout: 0 })
    }))

  it('P11 a caller that gives up is no longer woken, and acquires nothing', () =>
    withWaiting(async ({ manager, server, retry }) => {
      await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
      const controller = new AbortController()
      const call = manager.acquire('a', { signal: controller.signal }).catch((error: unknown) => error)
      await retry.untilTold()
      const reason = new Error('on purpose')
      controller.abort(reason)
      expect(await call).to.equal(reason)
      await server.command('DEL', 'lease:a')
      // Told after the deletion, on the same connection as it.
      await server.command('SET', 'lease:b', 'theirs')
      const other = manager.acquire('b')
      await retry.untilTold(2)
      await server.command('DEL', 'lease:b')
      await other
      expect(await exists(server, 'lease:a')).to.equal(false)
      expect(manager.stats().waiting).to.equal(0)
    }))
})

/** Where a manager's keys may be, and over what it may reach them. */
const PLACES: readonly {
  readonly what: string
  readonly connect: (port: number) => Redis
  readonly options?: LeaseManagerOptions
  readonly database: number
  readonly prefix: string
}[] = [
  {
    what: 'in another database',
    connect: (port) => new Redis({ port, db: 3 }),
    database: 3,
    prefix: 'lease:',
  },
  {
    what: 'behind a key prefix of the client',
    connect: (port) => new Redis({ port, keyPrefix: 'app:' }),
    database: 0,
    prefix: 'app:lease:',
  },
  {
    what: 'behind no prefix at all',
    connect: (port) => new Redis({ port }),
    options: { prefix: '' },
    database: 0,
    prefix: '',
  },
  {
    what: 'behind a prefix that is not ASCII',
    connect: (port) => new Redis({ port }),
    options: { prefix: 'Schlösser 🔒:' },
    database: 0,
    prefix: 'Schlösser 🔒:',
  },
  {
    what: 'reached by a client whose options are against it',
    connect: (port) =>
      new Redis({
        port,
        autoResubscribe: true,
        enableReadyCheck: false,
        enableAutoPipelining: true,
        enableOfflineQueue: false,
        stringNumbers: true,
        connectionName: 'application',
        keyPrefix: 'x:',
        db: 2,
      }),
    database: 2,
    prefix: 'x:lease:',
  },
]

describe('notifications of key changes', () => {
  for (const { what, connect, options, database, prefix } of PLACES) {
    it(`P18 P23 notifications ${what} reach waiters and holders`, () =>
      withRedis(async (server) => {
        const client = connect(server.port)
        client.on('error', () => undefined)
        try {
          await isTold(client, options, server, database, prefix)
        } finally {
          client.disconnect()
        }
      }))
  }

  it('P18 P23 notifications over TLS reach waiters and holders', () =>
    withRedis(async (server) => {
      const certificate = createCertificate()
      await withProxy(
        server.port,
        async ({ port }) =>
          withClient({ port, tls: { ca: certificate.cert } }, async (client) =>
            isTold(client, {}, server, 0, 'lease:'),
          ),
        certificate,
      )
    }))

  it('P18 P23 notifications with a password reach waiters and holders', () =>
    withRedis(
      async (server) =>
        withClient({ port: server.port, password: 's3cret' }, async (client) =>
          isTold(client, {}, server, 0, 'lease:'),
        ),
      { password: 's3cret' },
    ))

  it('notifications from another database are mere hints: no lease is lost or granted twice', () =>
    withWaiting(async ({ manager, journal, server, retry }) => {
      const lease = await manager.acquire('held')
      await server.command('SET', 'lease:wanted', 'theirs')
      const call = manager.acquire('wanted')
      await retry.untilTold()
      await server.command('SELECT', 1)
      await server.command('SET', 'lease:held', 'theirs')
      await server.command('SET', 'lease:wanted', 'theirs')
      await server.command('DEL', 'lease:wanted')
      await server.command('SELECT', 0)
      await until('it was refused once more', () => retry.contexts.length >= 2)
      expect(lease.held).to.equal(true)
      await server.command('DEL', 'lease:wanted')
      expect((await call).held).to.equal(true)
      expect(journal.count('lost')).to.equal(0)
    }))
})

describe('the end of a ttl', () => {
  it('P23 wakes a watching waiter even if the server reports expiries late or never', () =>
    withRedis(async (server) => {
      await server.command('DEBUG', 'SET-ACTIVE-EXPIRE', 0)
      const retry = new Hourly()
      await withManager(server.url, { ...LASTING, retry }, async ({ manager }) => {
        await untilWatching(manager)
        await server.command('SET', 'lease:a', 'theirs', 'PX', 500)
        const call = manager.acquire('a')
        await retry.untilTold()
        expect((await call).held).to.equal(true)
        expect(manager.stats().wakeUps.change).to.equal(0)
      })
    }))
})

/** A lease is lost when somebody deletes its key, and a waiter granted; without renewals and repetition. */
async function isTold(
  client: Redis,
  options: LeaseManagerOptions | undefined,
  server: RedisServer,
  database: number,
  prefix: string,
): Promise<void> {
  const retry = new Hourly()
  await withManager(client, { ...LASTING, random: () => 0, retry, ...options }, async ({ manager, journal }) => {
    await untilWatching(manager)
    const lease = await manager.acquire('held')
    await server.command('SELECT', database)
    await server.command('SET', `${prefix}wanted`, 'theirs')
    const call = manager.acquire('wanted')
    await retry.untilTold()
    await server.command('DEL', `${prefix}held`)
    await journal.until('lost', lease)
    await server.command('DEL', `${prefix}wanted`)
    expect((await call).held).to.equal(true)
    expect(journal.errors).to.deep.equal([])
  })
}

/** Waits for a lock, and says when it will be told, when it has the lock, and what woke it. */
const WAITER = `
  import { LeaseManager } from 'leasewheel'
  const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 60_000, timeout: 5_000, wait: 60_000 })
  while (!manager.stats().watching) await new Promise((resolve) => setTimeout(resolve, 5))
  const next = ({ watched, remaining }) => {
    if (watched) console.log('told')
    return remaining === undefined ? 20 : 3_600_000
  }
  await manager.acquire('a', { retry: { next } })
  console.log('granted')
  const { handOver, change, reconnect, timeout } = manager.stats().wakeUps
  console.log('wakeUps', handOver, change, reconnect, timeout)
`
