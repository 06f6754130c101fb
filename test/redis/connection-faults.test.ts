/** Why there is no connection: reported once, and with each rejection. */
import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { UnavailableError } from 'leasewheel'
import sinon from 'sinon'
import { withProxy } from '../support/proxy.ts'
import { withRedis } from '../support/redis-server.ts'
import { withScriptedProxy } from '../support/scripted-proxy.ts'
import { withSentinel } from '../support/sentinel-group.ts'
import {
  connectionIds,
  LASTING,
  messagesOf,
  rejectionOf,
  until,
  untilRenewed,
  untilWatching,
  withClient,
  withManager,
  withNewManager,
} from './support.ts'

const QUICK = { ...LASTING, timeout: 500, wait: 1_500 } as const

/** Runs `work` with the port of a listener that hands each connection to `serve`. */
async function withListener(
  serve: (socket: Socket) => void,
  work: (port: number, accepted: () => number) => Promise<void>,
): Promise<void> {
  let accepted = 0
  const listener = createServer((socket) => {
    accepted += 1
    socket.on('error', () => undefined)
    serve(socket)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  try {
    await work((listener.address() as AddressInfo).port, () => accepted)
  } finally {
    listener.close()
  }
}

describe('a connection that cannot be made', () => {
  it('P18 a name without a listening address is reported in the message', async () => {
    // Both addresses of `localhost` refuse at this port.
    await withClient({ host: 'localhost', port: 1, family: 0, lazyConnect: true }, (client) =>
      withNewManager(client, QUICK, async ({ manager, journal }) => {
        const failure = await rejectionOf(manager.tryAcquire('a'))
        expect(failure).to.be.instanceOf(UnavailableError)
        expect(failure.message).to.match(/ECONNREFUSED/)
        await until('it is told', () => journal.errors.length > 0)
        expect(journal.errors[0]?.message).to.match(/ECONNREFUSED/)
      }),
    )
  })

  it('P18 a broken handshake is reported once, as the cause of each rejection', () =>
    withListener(
      (socket) => socket.once('data', () => socket.end()),
      (port, accepted) =>
        withClient({ port, lazyConnect: true }, (client) =>
          withNewManager(client, QUICK, async ({ manager, journal }) => {
            for (let turn = 0; turn < 3; turn += 1) {
              const failure = await rejectionOf(manager.acquire('a', { wait: 200 }))
              expect(messagesOf(failure)).to.match(/closed the connection during the handshake|reset/)
            }
            await until('it has tried several times', () => accepted() > 6)
            expect(journal.errors).to.have.length(1)
          }),
        ),
    ))

  it('P18 missing Sentinels are reported once, despite ioredis’ varying delays', () =>
    withListener(
      (socket) => socket.destroy(),
      (port, accepted) =>
        withClient({ sentinels: [{ host: '127.0.0.1', port }], name: 'primary', lazyConnect: true }, (client) =>
          withNewManager(client, QUICK, async ({ manager, journal }) => {
            await until('they were asked often', () => accepted() > 20)
            expect(messagesOf(await rejectionOf(manager.tryAcquire('a')))).to.match(/All sentinels are unreachable/)
            expect(journal.errors).to.have.length(1)
          }),
        ),
    ))

  it('P18 a name that the Sentinels do not know is reported', () =>
    withRedis((server) =>
      withSentinel(server, (port) =>
        withClient({ sentinels: [{ host: '127.0.0.1', port }], name: 'nobody', lazyConnect: true }, (client) =>
          withNewManager(client, QUICK, async ({ manager, journal }) => {
            expect(messagesOf(await rejectionOf(manager.tryAcquire('a')))).to.match(/No such master with that name/)
            await until('it is told', () => journal.errors.length > 0)
            expect(journal.errors).to.have.length(1)
          }),
        ),
      ),
    ))

  it('P18 no error is reported while Sentinels answer, however often it reconnects', () =>
    withRedis((server) =>
      withSentinel(server, (port) =>
        withClient({ sentinels: [{ host: '127.0.0.1', port }], name: 'primary', lazyConnect: true }, (client) =>
          withManager(client, LASTING, async ({ manager, journal }) => {
            const lease = await manager.acquire('a')
            for (let turn = 0; turn < 6; turn += 1) {
              for (const id of await connectionIds(server, 'leasewheel'))
                await server.command('CLIENT', 'KILL', 'ID', id)
              await untilRenewed(lease)
            }
            for (const { message } of journal.errors) expect(message).not.to.match(/sentinel/i)
          }),
        ),
      ),
    ))

  it('P18 P24 with room for one client less, locks work without change notifications', () =>
    withRedis(
      (server) =>
        withClient({ port: server.port }, async (client) => {
          // Connected: the client, our first connection; there is no room for the second.
          await client.ping()
          await server.command('CONFIG', 'SET', 'maxclients', 3)
          await withNewManager(server.url, QUICK, async ({ manager, journal }) => {
            const lease = await manager.acquire('a', { wait: 10_000 })
            for (let turn = 0; turn < 3; turn += 1) {
              for (const id of await connectionIds(server, 'leasewheel')) {
                await server.command('CLIENT', 'KILL', 'ID', id)
              }
              await untilRenewed(lease)
            }
            await until('it is told', () => journal.errors.length > 0)
            // Once for the second connection, and once for each time that it had to give way.
            for (const { message } of journal.errors)
              expect(message).to.match(/max number of clients|closed the connection/)
            expect(journal.errors.length).to.be.lessThanOrEqual(4)
            await server.command('CONFIG', 'SET', 'maxclients', 100)
            await untilWatching(manager)
          })
        }),
      { args: ['--maxclients', '100'] },
    ))

  it('P18 a full server is reported once, in its own words', () =>
    withRedis((server) =>
      withClient({ port: server.port }, async (client) => {
        await client.ping()
        await server.command('CONFIG', 'SET', 'maxclients', 2)
        await withNewManager(server.url, QUICK, async ({ manager, journal }) => {
          const isSaid = (error?: Error): boolean => /max number of clients/.test(messagesOf(error))
          // What the server says is lost now and then, because it closes the connection at once.
          await until('it is told', () => journal.errors.some(isSaid))
          for (let turn = 0; turn < 3; turn += 1) {
            expect(isSaid(await rejectionOf(manager.acquire('a', { wait: 300 })))).to.equal(true)
          }
          expect(journal.errors.filter(isSaid)).to.have.length(1)
        })
      }),
    ))

  it('P18 a connection that leads to a Sentinel is reported at once, without a retry', () =>
    withRedis((server) =>
      withSentinel(server, (port) =>
        withClient({ port, lazyConnect: true }, (client) =>
          withNewManager(client, QUICK, async ({ manager, journal }) => {
            const failure = await rejectionOf(manager.tryAcquire('a'))
            expect(failure).to.include({ code: 'ERR_UNAVAILABLE', final: true })
            expect(failure.message).to.match(/Sentinel.*`sentinels` and `name`/)
            await until('it is told', () => journal.errors.length > 0)
            expect(journal.errors).to.have.length(1)
          }),
        ),
      ),
    ))

  it('P18 a connection that leads to a node of a cluster is reported at once', () =>
    withRedis(
      (server) =>
        withNewManager(server.url, QUICK, async ({ manager }) => {
          const failure = await rejectionOf(manager.tryAcquire('a'))
          expect(failure).to.include({ code: 'ERR_UNAVAILABLE', final: true })
          expect(failure.message).to.match(/Cluster/)
        }),
      { args: ['--cluster-enabled', 'yes'] },
    ))
})

describe('credentials', () => {
  const rules = ['on', '>first', '~*', '&*', '+@all']

  it('P21 credentials that the application changes are used for the next connection', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', ...rules)
      const options = { port: server.port, username: 'worker', password: 'first', lazyConnect: true }
      await withClient(options, (client) =>
        withManager(client, LASTING, async ({ manager, journal }) => {
          const lease = await manager.acquire('a')
          client.options.password = 'second'
          await server.command('ACL', 'SETUSER', 'worker', '<first', '>second')
          for (const name of ['leasewheel', 'leasewheel:watch']) {
            for (const id of await connectionIds(server, name)) await server.command('CLIENT', 'KILL', 'ID', id)
          }
          await untilRenewed(lease)
          await untilWatching(manager)
          expect(journal.errors.map(({ message }) => message)).to.deep.equal([])
        }),
      )
    }))

  it('P21 are requested for each connection; a failure is reported once, the previous are tried', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', ...rules)
      let password: string | undefined = 'first'
      let asked = 0
      const credentials = async () => {
        asked += 1
        if (password === undefined) throw new Error('no token to be had')
        return { username: 'worker', password }
      }
      await withManager(
        `redis://127.0.0.1:${server.port}`,
        { ...LASTING, credentials },
        async ({ manager, journal }) => {
          const lease = await manager.acquire('a')
          const reconnect = async (): Promise<void> => {
            const before = asked
            for (const name of ['leasewheel', 'leasewheel:watch']) {
              for (const id of await connectionIds(server, name)) await server.command('CLIENT', 'KILL', 'ID', id)
            }
            await untilRenewed(lease)
            await untilWatching(manager)
            expect(asked).to.be.greaterThan(before)
          }
          password = 'second'
          await server.command('ACL', 'SETUSER', 'worker', '<first', '>second')
          await reconnect()
          expect(journal.errors).to.have.length(0)
          password = undefined
          await reconnect()
          expect(new Set(journal.errors.map(({ message }) => message))).to.deep.equal(
            new Set(['`credentials` failed: no token to be had']),
          )
        },
      )
    }))
})

