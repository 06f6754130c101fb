/** The manager's connection is made like the application's own: same server, same database, same rights. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { type Lease, type LeaseManager, SystemClock } from 'leasewheel'
import { Connection } from '#src/redis/connection.js'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { createCertificate } from '../support/certificate.ts'
import { withProxy } from '../support/proxy.ts'
import { connectionsNamed, LASTING, rejectionOf, until, withClient, withManager, untilWatching } from './support.ts'

describe('the failure of a request', () => {
  it('reports a broken connection only while that is so, not for an earlier one', () =>
    withRedis(async (server) => {
      const connection = new Connection({
        source: server.url,
        clock: new SystemClock(),
        timeout: 2_000,
        credentials: undefined,
      })
      let unusable = 0
      connection.on('unusable', () => {
        unusable += 1
      })
      try {
        connection.start()
        await connection.ready()
        connection.explain(new Error('Connection is closed.'))
        expect([unusable, connection.usable], 'on a connection that works').to.deep.equal([0, true])
        connection.client.stream.destroy()
        connection.explain(new Error("Stream isn't writeable and enableOfflineQueue options is false"))
        expect([unusable, connection.usable], 'on one that is gone').to.deep.equal([1, false])
      } finally {
        await connection.close()
      }
    }))
})

describe("the manager's connection", () => {
  it('is made from a URL, a connected client or an unconnected one', () =>
    withRedis(async (server) => {
      await withManager(server.url, LASTING, async ({ manager }) => worksOn(manager, server))
      await withClient({ port: server.port }, async (client) => {
        await client.ping()
        await withManager(client, LASTING, async ({ manager }) => worksOn(manager, server))
      })
      await withClient({ port: server.port, lazyConnect: true }, async (client) => {
        await withManager(client, LASTING, async ({ manager }) => worksOn(manager, server))
        expect(client.status, 'nobody has asked it to connect').to.equal('wait')
      })
    }))

  for (const [what, selected, connect] of [
    ['the options of the client', 3, (port: number) => new Redis({ port, db: 3 })],
    ['SELECT at runtime', 4, async (port: number) => after(new Redis({ port }), async (client) => client.select(4))],
    [
      'SELECT at runtime, despite another in the options',
      4,
      async (port: number) => after(new Redis({ port, db: 3 }), async (client) => client.select(4)),
    ],
    [
      'SELECT at runtime, back to the first',
      0,
      async (port: number) => after(new Redis({ port, db: 3 }), async (client) => client.select(0)),
    ],
    [
      'an unanswered SELECT',
      5,
      (port: number) => {
        const client = new Redis({ port })
        client.select(5).catch(() => undefined)
        return client
      },
    ],
    ['options without a ready check', 3, (port: number) => new Redis({ port, db: 3, enableReadyCheck: false })],
    ['a URL', 6, (port: number) => `redis://127.0.0.1:${port}/6`],
    ['a URL with options', 7, (port: number) => `redis://127.0.0.1:${port}?db=7&enableReadyCheck=`],
  ] as const) {
    it(`works in the database given by ${what}`, () =>
      withRedis(async (server) => {
        const connection = await connect(server.port)
        try {
          await withManager(connection, LASTING, async ({ manager }) => {
            const lease = await manager.acquire('a')
            await server.command('SELECT', selected)
            expect(await server.command('GET', 'lease:a')).to.equal(lease.token)
            expect(await server.command('DBSIZE')).to.equal(2)
            await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
            const again = await manager.acquire('b')
            expect(await server.command('GET', 'lease:b'), 'on the next connection').to.equal(again.token)
          })
          await server.command('DEL', 'leasewheel:fence')
          expect([...(await server.info('keyspace')).keys()], 'databases with anything in them').to.deep.equal([])
        } finally {
          if (connection instanceof Redis) {
            // ioredis selects its database anew when it has reconnected, after what waited for that, and does not
            // expect it to fail: it is sent when the ping is answered, and answered when QUIT is.
            await connection.ping()
            await connection.quit()
          }
        }
      }))
  }

  it('has the password of the client, or of the URL', () =>
    withRedis(
      async (server) => {
        await withManager(server.url, LASTING, async ({ manager }) => worksOn(manager, server))
        await withClient({ port: server.port, password: 'p@ss:/?' }, async (client) =>
          withManager(client, LASTING, async ({ manager }) => worksOn(manager, server)),
        )
      },
      { password: 'p@ss:/?' },
    ))

  it('uses the user of the client or the URL, and needs only these rights', () =>
    withRedis(async (server) => {
      await server.command(
        'ACL',
        'SETUSER',
        'worker',
        'on',
        '>s3cret',
        '~lease:*',
        '~leasewheel:fence',
        '-@all',
        ...RIGHTS,
      )
      await withClient({ port: server.port, username: 'worker', password: 's3cret' }, async (client) =>
        withManager(client, LASTING, async ({ manager, journal }) => {
          await worksOn(manager, server)
          const leases = await manager.acquireAll(['gone', 'taken'])
          await server.command('DEL', 'lease:gone')
          await server.command('SET', 'lease:taken', 'theirs')
          await Promise.all(leases.map(async (lease) => lease.renew().catch(() => undefined)))
          for (const lease of leases)
            expect(journal.story(lease).at(-1)).to.equal(`lost: ${lease.key === 'gone' ? 'missing' : 'taken'}`)
          expect(journal.errors).to.deep.equal([])
        }),
      )
      const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
      await withManager(url, LASTING, async ({ manager }) => worksOn(manager, server))
    }))

  it("puts the client's key prefix before ours, but not before the fence counter", () =>
    withRedis(async (server) => {
      await withClient({ port: server.port, keyPrefix: 'app:' }, async (client) =>
        withManager(client, LASTING, async ({ manager }) => {
          const lease = await manager.acquire('a')
          expect(await server.command('KEYS', '*')).to.have.members(['app:lease:a', 'leasewheel:fence'])
          expect(await client.get('lease:a'), 'by the client').to.equal(lease.token)
          expect((await manager.inspect('a'))?.lease).to.equal(lease)
          await lease.renew()
          expect(await lease.release()).to.equal(true)
          expect(await server.command('KEYS', '*')).to.have.members(['leasewheel:fence'])
        }),
      )
      await withManager(`${server.url}?keyPrefix=url:`, { ...LASTING, prefix: '' }, async ({ manager }) => {
        await manager.acquire('a')
        expect(await server.command('EXISTS', 'url:a', 'leasewheel:fence')).to.equal(2)
      })
    }))

  it('P6 counts the fences of a key on, however client and manager prefixes split it', () =>
    withRedis(async (server) => {
      // A counter that is ahead of the time: only whoever reads this one continues it.
      await server.command('SET', 'leasewheel:fence', Number.MAX_SAFE_INTEGER - 100)
      let last = Number.MAX_SAFE_INTEGER - 100
      for (const [keyPrefix, prefix, key] of [
        ['', 'app:lease:', 'a'],
        ['app:', 'lease:', 'a'],
        ['app:lease:', '', 'a'],
        ['app:', '', 'lease:a'],
      ] as const) {
        await withClient({ port: server.port, keyPrefix }, async (client) =>
          withManager(client, { ...LASTING, prefix }, async ({ manager }) => {
            const lease = await manager.acquire(key)
            expect(await server.command('GET', 'app:lease:a')).to.equal(lease.token)
            expect(lease.fence).to.equal(last + 1)
            last = lease.fence
          }),
        )
      }
      expect(await server.command('KEYS', '*')).to.deep.equal(['leasewheel:fence'])
    }))

  it('refuses the key that would be the fence counter, also with the client’s prefix', () =>
    withRedis((server) =>
      withClient({ port: server.port, keyPrefix: 'leasewheel:' }, async (client) =>
        withManager(client, { ...LASTING, prefix: '' }, async ({ manager }) => {
          expect(await rejectionOf(manager.acquire('fence'))).to.be.instanceOf(RangeError)
          expect((await manager.acquire('other')).held).to.equal(true)
        }),
      ),
    ))

  it('goes through a Unix socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'leasewheel-socket-'))
    const path = join(directory, 'redis.sock')
    try {
      await withRedis(
        async (server) => {
          await withClient({ path }, async (client) =>
            withManager(client, LASTING, async ({ manager }) => {
              await worksOn(manager, server)
              const list = (await server.command('CLIENT', 'LIST')) as string
              const ours = list.split('\n').filter((line) => line.includes('name=leasewheel@'))
              // Redis 8 and Valkey 9 put it in brackets.
              expect(ours.join().replace(/[[\]]/g, '')).to.include(`addr=${path}:0`)
            }),
          )
        },
        { args: ['--unixsocket', path] },
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('speaks TLS with the certificates of the client', () =>
    withRedis(async (server) => {
      const certificate = createCertificate()
      await withProxy(
        server.port,
        async ({ port }) =>
          withClient({ port, tls: { ca: certificate.cert } }, async (client) =>
            withManager(client, LASTING, async ({ manager }) => {
              expect(await client.ping(), 'the certificate is good').to.equal('PONG')
              await worksOn(manager, server)
            }),
          ),
        certificate,
      )
    }))

  it('requests what it needs, whatever the options of the client are', () =>
    withRedis(async (server) => {
      const options = {
        stringNumbers: true,
        enableAutoPipelining: true,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 5,
        autoResendUnfulfilledCommands: true,
        commandTimeout: 1,
        socketTimeout: 1,
        retryStrategy: () => null,
        reconnectOnError: () => 2 as const,
        readOnly: true,
        showFriendlyErrorStack: true,
        noDelay: false,
        keepAlive: 1_000,
        scripts: { evalsha: { lua: 'return 1', numberOfKeys: 0 }, acquire: { lua: 'return 1', numberOfKeys: 0 } },
      }
      await withClient({ port: server.port, ...options }, async (client) =>
        withManager(client, LASTING, async ({ manager }) => {
          const lease = await worksOn(manager, server)
          expect(Number.isSafeInteger(lease.fence)).to.equal(true)
          await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
          await worksOn(manager, server)
        }),
      )
    }))

  it('is named leasewheel behind the client’s own name, and is a single connection', () =>
    withRedis(async (server) => {
      for (const [connectionName, expected] of [
        [undefined, 'leasewheel'],
        ['worker', 'worker:leasewheel'],
      ] as const) {
        await withClient({ port: server.port, ...(connectionName && { connectionName }) }, async (client) =>
          withManager(client, LASTING, async ({ manager }) => {
            await manager.acquireMany(Array.from({ length: 1_000 }, (_, index) => `key ${index}`))
            expect(await connectionsNamed(server, expected)).to.equal(1)
            if (connectionName) expect(await connectionsNamed(server, connectionName)).to.equal(1)
          }),
        )
        await until('it is gone', async () => (await connectionsNamed(server, expected)) === 0)
      }
    }))

  it('has the owner in its name, in letters that a name may have', () =>
    withRedis(async (server) => {
      for (const [owner, end] of [
        ['web-1:4711', '@web-1:4711'],
        ['Größe 🔒\n', '@Gr__e___'],
        ['', ''],
      ] as const) {
        await withManager(server.url, { ...LASTING, owner }, async ({ manager }) => {
          await untilWatching(manager)
          const list = (await server.command('CLIENT', 'LIST')) as string
          const names = [...list.matchAll(/ name=(leasewheel\S*)/g)].map(([, name = '']) => name)
          expect(names).to.include(`leasewheel${end}`)
          expect(names.some((name) => name.startsWith(`leasewheel:watch${end}`))).to.equal(true)
        })
      }
    }))
})

describe("the application's own client", () => {
  it('is used as before, while a manager works beside it and after its close', () =>
    withRedis(async (server) =>
      withClient({ port: server.port }, async (client) => {
        client.defineCommand('two', { lua: 'return 2', numberOfKeys: 0 })
        await client.ping()
        const before = shapeOf(client)
        await withManager(client, LASTING, async ({ manager }) => {
          await worksOn(manager, server)
          expect(shapeOf(client), 'while the manager is there').to.deep.equal(before)
          await answersAsEver(client)
        })
        expect(shapeOf(client), 'after the manager is closed').to.deep.equal(before)
        expect(client.status).to.equal('ready')
        await answersAsEver(client)
      }),
    ))

  it('can wait in a BLPOP for ever without delaying a lock', () =>
    withRedis(async (server) =>
      withClient({ port: server.port }, async (client) => {
        const popped = client.blpop('queue', 0)
        await until('the client waits', async () => (await server.info('clients')).get('blocked_clients') === '1')
        await withManager(client, LASTING, async ({ manager }) => {
          await worksOn(manager, server)
          await worksOn(manager, server)
        })
        await server.command('RPUSH', 'queue', 'work')
        expect(await popped).to.deep.equal(['queue', 'work'])
      }),
    ))

  it('can be subscribed, or in a transaction', () =>
    withRedis(async (server) =>
      withClient({ port: server.port }, async (client) => {
        await client.subscribe('channel')
        await withManager(client, LASTING, async ({ manager }) => worksOn(manager, server))
        await client.unsubscribe('channel')
        await client.watch('a')
        const transaction = client.multi().set('a', 1)
        await withManager(client, LASTING, async ({ manager }) => worksOn(manager, server))
        expect(await transaction.exec()).to.deep.equal([[null, 'OK']])
      }),
    ))

  it('keeps its own offline queue, which delays no lock and is still sent', () =>
    withRedis(async (server) => {
      // It knocks where nobody opens, and tries again only after the test.
      await withClient({ port: server.port, lazyConnect: true }, async (client) => {
        const model = client.options
        model.port = 1
        model.retryStrategy = () => 1_000_000
        const waiting = Array.from({ length: 100 }, async (_, index) => client.set(`mine ${index}`, index))
        await until('the client waits for its next attempt', () => client.status === 'reconnecting')
        model.port = server.port
        await withManager(client, LASTING, async ({ manager }) => worksOn(manager, server))
        expect(await server.command('EXISTS', 'mine 0')).to.equal(0)
        await client.connect()
        await Promise.all(waiting)
        expect(await server.command('GET', 'mine 99')).to.equal('99')
      })
    }))
})

/** All that a manager asks of a server. */
const RIGHTS = [
  ...'+eval +evalsha +get +getex +set +mget +pexpire +pttl +del +exists +renamenx +time +info'.split(' '),
  ...'+client|setname +client|id +client|tracking +client|caching +subscribe &__redis__:invalidate'.split(' '),
]

