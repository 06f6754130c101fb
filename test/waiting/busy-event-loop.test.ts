/** An event loop that is late in every turn: time limits are kept once the sockets have been read. */
import { expect } from 'chai'
import { LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { ManualClock } from 'leasewheel/memory'
import { type Member, type Stage, TTL, type Watched, watch, withManager } from '../support/manager.ts'

/** How long each turn of the event loop takes, in ms. */
const TURN = 100
const TIMEOUT = 500
/** An alarm is noticed a turn late, rings a turn later at most, and what follows from it may take another. */
const SLACK = 4 * TURN

/** Goes on until the call is over. @returns how long that took, in ms. */
async function turnsUntilOver(clock: ManualClock, call: Watched<unknown>): Promise<number> {
  const start = clock.now()
  while (call.state === 'pending' && clock.now() < start + 20 * TIMEOUT) {
    clock.jump(TURN)
    await clock.advance(0)
  }
  return clock.now() - start
}

describe('an event loop that is late in every turn', () => {
  const calls: Record<string, { readonly limit: number; readonly call: (member: Member & Stage) => Promise<unknown> }> =
    {
      tryAcquire: { limit: TIMEOUT, call: async ({ manager }) => manager.tryAcquire('a') },
      acquireMany: { limit: TIMEOUT, call: async ({ manager }) => manager.acquireMany(['a', 'b']) },
      acquire: { limit: TIMEOUT, call: async ({ manager }) => manager.acquire('a', { wait: TIMEOUT }) },
      'acquire that is refused at first': {
        limit: 1_000,
        call: async ({ manager, store }) => {
          store.set('lease:a', 'somebody', 60_000)
          return manager.acquire('a', { wait: 1_000 })
        },
      },
      release: { limit: TIMEOUT, call: async ({ manager }) => (await manager.acquire('mine')).release() },
      inspect: { limit: TIMEOUT, call: async ({ manager }) => manager.inspect('a') },
      close: { limit: TIMEOUT, call: async ({ manager }) => manager.close({ timeout: TIMEOUT }) },
    }

  for (const [name, { limit, call }] of Object.entries(calls)) {
    it(`keeps the time limit of ${name} while the server hangs`, () =>
      withManager({ timeout: TIMEOUT }, async (member) => {
        const { backend, clock, manager } = member
        if (name === 'close') await manager.acquire('mine')
        if (name !== 'release') backend.block()
        const result = watch(call(member))
        if (name === 'release') {
          await clock.settle()
          backend.block()
        }
        expect(await turnsUntilOver(clock, result)).to.be.at.most(limit + SLACK)
        expect(result.state).to.not.equal('pending')
        if (name !== 'release' && name !== 'close') {
          expect(result.error).to.satisfy(
            (error: unknown) => error instanceof UnavailableError || error instanceof LockNotAcquiredError,
          )
        }
        backend.unblock()
      }))
  }

  it('P18 P20 a late event loop keeps the time limit of a renewal', () =>
    withManager({ timeout: TIMEOUT, ttl: 10 * TTL }, async ({ manager, backend, clock, events }) => {
      const lease = await manager.acquire('a')
      backend.dropAnswers(true)
      const renewal = watch(lease.renew())
      expect(await turnsUntilOver(clock, renewal)).to.be.at.most(TIMEOUT + SLACK)
      expect(renewal.error).to.be.instanceOf(UnavailableError)
      expect(events.lines).to.deep.equal(['acquired a', 'jeopardy a'])
      backend.dropAnswers(false)
    }))

  it('P18 reads an answer that lies in the socket before the time limit ends', async () => {
    class SocketClock extends ManualClock {
      unread: (() => void)[] = []

      /** Sockets are read between the timers and this. */
      override soon(callback: () => void): void {
        super.soon(() => {
          for (const read of this.unread.splice(0)) read()
          setImmediate(callback)
        })
      }

      override async settle(): Promise<void> {
        for (let turn = 0; turn < 4; turn += 1) await super.settle()
      }
    }
    const clock = new SocketClock()
    await withManager({ timeout: TIMEOUT, clock }, async ({ manager, backend }) => {
      backend.holdAnswers('acquire')
      const [tried, waiting] = [watch(manager.tryAcquire('a')), watch(manager.acquire('b', { wait: TIMEOUT }))]
      await clock.settle()
      clock.unread.push(() => backend.deliverAll())
      clock.jump(2 * TIMEOUT)
      await clock.advance(0)
      expect([tried.value?.held, waiting.value.held]).to.deep.equal([true, true])
    })
  })
})
