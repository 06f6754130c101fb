import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { Backend } from 'leasewheel'
import { MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { RedisBackend } from '#src/redis/redis-backend.js'
import { RedisServer } from '../support/redis-server.ts'
import { describeBackend, Listener, type Store } from './backend.contract.ts'
import { describeCatalogue } from './catalogue.contract.ts'

/** How long a backend may find a server silent before it gives up the connection, in ms. */
const TIMEOUT = 5_000

/** The backends of one test. Whoever opened them closes them, and none of them may have complained. */
class Opened {
  #backends: Backend[] = []
  #listener = new Listener()

  /** @param settings.listener without one, what the backend tells is looked at for faults only. */
  async open(backend: Backend, settings: { prefix?: string; listener?: Listener } = {}): Promise<Backend> {
    const { prefix = 'lease:', listener = this.#listener } = settings
    this.#backends.push(backend)
    backend.open({ prefix, timeout: TIMEOUT, watch: true }, listener)
    await backend.ready()
    while (!backend.watching) await setTimeout(1)
    return backend
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.close()))
    const { errors } = this.#listener
    this.#backends = []
    this.#listener = new Listener()
    expect(errors, 'faults that a backend reported').to.deep.equal([])
  }
}

async function memoryStore(): Promise<Store> {
  const store = new MemoryStore()
  const opened = new Opened()
  let hanging: MemoryBackend[] = []
  let backends: MemoryBackend[] = []
  return {
    open: (settings) => {
      const backend = new MemoryBackend({ store })
      backends.push(backend)
      return opened.open(backend, settings)
    },
    get: async (key) => store.get(key) ?? null,
    remaining: async (key) => store.remaining(key) ?? expect.fail(`there is no key \`${key}\``),
    set: async (key, value, ttl) => store.set(key, value, ttl),
    delete: async (key) => void store.delete(key),
    expire: async (key) => {
      store.set(key, store.get(key) ?? '', 1)
      while (store.get(key) !== undefined) await setTimeout(1)
    },
    flush: async () => store.clear(),
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
      store.clear()
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

describeBackend('MemoryBackend', memoryStore)
describeBackend('RedisBackend', redisStore)
describeCatalogue('MemoryBackend', memoryStore)
describeCatalogue('RedisBackend', redisStore)
