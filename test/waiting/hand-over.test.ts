/** A lock goes from a holder to the next caller of the same manager in one request. */
import { expect } from 'chai'
import { type Lease, LeaseManager, LockNotAcquiredError, ManagerClosedError } from 'leasewheel'
import { ManualClock, MemoryBackend } from 'leasewheel/memory'
import { grant, type Member, only, TICK, TTL, type Watched, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

/** A held lease, and callers that wait for it in line. */
async function contended(
  { manager }: Pick<Member, 'manager'>,
  clock: ManualClock,
  callers: number,
): Promise<{ lease: Lease; calls: Watched<Lease>[]; aborts: AbortController[] }> {
  const lease = await grant(manager.tryAcquire('a'))
  const aborts = Array.from({ length: callers }, () => new AbortController())
  const calls = aborts.map(({ signal }) => watch(manager.acquire('a', { wait: HOUR, signal })))
  await clock.settle()
  return { lease, calls, aborts }
}

describe('a lock that is handed over within a process', () => {
  it('P6 P14 goes to the next caller in one request, with a larger fence', () =>
    withManager({}, async (stage) => {
      const { backend, clock, events, store } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      events.clear()
      expect(await lease.release()).to.equal(true)
      await clock.settle()
      const next = only(calls).value
      expect(next.held).to.equal(true)
      expect(next.fence).to.be.greaterThan(lease.fence)
      expect(store.get('lease:a')).to.equal(next.token)
      expect(events.lines).to.deep.equal(['released a', 'acquired a'])
      expect(backend.requests).to.include({ acquire: 1, handOver: 1, release: 0 })
    }))

  it('reaches the next holder before the code behind the release goes on', async () => {
    // With the clock of the machine: on a manual one everything is soon.
    const manager = new LeaseManager(new MemoryBackend())
    const order: string[] = []
    const lease = await manager.acquire('a')
    const next = manager.acquire('a', { wait: HOUR }).then(() => order.push('acquired'))
    const released = lease.release().then(() => order.push('released'))
    await Promise.all([next, released])
    expect(order).to.deep.equal(['acquired', 'released'])
    await manager.close()
  })

  it('P14 goes on to the next caller after the work of `using`', () =>
    withManager({}, async ({ manager, backend, clock, events }) => {
      const fences: number[] = []
      const calls = Array.from({ length: 8 }, () =>
        watch(manager.using('a', (lease) => void fences.push(lease.fence), { wait: HOUR })),
      )
      await clock.settle()
      for (const call of calls) expect(call.value).to.equal(undefined)
      expect(fences).to.deep.equal(fences.toSorted((one, other) => one - other))
      expect(new Set(fences).size).to.equal(8)
      expect(events.lines).to.deep.equal(Array.from({ length: 8 }, () => ['acquired a', 'released a']).flat())
      expect(backend.requests).to.include({ acquire: 1, handOver: 7, release: 1 })
    }))

  it('P1 counts as held from the send time of the hand-over', () =>
    withManager({ autoRenew: false }, async (stage) => {
      const { backend, clock } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      backend.there = 40
      backend.back = 60
      void lease.release()
      await clock.advance(100)
      expect(only(calls).value.remaining).to.equal(TTL - (TTL * 0.01 + 2) - 100)
    }))

  it('shares its request with hand-overs of other keys', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const keys = ['a', 'b', 'c']
      const leases = await Promise.all(keys.map((key) => grant(manager.tryAcquire(key))))
      const calls = keys.map((key) => watch(manager.acquire(key, { wait: HOUR })))
      await clock.settle()
      for (const lease of leases) void lease.release()
      const other = watch(manager.acquire('d'))
      await clock.settle()
      for (const call of [...calls, other]) expect(call.value.held).to.equal(true)
      expect(backend.requests).to.include({ acquire: 2, handOver: 1, release: 0 })
    }))

  it('is released and acquired if the callers have different timeouts', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const call = watch(manager.acquire('a', { wait: HOUR, timeout: 100 }))
      await clock.settle()
      await lease.release()
      await clock.settle()
      expect(call.value.held).to.equal(true)
      expect(backend.requests).to.include({ acquire: 2, handOver: 0, release: 1 })
    }))

  it('is released and acquired if the backend cannot hand over', async () => {
    const clock = new ManualClock()
    const backend = new MemoryBackend()
    Object.assign(backend, { handOver: undefined })
    const manager = new LeaseManager(backend, { ttl: TTL, clock })
    const lease = await grant(manager.tryAcquire('a'))
    const call = watch(manager.acquire('a', { wait: HOUR }))
    await clock.settle()
    expect(await lease.release()).to.equal(true)
    await clock.settle()
    expect(call.value.fence).to.be.greaterThan(lease.fence)
    expect(backend.requests).to.include({ acquire: 2, handOver: 0, release: 1 })
    await manager.close()
  })

  it('P9 is asked for once if a hint finds the lease over', () =>
    withManager({ autoRenew: false }, async (stage) => {
      const { backend, clock } = stage
      const { calls } = await contended(stage, clock, 1)
      clock.jump(TTL)
      backend.listener.onChange()
      await clock.settle()
      const tokens = backend.calls('acquire').map(({ entries }) => only(entries).token)
      expect(tokens).to.have.length(2)
      expect(only(calls).value.token).to.equal(tokens[1])
    }))

  it('P16 is lost to whoever has taken it, and the next caller waits for that one', () =>
    withManager({}, async (stage) => {
      const { backend, clock, events, store } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      events.clear()
      backend.deaf = true
      store.set('lease:a', 'theirs', 1_000)
      expect(await lease.release()).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['lost a: taken'])
      expect(only(calls).state).to.equal('pending')
      expect(store.get('lease:a')).to.equal('theirs')
      await clock.advance(1_000 + 2 * TICK)
      expect(only(calls).value.held).to.equal(true)
    }))

  it('P16 is lost if its key is gone, and the next caller gets it', () =>
    withManager({}, async (stage) => {
      const { backend, clock, events, store } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      events.clear()
      backend.deaf = true
      store.delete('lease:a')
      expect(await lease.release()).to.equal(false)
      await clock.settle()
      expect(events.lines).to.deep.equal(['lost a: missing', 'acquired a'])
      expect(store.get('lease:a')).to.equal(only(calls).value.token)
    }))
})

