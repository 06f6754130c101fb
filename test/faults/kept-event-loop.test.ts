/** A keeper in a thread of its own, on a real server: event loops that are blocked, processes that are stopped or killed. */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { LeaseManager } from 'leasewheel'
import {
  connectionIds,
  connectionsNamed,
  exists,
  IMPATIENT,
  only,
  until,
  withManager,
  withWorkers,
} from '../redis/support.ts'
import { until as untilSlowly } from '../support/until.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'

/** Long enough for a keeper on a busy machine. ms. */
const TTL = 4_000
const KEPT = { ...IMPATIENT, ttl: TTL, keeper: { maxBlocked: 60_000 } }
const KEEPER = 'leasewheel:keeper'
/** What a thread or a process may take to begin, in ms. */
const START = 60_000

describe('an event loop that is blocked, with a keeper', function () {
  this.timeout(2 * START)

  it('P34 loses nothing, and keeps nothing that was released meanwhile', () =>
    withRedis((server) =>
      withManager(server.url, KEPT, async ({ manager, journal }) => {
        await untilKeeping(manager)
        const leases = await manager.acquireAll(['a', 'b', 'released'])
        const [a, b, released] = leases
        block(TTL / 4)
        // Its request leaves when the event loop is free again.
        const answer = released?.release()
        for (let turn = 0; turn < 5; turn += 1) {
          block(TTL / 4)
          expect([a?.held, b?.held, released?.held]).to.deep.equal([true, true, false])
          expect(a?.remaining).to.be.greaterThan(0)
        }
        expect(await exists(server, 'lease:released'), 'it was not renewed, and has expired').to.equal(false)
        expect(await answer).to.equal(false)
        expect(manager.stats().keeper?.renewals).to.be.at.least(4)
        const { renewals } = manager.stats()
        await until('it goes on', () => manager.stats().renewals >= renewals + 4)
        expect([a?.held, b?.held]).to.deep.equal([true, true])
        expect(journal.story(a).join(' ')).to.match(/^acquired( renewed| jeopardy safe)+$/)
      }),
    ))

  it('P34 loses its leases a ttl after `maxBlocked`, and another gets the keys', () =>
    withRedis((server) =>
      withManager(server.url, { ...KEPT, ttl: 1_000, keeper: { maxBlocked: 1_000 } }, async ({ manager, journal }) => {
        await untilKeeping(manager)
        const lease = await manager.acquire('a')
        block(2_000)
        expect(lease.held).to.equal(false)
        await journal.until('lost', lease)
        expect(journal.story(lease).at(-1)).to.equal('lost: expired')
        const next = await manager.acquire('a')
        expect(next.fence).to.be.greaterThan(lease.fence)
      }),
    ))

  it('P34 keeps its leases although the keeper has to connect again', () =>
    withRedis((server) =>
      withManager(server.url.replace('127.0.0.1', 'localhost'), KEPT, async ({ manager }) => {
        await untilKeeping(manager)
        const lease = await manager.acquire('a')
        const [id = ''] = await connectionIds(server, KEEPER)
        await server.command('CLIENT', 'KILL', 'ID', id)
        block(1.4 * TTL)
        expect(lease.held).to.equal(true)
      }),
    ))

  it('P34 P24 has no thread and no connection left once its manager is closed', () =>
    withRedis(async (server) => {
      await withManager(server.url, KEPT, async ({ manager }) => {
        await untilKeeping(manager)
        expect(await connectionsNamed(server, KEEPER)).to.equal(1)
      })
      await until('it is gone', async () => (await connectionsNamed(server, KEEPER)) === 0)
    }))
})

/** Holds a lock with a keeper, blocks its event loop, and says what it believes. */
const HOLDER = `
  import { LeaseManager } from 'leasewheel'
  import { writeSync } from 'node:fs'
  const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 2_000, keeper: {} })
  manager.on('error', (error) => writeSync(1, 'error ' + error.message + '\\n'))
  while (!manager.stats().keeper.connected) await new Promise((resolve) => setTimeout(resolve, 10))
  const lease = await manager.acquire('a')
  const word = new Int32Array(new SharedArrayBuffer(4))
  for (let turn = 0; turn < 300; turn += 1) {
    Atomics.wait(word, 0, 0, 100)
    writeSync(1, (lease.held ? 'held ' : 'over ') + Date.now() + '\\n')
    if (!lease.held) process.exit()
  }
`

