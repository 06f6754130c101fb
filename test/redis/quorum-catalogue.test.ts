/** What operators ask of a quorum of real servers: all locks and all managers, with a member away, hung, or behind. */
import { expect } from 'chai'
import { type Connectable, LeaseManager, type LeaseManagerOptions, type ListedLock, UnavailableError } from 'leasewheel'
import { quorum } from 'leasewheel/quorum'
import { RedisServer } from '../support/redis-server.ts'
import { until as waitUntil } from '../support/until.ts'
import { LASTING } from './support.ts'

const MANY = 400

const until = (isTrue: () => boolean | Promise<boolean>): Promise<void> => waitUntil('it is so', isTrue)

interface Scene {
  readonly servers: readonly RedisServer[]
  /** Resolves once each member that is there can be asked. */
  readonly open: (options?: LeaseManagerOptions) => Promise<LeaseManager>
  readonly away: RedisServer[]
}

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const servers = await Promise.all([1, 2, 3].map(() => RedisServer.start()))
  const managers: LeaseManager[] = []
  const away: RedisServer[] = []
  const open = async (options: LeaseManagerOptions = {}): Promise<LeaseManager> => {
    const members: Connectable[] = servers.map(({ url }) => url)
    const manager = new LeaseManager(quorum(members, { restartDelay: 0 }), { ...LASTING, prefix: 'lock:', ...options })
    // Members that are away are reported.
    manager.on('error', () => undefined)
    managers.push(manager)
    await until(() =>
      manager.stats().members.every(({ usable }, index) => usable || away.includes(servers[index] as RedisServer)),
    )
    return manager
  }
  try {
    await work({ servers, open, away })
  } finally {
    for (const server of servers) if (!away.includes(server)) server.resume()
    await Promise.all(managers.map((manager) => manager.close({ timeout: 2_000 })))
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function keysOf(locks: AsyncIterable<ListedLock>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of locks) keys.push(key)
  return keys.sort()
}

describe('list on a quorum', () => {
  it('shows each lock of a majority, with its votes', () =>
    withScene(async ({ servers, open }) => {
      const [ours, other] = [await open({ owner: 'web-1' }), await open({ owner: 'web-2' })]
      const keys = Array.from({ length: MANY }, (_, index) => `key ${index}`).sort()
      await ours.acquireMany(keys)
      await other.acquire('theirs')
      await until(async () => (await ours.inspect('theirs'))?.votes === 3)
      await servers[1]?.command('SET', 'lock:minority', 'somebody')
      await servers[0]?.command('SET', 'lock:split', 'one')
      await servers[1]?.command('SET', 'lock:split', 'two')
      await servers[2]?.command('SET', 'lock:split', 'three')
      await servers[0]?.command('DEL', 'lock:theirs')
      const locks: ListedLock[] = []
      for await (const lock of ours.list()) locks.push(lock)
      const certain = locks.filter(({ votes = 0 }) => votes > 1).map(({ key }) => key)
      expect([...new Set(locks.map(({ key }) => key))]).to.include.members([...keys, 'theirs'])
      for (const key of ['minority', 'split']) expect(certain).to.not.include(key)
      const theirs = locks.find(({ key }) => key === 'theirs')
      expect(theirs).to.include({ owner: 'web-2', lease: undefined, kind: 'lease' })
      const mine = locks.find(({ key }) => key === 'key 7')
      expect(mine).to.include({ owner: 'web-1', lease: ours.get('key 7'), holders: 1 })
      for (const lock of [mine, theirs]) expect(lock?.votes).to.be.within(1, 3)
      expect(await keysOf(ours.list({ keys: ['key 1', 'theirs'] }))).to.deep.equal(['key 1', 'theirs'])
      expect(await keysOf(ours.list({ match: 'key 39*' }))).to.have.length(11)
    }))

  for (const [how, stop] of [
    ['away', (server: RedisServer) => server.kill()],
    ['hung', async (server: RedisServer) => server.pause()],
  ] as const) {
    for (const index of [0, 2]) {
      it(`goes on while member ${index + 1} is ${how}`, () =>
        withScene(async ({ servers, open, away }) => {
          const manager = await open()
          const server = servers[index] as RedisServer
          const keys = Array.from({ length: MANY }, (_, number) => `key ${number}`).sort()
          await manager.acquireMany(keys)
          await stop(server)
          if (how === 'away') away.push(server)
          expect([...new Set(await keysOf(manager.list()))]).to.deep.equal(keys)
        }))
    }
  }

  it('lists a lock that is healed between two pages', () =>
    withScene(async ({ servers, open }) => {
      const manager = await open()
      const keys = Array.from({ length: MANY }, (_, index) => `key ${index}`)
      await manager.acquireMany(keys)
      const token = (await manager.inspect('key 0'))?.token as string
      for (const server of servers) await until(async () => (await server.command('GET', 'lock:key 0')) === token)
      // In turns each member but the others loses the key, and has it again after the first page.
      for (const server of servers) {
        await server.command('DEL', 'lock:key 0')
        const found: string[] = []
        for await (const { key } of manager.list({
          onPage: () => void server.command('SET', 'lock:key 0', token, 'PX', 60_000),
        }))
          found.push(key)
        await until(async () => (await server.command('GET', 'lock:key 0')) === token)
        expect(found).to.include('key 0')
      }
    }))

  it('rejects while no majority answers', () =>
    withScene(async ({ servers, open, away }) => {
      const manager = await open()
      await manager.acquire('a')
      for (const server of servers.slice(1)) {
        await server.kill()
        away.push(server)
      }
      const error = await keysOf(manager.list()).catch((thrown: Error) => thrown)
      expect(error).to.be.instanceOf(UnavailableError)
      expect((error as Error).message).to.match(/^Locks could not be listed: /)
    }))
})

