/** Nodes that come and go for good, and what a manager leaves behind on a cluster. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { Cluster } from 'ioredis'
import { type Lease, LeaseManager, type LeaseManagerOptions, UnavailableError } from 'leasewheel'
import { fenceKeyOf } from '#src/redis/cluster/fence-floors.js'
import { grantAll } from '../../support/manager.ts'
import { type RedisCluster, withRedisCluster } from '../../support/redis-cluster.ts'
import { RedisServer } from '../../support/redis-server.ts'
import { serverOptions } from '../../support/cluster-options.ts'
import { until } from '../../support/until.ts'
import { openHandles, untilNoMoreHandles } from '../support.ts'

/** Nobody takes a slow node for dead. */
const CALM = { replicas: 0, nodeTimeout: 15_000 } as const
/** For requests that must be answered, on a machine however slow. */
const LASTING: LeaseManagerOptions = { ttl: 60_000, timeout: 20_000, prefix: '' }
const KEYS = Array.from({ length: 60 }, (_, index) => `key ${index}`)

/** Runs `work` with a manager that begins with these nodes, and closes it. */
async function withLeases(
  nodes: ConstructorParameters<typeof Cluster>[0],
  options: LeaseManagerOptions,
  work: (manager: LeaseManager) => Promise<void>,
): Promise<void> {
  const manager = new LeaseManager(new Cluster(nodes, { lazyConnect: true }), { ...LASTING, ...options })
  manager.on('error', () => undefined)
  try {
    await work(manager)
  } finally {
    await manager.close()
  }
}

/** All leases are held, and their keys are where the cluster says. */
async function expectHeld(cluster: RedisCluster, leases: readonly Lease[]): Promise<void> {
  await Promise.all(leases.map(renewInTheEnd))
  expect(leases.every(({ held }) => held)).to.equal(true)
  const client = cluster.client()
  for (const { key, token } of leases) expect(await client.get(key)).to.equal(token)
}

/** A renewal may fail as long as the map names a node that has just left. */
async function renewInTheEnd(lease: Lease): Promise<void> {
  while (lease.held) {
    try {
      return await lease.renew()
    } catch (error) {
      expect(error).to.be.instanceOf(UnavailableError)
    }
  }
}

describe('a master that is added to a cluster', () => {
  it('has its leases from the moment in which it gets slots', () =>
    withRedisCluster(
      (cluster) =>
        withLeases(cluster.addresses, {}, async (manager) => {
          const leases = await grantAll(manager.acquireMany(KEYS))
          const added = await cluster.add()
          const slots = await Promise.all(KEYS.slice(0, 20).map((key) => cluster.slotOf(key)))
          await cluster.migrate(new Set(slots), added, 'old')
          await expectHeld(cluster, leases)
          const name = `127.0.0.1:${added.port}`
          const own = () => manager.stats().routes.find((route) => route.name === name)
          await until('its leases count as its own', async () => {
            await Promise.all(leases.map((lease) => lease.renew()))
            return (own()?.leases ?? 0) >= 20
          })
          expect(manager.stats().routes).to.have.lengthOf(4)
          const [first] = leases as [Lease]
          await first.release()
          const again = await manager.acquire(first.key)
          expect(again.fence).to.be.greaterThan(first.fence)
          expect(await added.command('EXISTS', again.key)).to.equal(1)
        }),
      CALM,
    ))
})

describe('the master that the application named', () => {
  it('may leave the cluster for good: the others are known', () =>
    withRedisCluster(
      (cluster) =>
        withLeases(cluster.addresses.slice(0, 1), {}, async (manager) => {
          const leases = await grantAll(manager.acquireMany(KEYS))
          const [seed, second, third] = cluster.nodes as [RedisServer, RedisServer, RedisServer]
          const heir = await cluster.failover(seed)
          await cluster.remove(seed)
          await expectHeld(cluster, leases)
          const names = (): string[] => manager.stats().routes.map(({ name }) => name)
          const present = [second, third, heir].map(({ port }) => `127.0.0.1:${port}`)
          await until('it is no route any more', () => !names().includes(`127.0.0.1:${seed.port}`))
          expect(names()).to.have.members(present)
          // What changes afterwards is noticed as well.
          for (const node of [second, third]) {
            await cluster.migrate(await cluster.slotOf('another'), node, 'old')
            const lease = await manager.acquire('another')
            expect(await node.command('EXISTS', 'another')).to.equal(1)
            await lease.release()
            // Nothing is left to move: the counter of the slot neither.
            await node.command('DEL', fenceKeyOf(await cluster.slotOf('another')))
          }
        }),
      { ...CALM, replicas: 3 },
    ))
})

