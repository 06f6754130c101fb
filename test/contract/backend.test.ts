import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { Backend, BackendListener } from 'leasewheel'
import { MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { quorum } from 'leasewheel/quorum'
import { ClusterBackend } from '#src/redis/cluster/cluster-backend.js'
import { RedisBackend } from '#src/redis/redis-backend.js'
import { RedisCluster } from '../support/redis-cluster.ts'
import { RedisServer } from '../support/redis-server.ts'
import { MemoryCluster, RoutedBackend } from '../support/routed-backend.ts'
import { describeBackend, Listener, type Store } from './backend.contract.ts'
import { describeCatalogue } from './catalogue.contract.ts'
import { describeJoints } from './joints.contract.ts'
import { describeHandOver } from './hand-over.contract.ts'

/** How long a backend may find a server silent before it gives up the connection, in ms. */
const TIMEOUT = 5_000

/** The backends of one test. Whoever opened them closes them, and none of them may have complained. */
class Opened {
  #backends: Backend[] = []
  #listener = new Listener()
  readonly #isExpected: (error: Error) => boolean

  /** @param isExpected whether a backend may have complained of this. */
  constructor(isExpected: (error: Error) => boolean = () => false) {
    this.#isExpected = isExpected
  }

  /** @param settings.listener without one, what the backend tells is looked at for faults only. */
  async open(backend: Backend, settings: { prefix?: string; listener?: BackendListener } = {}): Promise<Backend> {
    const { prefix = 'lease:', listener = this.#listener } = settings
    this.#backends.push(backend)
    backend.open({ prefix, timeout: TIMEOUT, watch: true }, listener)
    await backend.ready()
    // A cluster's nodes are known by now.
    for (const { route } of backend.routing?.views() ?? []) await backend.ready(route)
    while (!backend.watching) await setTimeout(1)
    return backend
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.close()))
    const { errors } = this.#listener
    this.#backends = []
    this.#listener = new Listener()
    const faults = errors.filter((error) => !this.#isExpected(error))
    expect(faults, 'faults that a backend reported').to.deep.equal([])
  }
}

async function memoryStore(): Promise<Store> {
  const store = new MemoryStore()
  return inMemory(
    [store],
    () => store,
    () => {
      const backend = new MemoryBackend({ store })
      return { backend, nodes: [backend] }
    },
  )
}

async function routedStore(): Promise<Store> {
  const cluster = new MemoryCluster()
  return inMemory(
    cluster.stores,
    (key) => cluster.storeOf(key),
    () => {
      const backend = new RoutedBackend(cluster)
      return { backend, nodes: backend.nodes }
    },
  )
}

/** @param storeOf which of the stores has a key. @param make another backend on them. */
function inMemory(
  stores: readonly MemoryStore[],
  storeOf: (key: string) => MemoryStore,
  make: () => { readonly backend: Backend; readonly nodes: readonly MemoryBackend[] },
): Store {
  const opened = new Opened()
  let hanging: MemoryBackend[] = []
  let backends: MemoryBackend[] = []
  return {
    open: (settings) => {
      const { backend, nodes } = make()
      backends.push(...nodes)
      return opened.open(backend, settings)
    },
    get: async (key) => storeOf(key).get(key) ?? null,
    remaining: async (key) => storeOf(key).remaining(key) ?? expect.fail(`there is no key \`${key}\``),
    set: async (key, value, ttl) => storeOf(key).set(key, value, ttl),
    delete: async (key) => void storeOf(key).delete(key),
    expire: async (key) => {
      const store = storeOf(key)
      store.set(key, store.get(key) ?? '', 1)
      while (store.get(key) !== undefined) await setTimeout(1)
    },
    flush: async () => {
      for (const store of stores) store.clear()
    },
    hang: () => {
      hanging = backends
      for (const backend of hanging) backend.block()
    },
    resume: () => {
      for (const backend of hanging) backend.unblock()
    },
    clear: async () => {
      backends = []
      await opened.close()
      for (const store of stores) store.clear()
    },
    stop: async () => undefined,
  }
}

async function redisStore(): Promise<Store> {
  const server = await RedisServer.start()
  const opened = new Opened()
  return {
    open: (settings) => opened.open(new RedisBackend(server.url), settings),
    get: (key) => server.command('GET', key) as Promise<string | null>,
    remaining: async (key) => {
      const remaining = (await server.command('PTTL', key)) as number
      if (remaining === -2) expect.fail(`there is no key \`${key}\``)
      return remaining === -1 ? Number.POSITIVE_INFINITY : remaining
    },
    set: async (key, value, ttl) => {
      await server.command('SET', key, value, ...(ttl === Number.POSITIVE_INFINITY ? [] : ['PX', ttl]))
    },
    delete: async (key) => void (await server.command('DEL', key)),
    expire: async (key) => {
      await server.command('PEXPIRE', key, 1)
      while ((await server.command('EXISTS', key)) === 1) await setTimeout(1)
    },
    flush: async () => void (await server.command('FLUSHALL')),
    hang: () => server.pause(),
    resume: () => server.resume(),
    clear: async () => {
      server.resume()
      await opened.close()
      await server.command('FLUSHALL')
      // Each test begins with a server that knows no script.
      await server.command('SCRIPT', 'FLUSH')
    },
    stop: () => server.stop(),
  }
}

async function clusterStore(): Promise<Store> {
  // Nobody takes a paused node for dead.
  const cluster = await RedisCluster.start({ replicas: 0, nodeTimeout: 15_000 })
  const client = cluster.client()
  const opened = new Opened()
  const onAll = async (...words: [name: string, ...args: string[]]): Promise<void> => {
    await Promise.all(cluster.nodes.map((node) => node.command(...words)))
  }
  return {
    open: (settings) => opened.open(new ClusterBackend(client), settings),
    get: (key) => client.get(key),
    remaining: async (key) => {
      const remaining = await client.pttl(key)
      if (remaining === -2) expect.fail(`there is no key \`${key}\``)
      return remaining === -1 ? Number.POSITIVE_INFINITY : remaining
    },
    set: async (key, value, ttl) => {
      if (ttl === Number.POSITIVE_INFINITY) await client.set(key, value)
      else await client.set(key, value, 'PX', ttl)
    },
    delete: async (key) => void (await client.del(key)),
    expire: async (key) => {
      await client.pexpire(key, 1)
      while ((await client.exists(key)) === 1) await setTimeout(1)
    },
    flush: () => onAll('FLUSHALL'),
    hang: () => {
      for (const node of cluster.nodes) node.pause()
    },
    resume: () => {
      for (const node of cluster.nodes) node.resume()
    },
    clear: async () => {
      for (const node of cluster.nodes) node.resume()
      await opened.close()
      await onAll('FLUSHALL')
      await onAll('SCRIPT', 'FLUSH')
    },
    stop: () => cluster.stop(),
  }
}

/** Members that are stores in memory. Test code changes all of them, as it would change one server. */
async function memoryQuorum(): Promise<Store> {
  const stores = Array.from({ length: 3 }, () => new MemoryStore())
  const [first] = stores as [MemoryStore]
  const store = inMemory(
    stores,
    () => first,
    () => {
      const nodes = stores.map((store) => new MemoryBackend({ store }))
      return { backend: quorum(nodes), nodes }
    },
  )
  return {
    ...store,
    set: async (key, value, ttl) => {
      for (const member of stores) member.set(key, value, ttl)
    },
    delete: async (key) => {
      for (const member of stores) member.delete(key)
    },
    expire: async (key) => {
      for (const member of stores) member.set(key, member.get(key) ?? '', 1)
      for (const member of stores) while (member.get(key) !== undefined) await setTimeout(1)
    },
  }
}

/** @param broken how many of the last members do not answer, and how: an `away` one is never there, a `hung` one stops once it is connected. */
function redisQuorum(size: number, broken: 'away' | 'hung' | 'none' = 'none'): () => Promise<Store> {
  return async () => {
    const servers = await Promise.all(Array.from({ length: size }, () => RedisServer.start()))
    const sound = broken === 'none' ? servers : servers.slice(0, -1)
    const last = servers.at(-1) as RedisServer
    if (broken === 'away') await last.kill()
    const isExpected = ({ message }: Error): boolean =>
      broken !== 'none' && message.startsWith(`Member ${size} of ${size}`)
    const opened = new Opened(isExpected)
    const each = async <T>(work: (server: RedisServer) => Promise<T>): Promise<readonly T[]> =>
      Promise.all(sound.map((server) => work(server)))
    // A majority decides, and the others may be behind.
    const majority = Math.floor(size / 2) + 1
    const resume = (): void => {
      for (const server of servers) if (server !== last || broken !== 'away') server.resume()
    }
    return {
      open: async ({ listener, ...settings } = {}) => {
        if (broken === 'hung') last.resume()
        const backend = await opened.open(
          quorum(
            servers.map(({ url }) => url),
            { restartDelay: 0 },
          ),
          { ...settings, ...(listener && { listener: forgiving(listener, isExpected) }) },
        )
        if (broken === 'hung') {
          while (!backend.members?.every(({ usable, watching }) => usable && watching)) await setTimeout(1)
          last.pause()
        } else {
          while (!backend.members?.slice(0, sound.length).every((member) => member.watching)) await setTimeout(1)
        }
        return backend
      },
      get: async (key) => {
        const values = (await each((server) => server.command('GET', key))) as (string | null)[]
        return values.find((value) => values.filter((other) => other === value).length >= majority) ?? null
      },
      remaining: async (key) => {
        const all = (await each((server) => server.command('PTTL', key))) as number[]
        const times = all.map((time) => (time === -1 ? Number.POSITIVE_INFINITY : time)).sort((a, b) => b - a)
        const remaining = times[majority - 1] ?? -2
        if (remaining === -2) expect.fail(`there is no key \`${key}\``)
        return remaining
      },
      set: async (key, value, ttl) => {
        const px = ttl === Number.POSITIVE_INFINITY ? [] : ['PX', ttl]
        await each((server) => server.command('SET', key, value, ...px))
      },
      delete: async (key) => void (await each((server) => server.command('DEL', key))),
      expire: async (key) => {
        await each(async (server) => {
          await server.command('PEXPIRE', key, 1)
          while ((await server.command('EXISTS', key)) === 1) await setTimeout(1)
        })
      },
      flush: async () => void (await each((server) => server.command('FLUSHALL'))),
      hang: () => {
        for (const server of sound) server.pause()
      },
      resume,
      clear: async () => {
        resume()
        await opened.close()
        const living = broken === 'away' ? sound : servers
        await Promise.all(living.map((server) => server.command('FLUSHALL')))
        await Promise.all(living.map((server) => server.command('SCRIPT', 'FLUSH')))
      },
      stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
    }
  }
}

/** A listener that is not told of expected faults. */
function forgiving(listener: BackendListener, isExpected: (error: Error) => boolean): BackendListener {
  return {
    onRecovered: () => listener.onRecovered(),
    onSuspect: () => listener.onSuspect(),
    onMissed: () => listener.onMissed(),
    onChange: (keys) => listener.onChange(keys),
    onUnwatched: () => listener.onUnwatched(),
    onForgotten: () => listener.onForgotten(),
    onError: (error) => {
      if (!isExpected(error)) listener.onError(error)
    },
  }
}

describeBackend('MemoryBackend', memoryStore)
describeBackend('RoutedBackend', routedStore)
describeBackend('RedisBackend', redisStore)
describeBackend('ClusterBackend', clusterStore)
describeJoints('MemoryBackend', memoryStore)
describeJoints('RoutedBackend', routedStore)
describeJoints('RedisBackend', redisStore)
describeJoints('ClusterBackend', clusterStore)
describeBackend('a quorum of three in memory', memoryQuorum)
describeBackend('a quorum of three servers', redisQuorum(3))
describeBackend('a quorum of five servers', redisQuorum(5))
describeBackend('a quorum of three servers, one of them away,', redisQuorum(3, 'away'))
describeBackend('a quorum of three servers, one of them hung,', redisQuorum(3, 'hung'))
describeHandOver('MemoryBackend', memoryStore)
describeHandOver('RoutedBackend', routedStore)
describeHandOver('RedisBackend', redisStore)
describeHandOver('ClusterBackend', clusterStore)
describeCatalogue('MemoryBackend', memoryStore)
describeCatalogue('RedisBackend', redisStore)
describeCatalogue('ClusterBackend', clusterStore)
describeCatalogue('a quorum of three in memory', memoryQuorum)
describeCatalogue('a quorum of three servers', redisQuorum(3))
describeCatalogue('a quorum of three servers, one of them away,', redisQuorum(3, 'away'))
describeCatalogue('a quorum of three servers, one of them hung,', redisQuorum(3, 'hung'))