describe('members on a quorum', () => {
  it('shows the managers that a majority knows, while one member is away, and none that has left', () =>
    withScene(async ({ servers, open, away }) => {
      const first = await open({ owner: 'web-1', announce: 1_000 })
      const second = await open({ owner: 'web-2', announce: 1_000 })
      const ownersOf = async (): Promise<string[]> => (await first.members()).map(({ owner }) => owner).sort()
      await until(async () => (await ownersOf()).length === 2)
      const last = servers[2] as RedisServer
      await last.kill()
      away.push(last)
      expect(await ownersOf()).to.deep.equal(['web-1', 'web-2'])
      const third = await open({ owner: 'web-3', announce: 1_000 })
      await until(async () => (await ownersOf()).includes('web-3'))
      await second.close()
      await until(async () => !(await ownersOf()).includes('web-2'))
      expect((await third.members()).map(({ owner }) => owner).sort()).to.deep.equal(['web-1', 'web-3'])
    }))

  it('reports a manager that joins, and one that leaves, once', () =>
    withScene(async ({ open }) => {
      const events: string[] = []
      const watcher = await open({ owner: 'web-1', announce: 1_000 })
      watcher.on('joined', ({ member }) => events.push(`joined ${member.owner}`))
      watcher.on('left', ({ member }) => events.push(`left ${member.owner}`))
      await until(async () => (await watcher.members()).length === 1)
      const other = await open({ owner: 'web-2', announce: 1_000 })
      await until(() => events.length === 1)
      await other.close()
      await until(() => events.length === 2)
      expect(events).to.deep.equal(['joined web-2', 'left web-2'])
    }))

  it('leaves out what only a minority has not forgotten', () =>
    withScene(async ({ servers, open }) => {
      const manager = await open({ owner: 'web-1', announce: 1_000 })
      await until(async () => (await manager.members()).length === 1)
      const id = (await manager.members())[0]?.id ?? expect.fail('there is no member')
      const copy = `leasewheel:{members}:id:${id}`
      // A majority may have it before this member has.
      let text: unknown
      await until(async () => {
        text = await servers[0]?.command('GET', copy)
        return typeof text === 'string'
      })
      const stale = String(text).replace(id, 'stale').replace('web-1', 'web-2')
      await servers[0]?.command('SET', 'leasewheel:{members}:id:stale', stale, 'PX', 60_000)
      await servers[0]?.command('ZADD', 'leasewheel:{members}:index:lock:', Date.now() + 60_000, 'stale')
      expect((await manager.members()).map(({ owner }) => owner)).to.deep.equal(['web-1'])
    }))
})

describe('share on a quorum', () => {
  it('is refused with a TypeError that says why', () =>
    withScene(async ({ open }) => {
      const manager = await open()
      expect(() => manager.share(['a'], { group: 'workers' })).to.throw(TypeError, /on a quorum/)
    }))
})
