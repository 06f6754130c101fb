/** What only Redis has as a backend. test/contract has what every backend does. */
import { expect } from 'chai'
import type { AcquireOutcome, Backend, LockEntry } from 'leasewheel'
import { RedisBackend } from '#src/redis/redis-backend.js'
import { Listener } from '../contract/backend.contract.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { only, scriptCalls } from './support.ts'

const TTL = 600_000
const FENCE = 'leasewheel:fence'

async function withBackend(work: (backend: Backend, server: RedisServer) => Promise<void>, prefix = ''): Promise<void> {
  await withRedis(async (server) => {
    const backend = new RedisBackend(server.url)
    backend.open({ prefix, timeout: 5_000, watch: true }, new Listener())
    try {
      await backend.ready()
      await work(backend, server)
    } finally {
      await backend.close()
    }
  })
}

describe('RedisBackend', () => {
  it('stores `SET key token NX PX ttl`, and nothing besides but one counter', () =>
    withBackend(async (backend, server) => {
      await backend.acquire([entry('a', 'mine')])
      await server.command('SET', 'b', 'mine', 'NX', 'PX', TTL)
      for (const [name, ...rest] of [['TYPE'], ['OBJECT', 'ENCODING'], ['GET'], ['STRLEN']] as [
        string,
        ...string[],
      ][]) {
        expect(await server.command(name, ...rest, 'a')).to.deep.equal(await server.command(name, ...rest, 'b'))
      }
      expect(await server.command('PTTL', 'a')).to.be.within(TTL - 60_000, TTL)
      expect(await server.command('KEYS', '*')).to.have.members(['a', 'b', FENCE])
      expect(await server.command('TTL', FENCE), 'the counter stays').to.equal(-1)
    }))

  it('P6 keeps one counter for all locks of all prefixes', () =>
    withRedis(async (server) => {
      let last = 0
      for (const prefix of ['one:', 'two:', '']) {
        const backend = new RedisBackend(server.url)
        backend.open({ prefix, timeout: 5_000, watch: true }, new Listener())
        await backend.ready()
        const fence = fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        expect(fence).to.be.greaterThan(last)
        expect(await server.command('GET', FENCE)).to.equal(String(fence))
        last = fence
        await backend.close()
      }
    }))

  it('P6 continues from a counter ahead of the time, as after a failover', () =>
    withBackend(async (backend, server) => {
      const ahead = Number.MAX_SAFE_INTEGER - 1_000
      await server.command('SET', FENCE, ahead)
      for (let turn = 1; turn <= 5; turn += 1) {
        expect(fenceOf(only(await backend.acquire([entry(`key ${turn}`, 'mine')])))).to.equal(ahead + turn)
      }
      expect(await server.command('GET', FENCE), 'to the last digit').to.equal(String(ahead + 5))
    }))

  it('P6 restarts from the time in µs if the counter is lost or behind', () =>
    withBackend(async (backend, server) => {
      for (const [turn, spoil] of [
        async () => server.command('DEL', FENCE),
        async () => server.command('SET', FENCE, 1),
        async () => server.command('SET', FENCE, 'nonsense'),
        async () => server.command('FLUSHALL'),
      ].entries()) {
        const earlier = fenceOf(only(await backend.acquire([entry(`before ${turn}`, 'mine')])))
        await spoil()
        const [seconds, microseconds] = (await server.command('TIME')) as [string, string]
        const fence = fenceOf(only(await backend.acquire([entry(`after ${turn}`, 'mine')])))
        expect(fence).to.be.greaterThan(earlier)
        expect(fence).to.be.at.least(Number(seconds) * 1_000_000 + Number(microseconds))
      }
    }))

  it('does not count if nothing was granted', () =>
    withBackend(async (backend, server) => {
      await server.command('SET', 'a', 'theirs')
      await backend.acquire([entry('a', 'mine')])
      expect(await server.command('EXISTS', FENCE)).to.equal(0)
    }))

  it('sends one request for many keys', () =>
    withBackend(async (backend, server) => {
      const entries = Array.from({ length: 256 }, (_, index) => entry(`key ${index}`, 'mine'))
      for (const ask of [
        async () => backend.acquire(entries),
        async () => backend.renew(entries),
        async () => backend.release(entries),
        async () => backend.inspect('key 0'),
      ]) {
        await ask()
        await server.command('CONFIG', 'RESETSTAT')
        await ask()
        expect(await scriptCalls(server)).to.equal(1)
      }
    }))

  it('sends a script whole once on each connection, and by its name from then on', () =>
    withBackend(async (backend, server) => {
      const ask = async (turn: number): Promise<void> => {
        const entries = [entry(`key ${turn}`, 'mine')]
        await Promise.all([backend.acquire(entries), backend.renew(entries), backend.release(entries)])
      }
      await ask(1)
      await ask(2)
      await ask(3)
      const first = await server.commandStats()
      expect([first.get('eval')?.calls, first.get('evalsha')?.calls]).to.deep.equal([3, 6])
      await server.command('CONFIG', 'RESETSTAT')
      await server.command('SCRIPT', 'FLUSH')
      await ask(4)
      await ask(5)
      const second = await server.commandStats()
      expect([second.get('eval')?.calls, second.get('evalsha')?.calls], 'after a flush').to.deep.equal([3, 6])
    }))

  for (const [what, put] of [
    ['a list', ['RPUSH', 'a', 'mine']],
    ['a hash', ['HSET', 'a', 'mine', 1]],
    ['a set', ['SADD', 'a', 'mine']],
    ['a stream', ['XADD', 'a', '*', 'mine', 1]],
  ] as [string, [string, ...(string | number)[]]][]) {
    it(`P4 P5 treats a key that holds ${what} as another’s, and leaves it alone`, () =>
      withBackend(async (backend, server) => {
        await server.command(...put)
        const entries = [entry('before', 'mine'), entry('a', 'mine'), entry('behind', 'mine')]
        expect((await backend.acquire(entries)).map(({ type }) => type)).to.deep.equal([
          'granted',
          'refused',
          'granted',
        ])
        const taken = [{ type: 'done' }, { type: 'refused', reason: 'taken' }, { type: 'done' }]
        expect(await backend.renew(entries)).to.deep.equal(taken)
        expect(await backend.inspect('a')).to.deep.equal({ token: '', remaining: Number.POSITIVE_INFINITY })
        expect(await backend.release(entries)).to.deep.equal(taken)
        expect(await server.command('TYPE', 'a')).to.equal(what.slice(2))
        expect(await server.command('PTTL', 'a')).to.equal(-1)
      }))
  }
})

function entry(key: string, token: string): LockEntry {
  return { key, token, ttl: TTL }
}

function fenceOf(outcome: AcquireOutcome): number {
  if (outcome.type !== 'granted') expect.fail(`expected a grant, got ${outcome.type}`)
  return outcome.fence
}
