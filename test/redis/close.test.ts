/** `close()`: every caller is answered, every lease ends, and nothing stays open, whatever state the server is in. */
import { once } from 'node:events'
import { expect } from 'chai'
import { LeaseManager, ManagerClosedError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  clock,
  connectionsNamed,
  exists,
  inSilence,
  Journal,
  LASTING,
  openHandles,
  rejectionOf,
  startProcess,
  until,
  untilNoMoreHandles,
  withManager,
} from './support.ts'

const KEYS = Array.from({ length: 1_000 }, (_, index) => `key ${index}`)

describe('close', () => {
  it('P24 releases everything, and leaves nothing but the fence counter', () =>
    withRedis((server) =>
      inSilence(async () => {
        const handles = await openHandles()
        const manager = new LeaseManager(server.url, { clock, ...LASTING })
        const journal = new Journal(manager)
        const leases = await manager.acquireAll(KEYS)
        await server.command('CONFIG', 'RESETSTAT')
        await Promise.all([manager.close(), manager.close()])
        expect(await openHandles()).to.deep.equal(handles)
        journal.checkStories()
        expect(journal.count('released')).to.equal(KEYS.length)
        expect(leases.some((lease) => lease.held)).to.equal(false)
        expect(await server.command('KEYS', '*')).to.deep.equal(['leasewheel:fence'])
        await until('the connection is gone', async () => (await connectionsNamed(server, 'leasewheel')) === 0)
        const calls = (await server.commandStats()).get('evalsha')?.calls ?? 0
        expect(calls, 'requests for a thousand releases').to.be.at.most(20)
        await manager.close()
      }),
    ))

  it('P24 answers every remaining waiter, and releases what is granted meanwhile', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager, journal }) => {
        await server.command('SET', 'lease:theirs', 'theirs')
        const held = await manager.acquire('ours')
        const waiting = [
          manager.acquire('theirs'),
          manager.acquire('theirs', { wait: Number.POSITIVE_INFINITY }),
          manager.acquire('ours'),
          manager.using('theirs', () => expect.fail('nobody holds the lock')),
          manager.acquireAll(['free', 'theirs']),
        ].map(async (call) => rejectionOf(call))
        await until('they wait', () => manager.stats().waiting >= 4)
        const underWay = manager.acquire('under way').catch((error: unknown) => error)
        const renewal = held.renew().catch(() => undefined)
        await manager.close()
        for (const call of waiting) expect(await call).to.be.instanceOf(ManagerClosedError)
        expect(await underWay).to.be.instanceOf(ManagerClosedError)
        await renewal
        expect(journal.story(held).at(-1)).to.equal('released')
        expect(await server.command('KEYS', '*')).to.have.members(['lease:theirs', 'leasewheel:fence'])
        for (const call of [
          manager.acquire('a'),
          manager.tryAcquire('a'),
          manager.inspect('a'),
          manager.acquireMany(['a']),
        ]) {
          expect(await rejectionOf(call)).to.be.instanceOf(ManagerClosedError)
        }
      }),
    ))

  for (const [what, fail] of [
    ['hangs', async (server) => server.pause()],
    ['is gone', (server) => server.kill()],
  ] satisfies readonly (readonly [string, (server: RedisServer) => Promise<void>])[]) {
    it(`P14 P24 ends when the server ${what}, and so does every lease`, () =>
      withRedis((server) =>
        inSilence(async () => {
          const handles = await openHandles()
          const manager = new LeaseManager(server.url, { clock, ...LASTING })
          const journal = new Journal(manager)
          const leases = await manager.acquireAll(KEYS)
          await fail(server)
          const waiting = [manager.tryAcquire('b'), manager.acquire('c')].map(async (call) => rejectionOf(call))
          const renewals = leases.slice(0, 3).map(async (lease) => rejectionOf(lease.renew()))
          await manager.close({ timeout: 300 })
          await untilNoMoreHandles(handles)
          journal.checkStories()
          expect(journal.count('released') + journal.count('lost')).to.equal(KEYS.length)
          for (const call of waiting) expect(await call).to.be.instanceOf(Error)
          await Promise.all(renewals)
          expect(manager.stats()).to.include({ held: 0, jeopardy: 0, waiting: 0, undoing: 0, timers: 0 })
          if (what === 'hangs') {
            server.resume()
            await until('the connection is gone', async () => (await connectionsNamed(server, 'leasewheel')) === 0)
          }
        }),
      ))
  }

  it('P24 leaves nothing open if it comes before the connection is made', () =>
    withRedis((server) =>
      inSilence(async () => {
        const handles = await openHandles()
        const connections = [server.url, `${server.url}/3`, 'redis://127.0.0.1:1', 'rediss://127.0.0.1:1']
        for (const connection of connections) {
          const managers = Array.from({ length: 3 }, () => new LeaseManager(connection, LASTING))
          for (const manager of managers) manager.on('error', () => undefined)
          const calls = managers.map(async (manager) => manager.acquire('a').catch((error: unknown) => error))
          await managers[0]?.close()
          // One turn of the event loop later the others have begun to connect.
          await openHandles()
          await managers[1]?.close()
          await openHandles()
          await managers[2]?.close()
          await Promise.all(calls)
        }
        await untilNoMoreHandles(handles)
        await until('no connection is left', async () => (await connectionsNamed(server, 'leasewheel')) === 0)
        expect(await exists(server, 'lease:a')).to.equal(false)
      }),
    ))

  for (const [what, code] of [
    ['is closed', 'await manager.close()'],
    ['is closed while the server hangs', 'await pause(); await manager.close({ timeout: 100 })'],
    ['is disposed of', 'await manager[Symbol.asyncDispose]()'],
  ] as const) {
    it(`P22 P24 a process whose manager ${what} ends by itself, in silence`, () =>
      withRedis(async (server) => {
        const child = startProcess(program(code), server)
        let output = ''
        child.stderr.on('data', (text: string) => {
          output += text
        })
        child.stdout.on('data', (text: string) => {
          if (text.includes('pause')) {
            server.pause()
            child.stdin.end()
          } else {
            output += text
          }
        })
        try {
          const [exitCode] = (await once(child, 'close')) as [number | null]
          expect(output).to.equal('closed\n')
          expect(exitCode).to.equal(0)
        } finally {
          child.kill('SIGKILL')
          server.resume()
        }
      }))
  }
})

