/** Closing while work runs under locks: close waits for the work, then aborts its signal, then releases the lock. */
import { expect } from 'chai'
import { LeaseLostError, type Lease, type LeaseManager, LockNotHeldError, ManagerClosedError } from 'leasewheel'
import {
  grant,
  grantAll,
  heldFor,
  rejectionOf,
  TICK,
  TTL,
  type Watched,
  watch,
  withManager,
  withStage,
} from '../support/manager.ts'

interface Job {
  readonly lease: Lease
  readonly call: Watched<string>
  finish(result: string): void
}

/** Work under a lock that goes on until it is told to end. */
async function begin(manager: LeaseManager, key: string): Promise<Job> {
  let finish: Job['finish'] = () => undefined
  let call: Watched<string> | undefined
  const lease = await new Promise<Lease>((resolve) => {
    call = watch(
      manager.using(key, (held) => {
        resolve(held)
        return new Promise<string>((settle) => {
          finish = settle
        })
      }),
    )
  })
  return { lease, call: call as Watched<string>, finish: (result) => finish(result) }
}

describe('close, while `using` runs work,', () => {
  it('P29 keeps and renews the lock until the work ends, then releases it', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const job = await begin(manager, 'a')
      const closed = watch(manager.close({ drain: 20 * TTL }))
      await clock.advance(10 * TTL)
      expect(store.keys()).to.deep.equal(['lease:a'])
      expect(job.lease.held).to.equal(true)
      expect(job.lease.signal.aborted).to.equal(false)
      expect(closed.state).to.equal('pending')
      job.finish('done')
      await clock.settle()
      expect(job.call.value).to.equal('done')
      expect(closed.state).to.equal('fulfilled')
      expect(store.keys()).to.deep.equal([])
      expect(events.lines.at(-1)).to.equal('released a')
      expect(await job.lease.ended).to.equal('released')
    }))

  it('P29 waits for ten seconds by default', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const job = await begin(manager, 'a')
      const closed = watch(manager.close())
      await clock.advance(9_990)
      expect(store.keys()).to.deep.equal(['lease:a'])
      expect(job.lease.signal.aborted).to.equal(false)
      await clock.advance(10 + 2 * TICK)
      expect(job.lease.signal.aborted).to.equal(true)
      expect(store.keys()).to.deep.equal([])
      expect(closed.state).to.equal('fulfilled')
      job.finish('done')
      await clock.settle()
    }))

  it('P29 aborts the signal after the drain, then deletes the key and rejects `using`', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      const job = await begin(manager, 'a')
      const { signal } = job.lease
      let atAbort: readonly unknown[] = []
      signal.addEventListener('abort', () => {
        atAbort = [store.keys(), backend.requests.release, job.lease.held]
      })
      const closed = watch(manager.close({ drain: 500 }))
      await clock.advance(500 + 2 * TICK)
      expect(atAbort).to.deep.equal([['lease:a'], 0, true])
      expect(closed.state).to.equal('fulfilled')
      expect(signal.reason).to.be.instanceOf(ManagerClosedError).and.to.include({ code: 'ERR_CLOSED', key: 'a' })
      expect((signal.reason as Error).message)
        .to.include('`a`')
        .and.to.include('closed')
      expect(job.call.state).to.equal('pending')
      job.finish('done')
      await clock.settle()
      expect(job.call.error).to.equal(signal.reason)
      expect(await job.lease.ended).to.equal('closed')
    }))

  it('P29 lets work that listens to its signal end before its lock is released', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const seen: string[][] = []
      const call = watch(
        manager.using('a', async ({ signal }) => {
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve)
          })
          await Promise.resolve()
          seen.push(store.keys())
          throw signal.reason
        }),
      )
      await clock.settle()
      const closed = watch(manager.close({ drain: 100 }))
      await clock.advance(100 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(seen).to.deep.equal([['lease:a']])
      expect(call.error).to.be.instanceOf(ManagerClosedError)
    }))

  it('P29 close keeps a lock until its work ends or its signal aborts', () =>
    withStage(async ({ open, clock }) => {
      const [worker, other] = [open(), open()]
      const jobs = await Promise.all(Array.from({ length: 50 }, (_, index) => begin(worker.manager, `key-${index}`)))
      const ended = new Set<string>()
      const early: string[] = []
      for (const { lease } of jobs) {
        const { key, signal } = lease
        void other.manager.acquire(key, { wait: 60_000 }).then(() => {
          if (!ended.has(key) && !signal.aborted) early.push(key)
        })
      }
      await clock.settle()
      const closed = watch(worker.manager.close({ drain: 1_000 }))
      for (const [index, job] of jobs.entries()) {
        if (index % 2 === 0) continue
        await clock.advance(20)
        ended.add(job.lease.key)
        job.finish('done')
      }
      await clock.advance(1_500)
      expect(closed.state).to.equal('fulfilled')
      expect(early).to.deep.equal([])
      expect(other.manager.size).to.equal(50)
      expect(jobs.filter(({ call }) => call.state === 'fulfilled')).to.have.length(25)
      for (const job of jobs) job.finish('done')
      await clock.settle()
      expect(jobs.filter(({ call }) => call.error instanceof ManagerClosedError)).to.have.length(25)
    }))

  it('P29 does not wait with a drain of 0, and aborts the signal first', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const job = await begin(manager, 'a')
      let atAbort: string[] = []
      job.lease.signal.addEventListener('abort', () => {
        atAbort = store.keys()
      })
      const before = clock.now()
      await manager.close({ drain: 0 })
      expect(clock.now()).to.equal(before)
      expect(atAbort).to.deep.equal(['lease:a'])
      job.finish('done')
      await clock.settle()
      expect(job.call.error).to.be.instanceOf(ManagerClosedError)
    }))

  it('P24 grants nothing any more, and rejects all waiters at once', () =>
    withManager({}, async ({ manager, clock }) => {
      const job = await begin(manager, 'a')
      const waiting = watch(manager.using('a', () => 'never'))
      const trying = watch(manager.acquire('a', { wait: 60_000 }))
      await clock.settle()
      const closed = watch(manager.close({ drain: 5_000 }))
      await clock.settle()
      expect(waiting.error).to.be.instanceOf(ManagerClosedError)
      expect(trying.error).to.be.instanceOf(ManagerClosedError)
      expect(await rejectionOf(manager.tryAcquire('b'))).to.be.instanceOf(ManagerClosedError)
      expect(closed.state).to.equal('pending')
      job.finish('done')
      await clock.settle()
      expect(closed.state).to.equal('fulfilled')
    }))

  it('P24 does not begin work whose lock was granted during the call', () =>
    withManager({}, async ({ manager, clock, store, backend }) => {
      let begun = false
      backend.holdAnswers('acquire')
      const call = watch(manager.using('a', () => (begun = true)))
      await clock.settle()
      backend.deliverAll()
      const closed = manager.close()
      await closed
      await clock.settle()
      expect(call.error).to.be.instanceOf(ManagerClosedError)
      expect(begun).to.equal(false)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P29 lets a second call shorten the drain, but not lengthen it', () =>
    withManager({}, async ({ manager, clock }) => {
      const job = await begin(manager, 'a')
      const closed = watch(manager.close({ drain: 2_000 }))
      await clock.advance(100)
      void manager.close({ drain: Number.POSITIVE_INFINITY })
      void manager.close({ drain: 300 })
      await clock.advance(280)
      expect(closed.state).to.equal('pending')
      await clock.advance(20 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      job.finish('done')
      await clock.settle()
    }))

  it('P29 does not wait for ever if the work itself waits for it', () =>
    withManager({}, async ({ manager, clock }) => {
      const call = watch(manager.using('a', () => manager.close({ drain: 1_000 })))
      await clock.advance(1_000 + 2 * TICK)
      expect(call.error).to.be.instanceOf(ManagerClosedError)
    }))

  it('P29 keeps leases acquired by hand as long, and aborts their signals first', () =>
    withManager({}, async ({ manager, clock, store }) => {
      const job = await begin(manager, 'a')
      const plain = await grant(manager.tryAcquire('b'))
      const watched = await grant(manager.tryAcquire('c'))
      let atAbort: string[] = []
      watched.signal.addEventListener('abort', () => {
        atAbort = store.keys().sort()
      })
      const ended = [plain.ended, watched.ended]
      const closed = watch(manager.close({ drain: 5 * TTL }))
      await clock.advance(4 * TTL)
      expect(plain.held && watched.held).to.equal(true)
      job.finish('done')
      await clock.settle()
      expect(closed.state).to.equal('fulfilled')
      expect(atAbort).to.include.members(['lease:b', 'lease:c'])
      expect(watched.signal.reason).to.be.instanceOf(ManagerClosedError)
      expect(plain.signal.reason).to.be.instanceOf(ManagerClosedError)
      expect(await Promise.all(ended)).to.deep.equal(['closed', 'closed'])
      expect(await plain.ended).to.equal('closed')
    }))

  it('P1 P29 rejects `using` with LeaseLostError if the lease expired during the drain', () =>
    withManager({ maxHold: 300 }, async ({ manager, clock }) => {
      const job = await begin(manager, 'a')
      const closed = watch(manager.close({ drain: 1_000 }))
      await clock.advance(500)
      expect(job.lease.signal.reason).to.be.instanceOf(LeaseLostError)
      await clock.advance(600)
      expect(closed.state).to.equal('fulfilled')
      job.finish('done')
      await clock.settle()
      expect(job.call.error).to.be.instanceOf(LeaseLostError)
      expect(await job.lease.ended).to.equal('lost')
    }))
})

describe('a lock that is released by hand while `using` runs work', () => {
  for (const [how, act] of [
    ['release', (lease: Lease): unknown => lease.release()],
    ['detach', (lease: Lease): unknown => lease.detach()],
    ['dispose', (lease: Lease): unknown => lease[Symbol.asyncDispose]()],
  ] as const) {
    it(`P29 has its signal aborted before its key is deleted: ${how}`, () =>
      withManager({}, async ({ manager, clock, store }) => {
        const job = await begin(manager, 'a')
        let atAbort: string[] = []
        job.lease.signal.addEventListener('abort', () => {
          atAbort = store.keys()
          // It may give it back as well.
          void job.lease.release()
        })
        act(job.lease)
        expect(job.lease.signal.reason).to.be.instanceOf(LockNotHeldError).and.to.include({ key: 'a' })
        await clock.settle()
        expect(atAbort).to.deep.equal(['lease:a'])
        expect(await job.lease.ended).to.equal('released')
        job.finish('done')
        await clock.settle()
        // It is taken for an act of the work.
        expect(job.call.value).to.equal('done')
        store.clear()
      }))
  }

  it('P29 aborts a signal that nobody had read before', () =>
    withManager({}, async ({ manager, clock }) => {
      const job = await begin(manager, 'a')
      void job.lease.release()
      expect(job.lease.signal.aborted).to.equal(true)
      job.finish('done')
      await clock.settle()
    }))

  it('P29 aborts the signal if a listener releases the lock of other work', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      await grant(manager.tryAcquire('b'))
      clock.jump(100)
      const job = await begin(manager, 'a')
      const { signal } = job.lease
      manager.on('lost', () => {
        void job.lease.release()
      })
      clock.jump(heldFor(TTL) - 50)
      await clock.advance(20)
      expect(signal.reason).to.be.instanceOf(LockNotHeldError)
      job.finish('done')
      await clock.settle()
    }))
})

describe('the promised end of a lease', () => {
  it('resolves with the event once the lease has ended', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const [given, lost, away] = await grantAll(manager.acquireMany(['given', 'lost', 'away']))
      const ends = [given, lost, away].map((lease) => watch(lease?.ended as Promise<string>))
      expect(given?.ended).to.equal(given?.ended)
      await clock.settle()
      expect(ends.map(({ state }) => state)).to.deep.equal(['pending', 'pending', 'pending'])
      await given?.release()
      away?.detach()
      await clock.advance(TTL)
      expect(ends.map(({ value }) => value)).to.deep.equal(['released', 'lost', 'released'])
      expect(await Promise.all([given?.ended, lost?.ended, away?.ended])).to.deep.equal([
        'released',
        'lost',
        'released',
      ])
    }))

  it('is `lost` if the release finds the key gone', () =>
    withManager({}, async ({ manager, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      store.delete('lease:a')
      void lease.release()
      expect(await lease.ended).to.equal('lost')
    }))

  it('P15 is known at the deadline to a caller that asks then', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      clock.jump(TTL)
      expect(await lease.ended).to.equal('lost')
    }))
})
