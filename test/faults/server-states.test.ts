/** A server that forgets its scripts, is a replica that is behind, is loading its data, or has no memory left. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { UnavailableError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  IMPATIENT,
  messagesOf,
  rejectionOf,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withManager,
} from '../redis/support.ts'

const KEYS = Array.from({ length: 50 }, (_, index) => `key ${index}`)

describe('the state of a server', () => {
  it('P18 a server that forgets its scripts gets them again, unnoticed: SCRIPT FLUSH', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        for (let turn = 0; turn < 3; turn += 1) {
          await server.command('SCRIPT', 'FLUSH')
          await lease.renew()
          await server.command('SCRIPT', 'FLUSH')
          const other = await manager.acquire('b')
          await server.command('SCRIPT', 'FLUSH')
          expect((await manager.inspect('a'))?.lease).to.equal(lease)
          await server.command('SCRIPT', 'FLUSH')
          expect(await other.release()).to.equal(true)
        }
        expect(lease.held).to.equal(true)
        expect(journal.count('jeopardy')).to.equal(0)
        expect(journal.errors).to.deep.equal([])
      }),
    ))

  it('P18 P27 a server made a replica that lacks a key ends no lease: REPLICAOF', () =>
    withRedis((server) =>
      // Nothing is renewed but what the test asks for, and nobody hears of what is done before the server is a replica.
      withManager(server.url, { ...IMPATIENT, autoRenew: false, watch: false }, async ({ manager, journal }) => {
        const [missing, taken, released] = await manager.acquireAll(['missing', 'taken', 'released'])
        if (!missing || !taken || !released) expect.fail('expected three leases')
        await server.command('DEL', 'lease:missing', 'lease:released')
        await server.command('SET', 'lease:taken', 'theirs')
        await server.command('REPLICAOF', '127.0.0.1', 1)
        await failsReadOnly(missing.renew(), 'missing')
        await failsReadOnly(taken.renew(), 'taken')
        expect(missing.held && taken.held).to.equal(true)
        expect(await released.release()).to.equal(false)
        expect(journal.count('lost')).to.equal(0)
        // What the other primary knows: the replica was behind.
        await server.command('REPLICAOF', 'NO', 'ONE')
        await server.command('SET', 'lease:missing', missing.token)
        await server.command('SET', 'lease:taken', taken.token)
        await Promise.all([untilRenewed(missing), untilRenewed(taken)])
        await until('the release is repeated', () => manager.stats().undoing === 0)
        expect(journal.count('lost')).to.equal(0)
      }),
    ))

  for (const enableReadyCheck of [true, false]) {
    it(`P18 P21 a server that loads its data is awaited, with enableReadyCheck: ${enableReadyCheck}`, () =>
      withRedis(
        async (server) => {
          // Loading takes a millisecond a key.
          await server.command('EVAL', "for i = 1, 1000 do redis.call('SET', 'filler:' .. i, i) end", 0)
          const application = new Redis({ host: '127.0.0.1', port: server.port, enableReadyCheck, lazyConnect: true })
          await withManager(application, IMPATIENT, async (session) => {
            const { manager, journal } = session
            const leases = await manager.acquireAll(KEYS)
            const restarted = server.restart()
            await untilLoading(server)
            const failures = await Promise.all(leases.map(async (lease) => rejectionOf(lease.renew())))
            for (const failure of failures) expect(failure).to.be.instanceOf(UnavailableError)
            await restarted
            for (const lease of leases) await journal.until('safe', lease)
            await expectAllSafe(session)
          })
        },
        {
          persistence: 'rdb',
          args: ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'],
        },
      ))
  }

  it('P11 P18 a full server refuses new locks, keeps existing ones, leaves no key: OOM', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager, journal }) => {
        await untilWatching(manager)
        const [lease, released] = await manager.acquireAll(['a', 'released'])
        if (!lease || !released) expect.fail('expected two leases')
        const fence = await server.command('GET', 'leasewheel:fence')
        await fill(server)
        for (const call of [manager.tryAcquire('b'), manager.acquire('c', { wait: 300 })]) {
          const failure = await rejectionOf(call)
          expect(failure).to.be.instanceOf(UnavailableError)
          expect(messagesOf(failure)).to.include('OOM')
        }
        await lease.renew()
        expect(await released.release()).to.equal(true)
        expect(journal.story(lease)).to.deep.equal(['acquired', 'renewed'])
        expect(await server.command('KEYS', '*')).to.have.members(['lease:a', 'leasewheel:fence'])
        expect(await server.command('GET', 'leasewheel:fence')).to.equal(fence)

        await server.command('CONFIG', 'SET', 'maxmemory', 0)
        expect(await manager.acquire('b')).to.include({ held: true })
      }),
    ))

  it('P18 P20 a full server names the taken lock, and its neighbours are renewed: OOM', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager, journal }) => {
        const leases = await manager.acquireAll(KEYS)
        // The very first of them, so that nothing has been written yet when it is come upon.
        await server.command('SET', 'lease:key 0', 'theirs')
        await server.command('DEL', 'lease:key 30')
        await fill(server)
        await Promise.all(leases.map(async (lease) => lease.renew().catch(() => undefined)))
        const stories = leases.map((lease) => journal.story(lease).at(-1))
        expect(stories.filter((event) => event === 'renewed')).to.have.length(KEYS.length - 2)
        expect(stories[0]).to.equal('lost: taken')
        expect(stories[30]).to.equal('lost: missing')
        expect(await server.command('GET', 'lease:key 0')).to.equal('theirs')
      }),
    ))
})

async function failsReadOnly(call: Promise<unknown>, key: string): Promise<void> {
  const failure = await rejectionOf(call)
  expect(failure, key).to.be.instanceOf(UnavailableError)
}

/** Whatever happened in between: everything is held, nothing in jeopardy any more, and each key carries its lease's token. */
async function expectAllSafe({ manager, journal }: Session): Promise<void> {
  await until('nothing is in jeopardy', () => manager.stats().jeopardy === 0)
  expect(journal.count('lost')).to.equal(0)
  expect(journal.count('safe')).to.equal(journal.count('jeopardy'))
  for (const lease of manager) {
    expect(lease.state).to.equal('held')
    expect((await manager.inspect(lease.key))?.lease).to.equal(lease)
  }
}

async function untilLoading(server: RedisServer): Promise<void> {
  const client = new Redis({
    host: '127.0.0.1',
    port: server.port,
    enableReadyCheck: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => 5,
  })
  client.on('error', () => undefined)
  try {
    await until('the server is loading', async () =>
      client.get('a').then(
        () => false,
        (error: Error) => error.message.startsWith('LOADING'),
      ),
    )
  } finally {
    client.disconnect()
  }
}

/** Leaves the server no memory to write with. */
async function fill(server: RedisServer): Promise<void> {
  await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await server.command('CONFIG', 'SET', 'maxmemory', 1)
}
