/** Processes that want the same locks, and are stopped or killed while they have them, wait for them, or are given them. */
import { expect } from 'chai'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  exists,
  expiredKeys,
  Hourly,
  ANSWERED,
  until,
  untilWatching,
  withClient,
  withManager,
  withWorkers,
  type Worker,
} from './support.ts'

/** What these processes have in common. None would ask again by itself within the hour. */
const PREAMBLE = `
  import { createInterface } from 'node:readline'
  import { setTimeout } from 'node:timers/promises'
  import { LeaseManager } from 'leasewheel'
  const start = async ({ verbose, ...options }) => {
    const retry = {
      next: ({ key, watched, remaining }) => {
        if (watched && verbose) console.log('told', key)
        return remaining === undefined ? 20 : 3_600_000
      },
    }
    const manager = new LeaseManager(process.env.REDIS_URL, { wait: 60_000, retry, ...options })
    manager.on('error', (error) => console.log('error', error.message))
    while (!manager.stats().watching) await setTimeout(5)
    return manager
  }
`

/** Callers that take turns until they are told to stop. They count who is inside with a counter of their own on the server. */
const CONTENDER = `${PREAMBLE}
  import { Redis } from 'ioredis'
  const manager = await start({ ttl: 60_000, timeout: 5_000 })
  const counter = new Redis(process.env.REDIS_URL)
  const found = { overlaps: 0, fencesOutOfOrder: 0, notHeld: 0, lost: 0, served: [] }
  manager.on('lost', () => { found.lost += 1 })
  let stopped = false
  let unserved = 0
  const call = async (key, caller) => {
    while (!stopped) {
      const lease = await manager.acquire(key)
      if (!lease.held) found.notHeld += 1
      if ((await counter.incr('inside:' + key)) !== 1) found.overlaps += 1
      const last = Number(await counter.set('fence:' + key, lease.fence, 'GET'))
      if (last >= lease.fence) found.fencesOutOfOrder += 1
      found.served[caller] += 1
      if (found.served[caller] === 30) {
        unserved -= 1
        if (unserved === 0) console.log('all served')
      }
      await counter.decr('inside:' + key)
      await lease.release()
    }
  }
  console.log('ready')
  for await (const line of createInterface(process.stdin)) {
    if (line === 'stop') break
    const calls = JSON.parse(line).flatMap((key) => [key, key, key, key])
    unserved = calls.length
    found.served = calls.map(() => 0)
    var finished = Promise.all(calls.map(call))
  }
  stopped = true
  await finished
  await manager.close()
  counter.disconnect()
  console.log('found', JSON.stringify(found))
`

interface Found {
  readonly overlaps: number
  readonly fencesOutOfOrder: number
  readonly notHeld: number
  readonly lost: number
  readonly served: readonly number[]
}

/** Callers that say of each lease from when to when they have seen that they held it (ms of the wall clock). */
const WITNESS = `${PREAMBLE}
  const manager = await start({ ttl: 400, timeout: 400 })
  console.log('ready')
  const call = async (key) => {
    for (;;) {
      const lease = await manager.acquire(key)
      const seen = []
      for (let read = 0; read < 5; read += 1) {
        // Before the question: it was held at this moment or later.
        const before = Date.now()
        if (!lease.held) break
        seen.push(before, Date.now())
        await setTimeout(1)
      }
      if (seen.length > 0) console.log('lease', key, lease.fence, seen[1], seen.at(-2))
      await lease.release()
    }
  }
  for await (const line of createInterface(process.stdin)) for (const key of JSON.parse(line)) void call(key)
`

/** Holds a lock, or waits for it, and says so. */
const CALLER = `${PREAMBLE}
  const manager = await start({ verbose: true, ttl: 1_000, timeout: 1_000 })
  manager.on('lost', ({ lease, reason }) => console.log('lost', lease.key, reason))
  console.log('ready')
  for await (const key of createInterface(process.stdin)) {
    void manager.acquire(key).then((lease) => console.log('granted', lease.key, lease.held, lease.fence))
  }
`
/** Of those. ms. */
const TTL = 1_000
/** What everything else may take on a machine that has much to do, in ms. */
const SLOWNESS = 5_000

async function untilReady(workers: readonly Worker[]): Promise<void> {
  for (const worker of workers) await worker.until('ready')
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}