describe('a hand-over without an answer', () => {
  it('P11 ends with the next caller, whose token the server recognises', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store, events } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      events.clear()
      backend.dropAnswers(true)
      const released = watch(lease.release())
      await clock.settle()
      const token = store.get('lease:a')
      expect(token, 'the server has done it').not.to.equal(lease.token)
      backend.dropAnswers(false)
      await clock.advance(2 * TTL)
      expect(released.value, 'nobody knows').to.equal(false)
      expect(only(calls).value).to.include({ held: true, token })
      expect(events.lines.slice(0, 2)).to.have.members(['released a, unconfirmed', 'acquired a'])
      expect(store.keys()).to.deep.equal(['lease:a'])
    }))

  it('P5 P11 is released and acquired if the server never did it', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      backend.fail(new Error('OOM command not allowed'))
      const released = watch(lease.release())
      await clock.settle()
      backend.fail(undefined)
      await clock.advance(2 * TICK)
      expect(released.state, 'tried again at once').to.equal('fulfilled')
      expect(store.get('lease:a')).not.to.equal(lease.token)
      await clock.advance(1_000)
      expect(only(calls).value.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(only(calls).value.token)
    }))

  it('P7 P11 that lands late gives the lock to nobody else', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store } = stage
      const { lease, calls, aborts } = await contended(stage, clock, 2)
      // It is on its way for longer than both callers wait for the answer.
      backend.there = 1_000
      const released = watch(lease.release())
      await clock.settle()
      aborts[0]?.abort()
      backend.there = 0
      await clock.advance(5 * TTL)
      expect(released.state).to.equal('fulfilled')
      const next = calls[1]?.value as Lease
      expect(next.held).to.equal(true)
      expect(store.get('lease:a')).to.equal(next.token)
    }))

  it('P11 a repeated one is not taken for a loss', () =>
    withManager({}, async (stage) => {
      const { backend, clock, events, store } = stage
      const { lease, calls } = await contended(stage, clock, 1)
      events.clear()
      backend.holdAnswers('handOver')
      const released = watch(lease.release())
      await clock.settle()
      // The connection breaks after the server has done it, and there is another one soon.
      let reconnect = (): void => undefined
      const connected = new Promise<undefined>((resolve) => {
        reconnect = () => resolve(undefined)
      })
      Object.assign(backend, { ready: () => connected })
      only(backend.answers).deliver([{ type: 'unknown', error: new Error('ECONNRESET') }])
      await clock.settle()
      Object.assign(backend, { ready: () => undefined })
      backend.deliverAll()
      reconnect()
      await clock.advance(2 * TICK)
      expect(backend.requests.handOver).to.equal(2)
      expect(only(calls).value).to.include({ held: true, token: store.get('lease:a') })
      expect(released.value).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
    }))
})

