/** Connections that cannot work: every caller gets the cause in a bounded time, and nothing is left behind. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { LeaseManager, UnavailableError } from 'leasewheel'
import { withRedis } from '../support/redis-server.ts'
import { createCertificate } from '../support/certificate.ts'
import { withProxy } from '../support/proxy.ts'
import {
  type Connectable,
  inSilence,
  LASTING,
  messagesOf,
  openHandles,
  rejectionOf,
  until,
  untilNoMoreHandles,
  withClient,
  withNewManager,
} from './support.ts'

/** A port of this machine on which nobody listens, and which no client is ever given: ports below 1024 need rights. */
const DEAD_PORT = 1

describe('a connection that cannot work', () => {
  let handles: readonly string[]

  beforeEach(async () => {
    handles = await openHandles()
  })
  // P24.
  afterEach(async () => untilNoMoreHandles(handles))

  it('a wrong password fails with the server’s message', () =>
    withRedis(
      async (server) => {
        const at = { port: server.port, lazyConnect: true }
        await Promise.all([
          withClient({ ...at, password: 'wrong' }, async (client) => failsWith(client, /WRONGPASS/)),
          withClient(at, async (client) => failsWith(client, /NOAUTH/)),
          failsWith(`redis://:wrong@127.0.0.1:${server.port}`, /WRONGPASS/),
          failsWith(`redis://nobody:wrong@127.0.0.1:${server.port}`, /WRONGPASS/),
        ])
        expect(await server.command('DBSIZE')).to.equal(0)
      },
      { password: 'right' },
    ))

  it('missing rights to run scripts fail with the server’s message', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'reader', 'on', '>s3cret', '~*', '-@all', '+@read', '+info', '+client')
      await withClient(
        { port: server.port, username: 'reader', password: 's3cret', lazyConnect: true },
        async (client) => failsWith(client, /NOPERM/),
      )
      expect(await server.command('DBSIZE')).to.equal(0)
    }))

  it('a port without a listener fails', async () => {
    await Promise.all([
      withClient({ port: DEAD_PORT, lazyConnect: true }, async (client) => failsWith(client, /ECONNREFUSED/)),
      failsWith(`redis://127.0.0.1:${DEAD_PORT}`, /ECONNREFUSED/),
      withClient({ path: '/nowhere/redis.sock', lazyConnect: true }, async (client) => failsWith(client, /ENOENT/)),
    ])
  })

  it('a peer that never answers fails', () =>
    withListener(
      () => undefined,
      async (port) => failsWith(`redis://127.0.0.1:${port}`, /did not answer within 300 ms|Socket timeout/, 300),
    ))

  it('a peer that hangs up fails', () =>
    withListener(
      (socket) => socket.destroy(),
      async (port) => failsWith(`redis://127.0.0.1:${port}`, /No connection to Redis/),
    ))

  it('a peer that is no Redis fails', () =>
    withListener(
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
      async (port) => failsWith(`redis://127.0.0.1:${port}`, /"H"/),
    ))

  it('a server with an untrusted certificate fails', () =>
    withRedis((server) =>
      withProxy(
        server.port,
        async ({ port }) => failsWith(`rediss://127.0.0.1:${port}`, /self-signed certificate/),
        createCertificate(),
      ),
    ))

  it('TLS on one side only fails', () =>
    withRedis((server) =>
      withProxy(
        server.port,
        async ({ port }) => {
          await Promise.all([
            failsWith(`redis://127.0.0.1:${port}`, /No connection to Redis/),
            failsWith(`rediss://127.0.0.1:${server.port}`, /No connection to Redis|did not answer/, 300),
          ])
        },
        createCertificate(),
      ),
    ))

  for (const [what, connect] of [
    ['the options of the client', (port) => new Redis({ port, db: 99 })],
    ['options without a ready check', (port) => new Redis({ port, db: 99, enableReadyCheck: false })],
    ['a URL', (port) => `redis://127.0.0.1:${port}/99`],
    ['a URL without a ready check', (port) => `redis://127.0.0.1:${port}/99?enableReadyCheck=`],
  ] satisfies readonly (readonly [string, (port: number) => Redis | string])[]) {
    it(`P7 a missing database fails, and nothing is locked elsewhere: ${what}`, () =>
      withRedis(async (server) => {
        const connection = connect(server.port)
        if (connection instanceof Redis) connection.on('error', () => undefined)
        try {
          await withNewManager(connection, { ...LASTING, timeout: 5_000 }, async ({ manager }) => {
            // The first are asked while the connection is being made, the next on one that had time to settle.
            for (let turn = 0; turn < 2; turn += 1) {
              const keys = Array.from({ length: 10 }, (_, index) => `key ${index}`)
              const patient = rejectionOf(manager.acquire('another', { wait: 200 }))
              const failures = await Promise.all(keys.map(async (key) => rejectionOf(manager.tryAcquire(key))))
              for (const failure of failures) {
                expect(failure).to.be.instanceOf(UnavailableError)
                expect(messagesOf(failure)).to.match(/DB index is out of range|invalid DB index/)
              }
              expect(await patient).to.be.instanceOf(UnavailableError)
              expect(await rejectionOf(manager.inspect('a'))).to.be.instanceOf(UnavailableError)
            }
          })
          expect(await server.command('DBSIZE')).to.equal(0)
          const statistics = await server.commandStats()
          expect([...statistics.keys()].filter((name) => name.startsWith('eval'))).to.deep.equal([])
        } finally {
          if (connection instanceof Redis) connection.disconnect()
        }
      }))
  }

  it('P7 a manager whose database goes missing sends no requests to another one', () =>
    withRedis(async (server) =>
      withClient({ port: server.port, db: 3 }, async (client) => {
        await server.command('ACL', 'SETUSER', 'default', '+@all')
        await withNewManager(client, { ttl: 1_500, timeout: 1_500, wait: 15_000 }, async ({ manager, journal }) => {
          const lease = await manager.acquire('a')
          // From here on no new connection gets out of database 0.
          await server.command('ACL', 'SETUSER', 'default', '-select')
          await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
          await server.command('CONFIG', 'RESETSTAT')
          await journal.until('lost', lease)
          expect(journal.story(lease).at(-1), 'not `missing`').to.equal('lost: expired')
          const failure = await rejectionOf(manager.tryAcquire('b', { ttl: 60_000, timeout: 10_000 }))
          expect(failure).to.be.instanceOf(UnavailableError)
          expect(messagesOf(failure)).to.match(/NOPERM/)
          const statistics = await server.commandStats()
          expect([...statistics.keys()].filter((name) => name.startsWith('eval'))).to.deep.equal([])
          await server.command('ACL', 'SETUSER', 'default', '+@all')
        })
        expect((await server.info('keyspace')).has('db0')).to.equal(false)
      }),
    ))
})

