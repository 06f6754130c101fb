/** Permits, and readers and writers, on a real server: who is told of what, other libraries, and a server without memory. */
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { type Lease, type LeaseManager, UnavailableError } from 'leasewheel'
import { Semaphore, TimeoutError } from 'redis-semaphore'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { Hourly, LASTING, rejectionOf, until, withManager } from './support.ts'

/** Runs `work` with two managers on a server. No caller would ask again by itself within the hour. */
function withTwo(
  work: (one: LeaseManager, other: LeaseManager, server: RedisServer, retry: Hourly) => Promise<void>,
  prefix = 'lease:',
): Promise<void> {
  return withRedis((server) => {
    const retry = new Hourly()
    return withManager(server.url, { ...LASTING, prefix }, ({ manager: one }) =>
      withManager(server.url, { ...LASTING, prefix, retry }, ({ manager: other }) => work(one, other, server, retry)),
    )
  })
}

describe('on a server, a key that several may hold', () => {
  it('P23 P33 wakes a caller of another process when a permit is free', () =>
    withTwo(async (one, other, _server, retry) => {
      const leases = await Promise.all([1, 2].map(() => one.acquire('api', { permits: 2 })))
      const call = other.acquire('api', { permits: 2 })
      await retry.untilTold()
      await leases[0]?.release()
      const lease = await call
      expect([lease.held, leases[1]?.held]).to.deep.equal([true, true])
      expect(lease.fence).to.be.greaterThan(Math.max(...leases.map(({ fence }) => fence)))
    }))

  it('is told of no reader and no writer who waits behind a caller of another kind', () =>
    withTwo(async (one, other, server, retry) => {
      const permit = await one.acquire('api', { permits: 2 })
      const served: string[] = []
      const calls = (['plain', 'read', 'write'] as const).map(async (kind) => {
        const lease = await other.acquire('api', kind === 'plain' ? {} : { mode: kind })
        served.push(kind)
        await lease.release()
      })
      await until('all are refused', () => retry.contexts.length >= calls.length)
      const announced = await server.command('ZMSCORE', 'lease:api', 'r', 'w')
      await permit.release()
      await Promise.all(calls)
      expect(announced).to.deep.equal([null, null])
      expect(served).to.deep.equal(['plain', 'read', 'write'])
    }))

  it('loses all its holders if somebody deletes it', () =>
    withTwo(async (one, _other, server) => {
      const leases = await Promise.all([1, 2, 3].map(() => one.acquire('api', { permits: 3 })))
      await server.command('DEL', 'lease:api')
      await until('all are lost', () => leases.every(({ held }) => !held))
    }))

  it('P33 lets readers in when a writer becomes a reader, and renews it as one from then on', () =>
    withTwo(async (one, other) => {
      const lease = await one.acquire('doc', { mode: 'write' })
      await lease.renew()
      const call = other.acquire('doc', { mode: 'read' })
      await lease.downgrade()
      const reader = await call
      await lease.renew()
      await reader.renew()
      expect([lease.held, reader.held]).to.deep.equal([true, true])
      expect(await other.tryAcquire('doc', { mode: 'write' })).to.equal(null)
    }))

  it('P33 is never held by more than may, by many callers of two managers', () =>
    withTwo(async (one, other) => {
      let [readers, writers, permits, most] = [0, 0, 0, 0]
      const faults: string[] = []
      const read = async ({ held }: Lease): Promise<void> => {
        readers += 1
        if (writers > 0 || !held) faults.push(`${readers} readers beside ${writers} writers`)
        await setTimeout(2)
        readers -= 1
      }
      const write = async ({ held }: Lease): Promise<void> => {
        writers += 1
        if (writers > 1 || readers > 0 || !held) faults.push(`${writers} writers beside ${readers} readers`)
        await setTimeout(2)
        writers -= 1
      }
      const use = async ({ held }: Lease): Promise<void> => {
        permits += 1
        most = Math.max(most, permits)
        if (!held) faults.push('a permit that is not held')
        await setTimeout(2)
        permits -= 1
      }
      const calls = Array.from({ length: 120 }, (_, index) => {
        const manager = index % 2 === 0 ? one : other
        if (index % 3 === 0) return manager.using('api', use, { permits: 4, wait: 60_000, retry: undefined })
        if (index % 10 === 1) return manager.using('doc', write, { mode: 'write', wait: 60_000 })
        return manager.using('doc', read, { mode: 'read', wait: 60_000 })
      })
      await Promise.all(calls)
      expect(faults).to.deep.equal([])
      expect(most).to.be.within(2, 4)
    }))

  it('waits until a semaphore of redis-semaphore is gone, and leaves that alone', () =>
    withTwo(async (one, _other, server) => {
      const client = new Redis(server.url)
      try {
        const theirs = new Semaphore(client, 'api', 5, { lockTimeout: 600_000, refreshInterval: 0 })
        await theirs.acquire()
        const before = await server.command('ZRANGE', 'semaphore:api', 0, -1, 'WITHSCORES')
        expect(await one.tryAcquire('api', { permits: 5 })).to.equal(null)
        expect(await server.command('ZRANGE', 'semaphore:api', 0, -1, 'WITHSCORES')).to.deep.equal(before)
        await theirs.release()
        expect((await one.tryAcquire('api', { permits: 5 }))?.held).to.equal(true)
      } finally {
        client.disconnect()
      }
    }, 'semaphore:'))

  it('is lost if a semaphore of redis-semaphore takes its key', () =>
    withTwo(async (one, _other, server) => {
      const client = new Redis(server.url)
      try {
        const lease = await one.acquire('api', { permits: 5 })
        const theirs = new Semaphore(client, 'api', 50, { lockTimeout: 600_000, refreshInterval: 0 })
        await theirs.acquire()
        await until('it is lost', () => !lease.held)
        expect(lease.signal.reason).to.include({ reason: 'taken' })
        expect(await one.tryAcquire('api', { permits: 50 })).to.equal(null)
        await theirs.release()
      } finally {
        client.disconnect()
      }
    }, 'semaphore:'))

  it('is lost at its renewal if a semaphore of redis-semaphore asked for its key, even in vain', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, prefix: 'semaphore:', watch: false }, async ({ manager }) => {
        const client = new Redis(server.url)
        try {
          const lease = await manager.acquire('api', { permits: 5 })
          const theirs = new Semaphore(client, 'api', 1, { lockTimeout: 600_000, acquireAttemptsLimit: 1 })
          expect(await rejectionOf(theirs.acquire())).to.be.instanceOf(TimeoutError)
          expect(lease.held).to.equal(true)
          expect(await rejectionOf(lease.renew()))
            .to.have.property('cause')
            .that.includes({ reason: 'taken' })
        } finally {
          client.disconnect()
        }
      }),
    ))

  it('needs no more permissions than docs/redis-users.md names', () =>
    withRedis(async (server) => {
      const page = readFileSync(new URL('../../docs/redis-users.md', import.meta.url), 'utf8')
      const [rules = '', more = ''] = Array.from(page.matchAll(/^```\n(.*)\n```$/gm), ([, line]) => line)
      const [command = '', ...rest] = `${rules} ${more}`.split(' ')
      await server.command(command, ...rest)
      await withManager(`redis://worker:secret@127.0.0.1:${server.port}`, LASTING, async ({ manager, journal }) => {
        const permit = await manager.acquire('api', { permits: 2 })
        const writer = await manager.acquire('doc', { mode: 'write' })
        const reader = manager.acquire('doc', { mode: 'read' })
        await Promise.all([permit.renew(), writer.renew()])
        await writer.downgrade()
        const joints = [permit, writer, await reader]
        await manager.inspect('doc')
        await server.command('DEL', 'lease:api')
        await until('its loss is noticed', () => !permit.held)
        expect(await Promise.all(joints.map((lease) => lease.release()))).to.deep.equal([false, true, true])
        expect(journal.errors).to.deep.equal([])
      })
    }))

  it('is renewed and released by a server without memory, which acquires nothing', () =>
    withTwo(async (one, _other, server) => {
      const permit = await one.acquire('api', { permits: 2 })
      const reader = await one.acquire('doc', { mode: 'read' })
      await server.command('CONFIG', 'SET', 'maxmemory', 1)
      try {
        await permit.renew()
        await reader.renew()
        expect(await rejectionOf(one.tryAcquire('other', { permits: 2 }))).to.be.instanceOf(UnavailableError)
        expect(await permit.release()).to.equal(true)
      } finally {
        await server.command('CONFIG', 'SET', 'maxmemory', 0)
      }
      expect(reader.held).to.equal(true)
    }))
})
