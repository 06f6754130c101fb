/** Grants and renewals that replicas have acknowledged. */
import { expect } from 'chai'
import { LeaseManager, type LeaseManagerOptions, UnavailableError } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { quorum } from 'leasewheel/quorum'
import { FENCE_KEY } from '#src/backend.js'
import { ConnectionPair } from '#src/redis/connection-pair.js'
import { withProxy } from '../support/proxy.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { untilAcknowledged, withReplicas, withSlowReplica } from '../support/replicated-server.ts'
import { withSentinelGroup } from '../support/sentinel-group.ts'
import {
  clock,
  connectionsNamed,
  exists,
  heldFor,
  LASTING,
  rejectionOf,
  until,
  untilRenewed,
  withClient,
  withManager,
  withNewManager,
  withWorkers,
} from './support.ts'

/** A quarter of the timeout passes before too few replicas count as none: soon, for those that are frozen. */
const SOON: LeaseManagerOptions = { ...LASTING, timeout: 4_000, replicas: 1 }
/** For a WAIT that outlasts a test: it ends only because the replica goes on. */
const NEVER: LeaseManagerOptions = { ...LASTING, timeout: 60_000, wait: 60_000, replicas: 1 }
/** How long what the replica is sent is on its way, in ms. */
const LAG = 300

const SENTENCE = 'the replicas did not acknowledge it within 1000 ms (1 asked for, 0 did)'

function tokenOn(server: RedisServer, key: string): Promise<unknown> {
  return server.command('GET', `lease:${key}`)
}

