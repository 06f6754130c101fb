/** Servers that send no change notifications: the manager tries again, and polls meanwhile. */
import { expect } from 'chai'
import { type RetryContext, UnavailableError } from 'leasewheel'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import {
  connectionsNamed,
  connectionIds,
  LASTING,
  messagesOf,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withManager,
} from './support.ts'

/** What a user must be denied, so that changes cannot be told. */
const DENIALS: readonly { readonly what: string; readonly rules: readonly string[] }[] = [
  { what: 'CLIENT TRACKING', rules: ['-client|tracking'] },
  { what: 'CLIENT CACHING', rules: ['-client|caching'] },
  { what: 'CLIENT ID', rules: ['-client|id'] },
  { what: 'SUBSCRIBE', rules: ['-subscribe'] },
  { what: 'the channel', rules: ['resetchannels', '&other'] },
  { what: 'all of CLIENT', rules: ['-client'] },
]

/** Runs `work` with a manager whose user is denied something, and which asks often where it is not told. */
function withDenied(
  rules: readonly string[],
  work: (session: Session & { readonly server: RedisServer; readonly contexts: RetryContext[] }) => Promise<void>,
): Promise<void> {
  return withRedis(async (server) => {
    await server.command('ACL', 'SETUSER', 'worker', 'on', '>s3cret', '~*', '&*', '+@all', ...rules)
    const contexts: RetryContext[] = []
    const retry = {
      next: (context: RetryContext) => {
        contexts.push(context)
        return 20
      },
    }
    const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
    await withManager(url, { ...LASTING, retry }, async (session) => work({ ...session, server, contexts }))
  })
}

describe('a server that refuses change notifications', () => {
  for (const { what, rules } of DENIALS) {
    it(`P18 P23 missing rights for ${what} are reported once, and everything works without`, () =>
      withDenied(rules, async ({ manager, journal, server, contexts }) => {
        const [held, deleted] = await manager.acquireAll(['held', 'deleted'])
        if (!held || !deleted) expect.fail('expected two leases')
        for (let turn = 0; turn < 3; turn += 1) {
          await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
          const call = manager.acquire('a')
          const asked = contexts.length
          await until('it has asked several times', () => contexts.length >= asked + 3)
          expect(contexts.at(-1)?.watched, 'that it will be told').to.equal(false)
          await server.command('DEL', 'lease:a')
          const lease = await call
          expect(lease.held).to.equal(true)
          expect(await lease.release()).to.equal(true)
          await until('it is known that nothing is told', () => journal.errors.length > 0)
          expect(manager.stats().watching).to.equal(false)
          // The next turn is on other connections.
          for (const name of ['leasewheel', 'leasewheel:watch']) {
            for (const id of await connectionIds(server, name)) await server.command('CLIENT', 'KILL', 'ID', id)
          }
          await untilRenewed(held)
        }
        const refusals = journal.errors.filter(({ message }) => message.includes('refuses to tell of changes'))
        expect(refusals).to.have.length(1)
        expect(refusals[0]).to.be.instanceOf(UnavailableError)
        expect(messagesOf(refusals[0])).to.match(/NOPERM|permission/)

        await server.command('DEL', 'lease:deleted')
        // The first ones may join a renewal that was sent before.
        await until('it is lost', () =>
          deleted.renew().then(
            () => false,
            () => deleted.state === 'lost',
          ),
        )
        expect(journal.story(deleted).at(-1)).to.equal('lost: missing')
        expect(held.held).to.equal(true)
      }))
  }

  it('P18 P23 rights that are granted later apply to the next connection', () =>
    withDenied(['-client|tracking'], async ({ manager, journal, server }) => {
      await until('it is known that nothing is told', () => journal.errors.length > 0)
      const lease = await manager.acquire('a')
      await server.command('ACL', 'SETUSER', 'worker', '+client|tracking')
      for (const id of await connectionIds(server, 'leasewheel')) await server.command('CLIENT', 'KILL', 'ID', id)
      await untilWatching(manager)
      await server.command('DEL', 'lease:a')
      await journal.until('lost', lease)
      expect(journal.errors).to.have.length(1)
    }))

  it('P18 P23 rights that are suddenly missing leave no waiter asleep', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', 'on', '>s3cret', '~*', '&*', '+@all')
      const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
      await withManager(url, LASTING, async ({ manager, journal }) => {
        await untilWatching(manager)
        await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
        const call = manager.acquire('a')
        await until('it waits', () => manager.stats().asks === 1 && manager.stats().roundTrip.count === 1)
        await server.command('ACL', 'SETUSER', 'worker', '-client|caching', '-client|tracking')
        // What makes it find out; the server has not forgotten what it was asked for before.
        await manager.tryAcquire('b')
        await until('it is known that nothing is told', () => journal.errors.length > 0)
        expect(manager.stats().watching).to.equal(false)
        await server.command('DEL', 'lease:a')
        expect((await call).held).to.equal(true)
      })
    }))

  it('P23 a waiter asks again without a notification that is refused meanwhile', () =>
    withRedis(async (server) => {
      await server.command('ACL', 'SETUSER', 'worker', 'on', '>s3cret', '~*', '&*', '+@all')
      const url = `redis://worker:s3cret@127.0.0.1:${server.port}`
      await withManager(url, LASTING, async ({ manager, journal }) => {
        await untilWatching(manager)
        await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
        const call = manager.acquire('a')
        await until('it waits', () => manager.stats().roundTrip.count === 1)
        await server.command('ACL', 'SETUSER', 'worker', '-subscribe')
        for (const id of await connectionIds(server, 'leasewheel:watch')) {
          await server.command('CLIENT', 'KILL', 'ID', id)
        }
        await until('it is known that nothing is told', () => journal.errors.length > 0)
        await server.command('DEL', 'lease:a')
        expect((await call).held).to.equal(true)
        expect(manager.stats().wakeUps.change).to.equal(0)
        expect(manager.stats().watching).to.equal(false)
      })
    }))
})

describe('a manager without change notifications', () => {
  it('P18 P23 has one connection, and asks again', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, watch: false }, async ({ manager, journal }) => {
        const lease = await manager.acquire('held')
        await server.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
        const call = manager.acquire('a')
        await until('it has asked several times', () => manager.stats().wakeUps.timeout >= 2)
        expect(await connectionsNamed(server, 'leasewheel')).to.equal(1)
        expect(await connectionsNamed(server, 'leasewheel:watch')).to.equal(0)
        await server.command('DEL', 'lease:a')
        expect((await call).held).to.equal(true)
        const { wakeUps, watching } = manager.stats()
        expect(wakeUps).to.include({ change: 0, reconnect: 0 })
        expect(watching).to.equal(false)
        await server.command('DEL', 'lease:held')
        await lease.renew().catch(() => undefined)
        expect(journal.story(lease).at(-1)).to.equal('lost: missing')
        expect(journal.errors).to.deep.equal([])
        const commands = await server.commandStats()
        expect([...commands.keys()].filter((name) => /tracking|caching|subscribe/.test(name))).to.deep.equal([])
      }),
    ))
})