/** Acquires, renews, inspects and releases, and looks whether this server got to know. */
async function worksOn(manager: LeaseManager, server: RedisServer): Promise<Lease> {
  const lease = await manager.acquire('works')
  expect(await server.command('GET', 'lease:works')).to.equal(lease.token)
  await lease.renew()
  expect((await manager.inspect('works'))?.lease).to.equal(lease)
  expect(await lease.release()).to.equal(true)
  expect(await server.command('EXISTS', 'lease:works')).to.equal(0)
  return lease
}

async function after<T extends Redis>(client: T, work: (client: T) => Promise<unknown>): Promise<T> {
  await work(client)
  return client
}

/** What a library could leave on a client that is not its own. */
function shapeOf(client: Redis): unknown {
  return {
    properties: Object.keys(client).filter((name) => typeof Reflect.get(client, name) === 'function'),
    events: client.eventNames().map((name) => [name, client.listenerCount(name)]),
    options: { ...client.options },
    status: client.status,
  }
}

async function answersAsEver(client: Redis): Promise<void> {
  expect(await client.set('number', 41)).to.equal('OK')
  expect(await client.incr('number')).to.equal(42)
  expect(await client.get('number')).to.equal('42')
  expect(await client.getBuffer('number')).to.deep.equal(Buffer.from('42'))
  expect(await client.get('nothing')).to.equal(null)
  expect(await client.hset('hash', { a: 1 })).to.be.within(0, 1)
  expect(await client.hgetall('hash')).to.deep.equal({ a: '1' })
  expect(await client.eval('return {1, "two", false}', 0)).to.deep.equal([1, 'two', null])
  expect(await client.pipeline().get('number').exec()).to.deep.equal([[null, '42']])
  expect(await Reflect.apply(Reflect.get(client, 'two') as () => Promise<unknown>, client, [])).to.equal(2)
}
