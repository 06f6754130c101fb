/** Parts that throw while an answer is applied: the fault is reported, harms no other caller, and leaves no half-made lease. */
import { expect } from 'chai'
import { type Clock, type Lease, type LeaseLostError, LeaseManager, type Timer } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { TTL, watch, withManager, withStage } from '../support/manager.ts'

/** A clock that throws once: at its call number `at`. */
class FaultyClock extends ManualClock implements Clock {
  at = Number.POSITIVE_INFINITY
  calls = 0

  override now(): number {
    this.#count()
    return super.now()
  }

  override setTimer(callback: () => void, delay: number): Timer {
    this.#count()
    return super.setTimer(callback, delay)
  }

  #count(): void {
    this.calls += 1
    if (this.calls === this.at) throw new Error('the clock broke')
  }
}

interface Answered {
  /** How often the clock was asked while the answers were applied. */
  readonly calls: number
}

/**
 * Answers two callers at once while the clock throws at one moment of that, and checks what must hold afterwards.
 *
 * @param at the number of the call, counted from the answer on.
 */
async function answerTwo(
  at: number,
  ask: (manager: LeaseManager, key: string) => Promise<Lease | null>,
): Promise<Answered> {
  const clock = new FaultyClock()
  const store = new MemoryStore({ clock: { now: () => ManualClock.prototype.now.call(clock) } })
  const backend = new MemoryBackend({ store })
  const manager = new LeaseManager(backend, { ttl: TTL, clock, random: () => 0 })
  const told: string[] = []
  const faults: Error[] = []
  for (const event of ['acquired', 'released', 'lost'] as const)
    manager.on(event, ({ lease }) => void told.push(`${event} ${lease.key}`))
  manager.on('error', (error) => void faults.push(error))
  backend.block()
  const results = ['a', 'b'].map((key) => watch(ask(manager, key)))
  await clock.settle()
  const before = clock.calls
  clock.at = before + at
  backend.unblock()
  await clock.settle()
  const { calls } = clock
  clock.at = Number.POSITIVE_INFINITY
  await clock.advance(TTL)
  const where = `at call ${at} of ${calls - before}: ${told.join(', ')}; ${faults.map(String).join(', ')}`
  for (const result of results) {
    expect(result.state, where).to.not.equal('pending')
    if (result.state === 'fulfilled') expect(result.value?.held, where).to.equal(true)
  }
  const held = [...manager]
  for (const lease of held) {
    expect(store.get(`lease:${lease.key}`), `is on the server, ${where}`).to.equal(lease.token)
    const owner = results.find((result) => result.state === 'fulfilled' && result.value === lease)
    expect(owner, `somebody has it, ${where}`).to.not.equal(undefined)
  }
  expect(store.keys(), where).to.have.members(held.map(({ key }) => `lease:${key}`))
  if (calls - before >= at) {
    const heard = [...faults, ...results.map(({ error }) => error)].some((error) =>
      /the clock broke/.test(String(error)),
    )
    expect(heard, `somebody heard of it, ${where}`).to.equal(true)
  }
  await manager.close()
  for (const key of ['a', 'b']) {
    const story = told.filter((line) => line.endsWith(key)).map((line) => line.slice(0, -2))
    expect(story.join(' '), `P14, ${where}`).to.match(/^(acquired (released|lost) ?)*$/)
  }
  return { calls: calls - before }
}

/** Telling this event of this key throws. @returns what mends it. */
function breakEmitter(manager: LeaseManager, name: string, key: string): () => void {
  const tell = manager.emit.bind(manager) as (event: string, payload: { readonly lease?: Lease }) => boolean
  const broken = (event: string, payload: { readonly lease?: Lease }): boolean => {
    if (event === name && payload.lease?.key === key) throw new Error('the emitter broke')
    return tell(event, payload)
  }
  manager.emit = broken as unknown as typeof manager.emit
  return () => {
    manager.emit = tell as unknown as typeof manager.emit
  }
}

