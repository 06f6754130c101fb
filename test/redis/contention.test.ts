/** Processes that compete for the same locks, again and again. */
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'
import { MANAGER_PROCESS, untilReady } from './manager-process.ts'
import { until, withWorkers, type Worker } from './support.ts'

/** Callers that take turns until they are told to stop. They count who is inside with a counter of their own on the server. */
const CONTENDER = `${MANAGER_PROCESS}
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
const WITNESS = `${MANAGER_PROCESS}
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

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}

describe('several processes that compete for the same locks', () => {
  it('P6 P7 P10 P23 exclude each other, and every caller in each gets its turn', () =>
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

  it('P1 P6 P7 P13 never share a lock, even if each is stopped past its ttl', () =>
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
