import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { Cluster } from 'ioredis'
import { SLOTS } from './cluster-view.ts'
import { RedisCluster, withRedisCluster } from './redis-cluster.ts'
import type { RedisServer } from './redis-server.ts'

/** Nodes that hang for so long do not make a test fail that wants no failover, in ms. */
const PATIENT = 15_000

describe('RedisCluster', function () {
  this.timeout(60_000)

  it('starts three masters with a replica each that serve all slots, and leaves nothing behind', async () => {
    const cluster = await withRedisCluster(
      async (whole) => {
        const masters = whole.nodes.slice(0, 3)
        expect(await Promise.all([0, SLOTS / 2, SLOTS - 1].map((slot) => whole.masterOf(slot)))).to.deep.equal(masters)
        const client = whole.client()
        for (const [index, master] of masters.entries()) {
          expect(await whole.isMaster(master)).to.equal(true)
          const replica = whole.nodes[3 + index] as RedisServer
          expect(await whole.replicaOf(master)).to.equal(replica)
          const [key = ''] = await whole.keysOf(master, 1)
          expect(await whole.masterOf(key)).to.equal(master)
          await client.set(key, 1)
          // On the writer's own connection, so that it is a barrier.
          await master.command('SET', key, 2)
          expect(await master.command('WAIT', 1, 10_000)).to.equal(1)
          expect((await replica.info('keyspace')).get('db0')).to.match(/^keys=1,/)
        }
        return whole
      },
      { nodeTimeout: PATIENT },
    )
    expectGone(cluster)
  })

  it('has replicas that can take over at once, with all that was written before they were asked', () =>
    withRedisCluster(async (cluster) => {
      const master = cluster.nodes[1] as RedisServer
      const keys = await cluster.keysOf(master, 20)
      for (const key of keys) await master.command('SET', key, 1)
      const heir = await cluster.failover(master)
      expect(heir).to.equal(cluster.nodes[4])
      for (const key of keys) expect(await heir.command('GET', key)).to.equal('1')
      await cluster.untilWhole()
      expect(await cluster.replicaOf(heir)).to.equal(master)
    }))

  it('replaces a master by force that hangs, and one without any vote', () =>
    withRedisCluster(
      async (cluster) => {
        const [first, second] = cluster.nodes as [RedisServer, RedisServer]
        first.pause()
        const heir = await cluster.failover(first, 'FORCE')
        expect(await cluster.masterOf(0)).to.equal(heir)
        first.resume()
        await cluster.untilWhole()
        expect(await cluster.isMaster(first)).to.equal(false)
        await second.kill()
        expect(await cluster.failover(second, 'TAKEOVER')).to.equal(cluster.nodes[4])
      },
      { nodeTimeout: PATIENT },
    ))

  it('replaces a master by itself that is killed, and takes it back as a replica', () =>
    withRedisCluster(async (cluster) => {
      const master = cluster.nodes[2] as RedisServer
      const slots = await cluster.slotsOf(master)
      await master.kill()
      const heir = await cluster.untilReplaced(master)
      expect(heir).to.equal(cluster.nodes[5])
      expect(await cluster.masterOf(SLOTS - 1)).to.equal(heir)
      await master.restart()
      await cluster.untilWhole()
      expect(await cluster.slotsOf(heir)).to.deep.equal(slots)
      expect(await cluster.replicaOf(heir)).to.equal(master)
    }))

  it('serves the other slots while a master is away, unless full coverage is asked for', async () => {
    for (const fullCoverage of [false, true]) {
      await withRedisCluster(
        async (cluster) => {
          const [first, second] = cluster.nodes as [RedisServer, RedisServer]
          const [key = ''] = await cluster.keysOf(second, 1)
          await first.kill()
          const isFailed = async (): Promise<boolean> =>
            ((await second.command('CLUSTER', 'NODES')) as string).includes('master,fail ')
          while (!(await isFailed())) await second.command('PING')
          const answer = await second.command('SET', key, 1).catch((error: Error) => error.message)
          expect(answer).to.match(fullCoverage ? /^CLUSTERDOWN/ : /^OK$/)
        },
        { fullCoverage, replicas: 0 },
      )
    }
  })

  it('lets clients through a proxy of each node only', () =>
    withRedisCluster(
      async (cluster) => {
        const [first, second] = cluster.nodes as [RedisServer, RedisServer]
        const [one = ''] = await cluster.keysOf(first, 1)
        const [other = ''] = await cluster.keysOf(second, 1)
        const client = cluster.client({ redisOptions: { commandTimeout: 1_000 } })
        expect(await client.set(one, 1)).to.equal('OK')
        expect(await client.set(other, 1)).to.equal('OK')
        cluster.proxyOf(first).silence()
        expect(await client.get(one).catch((error: Error) => error.message)).to.equal('Command timed out')
        expect(await client.get(other)).to.equal('1')
      },
      { proxies: true, nodeTimeout: PATIENT },
    ))

  it('asks clients for its password, and nodes for it among themselves', () =>
    withRedisCluster(
      async (cluster) => {
        const [first, second] = cluster.nodes as [RedisServer, RedisServer]
        const [key = ''] = await cluster.keysOf(first, 1)
        expect(await cluster.client().set(key, 1)).to.equal('OK')
        await cluster.migrate(await cluster.slotOf(key), second, 'old')
        expect(await cluster.client().get(key)).to.equal('1')
        const stranger = new Cluster(cluster.addresses, { clusterRetryStrategy: () => null })
        stranger.on('error', () => undefined)
        const refusal = await stranger.get(key).catch((error: Error) => error)
        expect(refusal).to.be.instanceOf(Error)
        stranger.disconnect()
      },
      { password: 'secret', nodeTimeout: PATIENT },
    ))

  it('stops everything if the work throws, even paused and killed nodes', async () => {
    let left: RedisCluster | undefined
    const failure = new Error('from the work')
    const outcome = await withRedisCluster(async (cluster) => {
      left = cluster
      cluster.client()
      cluster.nodes[1]?.pause()
      await cluster.nodes[2]?.kill()
      throw failure
    }).catch((error: unknown) => error)
    expect(outcome).to.equal(failure)
    expectGone(left as RedisCluster)
  })

  it('leaves no node behind if the cluster cannot start', async () => {
    const outcome = await RedisCluster.start({ args: ['--no-such-setting', 'yes'] }).catch((error: Error) => error)
    expect(outcome).to.be.instanceOf(Error)
    expect((outcome as Error).message).to.contain('ended before it was ready')
  })
})

function expectGone({ nodes }: RedisCluster): void {
  for (const { directory, pid } of nodes) {
    expect(existsSync(directory)).to.equal(false)
    expect(() => process.kill(pid, 0)).to.throw('ESRCH')
  }
}
