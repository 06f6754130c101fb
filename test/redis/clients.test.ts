/** What a connection can be: clients, recognised by their shape, and URLs. */
import { connect, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { LeaseManager } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { readServerUrl } from '#src/redis/server-url.js'
import { withRedis } from '../support/redis-server.ts'
import { type Connectable, inSilence, LASTING, openHandles, withClient, withNewManager } from './support.ts'

/** The rejection of what is passed, which must leave nothing behind. */
async function refusalOf(connection: unknown): Promise<Error> {
  return inSilence(async () => {
    const handles = await openHandles()
    let refusal: unknown
    try {
      void new LeaseManager(connection as Connectable)
    } catch (error) {
      refusal = error
    }
    expect(refusal).to.be.instanceOf(TypeError)
    expect(await openHandles()).to.deep.equal(handles)
    return refusal as Error
  })
}

function methods(...names: string[]): Record<string, () => unknown> {
  return Object.fromEntries(names.map((name) => [name, () => undefined]))
}

/** The shapes that these libraries were seen to have, as far as they could be taken for ioredis. */
const FOREIGN: readonly (readonly [what: string, value: () => unknown, expected: RegExp])[] = [
  [
    'a client of node-redis 4 to 6',
    () => ({
      ...methods('duplicate', 'sendCommand', 'connect', 'disconnect', 'multi', 'on'),
      options: { url: 'redis://elsewhere:7000', socket: {}, database: 0 },
      isOpen: false,
      isReady: false,
    }),
    /a client of node-redis: make an ioredis client for the same server, or pass its URL/,
  ],
  ['a pool of node-redis', () => ({ ...methods('sendCommand', 'connect', 'execute'), isOpen: false }), /node-redis/],
  [
    'a cluster of node-redis',
    () => ({ ...methods('sendCommand', 'connect', 'duplicate', 'multi'), isOpen: false }),
    /node-redis/,
  ],
  [
    'a client of node-redis 3',
    () => ({ ...methods('duplicate', 'send_command', 'internal_send_command'), options: {}, connected: false }),
    /node-redis/,
  ],
  [
    'ioredis-mock',
    () => ({
      ...methods('duplicate', 'connect', 'disconnect', 'defineCommand', 'pipeline', 'multi', 'customCommand'),
      options: { host: 'localhost', port: 6379, db: 0 },
      connected: true,
      keyData: '',
      data: {},
      expires: {},
    }),
    /ioredis-mock: in tests pass a `MemoryBackend`/,
  ],
  ['Valkey GLIDE', () => methods('customCommand', 'exec', 'ping', 'close'), /Valkey GLIDE/],
  ['a cluster client of another kind', () => ({ isCluster: true, ...methods('nodes') }), /make an ioredis `Cluster`/],
  ['an object of options', () => ({ host: '127.0.0.1' }), /an object of options: .*new Redis\(options\)/],
  ['options of a Sentinel', () => ({ sentinels: [], name: 'primary' }), /an object of options/],
  ['a promise', async () => Promise.resolve(), /a promise: await it/],
  ['an object that is a URL', () => new URL('redis://:secret@localhost'), /a URL object: pass its `href`/],
  ['several servers', () => ['redis://localhost'], /an array: one manager works with one server/],
  ['a pipeline', () => new Redis({ lazyConnect: true }).pipeline(), /an object/],
  ['a manager', () => new LeaseManager(new MemoryBackend()), /an object/],
]

describe('a client of another library than ioredis', () => {
  for (const [what, value, expected] of FOREIGN) {
    it(`is refused by its shape, and named: ${what}`, async () => {
      const { message } = await refusalOf(value())
      expect(message).to.match(expected).and.not.include('secret')
    })
  }
})

describe('a client of ioredis', () => {
  it('is recognised with any class name, and as a subclass: bundlers rename classes', () =>
    withRedis(async (server) => {
      const a = class extends Redis {}
      Object.defineProperty(a, 'name', { value: 'a' })
      const client = new a({ port: server.port, lazyConnect: true })
      await withNewManager(client, LASTING, async ({ manager }) => {
        expect((await manager.acquire('k')).held).to.equal(true)
        expect(await server.command('EXISTS', 'lease:k')).to.equal(1)
      })
    }))

  it('can be of iovalkey, which has the same shape without ioredis 6’s additions', () =>
    withRedis(async (server) => {
      await withClient({ port: server.port, db: 2 }, async (model) => {
        const { protocol: _protocol, replyMapping: _replyMapping, ...options } = model.options
        const iovalkey = {
          ...methods('duplicate', 'sendCommand', 'connect', 'disconnect', 'defineCommand', 'pipeline', 'multi', 'on'),
          options,
          status: 'wait',
          mode: 'normal',
          isCluster: false,
          condition: null,
        }
        await withNewManager(iovalkey as unknown as Connectable, LASTING, async ({ manager }) => {
          expect((await manager.acquire('k')).held).to.equal(true)
          await server.command('SELECT', 2)
          expect(await server.command('EXISTS', 'lease:k')).to.equal(1)
        })
      })
    }))

  it('can connect with its own `Connector`, which our connections use, too', () =>
    withRedis(async (server) => {
      const sockets: Socket[] = []
      class Connector {
        check(): boolean {
          return true
        }
        disconnect(): void {
          for (const socket of sockets) socket.end()
        }
        async connect(): Promise<Socket> {
          const socket = connect(server.port, '127.0.0.1')
          sockets.push(socket)
          return socket
        }
      }
      const options = { port: 1, lazyConnect: true, Connector: Connector as never }
      await withNewManager(new Redis(options), LASTING, async ({ manager }) => {
        expect((await manager.acquire('k')).held).to.equal(true)
        expect(sockets).not.to.have.length(0)
      })
    }))

  it('is refused if its database is not a number', async () => {
    const { message } = await refusalOf(new Redis('redis://localhost/locks', { lazyConnect: true }))
    expect(message).to.include('`db`').and.include('NaN')
  })
})

describe('a URL', () => {
  for (const [path, database] of [
    ['', 0],
    ['/', 0],
    ['/2', 2],
    ['/2/', 2],
    ['/02', 2],
    ['/%32', 2],
    ['?db=2', 2],
    ['/2?db=3', 2],
    ['/1%35?family=4', 15],
  ] as const) {
    it(`leads to database ${database} with \`${path}\``, () =>
      withRedis((server) =>
        withNewManager(`${server.url.replace(/\/$/, '')}${path}`, LASTING, async ({ manager }) => {
          const lease = await manager.acquire('a')
          await server.command('SELECT', database)
          expect(await server.command('GET', 'lease:a')).to.equal(lease.token)
        }),
      ))
  }

  it('can begin with valkeys://, as with rediss://', () => {
    expect(readServerUrl('valkeys://:p%40ss@host:1/%32?family=6')).to.equal('rediss://:p%40ss@host:1/2?family=6')
  })

  for (const protocol of ['valkey', 'VALKEY', 'REDIS']) {
    it(`can begin with ${protocol}://`, () =>
      withRedis((server) =>
        withNewManager(server.url.replace(/^redis/, protocol), LASTING, async ({ manager }) => {
          expect((await manager.acquire('a')).held).to.equal(true)
        }),
      ))
  }

  for (const [url, expected] of [
    ['redis://:secret@localhost/locks', /path of the URL .* the number of a database, .* got `locks`/],
    ['valkeys://:secret@localhost/1.5', /got `1.5`/],
    ['redis://:secret@localhost/-1', /got `-1`/],
    ['redis://:secret@localhost/1e0', /got `1e0`/],
    ['redis://:secret@localhost/0x1', /got `0x1`/],
    ['redis://:secret@localhost/%201', /got ` 1`/],
    ['redis://:secret@localhost/%zz', /got `%zz`/],
    ['redis://:secret@localhost/1/2', /got `1\/2`/],
    ['redis://:secret@localhost?db=locks', /`db` of the URL .* got `locks`/],
    ['redis://:secret@localhost/1?db=', /`db` of the URL/],
    ['redis://:sec%zzret@localhost', /a valid URL: .*percent-encoded/],
    ['redis://user/secret@localhost', /got something else/],
    ['redis://:secret#@localhost', /a valid URL/],
    ['redis://user#secret@localhost', /a valid URL: a `#` must be written as `%23`/],
    ['redis://:secret@localhost:port', /a valid URL: the port must be a number/],
    ['redis://:secret@localhost:99999', /a valid URL: the port must be a number/],
  ] as const) {
    it(`is refused, and no password shown: ${url}`, async () => {
      const refusal = await refusalOf(url)
      expect(refusal.message).to.match(expected)
      expect(inspect(refusal, { depth: null })).not.to.match(/secret|zzret/)
    })
  }
})