describe('with `replicas`', () => {
  it('a granted lock is on the replica already, and so are hundreds', () =>
    withSlowReplica(async ({ master, replica, line }) =>
      withManager(master.url, { ...LASTING, replicas: 1 }, async ({ manager }) => {
        line.down.delay = LAG
        const lease = await manager.acquire('a')
        expect(await tokenOn(replica, 'a')).to.equal(lease.token)
        const keys = Array.from({ length: 600 }, (_, index) => `many ${index}`)
        const leases = await manager.acquireMany(keys)
        const tokens = await replica.command('MGET', ...keys.map((key) => `lease:${key}`))
        expect(tokens).to.deep.equal(leases.map((one) => one?.token))
        line.down.delay = 0
      }),
    ))

  it('a confirmed renewal is on the replica already', () =>
    withSlowReplica(async ({ master, replica, line }) =>
      withManager(master.url, { ...LASTING, replicas: 1 }, async ({ manager }) => {
        const lease = await manager.acquire('a')
        await master.command('PEXPIRE', 'lease:a', 30_000)
        line.down.delay = LAG
        await lease.renew()
        expect(Number(await replica.command('PTTL', 'lease:a'))).to.be.greaterThan(30_000)
        line.down.delay = 0
      }),
    ))

  it('P18 an acquire fails while the replica is frozen, says why, and leaves nothing', () =>
    withReplicas(1, async ({ master, replicas: [replica] }) =>
      withManager(master.url, SOON, async ({ manager }) => {
        replica?.pause()
        const failure = await rejectionOf(manager.tryAcquire('a'))
        expect(failure).to.be.instanceOf(UnavailableError)
        expect(failure.message).to.equal(`Lock \`a\` could not be acquired: ${SENTENCE}`)
        expect((await rejectionOf(manager.acquire('b', { wait: 3_000 }))).message).to.contain(SENTENCE)
        expect((await rejectionOf(manager.acquireMany(['c', 'd']))).message).to.contain(SENTENCE)
        expect((await rejectionOf(manager.acquire('p', { permits: 3, wait: 0 }))).message).to.contain(SENTENCE)
        await until('everything is undone', () => manager.stats().undoing === 0)
        for (const key of ['a', 'b', 'c', 'd', 'p']) expect(await exists(master, `lease:${key}`), key).to.equal(false)
      }),
    ))

  it('P2 a frozen replica puts leases in jeopardy, and none is lost before its deadline', () =>
    withReplicas(1, async ({ master, replicas: [replica] }) =>
      withManager(master.url, { ...SOON, ttl: 6_000, timeout: 1_000 }, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        await untilRenewed(lease)
        replica?.pause()
        const frozenAt = clock.now()
        const deadline = frozenAt + lease.remaining
        await journal.until('jeopardy', lease)
        const lostAt = await journal.until('lost', lease)
        expect(lostAt).to.be.at.least(deadline)
        expect(deadline).to.be.at.most(frozenAt + heldFor(6_000))
        expect(journal.story(lease).at(-1)).to.equal('lost: expired')
        await until('its key is deleted', async () => !(await exists(master, 'lease:a')))
      }),
    ))

  it('P18 P21 a lease is safe again once the replica goes on, and locks are granted', () =>
    withReplicas(1, async ({ master, replicas: [replica] }) =>
      withManager(master.url, SOON, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        replica?.pause()
        expect((await rejectionOf(lease.renew())).message).to.equal(`Lock \`a\` could not be renewed: ${SENTENCE}`)
        await journal.until('jeopardy', lease)
        const waiting = manager.acquire('b')
        replica?.resume()
        await untilRenewed(lease)
        await journal.until('safe', lease)
        expect((await waiting).held).to.equal(true)
        expect(journal.count('lost')).to.equal(0)
      }),
    ))

  it('nothing but grants and confirmations waits for a frozen replica', () =>
    withReplicas(1, async ({ master, replicas: [replica] }) =>
      withManager(master.url, NEVER, async ({ manager }) =>
        withManager(master.url, { ...LASTING, owner: 'other' }, async ({ manager: other }) => {
          const lease = await manager.acquire('a')
          const second = await manager.acquire('b')
          const theirs = await other.acquire('c')
          replica?.pause()
          let settled = 0
          const count = (): void => void (settled += 1)
          const acquiring = manager.acquire('d').finally(count)
          await until('a grant waits for the replica', () => exists(master, 'lease:d'))
          const renewing = lease.renew().finally(count)
          await master.command('PEXPIRE', 'lease:b', 30_000)
          const renewingLater = second.renew().finally(count)
          const ttl = async (): Promise<number> => Number(await master.command('PTTL', 'lease:b'))
          await until('the server renews the other lease', async () => (await ttl()) > 30_000)
          await theirs.renew()
          expect(await other.tryAcquire('e')).to.be.an('object')
          expect(await manager.tryAcquire('c')).to.equal(null)
          expect(await manager.inspect('c')).to.include({ owner: 'other' })
          expect(settled).to.equal(0)
          replica?.resume()
          await Promise.all([acquiring, renewing, renewingLater])
        }),
      ),
    ))

  it('a lock that is handed over is on the replica before its next holder has it', () =>
    withSlowReplica(async ({ master, replica, line }) =>
      withManager(master.url, { ...LASTING, replicas: 1 }, async ({ manager }) => {
        const first = await manager.acquire('a')
        const next = manager.acquire('a')
        line.down.delay = LAG
        await first.release()
        const second = await next
        expect(await tokenOn(replica, 'a')).to.equal(second.token)
        line.down.delay = 0
      }),
    ))

  it('a lock that is handed over while the replica is frozen is left to nobody', () =>
    withReplicas(1, async ({ master, replicas: [replica] }) =>
      withManager(master.url, SOON, async ({ manager }) => {
        const first = await manager.acquire('a')
        const next = manager.acquire('a', { wait: 6_000 })
        replica?.pause()
        expect(await first.release()).to.equal(true)
        expect((await rejectionOf(next)).message).to.contain(SENTENCE)
        await until('everything is undone', () => manager.stats().undoing === 0)
        expect(await exists(master, 'lease:a')).to.equal(false)
      }),
    ))

  it('two are more than one', () =>
    withReplicas(2, async ({ master, replicas: [replica] }) =>
      withManager(master.url, { ...SOON, replicas: 2 }, async ({ manager }) => {
        expect(await manager.acquire('a')).to.be.an('object')
        replica?.pause()
        expect((await rejectionOf(manager.tryAcquire('b'))).message).to.match(
          /did not acknowledge it within 1000 ms \(2 asked for, 1 did\)$/,
        )
        await withManager(master.url, SOON, async ({ manager: modest }) => {
          expect(await modest.acquire('c')).to.be.an('object')
        })
      }),
    ))

  it('P26 a failover to the replica loses nothing that was confirmed', () =>
    withSlowReplica(async ({ master, replica, line }) => {
      line.down.delay = LAG
      await withWorkers([CROWD], master, async ([worker]) => {
        // By then others are on their way to the replica.
        await worker?.until('granted 300')
        await master.kill()
        line.down.mend()
        await replica.command('REPLICAOF', 'NO', 'ONE')
        const granted = worker?.lines.filter((text) => text.startsWith('lock ')).map((text) => text.split(' ')) ?? []
        expect(granted.length).to.be.at.least(300)
        const tokens = await replica.command('MGET', ...granted.map(([, key]) => `lease:${key}`))
        expect(tokens).to.deep.equal(granted.map(([, , token]) => token))
      })
    }))

  it('P26 behind Sentinels a failover goes on as without', () =>
    withSentinelGroup(async (group) => {
      // Until then one of the two may lack what the other has.
      await untilAcknowledged(group.servers[0], 2)
      await withClient({ sentinels: group.addresses, name: group.name, lazyConnect: true }, async (client) =>
        withNewManager(
          client,
          { ...LASTING, wait: 60_000, timeout: 4_000, replicas: 1 },
          async ({ manager, journal }) => {
            const lease = await manager.acquire('a')
            await group.failover()
            await untilRenewed(lease)
            const next = await manager.acquire('b')
            const holders = async (key: string): Promise<unknown[]> =>
              Promise.all(group.servers.map((server) => tokenOn(server, key)))
            for (const one of [lease, next]) {
              expect((await holders(one.key)).filter((token) => token === one.token).length).to.be.at.least(2)
            }
            expect(journal.count('lost')).to.equal(0)
          },
        ),
      )
    }))

  it('a server without memory goes on confirming renewals', () =>
    withReplicas(1, async ({ master }) =>
      withManager(master.url, { ...LASTING, replicas: 1 }, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        await master.command('CONFIG', 'SET', 'maxmemory', 1)
        await lease.renew()
        await master.command('CONFIG', 'SET', 'maxmemory', 0)
        expect(journal.count('jeopardy')).to.equal(0)
      }),
    ))

  it('the answer of another server counts for nothing', () =>
    withReplicas(1, async ({ master }) =>
      withReplicas(1, async ({ master: another }) =>
        withProxy(master.port, async (proxy) =>
          withManager(`redis://127.0.0.1:${proxy.port}`, { ...SOON, watch: false }, async ({ manager }) => {
            const lease = await manager.acquire('a')
            proxy.target = another.port
            proxy.cut('leasewheel:replicas')
            await until('it leads there', async () => (await connectionsNamed(another, 'leasewheel:replicas')) === 1)
            expect((await rejectionOf(manager.tryAcquire('b'))).message).to.match(/another server had taken over/)
            expect(await another.command('DBSIZE'), 'keys there').to.equal(0)
            proxy.target = master.port
            await untilRenewed(lease)
            expect(await manager.acquire('b')).to.be.an('object')
          }),
        ),
      ),
    ))

  it('the answer of a server that has taken over since counts for nothing', () =>
    withReplicas(1, async ({ master: { url } }) => {
      const ignore = (): void => undefined
      const listener = {
        onRecovered: ignore,
        onSuspect: ignore,
        onMissed: ignore,
        onChange: ignore,
        onUnwatched: ignore,
      }
      const settings = { prefix: '', timeout: 15_000, watch: false, replicas: 1, clock }
      const pair = new ConnectionPair(url, settings, { ...listener, onForgotten: ignore, onError: ignore })
      try {
        await pair.commands.ready()
        const { replicas } = pair
        expect(await replicas?.faultSince(replicas.server, [FENCE_KEY])).to.equal(undefined)
        expect((await replicas?.faultSince('the old one', [FENCE_KEY]))?.message).to.match(/had taken over/)
      } finally {
        await pair.close()
      }
    }))

  it('a server that does not say which one it is confirms nothing', () =>
    withReplicas(1, async ({ master }) => {
      await master.command('ACL', 'SETUSER', 'worker', 'on', '>secret', '~*', '&*', '+@all', '-info')
      const url = master.url.replace('redis://', 'redis://worker:secret@')
      await withManager(url, { ...SOON, watch: false }, async ({ manager }) => {
        expect((await rejectionOf(manager.tryAcquire('a'))).message).to.match(/does not say by INFO which one it is$/)
      })
    }))

  it('one connection waits for replicas, and ends with the manager', () =>
    withRedis(async (server) => {
      const count = (): Promise<number> => connectionsNamed(server, 'leasewheel:replicas')
      await withManager(server.url, { ...LASTING, replicas: 1 }, () =>
        until('it is there', async () => (await count()) === 1),
      )
      await until('it is gone', async () => (await count()) === 0)
      await withManager(server.url, LASTING, async ({ manager }) => {
        await manager.acquire('a')
        expect(await count()).to.equal(0)
      })
    }))

  it('a user who may not wait is told so', () =>
    withReplicas(1, async ({ master }) => {
      await master.command('ACL', 'SETUSER', 'worker', 'on', '>secret', '~*', '&*', '+@all', '-wait')
      const url = master.url.replace('redis://', 'redis://worker:secret@')
      await withManager(url, SOON, async ({ manager }) => {
        expect((await rejectionOf(manager.tryAcquire('a'))).message).to.match(
          /the replicas could not be asked whether they have it: The ACL denies the user a command/,
        )
      })
    }))

  it('needs a server, and no keeper', async () => {
    const refused = (
      connection: ConstructorParameters<typeof LeaseManager>[0],
      options: LeaseManagerOptions,
    ): Error => {
      try {
        void new LeaseManager(connection, options).close()
      } catch (error) {
        return error as Error
      }
      expect.fail('expected a refusal')
    }
    for (const connection of [new MemoryBackend(), quorum([new MemoryBackend()])]) {
      const error = refused(connection, { replicas: 1 })
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.match(/^Expected no `replicas` with this connection: a quorum/)
    }
    const url = 'redis://127.0.0.1:1'
    expect(refused(url, { replicas: 1, keeper: {} }).message).to.match(/^Expected no `replicas` with `keeper`/)
    for (const replicas of [-1, 0.5, Number.NaN]) {
      expect(refused(url, { replicas })).to.be.instanceOf(RangeError)
      expect(refused(url, { replicas }).message).to.contain('`replicas` to be an integer >= 0')
    }
    expect(refused(url, { replicas: '1' as never })).to.be.instanceOf(TypeError)
    await new LeaseManager(new MemoryBackend(), { replicas: 0 }).close()
  })
})

/** Takes locks all the time, and says which it has. */
const CROWD = `
  import { LeaseManager } from 'leasewheel'
  const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 60_000, timeout: 15_000, watch: false, replicas: 1 })
  manager.on('error', () => undefined)
  let granted = 0
  for (let number = 0; ; number += 10) {
    const keys = Array.from({ length: 10 }, (_, index) => String(number + index))
    for (const key of keys) {
      manager.tryAcquire(key).then((lease) => {
        console.log('lock', key, lease.token)
        granted += 1
        if (granted % 100 === 0) console.log('granted', granted)
      }, () => undefined)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
`
