import { expect } from 'chai'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis-5'
import { LeaseManager } from 'leasewheel'
import { createBackend } from '#src/redis/create-backend.js'
import { ClusterBackend } from '#src/redis/cluster/cluster-backend.js'
import { fenceKeyOf } from '#src/redis/cluster/fence-floors.js'
import { createCertificate } from '../../support/certificate.ts'
import { Proxy } from '../../support/proxy.ts'
import { type ClientOptions, RedisCluster } from '../../support/redis-cluster.ts'
import { withFakeCluster } from '../../support/fake-cluster.ts'
import { until } from '../../support/until.ts'
import { type Stage, typesOf, unknownOf, withStage } from './stage.ts'

const KEYS = Array.from({ length: 30 }, (_, index) => `k${index}`)

/** Locks on every node can be acquired and released. */
async function expectLocks(stage: Stage): Promise<void> {
  const entries = stage.entriesOf(...KEYS)
  expect(typesOf(await stage.backend.acquire(entries))).to.deep.equal(['granted'])
  expect(typesOf(await stage.backend.release(entries))).to.deep.equal(['done'])
}

describe('a Cluster of ioredis', () => {
  let cluster: RedisCluster

  before(async () => {
    cluster = await RedisCluster.start({ replicas: 0, nodeTimeout: 15_000, proxies: true, password: 's3cret' })
  })
  after(() => cluster.stop())

  const withClient = (options: ClientOptions, work: (stage: Stage) => Promise<void>, client?: Cluster): Promise<void> =>
    withStage(client ?? cluster.client({ lazyConnect: true, ...options }), {}, work)

  it('lends its password, and its `natMap` as an object', () => withClient({}, expectLocks))

  it('may have a function as `natMap`', () =>
    withClient({ natMap: (name) => cluster.natMap[name] ?? null }, async (stage) => {
      await expectLocks(stage)
      const proxies = cluster.addresses.map(({ port }) => `127.0.0.1:${port}`)
      expect(stage.routing.views().map(({ name }) => name)).to.have.members(proxies)
    }))

  it('may look names up in its own way', () => {
    const asked: string[] = []
    const [first] = cluster.addresses
    const client = new Cluster([{ host: 'config.example', port: first?.port as number }], {
      lazyConnect: true,
      natMap: cluster.natMap,
      redisOptions: { password: 's3cret' },
      dnsLookup: (name, callback) => {
        asked.push(name)
        callback(null, '127.0.0.1', 4)
      },
    })
    return withClient(
      {},
      async (stage) => {
        await expectLocks(stage)
        expect(asked).to.include('config.example')
      },
      client,
    )
  })

  it('may name nodes by URLs with passwords, and by ports', async () => {
    const [first] = cluster.addresses
    const redisOptions = { password: 's3cret' }
    const url = `redis://:s3cret@127.0.0.1:${first?.port}`
    for (const node of [url, first?.port as number]) {
      const client = new Cluster([node], { lazyConnect: true, natMap: cluster.natMap, redisOptions })
      await withClient({}, expectLocks, client)
    }
  })

  it('may speak TLS to every node', async () => {
    const certificate = createCertificate()
    const proxies = await Promise.all(cluster.nodes.map(({ port }) => Proxy.start(port, certificate)))
    const natMap = Object.fromEntries(
      cluster.nodes.map(({ port }, index) => [
        `127.0.0.1:${port}`,
        { host: '127.0.0.1', port: (proxies[index] as Proxy).port },
      ]),
    )
    try {
      const redisOptions = { password: 's3cret', tls: { ca: certificate.cert } }
      const client = new Cluster([proxies[0]?.port as number], { lazyConnect: true, natMap, redisOptions })
      await withClient({}, expectLocks, client)
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.stop()))
    }
  })

  it('may be of another copy of ioredis', () => {
    const options = { lazyConnect: true, natMap: cluster.natMap, redisOptions: { password: 's3cret' } }
    const client = new Cluster5(cluster.addresses, options) as unknown as Cluster
    expect(createBackend(client)).to.be.instanceOf(ClusterBackend)
    return withClient({}, expectLocks, client)
  })

  it('can be of iovalkey, which has the same shape', () => {
    const { addresses, natMap } = cluster
    const names = ['sendCommand', 'connect', 'disconnect', 'defineCommand', 'pipeline', 'duplicate'] as const
    const iovalkey = {
      ...Object.fromEntries(names.map((name) => [name, () => undefined])),
      nodes: () => [],
      isCluster: true,
      status: 'wait',
      options: { natMap, redisOptions: { password: 's3cret' } },
      startupNodes: addresses,
    } as unknown as Cluster
    expect(createBackend(iovalkey)).to.be.instanceOf(ClusterBackend)
    return withClient({}, expectLocks, iovalkey)
  })

  it('may have a key prefix, and one with a hash tag puts everything into one slot', async () => {
    for (const keyPrefix of ['app:', '{app}:']) {
      await withClient({ keyPrefix }, async (stage) => {
        await expectLocks(stage)
        const [entry] = stage.entriesOf('k')
        if (!entry) expect.fail()
        await stage.backend.acquire([entry])
        expect(await cluster.client().get(`${keyPrefix}k`)).to.equal('mine k')
        expect(await stage.backend.forceRelease('k')).to.equal(true)
        const slots = new Set(KEYS.map((key) => stage.slotOf(key)))
        expect(slots.size === 1, 'one slot').to.equal(keyPrefix === '{app}:')
      })
    }
  })

  for (const [where, options] of [
    ['of its own', { keyPrefix: 'app:' }],
    ['of its nodes', { redisOptions: { keyPrefix: 'app:', password: 's3cret' } }],
  ] as const) {
    it(`may have a key prefix ${where}, and changes of keys are told without it`, () => {
      const client = cluster.client({ lazyConnect: true, ...options })
      return withStage(client, { watch: true }, async (stage) => {
        await stage.untilWatching()
        const entries = stage.entriesOf('k')
        await stage.backend.acquire(entries, true)
        await cluster.client().del('app:k')
        await until('the change is told', () => stage.changed.includes('k'))
      })
    })
  }

  it('shares the fence counters of a slot with clients of other prefixes', async () => {
    const fences: unknown[] = []
    const large = 8_000_000_000_000_000
    for (const [keyPrefix, key] of [
      ['', '{app}:k'],
      ['{app}:', 'k'],
    ] as const) {
      await withClient({ keyPrefix }, async (stage) => {
        const [entry] = stage.entriesOf(key)
        if (!entry) expect.fail()
        if (keyPrefix === '') await cluster.client().set(fenceKeyOf(stage.slotOf(key)), String(large))
        const [outcome] = await stage.backend.acquire([entry])
        fences.push(outcome && 'fence' in outcome ? outcome.fence : outcome)
        await stage.backend.release([entry])
      })
    }
    expect(fences).to.deep.equal([large + 1, large + 2])
  })

  it('has fence counters that cannot be locks', () =>
    withClient({}, async (stage) => {
      const counter = fenceKeyOf(stage.slotOf('k'))
      const entries = [...stage.entriesOf('k'), ...stage.entriesOf(counter)]
      const [granted, refused] = await stage.backend.acquire(entries)
      expect(granted?.type).to.equal('granted')
      expect(unknownOf(refused)).to.include({ final: true }).and.to.have.property('message').that.includes(counter)
      await stage.backend.release(entries)
    }))

  it('is not needed for credentials: the manager may have its own', async () => {
    let asked = 0
    const credentials = async () => {
      asked += 1
      return { password: 's3cret' }
    }
    const client = new Cluster(cluster.addresses, { lazyConnect: true, natMap: cluster.natMap })
    await withStage(client, { credentials }, expectLocks)
    expect(asked).to.be.greaterThan(2)
  })

  it('must not select another database', () => {
    const client = new Cluster([1], { lazyConnect: true, redisOptions: { db: 2 } })
    expect(() => new LeaseManager(client)).to.throw(TypeError, 'Expected the `db` of the Cluster to be 0, got `2`')
  })

  it('that leads to servers of their own is reported, with the advice', () =>
    withFakeCluster(1, async (fake) => {
      fake.mode = 'standalone'
      const client = new Cluster([fake.port(0)], { lazyConnect: true })
      const backend = new ClusterBackend(client)
      const errors: Error[] = []
      const ignore = (): void => undefined
      const onError = (error: Error): void => void errors.push(error)
      const listener = { onRecovered: ignore, onSuspect: ignore, onMissed: ignore, onChange: ignore }
      backend.open(
        { prefix: '', timeout: 500, watch: false },
        { ...listener, onUnwatched: ignore, onForgotten: ignore, onError },
      )
      try {
        while (errors.length === 0) await backend.ready(-1)?.catch(ignore)
        expect(errors[0]?.message).to.match(
          /No map of the cluster: .* This server is not part of a Redis Cluster: pass a `Redis`/,
        )
      } finally {
        await backend.close()
      }
    }))
})
