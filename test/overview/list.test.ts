import { expect } from 'chai'
import { LeaseManager, type ListedLock, ManagerClosedError, UnavailableError } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { grant, rejectionOf, TTL, watch, withManager, withStage } from '../support/manager.ts'

/** More than one page of the memory backend. */
const MANY = 3_000

async function listed(locks: AsyncIterable<ListedLock>): Promise<ListedLock[]> {
  const list: ListedLock[] = []
  for await (const lock of locks) list.push(lock)
  return list.sort((one, other) => (one.key < other.key ? -1 : 1))
}

describe('list', () => {
  it('describes the locks of this manager, of others, and of other libraries', () =>
    withStage(async ({ open, store, clock }) => {
      const [mine, theirs] = [open({ owner: 'web-1' }), open({ owner: 'web-2' })]
      const before = Date.now()
      const lease = await grant(mine.manager.tryAcquire('a'))
      await grant(theirs.manager.tryAcquire('b'))
      const after = Date.now()
      store.set('lease:c', 'somebody', Infinity)
      await clock.advance(100)
      const [a, b, c] = await listed(mine.manager.list())
      const rest = { kind: 'lease', bytes: undefined, holders: 1, remaining: TTL - 100 }
      expect(a).to.deep.include({ ...rest, key: 'a', owner: 'web-1', lease, fence: lease.fence })
      expect(b).to.deep.include({ ...rest, key: 'b', owner: 'web-2', lease: undefined, fence: undefined })
      for (const lock of [a, b]) expect(lock?.since?.getTime()).to.be.within(before, after)
      expect(c).to.deep.equal({
        key: 'c',
        bytes: undefined,
        kind: 'string',
        owner: undefined,
        since: undefined,
        remaining: Infinity,
        fence: undefined,
        holders: 1,
        lease: undefined,
        waiters: 0,
      })
    }))

  it('knows the locks of managers without an owner', () =>
    withManager({ owner: '' }, async ({ manager }) => {
      await grant(manager.tryAcquire('a'))
      const [lock] = await listed(manager.list())
      expect(lock).to.include({ kind: 'lease', owner: undefined })
      expect(lock?.since).to.be.instanceOf(Date)
    }))

  it('does not take another’s lock for the lease that this manager still has', () =>
    withManager({}, async ({ manager, store }) => {
      await grant(manager.tryAcquire('a'))
      store.set('lease:a', 'somebody', TTL)
      expect((await listed(manager.list()))[0]).to.include({ lease: undefined, fence: undefined, kind: 'string' })
    }))

  it('selects by key and by owner', () =>
    withStage(async ({ open }) => {
      const [one, other] = [open({ owner: 'web-1' }), open({ owner: 'web-2' })]
      await one.manager.acquireMany(['order:1', 'order:2', 'report'])
      await other.manager.acquireMany(['order:3'])
      const keys = async (options: object): Promise<string[]> =>
        (await listed(one.manager.list(options))).map(({ key }) => key)
      expect(await keys({ match: 'order:*' })).to.deep.equal(['order:1', 'order:2', 'order:3'])
      expect(await keys({ owner: 'web-1' })).to.deep.equal(['order:1', 'order:2', 'report'])
      expect(await keys({ match: 'order:*', owner: 'web-1' })).to.deep.equal(['order:1', 'order:2'])
      expect(await keys({ owner: 'web' })).to.deep.equal([])
      // A `match` that is the whole of a key, with letters that mean something in patterns.
      expect(await keys({ match: 'order:[13]' })).to.deep.equal(['order:1', 'order:3'])
    }))

  it('looks at the named keys only, whoever holds them', () =>
    withManager({ owner: 'web-1' }, async ({ manager, store, backend }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.set('lease:b', 'somebody', TTL)
      store.set('lease:c', 'somebody', TTL)
      const [a, b, ...rest] = await listed(manager.list({ keys: ['a', 'free', Buffer.from('b')] }))
      expect(a).to.deep.include({ key: 'a', lease, fence: lease.fence })
      expect(b).to.include({ key: 'b', kind: 'string' })
      expect(rest).to.deep.equal([])
      expect((await listed(manager.list({ keys: ['a', 'b'], owner: 'web-1' }))).map(({ key }) => key)).to.deep.equal([
        'a',
      ])
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      const before = backend.requests.list
      const keys = Array.from({ length: 300 }, (_, index) => String(index))
      expect(await listed(manager.list({ keys }))).to.have.length(300)
      expect(backend.requests.list - before).to.equal(5)
      expect(() => manager.list({ keys: [''] })).to.throw(RangeError, '`key`')
      expect(() => manager.list({ keys: 'abc' as never })).to.throw(TypeError, '`keys`')
    }))

  it('counts the callers here that wait for each lock', () =>
    withManager({}, async ({ manager, store }) => {
      store.set('lease:a', 'somebody', TTL)
      store.set('lease:b', 'somebody', TTL)
      const ending = new AbortController()
      const waiting = [1, 2, 3].map(() => manager.acquire('a', { signal: ending.signal }).catch(() => undefined))
      const locks = await listed(manager.list())
      expect(locks.map(({ key, waiters }) => [key, waiters])).to.deep.equal([
        ['a', 3],
        ['b', 0],
      ])
      ending.abort()
      await Promise.all(waiting)
      expect((await listed(manager.list()))[0]?.waiters).to.equal(0)
    }))

  it('says behind each page where the next one begins, and goes on there', () =>
    withManager({}, async ({ manager, store, backend }) => {
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      const cursors: (string | undefined)[] = []
      const first: string[] = []
      const ending = new AbortController()
      const onPage = (cursor: string | undefined): void => {
        cursors.push(cursor)
        ending.abort()
      }
      await rejectionOf(
        (async () => {
          for await (const { key } of manager.list({ onPage, signal: ending.signal })) first.push(key)
        })(),
      )
      expect(backend.requests.list).to.equal(1)
      expect(cursors).to.have.length(1)
      const [cursor] = cursors
      const rest = (await listed(manager.list({ cursor, onPage: (next) => cursors.push(next) }))).map(({ key }) => key)
      expect(cursors.at(-1)).to.equal(undefined)
      expect(rest).to.have.length(MANY - first.length)
      expect(new Set([...first, ...rest])).to.have.length(MANY)
    }))

  it('calls onPage also for pages on which nothing matches', () =>
    withManager({}, async ({ manager, store }) => {
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      let pages = 0
      expect(await listed(manager.list({ match: 'nothing', onPage: () => (pages += 1) }))).to.deep.equal([])
      expect(pages).to.equal(3)
    }))

  it('asks for no page more once its reader leaves', () =>
    withManager({}, async ({ manager, store, backend }) => {
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      for await (const { key } of manager.list()) if (key === '5') break
      expect(backend.requests.list).to.equal(1)
      expect(await listed(manager.list())).to.have.length(MANY)
    }))

  it('ends with the reason of its signal: at the next step, and under a page that does not come', () =>
    withManager({}, async ({ manager, store, backend, clock }) => {
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      const ending = new AbortController()
      const locks = manager.list({ signal: ending.signal })
      await locks.next()
      ending.abort(new Error('enough'))
      expect(await rejectionOf(locks.next())).to.have.property('message', 'enough')
      expect((await locks.next()).done).to.equal(true)
      backend.block()
      const another = new AbortController()
      const step = watch(manager.list({ signal: another.signal }).next())
      await clock.settle()
      expect(step.state).to.equal('pending')
      another.abort(new Error('enough'))
      await clock.settle()
      expect(step.error).to.have.property('message', 'enough')
      expect(
        await rejectionOf(manager.list({ signal: AbortSignal.abort(new Error('before')) }).next()),
      ).to.have.property('message', 'before')
    }))

  it('rejects with UnavailableError if a page does not come in time, or is refused', () =>
    withManager({ timeout: 200 }, async ({ manager, backend, clock }) => {
      backend.block()
      const step = watch(manager.list().next())
      await clock.advance(220)
      expect(step.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
      backend.fail(new Error('ECONNREFUSED'))
      const error = await rejectionOf(manager.list().next())
      expect(error).to.be.instanceOf(UnavailableError).and.to.have.property('message').that.includes('ECONNREFUSED')
    }))

  it('rejects once the manager is closed, between two pages as well', () =>
    withManager({}, async ({ manager, store }) => {
      for (let index = 0; index < MANY; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      const locks = manager.list()
      await locks.next()
      await manager.close()
      const rest = await rejectionOf(listed(locks))
      expect(rest).to.be.instanceOf(ManagerClosedError)
      expect(await rejectionOf(manager.list().next())).to.be.instanceOf(ManagerClosedError)
    }))

  it('refuses options that it does not know, and values that are none', () =>
    withManager({}, async ({ manager }) => {
      for (const options of [{ mach: '*' }, { match: 5 }, { owner: 5 }, { signal: 5 }, { match: '\ud800' }, null]) {
        expect(() => manager.list(options as never), JSON.stringify(options)).to.throw(/match|owner|signal|list/)
      }
    }))

  it('gives the event loop its turns between pages', async () => {
    const backend = new MemoryBackend()
    const leases = new LeaseManager(backend)
    for (let index = 0; index < MANY; index += 1) backend.store.set(`lease:${index}`, 'somebody', TTL)
    let turns = 0
    const count = (): void => {
      turns += 1
      next = setImmediate(count)
    }
    let next = setImmediate(count)
    await listed(leases.list())
    clearImmediate(next)
    expect(turns).to.be.greaterThan(1)
    await leases.close()
  })

  it('says of a backend without a catalogue that it cannot list', async () => {
    const backend = new MemoryBackend()
    Object.defineProperty(backend, 'catalogue', { value: undefined })
    const leases = new LeaseManager(backend)
    const error = await rejectionOf(leases.list().next())
    expect(error).to.be.instanceOf(UnavailableError).and.to.include({ final: true })
    await leases.close()
  })
})

describe('since', () => {
  it('says when a caller that waited asked for the lock last, not when it began to wait', () =>
    withStage(async ({ open, clock }) => {
      const [holder, waiter] = [open(), open()]
      const lease = await grant(holder.manager.tryAcquire('a'))
      const waiting = watch(waiter.manager.acquire('a', { wait: 60_000 }))
      await clock.settle()
      const asked = Date.now()
      while (Date.now() <= asked) await new Promise((resolve) => setImmediate(resolve))
      await lease.release()
      await clock.advance(10)
      const since = (await holder.manager.inspect('a'))?.since
      expect(waiting.value.held).to.equal(true)
      expect(since?.getTime()).to.be.greaterThan(asked)
    }))

  it('stays what it was if the lease changes its manager', () =>
    withStage(async ({ open }) => {
      const [first, second] = [open({ owner: 'web-1' }), open({ owner: 'web-2' })]
      const lease = await grant(first.manager.tryAcquire('a'))
      const before = await first.manager.inspect('a')
      await second.manager.adopt(lease.detach())
      expect(await second.manager.inspect('a')).to.deep.include({ owner: 'web-1', since: before?.since })
    }))
})
