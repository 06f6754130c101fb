/** Leases that change processes, and locks that operators inspect and take away. */
import { hostname } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { type DetachedLease, LeaseLostError, LockNotAcquiredError, LockNotHeldError } from 'leasewheel'
import { withRedis } from '../support/redis-server.ts'
import {
  exists,
  Hourly,
  LASTING,
  rejectionOf,
  until,
  untilRenewed,
  untilWatching,
  withManager,
  withWorkers,
} from './support.ts'

/** Takes a lock and detaches it, or adopts what comes on stdin, and says what it has. */
const PROCESS = `
  import { createInterface } from 'node:readline'
  import { LeaseManager } from 'leasewheel'
  const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 60_000, timeout: 5_000, wait: 60_000 })
  while (!manager.stats().watching) await new Promise((resolve) => setTimeout(resolve, 5))
  const say = (...values) => console.log(...values)
  manager.on('lost', ({ lease, reason }) => say('lost', lease.key, reason))
  let lease
  const commands = {
    acquire: async (key) => {
      lease = await manager.acquire(key)
      say('acquired', lease.key, lease.token)
    },
    detach: () => say('detached', JSON.stringify(lease.detach()), lease.held),
    adopt: async (json) => {
      lease = await manager.adopt(JSON.parse(json))
      say('adopted', lease.key, lease.token, lease.fence, lease.held)
    },
    renew: async () => {
      await lease.renew()
      say('renewed')
    },
    release: async () => say('released', await lease.release()),
  }
  say('ready', process.pid)
  for await (const line of createInterface(process.stdin)) {
    const [name, ...rest] = line.split(' ')
    try {
      await commands[name](rest.join(' '))
    } catch (error) {
      say('failed', error.code)
    }
  }
`

describe('a lease that moves to another process', () => {
  it('P6 P7 P14 goes there and back with its token and fence, held throughout', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) =>
        withWorkers([PROCESS, PROCESS], server, async ([first, second]) => {
          if (!first || !second) expect.fail('expected two processes')
          const lease = await manager.acquire('a')
          const detached = lease.detach()
          expect(detached).to.deep.equal({ key: 'a', token: lease.token, fence: lease.fence, ttl: 60_000 })
          expect(lease.held).to.equal(false)
          expect(journal.story(lease)).to.deep.equal(['acquired', 'released'])
          expect(await server.command('GET', 'lease:a'), 'the key stays').to.equal(lease.token)
          expect(await lease.release()).to.equal(false)
          expect(await exists(server, 'lease:a')).to.equal(true)

          let carried: DetachedLease = detached
          for (const worker of [first, second]) {
            worker.tell(`adopt ${JSON.stringify(carried)}`)
            expect(await worker.until('adopted')).to.equal(`adopted a ${lease.token} ${lease.fence} true`)
            expect(await manager.tryAcquire('a')).to.equal(null)
            worker.tell('renew')
            await worker.until('renewed')
            worker.tell('detach')
            const [, json = ''] = (await worker.until('detached')).split(' ')
            expect(await worker.until('detached')).to.match(/ false$/)
            carried = JSON.parse(json) as DetachedLease
            expect(carried).to.deep.equal(detached)
          }
          const back = await manager.adopt(carried)
          expect(back).to.include({ held: true, token: lease.token, fence: lease.fence })
          await untilRenewed(back)
          expect(await back.release()).to.equal(true)
          const next = await manager.acquire('a')
          expect(next.fence).to.be.greaterThan(back.fence)
        }),
      ),
    ))

  it("P4 P18 is not adopted if its key is gone or is another's", () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        const detached = lease.detach()
        for (const [reason, command] of [
          ['taken', ['SET', 'lease:a', 'theirs']],
          ['missing', ['DEL', 'lease:a']],
        ] as const) {
          await server.command(...(command as readonly [string, ...string[]]))
          const failure = await rejectionOf(manager.adopt(detached))
          expect(failure).to.be.instanceOf(LockNotHeldError)
          expect(failure.cause).to.be.instanceOf(LeaseLostError).with.property('reason', reason)
          expect(await exists(server, 'lease:a')).to.equal(reason === 'taken')
        }
        expect(journal.story()).to.deep.equal(['acquired', 'released'])
      }),
    ))

  it('P18 learns of changes after its adoption', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager: first }) =>
        withManager(server.url, { ...LASTING, random: () => 0 }, async ({ manager: second, journal }) => {
          await untilWatching(second)
          const lease = await second.adopt((await first.acquire('a')).detach())
          await server.command('DEL', 'lease:a')
          await journal.until('lost', lease)
          expect(journal.story()).to.deep.equal(['acquired', 'lost: missing'])
        }),
      ),
    ))

  it('P18 learns of a change that comes during its adoption', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, random: () => 0 }, async ({ manager, journal }) => {
        await untilWatching(manager)
        const detached = (await manager.acquire('a')).detach()
        for (let turn = 0; turn < 60; turn += 1) {
          await server.command('SET', 'lease:a', detached.token, 'PX', 60_000)
          const adopted = manager.adopt(detached).catch(() => undefined)
          for (let pause = turn % 3; pause > 0; pause -= 1) await setImmediate()
          await server.command('DEL', 'lease:a')
          const lease = await adopted
          if (lease) await journal.until('lost', lease)
        }
      }),
    ))

  it('P23 a lease that nobody adopts is free after its ttl', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager: first }) =>
        withManager(server.url, { ...LASTING, retry: new Hourly() }, async ({ manager: second }) => {
          const lease = await first.acquire('a', { ttl: 1_000, timeout: 1_000 })
          lease.detach()
          const next = await second.acquire('a')
          expect(next.fence).to.be.greaterThan(lease.fence)
        }),
      ),
    ))
})