describe('several processes that want the same locks', () => {
  it('P6 P7 P10 P23 exclude each other, and every caller in each of them has its turn, again and again', () =>
    withRedis((server) =>
      withWorkers(times(3, CONTENDER), server, async (workers) => {
        await untilReady(workers)
        for (const worker of workers) worker.tell('["a", "b"]')
        for (const worker of workers) await worker.until('all served')
        for (const worker of workers) worker.tell('stop')
        const all: number[] = []
        for (const worker of workers) {
          const { served, ...found } = JSON.parse((await worker.until('found')).slice('found '.length)) as Found
          expect(found).to.deep.equal({ overlaps: 0, fencesOutOfOrder: 0, notHeld: 0, lost: 0 })
          expect(Math.min(...served)).to.be.at.least(30)
          all.push(...served)
          expect(worker.lines.filter((line) => line.startsWith('error'))).to.deep.equal([])
        }
        expect(all).to.have.length(24)
        expect(jainOf(all), `fairness of ${all.join(' ')}`).to.be.above(0.5)
      }),
    ))

  it('P1 P6 P7 P13 never hold a lock at the same time, though one after another is stopped for longer than the ttl', () =>
    withRedis((server) =>
      withWorkers(times(3, WITNESS), server, async (workers) => {
        await untilReady(workers)
        const keys = ['a', 'b']
        for (const worker of workers) worker.tell(JSON.stringify(keys))
        const leases = () => workers.map((worker) => worker.lines.filter((line) => line.startsWith('lease')).length)
        const untilMore = async (indices: readonly number[]): Promise<void> => {
          const before = leases()
          await until(`the processes ${indices.join(' and ')} go on`, () => {
            const now = leases()
            return indices.every((index) => (now[index] as number) > (before[index] as number) + 3)
          })
        }
        await untilMore([0, 1, 2])
        for (let turn = 0; turn < 3; turn += 1) {
          const others = [0, 1, 2].filter((index) => index !== turn)
          workers[turn]?.child.kill('SIGSTOP')
          const stoppedAt = Date.now()
          await untilMore(others)
          await until('its ttl is over', () => Date.now() - stoppedAt > 600)
          workers[turn]?.child.kill('SIGCONT')
          await untilMore([0, 1, 2])
        }
        for (const { child } of workers) child.kill('SIGSTOP')
        for (const key of keys) expectInTurn(workers, key)
      }),
    ))
})

describe('a process that is killed', () => {
  it('P7 P23 while it holds a lock: the next one has it as soon as the ttl is over', () =>
    withRedis((server) =>
      withManager(server.url, { ...ANSWERED, retry: new Hourly() }, async ({ manager }) => {
        await untilWatching(manager)
        await withWorkers(times(3, CALLER), server, async (workers) => {
          await untilReady(workers)
          const calls = await Promise.all(
            workers.map(async (worker, index) => {
              worker.tell(`key ${index}`)
              const fence = Number((await worker.until('granted')).split(' ').at(-1))
              return { fence, call: manager.acquire(`key ${index}`) }
            }),
          )
          await until('all wait', () => manager.stats().roundTrip.count >= 3)
          const killedAt = Date.now()
          for (const { child } of workers) child.kill('SIGKILL')
          for (const { fence, call } of calls) {
            const lease = await call
            expect(Date.now() - killedAt).to.be.below(TTL + SLOWNESS)
            expect(lease.held).to.equal(true)
            expect(lease.fence).to.be.greaterThan(fence)
          }
        })
      }),
    ))

  it('P23 while it waits at the head of the line: the others go on', () =>
    withRedis((server) =>
      withManager(server.url, { ...ANSWERED, retry: new Hourly() }, async ({ manager }) => {
        await untilWatching(manager)
        await withWorkers(times(2, CALLER), server, async (workers) => {
          await untilReady(workers)
          const [first, second] = workers as [Worker, Worker]
          const lease = await manager.acquire('a')
          first.tell('a')
          await first.until('told')
          second.tell('a')
          await second.until('told')
          first.child.kill('SIGKILL')
          await first.closed
          await lease.release()
          expect(await second.until('granted')).to.match(/^granted a true /)
        })
      }),
    ))
})

