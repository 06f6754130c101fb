/** Another server answers at the same address, or the two connections of a manager lead to different servers. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import type { Lease } from 'leasewheel'
import { withProxy } from '../support/proxy.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { withScriptedProxy } from '../support/scripted-proxy.ts'
import {
  connectionIds,
  connectionsNamed,
  Hourly,
  LASTING,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withManager,
  withNewManager,
} from './support.ts'

/** Nothing is renewed by the wheel for longer than a test takes. */
const OPTIONS = { ...LASTING, ttl: 600_000 } as const

/** Two servers; the second one has the data of the first, and may be written to. */
async function copyAndPromote(from: RedisServer, to: RedisServer): Promise<void> {
  await to.command('REPLICAOF', '127.0.0.1', from.port)
  await until('the copy is there', async () => (await to.info('replication')).get('master_link_status') === 'up')
  await to.command('REPLICAOF', 'NO', 'ONE')
}

const FAST = { args: ['--repl-diskless-sync-delay', '0'] }

function renewedOf({ journal }: Session, lease: Lease): number {
  return journal.entries.filter((entry) => entry.lease === lease && entry.name === 'renewed').length
}

describe('another server behind the same address', () => {
  for (const watch of [true, false]) {
    it(`P26 every lease is renewed there at once: ${watch ? 'watched' : 'unwatched'}`, () =>
      withRedis(
        (first) =>
          withRedis(
            (second) =>
              withProxy(first.port, (proxy) =>
                withManager(`redis://127.0.0.1:${proxy.port}`, { ...OPTIONS, watch }, async (session) => {
                  const leases = await session.manager.acquireAll(['a', 'b', 'c'])
                  const [a, , c] = leases as [Lease, Lease, Lease]
                  const renewed = leases.map((lease) => renewedOf(session, lease))
                  await copyAndPromote(first, second)
                  // The copy was not the latest.
                  await second.command('DEL', 'lease:c')
                  proxy.target = second.port
                  proxy.cut()
                  await until('they are renewed', () => renewedOf(session, a) > (renewed[0] as number))
                  await session.journal.until('lost', c)
                  expect(session.journal.story(c).at(-1)).to.equal('lost: missing')
                  expect(await second.command('GET', 'lease:a')).to.equal(a.token)
                  expect(session.journal.count('lost')).to.equal(1)
                }),
              ),
            FAST,
          ),
        FAST,
      ))
  }

  it('P26 is noticed when the same server process returns with other data: REPLICAOF', () =>
    withRedis(
      (server) =>
        withRedis(
          (other) =>
            withManager(server.url, { ...OPTIONS, watch: false }, async ({ manager, journal }) => {
              const lease = await manager.acquire('a')
              await server.command('REPLICAOF', '127.0.0.1', other.port)
              await until('it has the data of the other', async () => (await server.command('EXISTS', 'lease:a')) === 0)
              // Whoever asks now is told that this is a replica.
              await manager.tryAcquire('b').catch(() => undefined)
              await server.command('REPLICAOF', 'NO', 'ONE')
              await journal.until('lost', lease)
              expect(journal.story(lease).at(-1)).to.equal('lost: missing')
            }),
          FAST,
        ),
      FAST,
    ))

  it('P26 a proxy that changes the server without a word is noticed', () =>
    withRedis((server) => {
      let runId = 'a'.repeat(40)
      return withScriptedProxy(
        server.port,
        ([command = '']) =>
          command.toLowerCase() === 'info' ? { text: `redis_mode:standalone\r\nrun_id:${runId}\r\n` } : undefined,
        ({ port, accepted }) => {
          let now = 0
          const start = performance.now()
          const clock = {
            now: () => now + performance.now() - start,
            setTimer: (callback: () => void, delay: number) => {
              const timer = setTimeout(callback, Math.max(delay, 0))
              return { cancel: () => clearTimeout(timer) }
            },
            soon: (callback: () => void) => void setImmediate(callback),
          }
          return withNewManager(`redis://127.0.0.1:${port}`, { ...OPTIONS, watch: false, clock }, async (session) => {
            const lease = await session.manager.acquire('a')
            expect(accepted).to.be.lessThanOrEqual(1)
            runId = 'b'.repeat(40)
            const renewed = renewedOf(session, lease)
            // Time for a look: somebody asks for something.
            now += 6_000
            await session.manager.tryAcquire('b').catch(() => undefined)
            await until('it is renewed', () => renewedOf(session, lease) > renewed)
            expect(session.journal.count('lost')).to.equal(0)
          })
        },
      )
    }))
})

