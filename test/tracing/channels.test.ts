/** What subscribers of the diagnostics channels see. */
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { expect } from 'chai'
import { type AcquireTrace, LeaseManager, type ReleaseTrace, type UsingTrace } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { grant, rejectionOf, TTL, watch, withManager } from '../support/manager.ts'

/** The ends of the calls of one manager that a channel reports while `work` runs. */
async function endsOf<T extends object>(
  name: string,
  manager: LeaseManager,
  work: () => Promise<void>,
): Promise<{ begun: number; ends: T[] }> {
  const channel = tracingChannel<unknown, T>(`leasewheel:${name}`)
  const ends: T[] = []
  let begun = 0
  const nothing = (): void => undefined
  const isOurs = (trace: object): boolean => (trace as AcquireTrace).leases === manager
  const subscribers = {
    start: (trace: object) => void (begun += isOurs(trace) ? 1 : 0),
    end: nothing,
    asyncStart: nothing,
    asyncEnd: (trace: object) => void (isOurs(trace) && ends.push(trace as T)),
    error: nothing,
  }
  channel.subscribe(subscribers)
  try {
    await work()
  } finally {
    channel.unsubscribe(subscribers)
  }
  return { begun, ends }
}

describe('the channel leasewheel:acquire', () => {
  it('reports every call with its keys, its wait and its outcome', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:busy', 'somebody', 600_000)
      const { begun, ends } = await endsOf<AcquireTrace>('acquire', manager, async () => {
        const lease = await grant(manager.tryAcquire('a'))
        await manager.tryAcquire('busy')
        const waiting = [
          watch(manager.acquire('busy', { wait: 100 })),
          watch(manager.acquire('a', { wait: 1_000 })),
          watch(manager.acquireMany(['b', 'busy'], { wait: 0 })),
          watch(manager.acquireAll(['c', 'd'])),
          watch(manager.acquireAll(['busy', 'e'], { wait: 100 })),
          watch(manager.using('f', () => 1)),
        ]
        await clock.advance(200)
        await lease.release()
        await clock.settle()
        const abort = new AbortController()
        const aborted = watch(manager.acquire('busy', { signal: abort.signal }))
        await clock.settle()
        abort.abort(new Error('enough'))
        await clock.settle()
        backend.fail(new Error('ECONNREFUSED'))
        await rejectionOf(manager.tryAcquire('x'))
        backend.fail(undefined)
        for (const call of [...waiting, aborted]) expect(call.state).not.to.equal('pending')
      })
      expect(begun).to.equal(ends.length)
      const seen = ends.map(
        ({ method, keys, outcome, wait }) =>
          `${method} ${keys.join()}: ${outcome}, ${Math.round((wait ?? NaN) / 50) * 50} ms`,
      )
      expect(seen).to.have.members([
        'tryAcquire a: granted, 0 ms',
        'tryAcquire busy: refused, 0 ms',
        'acquire busy: timedOut, 100 ms',
        'acquire a: granted, 200 ms',
        'acquireMany b,busy: refused, 0 ms',
        'acquireAll c,d: granted, 0 ms',
        'acquireAll busy,e: timedOut, 100 ms',
        'acquire f: granted, 0 ms',
        'acquire busy: cancelled, 0 ms',
        'tryAcquire x: unavailable, 0 ms',
      ])
      const many = ends.find(({ method }) => method === 'acquireMany')
      const results = many?.result as ({ key: string } | null)[] | undefined
      expect(results?.map((lease) => lease?.key)).to.deep.equal(['b', undefined])
      const failed = ends.find(({ keys }) => keys[0] === 'x')
      expect((failed?.error as Error | undefined)?.message).to.include('ECONNREFUSED')
    }))

  it('changes nothing for the caller', () =>
    withManager({}, async ({ manager, store }) => {
      store.set('lease:busy', 'somebody', 600_000)
      await endsOf('acquire', manager, async () => {
        expect((await grant(manager.tryAcquire('a'))).key).to.equal('a')
        expect(await rejectionOf(manager.acquire('busy', { wait: 0 }))).to.include({ code: 'ERR_NOT_ACQUIRED' })
        expect(await rejectionOf(manager.acquire(5 as never))).to.be.instanceOf(TypeError)
        expect(manager.stats().unacquired).to.include({ refused: 1 })
      })
    }))
})

describe('the channels leasewheel:using and leasewheel:release', () => {
  it('report the work under a lock, and its release', () =>
    withManager({}, async ({ manager, clock }) => {
      const failure = new Error('the work failed')
      let released: { ends: ReleaseTrace[] } | undefined
      const used = await endsOf<UsingTrace>('using', manager, async () => {
        released = await endsOf<ReleaseTrace>('release', manager, async () => {
          const work = watch(
            manager.using('a', () => new Promise((resolve) => clock.setTimer(() => resolve('done'), 50))),
          )
          await clock.advance(100)
          expect(work.value).to.equal('done')
          expect(await rejectionOf(manager.using('b', () => Promise.reject(failure)))).to.equal(failure)
        })
      })
      expect(used.ends.map(({ key, result, error }) => ({ key, result, error }))).to.deep.equal([
        { key: 'a', result: 'done', error: undefined },
        { key: 'b', result: undefined, error: failure },
      ])
      expect(released?.ends.map(({ key, result }) => ({ key, result }))).to.deep.equal([
        { key: 'a', result: true },
        { key: 'b', result: true },
      ])
    }))
})

describe('the channels leasewheel:lost and leasewheel:jeopardy', () => {
  it('report the events even if the manager has no listener for them', async () => {
    const clock = new ManualClock()
    const backend = new MemoryBackend({ store: new MemoryStore({ clock }) })
    const manager = new LeaseManager(backend, { ttl: TTL, clock, random: () => 0 })
    const told: string[] = []
    const onMessage = (message: unknown, name: string | symbol): void => {
      const { leases, lease } = message as { leases: LeaseManager; lease: { key: string } }
      if (leases === manager) told.push(`${String(name)} ${lease.key}`)
    }
    for (const name of ['lost', 'jeopardy']) subscribe(`leasewheel:${name}`, onMessage)
    try {
      const lease = await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      await clock.advance(2 * TTL)
      expect(lease.state).to.equal('lost')
      expect(told).to.deep.equal(['leasewheel:jeopardy a', 'leasewheel:lost a'])
    } finally {
      for (const name of ['lost', 'jeopardy']) unsubscribe(`leasewheel:${name}`, onMessage)
      const closed = manager.close()
      await clock.advance(20_000)
      await closed
    }
  })
})