describe('a manager that is unreferenced', () => {
  for (const [when, code] of [
    ['while it holds locks', 'manager.unref()'],
    ['before it is connected', ''],
  ] as const) {
    it(`P22 ${when} keeps no process alive`, () =>
      withRedis(async (server) => {
        const early = code === '' ? `new LeaseManager(process.env.REDIS_URL).unref()` : ''
        const child = startProcess(
          code === '' ? `import { LeaseManager } from 'leasewheel'\n${early}` : program(code),
          server,
        )
        child.stdin.end()
        try {
          const [exitCode] = (await once(child, 'close')) as [number | null]
          expect(exitCode).to.equal(0)
        } finally {
          child.kill('SIGKILL')
        }
      }))
  }
})

describe('a manager that is unreferenced while no server is there', () => {
  it('P22 keeps no process alive', () =>
    withRedis(async (server) => {
      const code = `
        import { LeaseManager } from 'leasewheel'
        const manager = new LeaseManager('redis://127.0.0.1:1').unref()
        manager.on('error', () => undefined)
        await manager.tryAcquire('a').catch(() => undefined)
      `
      const child = startProcess(code, server)
      child.stdin.end()
      try {
        const [exitCode] = (await once(child, 'close')) as [number | null]
        // 13: what it waited for at the top level was not settled, and nothing kept it alive.
        expect([0, 13]).to.include(exitCode)
      } finally {
        child.kill('SIGKILL')
      }
    }))
})

/** What a process does with a manager that holds a few locks. */
function program(code: string): string {
  return `
    import { once } from 'node:events'
    import { LeaseManager } from 'leasewheel'
    const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 60_000, timeout: 2_000 })
    async function pause() {
      process.stdout.write('pause')
      process.stdin.resume()
      await once(process.stdin, 'close')
    }
    await manager.acquireAll(['a', 'b', 'c'])
    ${code}
    process.stdout.write('closed\\n')
  `
}
