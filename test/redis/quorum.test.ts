/** Quorums of real servers: restarts, silence, the same server twice, a cluster as a member, and locks of other libraries on the same servers. */
import { createRequire } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { type Connectable, LeaseManager, type LeaseManagerOptions, UnavailableError } from 'leasewheel'
import { quorum, type QuorumOptions } from 'leasewheel/quorum'
import { RedlockMutex, TimeoutError } from 'redis-semaphore'
import { RedisCluster } from '../support/redis-cluster.ts'
import { RedisServer } from '../support/redis-server.ts'
import { LASTING } from './support.ts'

/** What is used of redlock 5: its types are out of TypeScript's sight, behind `exports` without them. */
interface Redlock {
  acquire(resources: string[], duration: number): Promise<{ release(): Promise<unknown> }>
  on(event: 'error', listener: (error: Error) => void): this
}
const { default: RedlockClient } = createRequire(import.meta.url)('redlock') as {
  default: new (clients: readonly Redis[], settings: { readonly retryCount: number }) => Redlock
}

interface Party {
  readonly manager: LeaseManager
  readonly errors: string[]
}

class Scene {
  readonly servers: readonly RedisServer[]
  readonly #managers: LeaseManager[] = []
  readonly #clients: Redis[] = []

  constructor(servers: readonly RedisServer[]) {
    this.servers = servers
  }

