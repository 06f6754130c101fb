/** A server that forgets its scripts, drops connections, restarts, is demoted, loads, is full or busy. */
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { UnavailableError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  LASTING,
  messagesOf,
  rejectionOf,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withManager,
} from './support.ts'

const KEYS = Array.from({ length: 50 }, (_, index) => `key ${index}`)

describe('outages', () => {
  it('P18 a flush of the scripts goes unnoticed', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
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

  it('P18 P21 nothing is lost when the server drops all connections, again and again', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async (session) => {
        const leases = await session.manager.acquireAll(KEYS)
        for (let turn = 0; turn < 3; turn += 1) {
          await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
          await Promise.all(leases.map(untilRenewed))
        }
        await expectAllSafe(session)
      }),
    ))

  it('P18 P21 nothing is lost when a server that keeps its data crashes and comes back', () =>
    withRedis(
      (server) =>
        withManager(server.url, LASTING, async (session) => {
          const { manager } = session
          const leases = await manager.acquireAll(KEYS)
          await server.kill()
          const failures = await Promise.all(leases.map(async (lease) => rejectionOf(lease.renew())))
          for (const failure of failures) expect(failure).to.be.instanceOf(UnavailableError)
          expect(manager.stats().jeopardy).to.equal(KEYS.length)
          expect(await rejectionOf(manager.tryAcquire('another'))).to.be.instanceOf(UnavailableError)
          await server.restart()
          // Nobody asks for it: the manager comes back by itself, and renews what is in jeopardy.
          for (const lease of leases) await session.journal.until('safe', lease)
          await expectAllSafe(session)
          expect(await manager.acquire('another')).to.include({ held: true })
        }),
      { persistence: 'aof' },
    ))

  it('P4 P18 leases whose keys went with a restart are lost as missing, and not silently taken again', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const leases = await manager.acquireAll(KEYS)
        await server.restart()
        for (const lease of leases) {
          await until(`\`${lease.key}\` is lost`, () =>
            lease.renew().then(
              () => expect.fail('there is nothing to renew'),
              () => lease.state === 'lost',
            ),
          )
        }
        for (const lease of leases) expect(journal.story(lease).at(-1)).to.equal('lost: missing')
        expect(manager.stats().lost).to.include({ missing: KEYS.length, expired: 0, taken: 0 })
        expect(await server.command('DBSIZE'), 'nothing was written').to.equal(0)
        const again = await manager.acquire('key 0')
        expect(again.fence).to.be.greaterThan(leases[0]?.fence as number)
      }),
    ))

  it('P18 P21 a server that is made a replica answers nothing about locks, and loses nothing', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async (session) => {
        const { manager, journal } = session
        const [lease, gone] = await manager.acquireAll(['a', 'gone'])
        if (!lease || !gone) expect.fail('expected two leases')
        // Nobody listens there: the server keeps what it has.
        await server.command('REPLICAOF', '127.0.0.1', 1)
        for (const { key } of [lease, gone]) await failsReadOnly(lease.renew(), key)
        await failsReadOnly(manager.tryAcquire('b'), 'b')
        expect(await manager.acquireMany(['a']), 'what is leased here is not even asked for').to.deep.equal([null])
        expect(lease.held).to.equal(true)
        await server.command('REPLICAOF', 'NO', 'ONE')
        await Promise.all([untilRenewed(lease), untilRenewed(gone)])
        for (const held of [lease, gone]) await journal.until('safe', held)
        expect(journal.count('lost')).to.equal(0)
      }),
    ))

  it('P18 a replica that does not have a key does not say that it is gone', () =>
    withRedis((server) =>
      // Nothing is renewed but what the test asks for, and nobody hears of what is done before the server is a replica.
      withManager(server.url, { ...LASTING, autoRenew: false, watch: false }, async ({ manager, journal }) => {
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
    it(`P18 P21 a server that is loading its data is waited for, with enableReadyCheck: ${enableReadyCheck}`, () =>
      withRedis(
        async (server) => {
          // Loading takes a millisecond a key.
          await server.command('EVAL', "for i = 1, 1000 do redis.call('SET', 'filler:' .. i, i) end", 0)
          const application = new Redis({ host: '127.0.0.1', port: server.port, enableReadyCheck, lazyConnect: true })
          await withManager(application, LASTING, async (session) => {
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

  it('P11 P18 a server that is full refuses to lock, keeps what is locked, and nothing is left behind', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
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

  it('P18 P20 on a full server a lock that was taken is lost, and its neighbours are not', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
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

  it('P18 P21 a server that is busy with a script of somebody else is waited for', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async (session) => {
        const leases = await session.manager.acquireAll(KEYS)
        await server.command('CONFIG', 'SET', 'lua-time-limit', 20)
        const intruder = new Redis({ host: '127.0.0.1', port: server.port })
        const running = rejectionOf(intruder.eval('while true do end', 0))
        try {
          await until('the server is busy', async () => isBusy(server))
          const failures = await Promise.all(leases.map(async (lease) => rejectionOf(lease.renew())))
          for (const failure of failures) expect(messagesOf(failure)).to.include('BUSY')
          await server.command('SCRIPT', 'KILL')
          await running
        } finally {
          intruder.disconnect()
        }
        await Promise.all(leases.map(untilRenewed))
        await expectAllSafe(session)
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

async function isBusy(server: RedisServer): Promise<boolean> {
  return server.command('PING').then(
    () => false,
    (error: Error) => error.message.startsWith('BUSY'),
  )
}