describe('a client that has ended', () => {
  it('still names its server, so that the manager connects by itself', () =>
    withRedis(async (server) => {
      for (const end of [
        async (client: Redis) => client.quit(),
        async (client: Redis) => client.disconnect(),
        async (client: Redis) => {
          await client.select(2)
          await client.quit()
        },
      ]) {
        await withClient({ port: server.port }, async (client) => {
          await client.ping()
          await end(client)
          await until('the client is over', () => client.status === 'end')
          await withNewManager(client, LASTING, async ({ manager }) => {
            const lease = await manager.acquire('a')
            expect(await lease.release()).to.equal(true)
          })
          expect(client.status, 'it is not revived').to.equal('end')
        })
      }
      expect([...(await server.info('keyspace')).keys()].toSorted()).to.deep.equal(['db0', 'db2'])
    }))

  it('can end while the manager works', () =>
    withRedis(async (server) =>
      withClient({ port: server.port }, async (client) =>
        withNewManager(client, LASTING, async ({ manager }) => {
          const lease = await manager.acquire('a')
          client.disconnect()
          await lease.renew()
          expect(await lease.release()).to.equal(true)
        }),
      ),
    ))
})

describe('an invalid connection', () => {
  for (const [what, create, expected] of [
    [
      'a cluster client of another kind',
      () => ({ isCluster: true, nodes: () => [] }),
      'got a Redis Cluster client of another kind: make an ioredis `Cluster`',
    ],
    ['nothing', () => undefined, 'got `undefined`'],
    ['null', () => null, 'got `null`'],
    ['a port', () => 6379, 'got `6379` (number)'],
    ['an object of options', () => ({ host: '127.0.0.1', port: 6379 }), 'got an object'],
    ['a URL of another kind', () => 'http://user:secret@127.0.0.1', 'got another string'],
    ['an empty string', () => '', 'got another string'],
    ['half a backend', () => ({ open: () => undefined, acquire: () => undefined }), 'got an object'],
    ['the class of clients', () => Redis, 'got a function'],
  ] as const) {
    it(`is refused at once with a TypeError: ${what}`, () =>
      inSilence(async () => {
        const handles = await openHandles()
        const create_ = (): unknown => new LeaseManager(create() as unknown as Connectable)
        expect(create_).to.throw(
          TypeError,
          'Expected `connection` to be an ioredis client or Cluster, a redis:// or rediss:// URL',
        )
        let message = ''
        try {
          create_()
        } catch (error) {
          message = (error as Error).message
        }
        expect(message).to.include(expected)
        expect(message).not.to.include('secret')
        expect(await openHandles()).to.deep.equal(handles)
      }))
  }

  it('leaves no connection behind when an option is bad', () =>
    withRedis(async (server) => {
      const handles = await openHandles()
      expect(() => new LeaseManager(server.url, { ttl: 5 })).to.throw(RangeError, '`ttl`')
      expect(() => new LeaseManager(server.url, { wait: Number.NaN })).to.throw()
      expect(await openHandles()).to.deep.equal(handles)
    }))
})

/**
 * Each way of asking fails as unavailable, and says why.
 *
 * @param timeout ms; long enough for another attempt to connect after the pause that precedes it.
 */
async function failsWith(connection: Connectable, reason: RegExp, timeout = 5_000): Promise<void> {
  await withNewManager(connection, { ...LASTING, timeout }, async ({ manager, journal }) => {
    const single = [manager.tryAcquire('a'), manager.acquire('b', { wait: 0 }), manager.inspect('c')]
    const patient = [manager.acquire('d', { wait: 500 }), manager.acquireAll(['e', 'f'], { wait: 500 })]
    const failures = await Promise.all([...single, ...patient].map(async (call) => rejectionOf(call)))
    for (const failure of failures) expect(failure).to.be.instanceOf(UnavailableError)
    for (const failure of failures.slice(0, single.length)) expect(messagesOf(failure)).to.match(reason)
    // Between two attempts to connect the reason is the same.
    expect(messagesOf(await rejectionOf(manager.tryAcquire('g')))).to.match(reason)
    expect(journal.entries).to.deep.equal([])
    // Errors that come unasked say what is wrong too, not what ioredis makes of it.
    for (const error of journal.errors) expect(error.message).not.to.match(/enableOfflineQueue|max retries/)
  })
}

/** Runs `work` with the port of a server of its own making. */
async function withListener(
  onConnection: (socket: Socket) => void,
  work: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.resume()
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await work((server.address() as AddressInfo).port)
  } finally {
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  }
}
