/** Processes that are killed (kill -9) or stopped (SIGSTOP) while they have a lock, wait for it, or are given it. */
import { expect } from 'chai'
import { MANAGER_PROCESS, untilReady } from '../redis/manager-process.ts'
import {
  LASTING,
  exists,
  expiredKeys,
  Hourly,
  until,
  untilWatching,
  withClient,
  withManager,
  withWorkers,
  type Worker,
} from '../redis/support.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'

/** Holds a lock, or waits for it, and says so. */
const CALLER = `${MANAGER_PROCESS}
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

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}

describe('a killed process', () => {
  it('P7 P23 a lock of a killed process goes to the next caller after its ttl', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, retry: new Hourly() }, async ({ manager }) => {
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

  it('P23 a process killed at the head of the queue does not stop the others', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, retry: new Hourly() }, async ({ manager }) => {
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

describe('a stopped process', () => {
  it('P7 P13 a stopped holder’s lock is free after its ttl, and it reports the loss', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, retry: new Hourly() }, async ({ manager }) => {
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
    it(`P7 P10 P11 P13 a process stopped during a grant, which then ${what}, loses it after a ttl`, () =>
      withRedis((server) =>
        withManager(server.url, LASTING, async ({ manager }) => {
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
      return /name=leasewheel@\S+ .* flags=\w*b/.test(list)
    })
    worker.child.kill('SIGSTOP')
    await client.call('CLIENT', 'UNPAUSE')
  })
  await until('it is granted', async () => (await exists(server, 'lease:a')) || (await expiredKeys(server)) > 0)
}