describe('a process with a keeper', function () {
  this.timeout(2 * START)

  it('P34 loses its keys within their ttl if it is killed in a block', () =>
    withRedis((server) =>
      withWorkers([HOLDER], server, async (holders) => {
        const holder = only(holders)
        await untilKept(server)
        holder.child.kill('SIGKILL')
        await holder.closed
        const left = Number(await server.command('PTTL', 'lease:a'))
        expect(left).to.be.at.most(2_000)
        await setTimeout(left + 5)
        expect(await exists(server, 'lease:a')).to.equal(false)
      }),
    ))

  it('P34 P13 is stopped together with its keeper, and knows its loss when it continues', () =>
    withRedis((server) =>
      withWorkers([HOLDER], server, (holders) =>
        withManager(server.url, IMPATIENT, async ({ manager }) => {
          const holder = only(holders)
          await untilKept(server)
          holder.child.kill('SIGSTOP')
          await until('its key has expired', async () => !(await exists(server, 'lease:a')))
          const next = await manager.acquire('a')
          const takenAt = Date.now()
          await setTimeout(5)
          holder.child.kill('SIGCONT')
          await holder.closed
          const heldAt = holder.lines
            .filter((line) => line.startsWith('held'))
            .map((line) => Number(line.split(' ')[1]))
          expect(Math.max(...heldAt)).to.be.at.most(takenAt)
          expect(holder.lines.at(-1)).to.match(/^over \d+$/)
          expect(await server.command('GET', 'lease:a')).to.equal(next.token)
        }),
      ),
    ))

  it('P34 ends although it has a keeper', () =>
    withRedis(async (server) => {
      const program = `
        import { LeaseManager } from 'leasewheel'
        const manager = new LeaseManager(process.env.REDIS_URL, { keeper: {} })
        while (!manager.stats().keeper.connected) await new Promise((resolve) => setTimeout(resolve, 10))
        manager.unref()
        await manager.acquire('a')
        console.log('acquired')`
      await withWorkers([program], server, async (workers) => {
        const ended = only(workers)
        await ended.closed
        expect([ended.child.exitCode, ended.lines]).to.deep.equal([0, ['acquired']])
      })
    }))
})

describe('the option `keeper`', function () {
  this.timeout(2 * START)

  it('reports a thread that has ended as an error', () =>
    withRedis((server) =>
      withManager(
        server.url,
        { ...KEPT, keeper: { worker: new URL('data:text/javascript,') } },
        async ({ journal }) => {
          await until('it is told', () => journal.errors.length > 0)
          expect(journal.errors[0]?.message).to.match(/^The keeper has ended/)
        },
      ),
    ))

  it('reports a server that refuses the renewals of its keeper as an error', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-pexpire')
      const url = server.url.replace('redis://', 'redis://app:secret@')
      await withManager(url, { ...KEPT, watch: false, ttl: 1_000 }, async ({ manager, journal }) => {
        await untilKeeping(manager)
        await manager.acquire('a')
        block(700)
        await until('it is told', () => journal.errors.some(({ message }) => message.startsWith('The keeper: ')))
      })
    }))
})

async function untilKeeping(manager: LeaseManager): Promise<void> {
  await untilSlowly('the keeper is connected', () => manager.stats().keeper?.connected === true, START)
}

/** Waits until a keeper has renewed the key: it has more of its ttl than a moment before, in a process that is blocked. */
async function untilKept(server: RedisServer): Promise<void> {
  const left = async (): Promise<number> => Number(await server.command('PTTL', 'lease:a'))
  // A process and its thread load the source: on a busy machine that takes a while.
  await untilSlowly('it is held', async () => (await left()) > 0, START)
  let before = await left()
  await until('it is kept', async () => {
    const now = await left()
    const isKept = now > before + 100
    before = now
    return isKept
  })
}

/** Blocks the event loop for so many ms. */
function block(duration: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration)
}
