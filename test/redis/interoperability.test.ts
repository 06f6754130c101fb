/**
 * Other libraries, and scripts of one's own, that lock with `SET key token NX PX ttl` and unlock with compare-and-delete.
 * With `prefix: ''` they and a manager exclude each other on the same key. Each is asked to do it both ways.
 */
import { createRequire } from 'node:module'
import { expect } from 'chai'
import type { Redis } from 'ioredis'
import { Mutex, TimeoutError } from 'redis-semaphore'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { LASTING, type Session, untilRenewed, withClient, withManager } from './support.ts'

const TTL = 600_000

/** Somebody else's idea of the same lock. */
interface Other {
  /** Whether it got the lock, at once. */
  acquire(): Promise<boolean>
  /** Whether it still had it. */
  extend(): Promise<boolean>
  release(): Promise<void>
}

/** What is used of redlock 5: its types are out of TypeScript's sight, behind `exports` without them. */
interface RedlockLock {
  extend(duration: number): Promise<RedlockLock>
  release(): Promise<unknown>
}
interface Redlock {
  acquire(resources: string[], duration: number): Promise<RedlockLock>
  on(event: 'error', listener: (error: Error) => void): this
}
const { default: RedlockClient } = createRequire(import.meta.url)('redlock') as {
  default: new (clients: readonly Redis[], settings: { readonly retryCount: number }) => Redlock
}

const OTHERS: Readonly<Record<string, { readonly key: string; readonly create: (client: Redis) => Other }>> = {
  'Mutex of redis-semaphore': {
    // It puts this before every name.
    key: 'mutex:order:42',
    create: (client) => {
      const mutex = new Mutex(client, 'order:42', {
        lockTimeout: TTL,
        acquireAttemptsLimit: 1,
        refreshInterval: 0,
      })
      return {
        acquire: async () =>
          mutex.acquire().then(
            () => true,
            (error: unknown) => {
              expect(error).to.be.instanceOf(TimeoutError)
              return false
            },
          ),
        // `refresh` is what it does by itself, on a timer; the class keeps it to itself.
        extend: async () => (mutex as unknown as { _refresh(): Promise<boolean> })._refresh(),
        release: async () => mutex.release(),
      }
    },
  },
  'redlock 5': {
    key: 'order:42',
    create: (client) => {
      const redlock = new RedlockClient([client], { retryCount: 0 })
      redlock.on('error', () => undefined)
      let lock: RedlockLock | undefined
      return {
        acquire: async () => {
          lock = await redlock.acquire(['order:42'], TTL).catch(() => undefined)
          return lock !== undefined
        },
        extend: async () => {
          const extended = await lock?.extend(TTL).catch(() => undefined)
          lock = extended ?? lock
          return extended !== undefined
        },
        // It throws where the lock is not its own any more.
        release: async () => void (await lock?.release().catch(() => undefined)),
      }
    },
  },
  'SET NX PX and a compare-and-delete script': {
    key: 'order:42',
    create: (client) => {
      const token = 'a token of mine'
      const compareAnd = (change: string): Promise<unknown> =>
        client.eval(
          `if redis.call('get', KEYS[1]) == ARGV[1] then return ${change} else return 0 end`,
          1,
          'order:42',
          token,
        )
      return {
        acquire: async () => (await client.set('order:42', token, 'PX', TTL, 'NX')) === 'OK',
        extend: async () => (await compareAnd(`redis.call('pexpire', KEYS[1], ${TTL})`)) === 1,
        release: async () => void (await compareAnd("redis.call('del', KEYS[1])")),
      }
    },
  },
}

for (const [name, { key, create }] of Object.entries(OTHERS)) {
  describe(`with ${name}`, () => {
    const withBoth = (work: (session: Session, other: Other, server: RedisServer) => Promise<void>): Promise<void> =>
      withRedis((server) =>
        withClient({ port: server.port }, (client) =>
          withManager(server.url, { ...LASTING, prefix: '' }, (session) => work(session, create(client), server)),
        ),
      )

    it('P7 a lock of the manager excludes others until it is released', () =>
      withBoth(async ({ manager }, other) => {
        const lease = await manager.acquire(key)
        expect(await other.acquire()).to.equal(false)
        await untilRenewed(lease)
        expect(await other.acquire()).to.equal(false)
        expect(lease.held).to.equal(true)
        expect(await lease.release()).to.equal(true)
        expect(await other.acquire()).to.equal(true)
      }))

    it('P7 a lock of others excludes the manager until it is released', () =>
      withBoth(async ({ manager }, other) => {
        expect(await other.acquire()).to.equal(true)
        expect(await manager.tryAcquire(key)).to.equal(null)
        expect((await manager.inspect(key))?.remaining).to.be.within(TTL - 60_000, TTL)
        expect(await other.extend()).to.equal(true)
        expect(await manager.tryAcquire(key)).to.equal(null)
        const waiting = manager.acquire(key)
        await other.release()
        const lease = await waiting
        expect(lease.held).to.equal(true)
        await untilRenewed(lease)
      }))

    it('P5 no side extends or releases a lock of the other', () =>
      withBoth(async ({ manager, journal }, other, server) => {
        expect(await other.acquire()).to.equal(true)
        await server.command('DEL', key)
        const lease = await manager.acquire(key)
        expect(await other.extend()).to.equal(false)
        await other.release()
        expect(await server.command('GET', key), 'after they released it').to.equal(lease.token)
        await untilRenewed(lease)

        await server.command('DEL', key)
        expect(await other.acquire()).to.equal(true)
        expect(await lease.release()).to.equal(false)
        expect(journal.story(lease).at(-1)).to.equal('lost: taken')
        expect(await other.extend(), 'after we released it').to.equal(true)
        await other.release()
        expect(await server.command('EXISTS', key)).to.equal(0)
      }))
  })
}