describe('the two connections of a manager', () => {
  it('P23 P26 a failover by name moves both connections to one server', () =>
    withRedis(
      (first) =>
        withRedis(
          (second) =>
            withProxy(first.port, async (proxy) => {
              const retry = new Hourly()
              await withManager(`redis://127.0.0.1:${proxy.port}`, { ...OPTIONS, retry }, async ({ manager }) => {
                await untilWatching(manager)
                const [id = '0'] = await connectionIds(first, 'leasewheel:watch')
                // The new server has a client with the same id, as servers with many clients mostly have.
                const others: Redis[] = []
                for (let last = 0; last < Number(id); ) {
                  const other = new Redis({ port: second.port })
                  others.push(other)
                  last = await other.client('ID')
                }
                proxy.target = second.port
                await first.command('REPLICAOF', '127.0.0.1', second.port)
                const lease = await manager.acquire('a', { wait: 15_000 })
                expect(await second.command('GET', 'lease:a')).to.equal(lease.token)
                await until('both are at the new server', async () => {
                  const counts = await Promise.all(
                    ['leasewheel', 'leasewheel:watch'].map((name) => connectionsNamed(second, name)),
                  )
                  return counts.every((count) => count === 1)
                })
                await untilWatching(manager)
                await second.command('SET', 'lease:b', 'theirs')
                const call = manager.acquire('b')
                await retry.untilTold()
                await second.command('DEL', 'lease:b')
                expect((await call).held).to.equal(true)
                for (const other of others) other.disconnect()
              })
            }),
          FAST,
        ),
      FAST,
    ))

  it('P23 are known to share a server by name if INFO is denied', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', 'on', '>s3cret', '~*', '&*', '+@all', '-info')
      const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
      await withManager(url, OPTIONS, async (session) => {
        await untilWatching(session.manager)
        const lease = await session.manager.acquire('a')
        const renewed = renewedOf(session, lease)
        // Each new connection may lead to another server.
        for (const id of await connectionIds(server, 'leasewheel')) await server.command('CLIENT', 'KILL', 'ID', id)
        await until('it is renewed', () => renewedOf(session, lease) > renewed)
        await untilWatching(session.manager)
        expect(session.journal.errors.map(({ message }) => message)).to.deep.equal([])
      })
    }))

  it('P26 have leases looked at, not renewed, if the second one breaks', () =>
    withRedis((server) =>
      withManager(server.url, OPTIONS, async (session) => {
        const { manager, journal } = session
        await untilWatching(manager)
        const leases = await manager.acquireMany(Array.from({ length: 2_000 }, (_, index) => `key ${index}`))
        await untilRenewed(leases[0] as Lease)
        const { renewals } = manager.stats()
        for (let turn = 0; turn < 3; turn += 1) {
          const [id = ''] = await connectionIds(server, 'leasewheel:watch')
          const gone = leases[turn + 1] as Lease
          const client = new Redis({ port: server.port })
          await client.multi().call('CLIENT', 'KILL', 'ID', id).del(`lease:${gone.key}`).exec()
          client.disconnect()
          await journal.until('lost', gone)
          await untilWatching(manager)
        }
        expect(manager.stats().renewals).to.equal(renewals)
        expect(journal.count('lost')).to.equal(3)
      }),
    ))
})
