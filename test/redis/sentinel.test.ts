import { expect } from 'chai'
import { UnavailableError } from 'leasewheel'
import { withRedis } from '../support/redis-server.ts'
import { PRIMARY, withSentinel } from '../support/sentinel-group.ts'
import {
  LASTING,
  messagesOf,
  openHandles,
  rejectionOf,
  untilNoMoreHandles,
  untilRenewed,
  untilWatching,
  withClient,
  withManager,
} from './support.ts'

describe('a server behind Sentinel', () => {
  it('P18 P21 is found again after a crash, and sends change notifications as before', () =>
    withRedis(
      (server) =>
        withSentinel(server, (port) =>
          withClient({ sentinels: [{ host: '127.0.0.1', port }], name: PRIMARY, db: 2 }, async (client) => {
            expect(await client.ping()).to.equal('PONG')
            await withManager(client, { ...LASTING, random: () => 0 }, async ({ manager, journal }) => {
              const lease = await manager.acquire('a')
              await server.command('SELECT', 2)
              expect(await server.command('GET', 'lease:a')).to.equal(lease.token)
              await lease.renew()
              await server.kill()
              await rejectionOf(lease.renew())
              await server.restart()
              await untilRenewed(lease)
              expect(journal.count('lost')).to.equal(0)
              await untilWatching(manager)
              const other = await manager.acquire('b')
              await server.command('SELECT', 2)
              await server.command('DEL', 'lease:b')
              await journal.until('lost', other)
              expect(await lease.release()).to.equal(true)
            })
          }),
        ),
      { persistence: 'aof' },
    ))

  for (const [what, options] of [
    ['an application that keeps on trying', {}],
    ['an application that gives up at once', { sentinelRetryStrategy: () => null }],
  ] as const) {
    it(`is unavailable when no Sentinel answers, for ${what}`, async () => {
      const handles = await openHandles()
      const sentinels = [{ host: '127.0.0.1', port: 1 }]
      await withClient({ sentinels, name: PRIMARY, lazyConnect: true, ...options }, async (client) =>
        withManager(client, { ...LASTING, timeout: 5_000 }, async ({ manager }) => {
          for (let turn = 0; turn < 2; turn += 1) {
            const failure = await rejectionOf(manager.tryAcquire('a'))
            expect(failure).to.be.instanceOf(UnavailableError)
            expect(messagesOf(failure)).to.match(/All sentinels are unreachable/)
          }
          expect(await rejectionOf(manager.acquire('a', { wait: 300 }))).to.be.instanceOf(UnavailableError)
        }),
      )
      await untilNoMoreHandles(handles)
    })
  }
})