describe('a cluster without slots', () => {
  it('refuses with the reason, and is used as soon as it has been made', async () => {
    const server = await RedisServer.start(serverOptions({}))
    try {
      await withLeases([{ host: '127.0.0.1', port: server.port }], {}, async (manager) => {
        const error = await manager.tryAcquire('key', { timeout: 300 }).catch((thrown: unknown) => thrown)
        expect(error).to.be.instanceOf(UnavailableError)
        expect((error as Error).message).to.match(/knows of no slots: the cluster has not been made yet/)
        const slots = Array.from({ length: 16_384 }, (_, slot) => slot)
        await server.command('CLUSTER', 'ADDSLOTS', ...slots)
        const lease = await manager.acquire('key', { wait: 20_000 })
        expect(lease.held).to.equal(true)
      })
    } finally {
      await server.stop()
    }
  })
})

describe('a manager on a cluster', () => {
  it('keeps leases with a ttl of a second on every node', () =>
    withRedisCluster(
      (cluster) =>
        withLeases(cluster.addresses, { ttl: 1_000, timeout: 1_000 }, async (manager) => {
          const renewed = new Map<string, number>()
          manager.on('renewed', ({ lease: { key } }) => renewed.set(key, (renewed.get(key) ?? 0) + 1))
          // On a machine that stands still for a second a lease may be lost: then there is another one.
          manager.on('lost', ({ lease: { key } }) => void manager.acquire(key, { wait: 20_000 }).catch(() => undefined))
          const keys = (await Promise.all(cluster.nodes.map((node) => cluster.keysOf(node, 3)))).flat()
          for (const key of keys) void manager.acquire(key, { wait: 20_000 }).catch(() => undefined)
          await until('each is renewed ten times', () => keys.every((key) => (renewed.get(key) ?? 0) >= 10))
          expect(manager.size).to.be.above(0)
        }),
      CALM,
    ))

  it('P24 leaves no socket and no timer behind, and no key but the fence counters', () =>
    withRedisCluster(async (cluster) => {
      const handles = await openHandles()
      await withLeases(cluster.addresses, { announce: true }, async (manager) => {
        await grantAll(manager.acquireMany(KEYS))
        const [master] = cluster.nodes as [RedisServer]
        const heir = await cluster.failover(master)
        await until('the new master is known', () =>
          manager.stats().routes.some(({ name, usable }) => usable && name === `127.0.0.1:${heir.port}`),
        )
      })
      await untilNoMoreHandles(handles)
      for (const node of cluster.nodes) {
        const keys = (await node.command('KEYS', '*')) as string[]
        expect(keys.filter((key) => !/^leasewheel:(fence|\{members\})/.test(key))).to.deep.equal([])
        const clients = (await node.command('CLIENT', 'LIST')) as string
        expect(clients).not.to.include('name=leasewheel')
      }
    }))

  it('P25 needs no more memory after thousands of leases than before', () =>
    withRedisCluster(
      (cluster) =>
        withLeases(cluster.addresses, { timeout: 60_000 }, async (manager) => {
          const keys = Array.from({ length: 5_000 }, (_, index) => `many ${index}`)
          const churn = async (): Promise<void> => {
            const leases = await grantAll(manager.acquireMany(keys, { wait: 60_000 }))
            await Promise.all(leases.slice(0, 100).map((lease) => lease.renew()))
            await Promise.all(leases.map((lease) => lease.release()))
          }
          // Whatever is made once is made by then.
          for (let round = 0; round < 3; round += 1) await churn()
          const before = heapInUse()
          for (let round = 0; round < 6; round += 1) await churn()
          expect(manager.stats()).to.include({ held: 0, undoing: 0, waiting: 0 })
          // A hundred bytes of each lease would be 3 MB.
          expect(heapInUse() - before).to.be.below(2e6)
        }),
      CALM,
    ))
})

/** Bytes in use, once everything that can be collected has been. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