describe('credentials that do not help', () => {
  it('P21 credentials that come too late are replaced by the previous ones', () =>
    withRedis(async (server) => {
      let hangs = false
      const credentials = () => (hangs ? new Promise<never>(() => undefined) : Promise.resolve({ password: '' }))
      await withManager(
        server.url,
        { ...LASTING, timeout: 500, wait: 15_000, credentials },
        async ({ manager, journal }) => {
          hangs = true
          for (const id of await connectionIds(server, 'leasewheel')) await server.command('CLIENT', 'KILL', 'ID', id)
          await (await manager.acquire('a')).release()
          expect(journal.errors.map(({ message }) => message).join()).to.match(/`credentials` failed: no answer within/)
        },
      )
    }))

  it('P21 credentials without a user name leave it unchanged', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', 'on', '>second', '~*', '&*', '+@all')
      const url = `redis://worker:first@127.0.0.1:${server.port}`
      const credentials = async () => ({ password: 'second' })
      await withManager(url, { ...LASTING, credentials }, async ({ manager }) => {
        expect((await manager.acquire('a')).held).to.equal(true)
      })
    }))
})

describe('a connection that breaks during an attempt', () => {
  it('P11 makes the attempt wait for another one: tryAcquire, in every turn', () =>
    withRedis((server) =>
      withProxy(server.port, (proxy) =>
        withManager(`redis://127.0.0.1:${proxy.port}`, { ...LASTING, timeout: 10_000 }, async ({ manager }) => {
          for (let turn = 0; turn < 12; turn += 1) {
            proxy.cut()
            for (let turns = 0; turns < turn; turns += 1) await setImmediate()
            const lease = await manager.tryAcquire(`key ${turn}`)
            expect(lease?.held).to.equal(true)
          }
        }),
      ),
    ))
})