  /** Resolves once all members can be asked. */
  async party(
    options: LeaseManagerOptions & QuorumOptions = {},
    members: readonly Connectable[] = this.urls,
  ): Promise<Party> {
    const { restartDelay = 0, ...rest } = options
    const manager = new LeaseManager(quorum(members, { restartDelay }), { ...LASTING, prefix: '', ...rest })
    const errors: string[] = []
    manager.on('error', ({ message }) => errors.push(message))
    this.#managers.push(manager)
    await until(() => manager.stats().members.every(({ usable }) => usable))
    return { manager, errors }
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url)
  }

  clients(): Redis[] {
    const clients = this.servers.map(({ url }) => new Redis(url))
    this.#clients.push(...clients)
    return clients
  }

  async on(key: string): Promise<(string | null)[]> {
    return Promise.all(this.servers.map((server) => server.command('GET', key) as Promise<string | null>))
  }

  async close(): Promise<void> {
    for (const server of this.servers) server.resume()
    await Promise.all(this.#managers.map((manager) => manager.close({ timeout: 2_000 })))
    for (const client of this.#clients) client.disconnect()
    await Promise.all(this.servers.map((server) => server.stop()))
  }
}

async function withServers(count: number, work: (scene: Scene) => Promise<void>): Promise<void> {
  const scene = new Scene(await Promise.all(Array.from({ length: count }, () => RedisServer.start())))
  try {
    await work(scene)
  } finally {
    await scene.close()
  }
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await setTimeout(5)
}

describe('a quorum of real servers', () => {
  it('P32 grants a lock to one of two managers, and the next holder gets a larger fence', () =>
    withServers(3, async (scene) => {
      const [one, other] = [await scene.party(), await scene.party()]
      const lease = await one.manager.acquire('a')
      expect(await other.manager.tryAcquire('a')).to.equal(null)
      await lease.release()
      const next = await other.manager.acquire('a')
      expect(next.fence).to.be.greaterThan(lease.fence)
    }))

  it('goes on while a member is killed, and heals it after its restart', () =>
    withServers(3, async (scene) => {
      const { manager, errors } = await scene.party()
      const [, second] = scene.servers as [RedisServer, RedisServer]
      const lease = await manager.acquire('a')
      await second.kill()
      expect(await manager.acquire('b')).to.have.property('held', true)
      await second.restart()
      await until(async () => (await scene.on('a'))[1] === lease.token && (await scene.on('b'))[1] !== null)
      expect(lease.held).to.equal(true)
      const label = `Member 2 of 3 (${new URL(second.url).host})`
      expect(errors.some((message) => message.startsWith(`${label} is away`))).to.equal(true)
      expect(errors).to.include(`${label} is back`)
    }))

  it('P32 gives a restarted member no vote until `restartDelay` is over, whoever asks', () =>
    withServers(3, async (scene) => {
      const [first, second] = scene.servers as [RedisServer, RedisServer]
      const old = await scene.party({ restartDelay: 60_000 })
      // Every server has just been started.
      const refused = await caught(old.manager.tryAcquire('a'))
      expect(refused).to.be.instanceOf(UnavailableError)
      expect(refused.message).to.include('has no vote for another')
      const free = await scene.party()
      expect(await free.manager.tryAcquire('a')).to.have.property('held', true)
      await first.kill()
      await second.kill()
      expect(old.errors.filter((message) => message.includes('was restarted'))).to.have.length(3)
    }))

  it('answers while a member is frozen', () =>
    withServers(3, async (scene) => {
      const { manager } = await scene.party()
      const [, , third] = scene.servers as [RedisServer, RedisServer, RedisServer]
      third.pause()
      const lease = await manager.acquire('a')
      await lease.renew()
      expect(await lease.release()).to.equal(true)
      third.resume()
      await until(async () => (await scene.on('a')).every((token) => token === null))
    }))

  it('P32 refuses the same server as two members', () =>
    withServers(2, async (scene) => {
      const [one, other] = scene.urls as [string, string]
      const { manager, errors } = await scene.party({}, [one, other, `${one}/0`])
      const error = (await caught(manager.tryAcquire('a'))) as UnavailableError
      expect(error.message).to.match(/Member 1 of 3 \(.*\) and member 3 of 3 \(.*\) are the same server/)
      expect(error.final).to.equal(true)
      expect(errors).to.have.length(1)
    }))

  it('counts a cluster as one member', async () => {
    const cluster = await RedisCluster.start({ replicas: 0 })
    try {
      await withServers(2, async (scene) => {
        const client = cluster.client()
        const members = [...scene.urls, client]
        const [one, other] = [await scene.party({}, members), await scene.party({}, members)]
        const leases = await one.manager.acquireMany(['a', 'b', 'c', 'd'])
        expect(leases.every((lease) => lease?.held)).to.equal(true)
        await until(async () => (await client.get('d')) === leases[3]?.token)
        expect(await other.manager.tryAcquire('c')).to.equal(null)
        for (const lease of leases) await lease?.release()
        await until(async () => (await client.get('d')) === null)
        const next = await other.manager.acquire('c')
        expect(next.fence).to.be.greaterThan(leases[2]?.fence as number)
        expect(one.manager.stats().members[2]?.name).to.match(/^the cluster of /)
      })
    } finally {
      await cluster.stop()
    }
  })

  it('P32 refuses two nodes of one cluster', async () => {
    const cluster = await RedisCluster.start({ replicas: 0 })
    try {
      const [one, other] = cluster.nodes.map(({ url }) => url) as [string, string]
      const manager = new LeaseManager(quorum([one, other]), { ttl: 1_000 })
      manager.on('error', () => undefined)
      const error = await caught(manager.tryAcquire('a'))
      expect(error.message).to.include('This is a node of a Redis Cluster')
      await manager.close()
    } finally {
      await cluster.stop()
    }
  })
})

describe('locks of other libraries on the same servers', () => {
  it('exclude ours, and ours exclude them: redlock 5', () =>
    withServers(3, async (scene) => {
      const { manager } = await scene.party()
      const redlock = new RedlockClient(scene.clients(), { retryCount: 0 }).on('error', () => undefined)
      const theirs = await redlock.acquire(['order:42'], 60_000)
      expect(await manager.tryAcquire('order:42')).to.equal(null)
      await theirs.release()
      const ours = await manager.acquire('order:42')
      expect((await caught(redlock.acquire(['order:42'], 60_000))).message).to.include('quorum')
      await ours.release()
      await (await redlock.acquire(['order:42'], 60_000)).release()
    }))

  it('exclude ours, and ours exclude them: RedlockMutex of redis-semaphore', () =>
    withServers(3, async (scene) => {
      const { manager } = await scene.party({ prefix: 'mutex:' })
      const options = { lockTimeout: 60_000, acquireAttemptsLimit: 1, refreshInterval: 0 }
      const mutex = new RedlockMutex(scene.clients(), 'order:42', options)
      await mutex.acquire()
      expect(await manager.tryAcquire('order:42')).to.equal(null)
      await mutex.release()
      const ours = await manager.acquire('order:42')
      expect(await caught(mutex.acquire())).to.be.instanceOf(TimeoutError)
      await ours.release()
      await mutex.acquire()
      await mutex.release()
    }))

  it('are waited for until a majority of them is free', () =>
    withServers(3, async (scene) => {
      const { manager } = await scene.party()
      const redlock = new RedlockClient(scene.clients(), { retryCount: 0 }).on('error', () => undefined)
      const theirs = await redlock.acquire(['order:42'], 60_000)
      const waiting = manager.acquire('order:42')
      await setTimeout(50)
      await theirs.release()
      expect(await waiting).to.have.property('held', true)
    }))
})

function caught(call: Promise<unknown>): Promise<Error> {
  return call.then(
    () => expect.fail('expected a rejection'),
    (error: Error) => error,
  )
}