describe('a process that is stopped', () => {
  it('P7 P13 while it holds a lock: others get it after its ttl, and it knows of its loss before it does anything', () =>
    withRedis((server) =>
      withManager(server.url, { ...ANSWERED, retry: new Hourly() }, async ({ manager }) => {
        await untilWatching(manager)
        await withWorkers([CALLER], server, async ([worker]) => {
          await worker?.until('ready')
          worker?.tell('a')
          const fence = Number((await worker?.until('granted'))?.split(' ').at(-1))
          const call = manager.acquire('a')
          await until('it waits', () => manager.stats().roundTrip.count >= 1)
          worker?.child.kill('SIGSTOP')
          const next = await call
          expect(next.fence).to.be.greaterThan(fence)
          worker?.child.kill('SIGCONT')
          expect(await worker?.until('lost')).to.match(/^lost a (expired|taken|missing)$/)
          expect(await server.command('GET', 'lease:a')).to.equal(next.token)
          await next.renew()
        })
      }),
    ))

  for (const [what, end] of [
    ['goes on', 'SIGCONT'],
    ['is killed', 'SIGKILL'],
  ] as const) {
    it(`P7 P10 P11 P13 while a lock is granted to it, and then ${what}: others get it after its ttl`, () =>
      withRedis((server) =>
        withManager(server.url, ANSWERED, async ({ manager }) => {
          await untilWatching(manager)
          await server.command('SET', 'lease:a', 'theirs')
          await withWorkers([CALLER], server, async ([worker]) => {
            if (!worker) expect.fail('expected a process')
            await worker.until('ready')
            worker.tell('a')
            await worker.until('told')
            await grantWhileStopped(server, worker)

            const retry = new Hourly()
            const next = await manager.acquire('a', { retry })
            expect(retry.contexts[0]?.remaining ?? 0).to.be.at.most(TTL)
            expect(await expiredKeys(server), 'it was held by nobody, and for no longer than that').to.equal(1)
            worker.child.kill(end)
            if (end === 'SIGKILL') {
              await worker.closed
            } else {
              // Once for the lock of somebody else, and once for ours: it has understood that it has none.
              await until('it waits again', () => worker.lines.filter((line) => line.startsWith('told')).length >= 2)
              await next.renew()
            }
            expect(worker.lines.filter((line) => /^(granted|lost)/.test(line))).to.deep.equal([])
            expect(await server.command('GET', 'lease:a')).to.equal(next.token)
            await next.release()
            if (end === 'SIGCONT') {
              const [, , held, fence] = (await worker.until('granted')).split(' ')
              expect(held).to.equal('true')
              expect(Number(fence)).to.be.greaterThan(next.fence)
            }
          })
        }),
      ))
  }
})

/**
 * Frees the lock that the process waits for and stops the process between its question and the answer. The server holds the question back meanwhile:
 * it lets nothing pass that may write.
 */
async function grantWhileStopped(server: RedisServer, worker: Worker): Promise<void> {
  await withClient({ port: server.port }, async (client) => {
    await client.multi().del('lease:a').call('CLIENT', 'PAUSE', 60_000, 'WRITE').exec()
    await until('the process has asked', async () => {
      const list = (await client.call('CLIENT', 'LIST')) as string
      return /name=leasewheel .* flags=\w*b/.test(list)
    })
    worker.child.kill('SIGSTOP')
    await client.call('CLIENT', 'UNPAUSE')
  })
  await until('it is granted', async () => (await exists(server, 'lease:a')) || (await expiredKeys(server)) > 0)
}

/** Each of a key's holders has seen the lock in its hands only after the one before had seen it for the last time. */
function expectInTurn(workers: readonly Worker[], key: string): void {
  const leases = workers
    .flatMap((worker) => worker.lines.map((line) => line.split(' ')))
    .filter(([event, name]) => event === 'lease' && name === key)
    .map(([, , fence, firstSeen, lastSeen]) => [Number(fence), Number(firstSeen), Number(lastSeen)] as const)
    .toSorted(([a], [b]) => a - b)
  for (const [index, [fence, firstSeen]] of leases.entries()) {
    const before = leases[index - 1]
    if (before === undefined) continue
    expect(fence).to.be.greaterThan(before[0])
    expect(firstSeen, `lease ${fence} of ${key} was held while ${before[0]} was`).to.be.at.least(before[2])
  }
}

/** R. Jain et al., "A Quantitative Measure of Fairness and Discrimination" (1984): 1 where all have the same, 1/n where one has everything. */
function jainOf(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0)
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0))
}
