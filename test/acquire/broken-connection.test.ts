/** A connection that breaks under a request: the request waits for one other connection, within its timeout. */
import { expect } from 'chai'
import { LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { only, TICK, TTL, type Member, type Stage, watch, withManager } from '../support/manager.ts'

/** ms. */
const TIMEOUT = 500

/** Breaks the connection under what is on its way; `reconnect` makes another, `refuse` fails to. */
class Line {
  reconnect: () => void = () => undefined
  refuse: (error: Error) => void = () => undefined
  readonly #backend: Member['backend']

  constructor(backend: Member['backend']) {
    this.#backend = backend
  }

  /** @param carriedOut whether the requests on their way reach the server. */
  async break(clock: Stage['clock']): Promise<void> {
    const ready = new Promise<void>((resolve, reject) => {
      this.reconnect = (): void => {
        this.#backend.ready = () => undefined
        resolve()
      }
      this.refuse = reject
    })
    ready.catch(() => undefined)
    this.#backend.ready = () => ready as unknown as undefined
    for (const answer of this.#backend.answers.splice(0)) {
      answer.deliver(answer.keys.map(() => ({ type: 'unknown', error: new Error('the connection broke') })))
    }
    await clock.settle()
  }
}

describe('a request whose connection breaks', () => {
  const calls: Record<string, (member: Member) => Promise<unknown>> = {
    tryAcquire: async ({ manager }) => manager.tryAcquire('a'),
    'acquire with wait 0': async ({ manager }) => manager.acquire('a', { wait: 0 }),
    acquireMany: async ({ manager }) => only(await manager.acquireMany(['a'])),
    'acquireAll with wait 0': async ({ manager }) => only(await manager.acquireAll(['a'], { wait: 0 })),
  }

  for (const [name, call] of Object.entries(calls)) {
    it(`P11 is asked again through the next connection with the same token: ${name}`, () =>
      withManager({ timeout: TIMEOUT }, async (member) => {
        const { backend, clock, manager } = member
        const line = new Line(backend)
        backend.holdAnswers('acquire')
        const result = watch(call(member))
        await clock.settle()
        await line.break(clock)
        await clock.advance(TIMEOUT / 2)
        expect(result.state).to.equal('pending')
        line.reconnect()
        await clock.settle()
        backend.deliverAll()
        await clock.settle()
        expect(result.value).to.include({ key: 'a', held: true })
        const [first, second] = backend.calls('acquire')
        expect(second?.entries).to.deep.equal(first?.entries)
        expect(manager.get('a')?.remaining, 'counted from the second request').to.equal(TTL - 32)
      }))

    it(`waits no longer than its timeout in total: ${name}`, () =>
      withManager({ timeout: TIMEOUT }, async (member) => {
        const { backend, clock } = member
        const line = new Line(backend)
        backend.holdAnswers('acquire')
        const result = watch(call(member))
        await clock.advance(TIMEOUT / 2)
        await line.break(clock)
        await clock.advance(TIMEOUT / 2 + 2 * TICK)
        expect(result.error).to.be.instanceOf(UnavailableError)
        expect(String(result.error)).to.match(/within 500 ms: the connection broke/)
        line.reconnect()
      }))
  }

  it('fails at once with the cause if no other connection comes', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager }) => {
      const line = new Line(backend)
      backend.holdAnswers('acquire')
      const result = watch(manager.tryAcquire('a'))
      await clock.settle()
      await line.break(clock)
      line.refuse(new Error('connect ECONNREFUSED'))
      await clock.settle()
      expect(String(result.error)).to.match(/could not be acquired: connect ECONNREFUSED/)
      line.reconnect()
    }))

  it('is repeated once and not more often', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager }) => {
      const line = new Line(backend)
      backend.holdAnswers('acquire')
      const result = watch(manager.tryAcquire('a'))
      await clock.settle()
      await line.break(clock)
      line.reconnect()
      await clock.settle()
      await line.break(clock)
      expect(result.error).to.be.instanceOf(UnavailableError)
      expect(backend.calls('acquire')).to.have.length(2)
      line.reconnect()
    }))

  it('P11 leaves no key behind if another caller took the lock before the repetition', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager, store }) => {
      const line = new Line(backend)
      backend.holdAnswers('acquire')
      const result = watch(manager.acquire('a', { wait: 0 }))
      await clock.settle()
      const token = store.get('lease:a') ?? ''
      await line.break(clock)
      store.set('lease:a', 'somebody', 1_000)
      line.reconnect()
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(result.error).to.be.instanceOf(LockNotAcquiredError)
      // The first request lands when the other has gone.
      await clock.advance(1_000)
      store.set('lease:a', token, TTL)
      await clock.advance(500)
      expect(store.get('lease:a')).to.equal(undefined)
    }))

  it('P11 is not repeated for callers that are gone', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager, store }) => {
      const line = new Line(backend)
      backend.holdAnswers('acquire')
      const abort = new AbortController()
      const result = watch(manager.tryAcquire('a', { signal: abort.signal }))
      const other = watch(manager.tryAcquire('b'))
      await clock.settle()
      await line.break(clock)
      abort.abort()
      line.reconnect()
      await clock.settle()
      backend.deliverAll()
      await clock.advance(200)
      expect(result.state).to.equal('rejected')
      expect(other.value?.held).to.equal(true)
      expect(backend.calls('acquire').map(({ entries }) => entries.map(({ key }) => key))).to.deep.equal([
        ['a', 'b'],
        ['b'],
      ])
      expect(store.keys()).to.deep.equal(['lease:b'])
    }))

  it('is repeated for an adoption as well', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager }) => {
      const line = new Line(backend)
      const detached = (await manager.acquire('a')).detach()
      backend.holdAnswers('renew')
      const result = watch(manager.adopt(detached))
      await clock.settle()
      await line.break(clock)
      line.reconnect()
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(result.value.held).to.equal(true)
    }))

  it('P16 deletes the key once for a release, and reports no loss', () =>
    withManager({ timeout: TIMEOUT }, async ({ backend, clock, manager, events }) => {
      const line = new Line(backend)
      const lease = await manager.acquire('a')
      backend.holdAnswers('release')
      const result = watch(lease.release())
      await clock.settle()
      await line.break(clock)
      line.reconnect()
      backend.deliverAll()
      await clock.advance(TIMEOUT + 2 * TICK)
      expect(result.value).to.equal(false)
      expect(events.lines).to.deep.equal(['acquired a', 'released a, unconfirmed'])
    }))
})