describe('a fault while an answer is applied', () => {
  const calls: Record<string, (manager: LeaseManager, key: string) => Promise<Lease | null>> = {
    tryAcquire: (manager, key) => manager.tryAcquire(key),
    acquire: (manager, key) => manager.acquire(key, { wait: TTL / 2 }),
    'acquire with maxHold': (manager, key) => manager.acquire(key, { wait: TTL / 2, maxHold: 10 * TTL }),
    acquireMany: async (manager, key) => (await manager.acquireMany([key]))[0] ?? null,
  }
  for (const [name, ask] of Object.entries(calls)) {
    it(`P31 reaches one caller or \`error\` whenever it is thrown, leaving no half-made lease: ${name}`, async () => {
      let most = 1
      for (let at = 1; at <= most; at += 1) most = Math.max(most, (await answerTwo(at, ask)).calls)
      expect(most).to.be.within(4, 100)
    })
  }

  it('P31 a fault in `random` is reported, and another number is drawn', () => {
    let isBroken = false
    const random = (): number => {
      if (isBroken) throw new Error('no luck')
      return 0
    }
    return withManager({ random }, async ({ manager, clock, events }) => {
      isBroken = true
      const [a, b] = await Promise.all([manager.acquire('a'), manager.tryAcquire('b')])
      await clock.advance(2 * TTL)
      expect([a.held, b?.held]).to.deep.equal([true, true])
      expect(events.takeErrors().map(String)).to.include('Error: no luck')
      await a.release()
      isBroken = false
      events.takeErrors()
    })
  })

  it('P31 a fault in a strategy reaches its caller, also if called during a pause', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      store.set('lease:a', 'somebody', 60_000)
      let asked = 0
      const retry = {
        next: (): number => {
          asked += 1
          if (asked === 2) throw new Error('the strategy broke')
          return 10_000
        },
      }
      const call = watch(manager.acquire('a', { wait: 60_000, retry }))
      const other = watch(manager.acquire('b', { wait: 60_000 }))
      await clock.settle()
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(String(call.error)).to.equal('Error: the strategy broke')
      expect(other.value.held).to.equal(true)
    }))

  it('P31 a fault in a strategy reaches the caller of acquireMany after an unanswered key', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const over = clock.now() + TTL
      const retry = {
        next: ({ key }: { readonly key: string }): number => {
          if (key === 'b' && clock.now() >= over) throw new Error('the strategy broke')
          return 10
        },
      }
      const call = watch(manager.acquireMany(['a', 'b'], { wait: TTL, retry }))
      await clock.advance(2 * TTL)
      expect(String(call.error)).to.equal('Error: the strategy broke')
    }))

  it('P31 a fault in one lease’s release does not stop the release of others', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      const leases = await manager.acquireAll(['a', 'b', 'c'])
      backend.holdAnswers('release')
      const closed = watch(manager.close())
      await clock.settle()
      const mend = breakEmitter(manager, 'released', 'b')
      backend.deliverAll()
      await clock.settle()
      mend()
      expect(closed.state).to.equal('fulfilled')
      expect(leases.map(({ state }) => state)).to.deep.equal(['released', 'released', 'released'])
      expect(store.keys()).to.deep.equal([])
      expect(events.takeErrors().map(String)).to.deep.equal(['Error: the emitter broke'])
      manager.emit('released', { lease: leases[1] as Lease, confirmed: true, detached: false })
    }))

  it('P20 P31 a fault in one lease’s renewal does not stop the renewal of others', () =>
    withManager({}, async ({ manager, backend, clock, events, store }) => {
      const [a, b] = (await manager.acquireAll(['a', 'b'])) as [Lease, Lease]
      store.delete('lease:a')
      const mend = breakEmitter(manager, 'lost', 'a')
      backend.deaf = true
      await clock.advance(2 * TTL)
      mend()
      expect([a.state, b.held]).to.deep.equal(['lost', true])
      expect(events.lines).to.include('renewed b').and.not.include('jeopardy b')
      expect(events.takeErrors().map(String)).to.include('Error: the emitter broke')
      manager.emit('lost', { lease: a, reason: 'missing', error: a.signal.reason as LeaseLostError })
    }))
})