describe('a hand-over whose next caller leaves', () => {
  it('before it is sent: the lock goes to the caller behind', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store } = stage
      const { lease, calls, aborts } = await contended(stage, clock, 2)
      const released = watch(lease.release())
      aborts[0]?.abort()
      await clock.settle()
      expect(released.value).to.equal(true)
      expect(calls[0]?.error).to.include({ name: 'AbortError' })
      expect(store.get('lease:a')).to.equal(calls[1]?.value.token)
      expect(backend.calls('acquire')).to.have.length(2)
    }))

  it('before there is a connection to send it: the lock is released', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store } = stage
      const { lease, calls, aborts } = await contended(stage, clock, 1)
      let connect = (): void => undefined
      const connected = new Promise<undefined>((resolve) => {
        connect = () => resolve(undefined)
      })
      Object.assign(backend, { ready: () => connected })
      const released = watch(lease.release())
      await clock.settle()
      only(aborts).abort()
      Object.assign(backend, { ready: () => undefined })
      connect()
      await clock.settle()
      expect(only(calls).state).to.equal('rejected')
      expect(released.value).to.equal(true)
      expect(backend.requests).to.include({ handOver: 0, release: 1 })
      expect(store.keys()).to.deep.equal([])
    }))

  it('P24 late, before there is a connection: the release keeps its own timeout', () =>
    withManager({}, async (stage) => {
      const { backend, clock } = stage
      const { lease, calls, aborts } = await contended(stage, clock, 1)
      const connect: (() => void)[] = []
      const ready = (): Promise<void> => new Promise((resolve) => connect.push(resolve))
      Object.assign(backend, { ready })
      const calledAt = clock.now()
      let endedAt = Number.NaN
      const onEnd = (): void => {
        endedAt = clock.now()
      }
      const released = watch(lease.release().finally(onEnd))
      await clock.settle()
      only(aborts).abort()
      await clock.advance(TTL / 12)
      // It begins anew, alone, and waits for a connection once more.
      only(connect)()
      await clock.advance(TTL)
      expect(only(calls).state).to.equal('rejected')
      expect(released.state).to.not.equal('pending')
      expect(endedAt - calledAt).to.be.within(TTL / 6, TTL / 6 + 2 * TICK)
    }))

  it('P11 while it is under way: the lock goes to the caller behind', () =>
    withManager({}, async (stage) => {
      const { backend, clock, store, events } = stage
      const { lease, calls, aborts } = await contended(stage, clock, 2)
      backend.there = 20
      backend.back = 20
      const released = watch(lease.release())
      await clock.advance(10)
      expect(backend.requests.handOver).to.equal(0)
      aborts[0]?.abort()
      await clock.advance(200)
      expect(released.value).to.equal(true)
      expect(calls[0]?.error).to.include({ name: 'AbortError' })
      expect(store.get('lease:a')).to.equal(calls[1]?.value.token)
      expect(events.lines).to.deep.equal(['acquired a', 'released a', 'acquired a'])
    }))

  it('P11 while it is under way, and nobody is behind: the key is deleted', () =>
    withManager({ ttl: HOUR, timeout: 500 }, async (stage) => {
      const { backend, clock, store } = stage
      const { lease, aborts } = await contended(stage, clock, 1)
      backend.there = 20
      void lease.release()
      await clock.advance(10)
      only(aborts).abort()
      await clock.advance(100)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P24 because the manager is closed: nobody gets the lock any more', () =>
    withStage(async ({ open, clock, store }) => {
      const stage = open({ ttl: HOUR, timeout: 500 })
      const { lease, calls } = await contended(stage, clock, 2)
      stage.backend.there = 20
      const released = watch(lease.release())
      await clock.advance(10)
      const closed = watch(stage.manager.close())
      await clock.advance(200)
      expect(closed.state).to.equal('fulfilled')
      expect(released.value).to.equal(true)
      for (const call of calls) expect(call.error).to.be.instanceOf(ManagerClosedError)
      expect(stage.events.lines).to.deep.equal(['acquired a', 'released a'])
      expect(store.keys()).to.deep.equal([])
    }))

  it('P11 because its wait is over: the key is deleted', () =>
    withManager({ ttl: HOUR, timeout: 500 }, async ({ manager, backend, clock, store }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const call = watch(manager.acquire('a', { wait: 100 }))
      await clock.advance(90)
      backend.there = 30
      void lease.release()
      await clock.advance(200)
      expect(call.error).to.be.instanceOf(LockNotAcquiredError)
      expect(store.keys()).to.deep.equal([])
    }))
})
