/** Elections, claims, shares and jobs on a real server, with managers of this process and of others. */
import { expect } from 'chai'
import type { Election, LeaseManager, Share, TermEnd } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { MANAGER_PROCESS, untilReady } from './manager-process.ts'
import { LASTING, rejectionOf, until, withManager, withWorkers, type Worker } from './support.ts'

/** For leases that end because their process does: it need not outlast slowness. ms. */
const SHORT = { ttl: 3_000, timeout: 3_000 } as const
const ITEMS = Array.from({ length: 300 }, (_, index) => `item ${index}`)

/** A candidate that says what it becomes. */
const CANDIDATE = `${MANAGER_PROCESS}
  const manager = await start({ ttl: ${SHORT.ttl}, timeout: ${SHORT.timeout}, wait: 60_000, retry: undefined })
  const election = manager.elect('office', {
    elected: ({ fence, signal }) => {
      console.log('elected', fence)
      signal.addEventListener('abort', () => console.log('aborted', election.isLeader))
    },
    deposed: (reason) => console.log('deposed', reason),
  })
  console.log('ready')
  for await (const line of createInterface(process.stdin)) if (line === 'resign') void election.resign()
`

/** A member of a group that says how much it has. */
const MEMBER = `${MANAGER_PROCESS}
  const manager = await start({ ttl: ${SHORT.ttl}, timeout: ${SHORT.timeout}, wait: 60_000, retry: undefined })
  const items = Array.from({ length: ${ITEMS.length} }, (_, index) => 'item ' + index)
  const share = manager.share(items, { group: 'items' })
  share.on('settled', ({ members, held }) => console.log('settled', members, held))
  console.log('ready')
  for await (const _ of createInterface(process.stdin));
`

function stand(manager: LeaseManager, ends: TermEnd[] = []): Election {
  return manager.elect('office', { elected: () => undefined, deposed: (reason) => void ends.push(reason) })
}

function fenceOf(line: string): number {
  return Number(line.split(' ').at(-1))
}

function isSettled(share: Share, members: number): boolean {
  return share.settled && share.members === members
}

/** The time of the server in µs. */
async function timeOf(server: RedisServer): Promise<number> {
  const [seconds, micros] = (await server.command('TIME')) as [string, string]
  return Number(seconds) * 1_000_000 + Number(micros)
}

describe('an election on a server', () => {
  it('goes to another manager at a resignation', () =>
    withRedis(({ url }) =>
      withManager(url, LASTING, ({ manager: first }) =>
        withManager(url, LASTING, async ({ manager: second }) => {
          const one = stand(first)
          await until('the first leads', () => one.isLeader)
          const other = stand(second)
          await until('the second stands', () => second.stats().waiting === 1)
          expect((await other.leader())?.owner).to.equal((await one.leader())?.owner)
          await one.resign()
          // Nobody waits for a ttl of a minute here.
          await until('the second leads', () => other.isLeader)
        }),
      ),
    ))

  it('P35 goes to another process after a kill, a stop and a resignation, with a larger fence', () =>
    withRedis((server) =>
      withWorkers([CANDIDATE, CANDIDATE, CANDIDATE], server, async (workers) => {
        await untilReady(workers)
        const leader = async (others: readonly Worker[]): Promise<[Worker, number]> => {
          const elected = others.map(async (worker) => [worker, fenceOf(await worker.until('elected'))] as const)
          const [worker, fence] = await Promise.race(elected)
          return [worker, fence]
        }
        const [first, one] = await leader(workers)
        first.child.kill('SIGKILL')
        const left = workers.filter((worker) => worker !== first)
        const [second, two] = await leader(left)
        expect(two).to.be.greaterThan(one)
        second.child.kill('SIGSTOP')
        const third = left.find((worker) => worker !== second) ?? expect.fail('there were three')
        const three = fenceOf(await third.until('elected'))
        expect(three).to.be.greaterThan(two)
        second.child.kill('SIGCONT')
        // What it finds out as soon as it goes on.
        expect(await second.until('aborted')).to.equal('aborted false')
        expect(await second.until('deposed')).to.match(/expired|taken/)
        third.tell('resign')
        expect(await third.until('deposed')).to.equal('deposed resigned')
      }),
    ))

  it('goes to another manager within milliseconds if its key is deleted', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager }) => {
        const ends: TermEnd[] = []
        const election = stand(manager, ends)
        await until('it leads', () => election.isLeader)
        await server.command('DEL', 'lease:office')
        await until('it leads again', () => ends.length === 1 && election.isLeader)
        expect(ends).to.deep.equal(['missing'])
      }),
    ))
})

describe('a claim on a server', () => {
  it('acquires what is free, what becomes free, and what was stolen', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, ({ manager: other }) =>
        withManager(server.url, LASTING, async ({ manager }) => {
          const lease = await other.acquire('a')
          const claim = manager.claim(['a', 'b', 'c'])
          await until('it has what is free', () => claim.size === 2)
          await until('it waits', () => manager.stats().waiting === 1)
          await lease.release()
          await until('it has everything', () => claim.size === 3)
          const { fence } = claim.get('b') ?? expect.fail('b is not held')
          await server.command('DEL', 'lease:b')
          await until('it has b again', () => (claim.get('b')?.fence ?? 0) > fence)
          await claim.close()
          expect(await server.command('DBSIZE')).to.equal(1)
        }),
      ),
    ))
})

describe('shares on a server', () => {
  it('P35 are divided anew when a process joins, leaves or dies', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, ttl: SHORT.ttl, timeout: SHORT.timeout }, ({ manager }) =>
        withWorkers([MEMBER], server, async ([worker]) => {
          if (worker === undefined) expect.fail('there is one')
          const share = manager.share(ITEMS, { group: 'items' })
          await until('two share', () => isSettled(share, 2))
          expect(share.size).to.be.within(90, 210)
          worker.child.kill('SIGKILL')
          await until('it has everything', () => isSettled(share, 1) && share.size === ITEMS.length)
          await withManager(server.url, LASTING, async ({ manager: other }) => {
            const part = other.share(ITEMS, { group: 'items' })
            await until('both have settled', () => isSettled(share, 2) && isSettled(part, 2))
            expect(share.size + part.size).to.equal(ITEMS.length)
            await part.close()
            await until('it has everything again', () => isSettled(share, 1) && share.size === ITEMS.length)
          })
        }),
      ),
    ))
})

describe('atLeast on a server', () => {
  it('keeps the key of a job for its time, and no longer', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager }) => {
        const atLeast = 600_000
        await manager.using('job', () => undefined, { wait: 0, atLeast })
        expect(await server.command('PTTL', 'lease:job')).to.be.within(atLeast / 2, atLeast)
        const refused = await rejectionOf(manager.using('job', () => undefined, { wait: 0, atLeast }))
        expect(refused).to.include({ code: 'ERR_NOT_ACQUIRED' })
        await manager.using(
          'short',
          ({ fence }) => until('its time is over', async () => (await timeOf(server)) > fence + 200_000),
          {
            atLeast: 100,
          },
        )
        expect(await server.command('EXISTS', 'lease:short')).to.equal(0)
      }),
    ))
})