describe('a server that refuses with unusual errors', () => {
  it('P18 refused notifications cause one `error`, polling, and no connection is made anew', () =>
    withRedis((server) =>
      withScriptedProxy(
        server.port,
        ([command = '', subcommand = '']) =>
          `${command} ${subcommand}`.toLowerCase() === 'client tracking'
            ? { error: "ERR command 'client|tracking' is not allowed" }
            : undefined,
        async (proxy) => {
          await withNewManager(`redis://127.0.0.1:${proxy.port}`, LASTING, async ({ manager, journal }) => {
            await until('it is told', () => journal.errors.length > 0)
            const { accepted } = proxy
            expect(accepted).to.equal(2)
            for (let turn = 0; turn < 20; turn += 1) await (await manager.acquire('a')).release()
            await server.command('SET', 'lease:b', 'theirs', 'PX', 300)
            expect((await manager.acquire('b')).held).to.equal(true)
            expect(proxy.accepted).to.equal(accepted)
            expect(journal.errors).to.have.length(1)
            expect(journal.errors[0]?.message).to.match(/refuses to tell of changes.*not allowed/)
          })
        },
      ),
    ))

  it('P18 refused INFO causes no error, and locks use two connections', () =>
    withRedis((server) =>
      withScriptedProxy(
        server.port,
        ([command = '']) => (command.toLowerCase() === 'info' ? { error: "ERR unknown command 'INFO'" } : undefined),
        (proxy) =>
          withNewManager(`redis://127.0.0.1:${proxy.port}`, LASTING, async ({ manager, journal }) => {
            await untilWatching(manager)
            await (await manager.acquire('a')).release()
            expect(proxy.accepted).to.equal(2)
            expect(journal.errors).to.have.length(0)
          }),
      ),
    ))

  it('P18 P23 a subscription refused for want of memory means polling until a retry', () =>
    withRedis((server) => {
      let full = true
      return withScriptedProxy(
        server.port,
        ([command = '']) =>
          full && command.toLowerCase() === 'subscribe'
            ? { error: "OOM command not allowed when used memory > 'maxmemory'." }
            : undefined,
        (proxy) =>
          withNewManager(`redis://127.0.0.1:${proxy.port}`, LASTING, async ({ manager }) => {
            await server.command('SET', 'lease:a', 'theirs', 'PX', 300)
            expect((await manager.acquire('a')).held).to.equal(true)
            expect(manager.stats().watching).to.equal(false)
            full = false
            await until('changes are told', async () => {
              await (await manager.acquire('b')).release()
              return manager.stats().watching
            })
          }),
      )
    }))
})

describe('an idle connection', () => {
  it('is kept alive more often than load balancers forget it, whatever the client’s options', () =>
    withRedis((server) =>
      withClient({ port: server.port, keepAlive: 0, lazyConnect: true }, (client) =>
        withManager(client, LASTING, async () => {
          const sandbox = sinon.createSandbox()
          const spy = sandbox.spy(Socket.prototype, 'setKeepAlive')
          try {
            for (const name of ['leasewheel', 'leasewheel:watch']) {
              for (const id of await connectionIds(server, name)) await server.command('CLIENT', 'KILL', 'ID', id)
            }
            await until('both are made anew', () => spy.callCount >= 2)
          } finally {
            sandbox.restore()
          }
          const seen = spy.args.map(([, delay]) => delay)
          for (const delay of seen) expect(delay).to.be.lessThanOrEqual(60_000)
        }),
      ),
    ))
})