describe('a lock that is held in another process', () => {
  it('P18 P23 is taken away by an operator: its holder learns of it at once', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager: operator, journal }) => {
        await untilWatching(operator)
        await withWorkers([PROCESS], server, async ([worker]) => {
          if (!worker) expect.fail('expected a process')
          await worker.until('ready')
          worker.tell('acquire a')
          const [, , token] = (await worker.until('acquired')).split(' ')
          const seen = await operator.inspect('a')
          const owner = `${hostname()}:${worker.child.pid}`
          expect(seen).to.include({ token, owner, lease: undefined })
          expect(seen?.remaining).to.be.within(1, 60_000)
          const failure = await rejectionOf(operator.acquire('a', { wait: 0 }))
          expect(failure).to.be.instanceOf(LockNotAcquiredError).with.property('owner', owner)

          const retry = new Hourly()
          const call = operator.acquire('a', { retry })
          await retry.untilTold()
          expect(await operator.forceRelease('a')).to.equal(true)
          expect(await worker.until('lost')).to.match(/^lost a (missing|taken)$/)
          expect((await call).held).to.equal(true)
          expect(await operator.inspect('a')).to.include({ owner: `${hostname()}:${process.pid}` })
          expect(await operator.forceRelease('nobody has it')).to.equal(false)
          worker.tell('release')
          expect(await worker.until('released')).to.equal('released false')
          expect(journal.count('lost')).to.equal(0)
        })
      }),
    ))

  it('P18 P23 is taken away by the manager that holds it, too', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        const lease = await manager.acquire('a')
        const call = manager.acquire('a', { retry: new Hourly() })
        expect(await manager.forceRelease('a')).to.equal(true)
        expect((await call).held).to.equal(true)
        await journal.until('lost', lease)
        expect(journal.story(lease).at(-1)).to.match(/^lost: (missing|taken)$/)
        await until('nothing else is under way', () => manager.stats().undoing === 0)
        expect(manager.get('a')).to.equal(await call)
      }),
    ))
})
