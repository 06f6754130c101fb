/** Fairness between processes: a process that passes a lock among its own callers yields it from time to time. */
import { expect } from 'chai'
import { grant, type Member, TICK, type Watched, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

/** Callers of one process that come again and again; each holds the lock for a moment. */
class Crowd {
  readonly member: Member
  grants = 0
  #over = false
  readonly #runs: Promise<void>[] = []

  constructor(member: Member) {
    this.member = member
  }

  /** @param held how long each holds the lock, in ms; @param log gets the name for each grant. */
  start(callers: number, name: string, log: string[], pass: () => Promise<void>): void {
    for (let index = 0; index < callers; index += 1) {
      const run = this.#run(name, log, pass)
      // Where a test fails before it waits for them, that is what is to be told.
      run.catch(() => undefined)
      this.#runs.push(run)
    }
  }

  /** Lets everybody finish what he has begun. */
  async stop(): Promise<void> {
    this.#over = true
    await Promise.all(this.#runs)
  }

  async #run(name: string, log: string[], pass: () => Promise<void>): Promise<void> {
    while (!this.#over) {
      const lease = await this.member.manager.acquire('a', { wait: HOUR })
      this.grants += 1
      log.push(name)
      await pass()
      await lease.release()
    }
  }
}

/** How often the same name follows itself, run after run. */
function stretches(log: readonly string[]): { name: string; length: number }[] {
  const found: { name: string; length: number }[] = []
  for (const name of log) {
    const last = found.at(-1)
    if (last?.name === name) last.length += 1
    else found.push({ name, length: 1 })
  }
  return found
}

/** A chain of callers of one process: the lock goes from each to the next, as far as the process hands it on at once. */
async function handOn(calls: readonly Watched<{ release(): Promise<boolean> }>[], settle: () => Promise<void>) {
  let count = 0
  for (const call of calls) {
    if (call.state === 'pending') break
    await call.value.release()
    await settle()
    count += 1
  }
  return count
}

describe('a process whose callers want the same lock', () => {
  it('a process passes a lock on eight times, then yields it for a moment', () =>
    withManager({}, async ({ manager, clock }) => {
      const first = watch(manager.acquire('a'))
      await clock.settle()
      let calls = [first, ...Array.from({ length: 300 }, () => watch(manager.acquire('a', { wait: HOUR })))]
      const counts: number[] = []
      const offers: number[] = []
      for (let turn = 0; turn < 5; turn += 1) {
        const count = await handOn(calls, () => clock.settle())
        counts.push(count)
        calls = calls.slice(count)
        const before = clock.now()
        while (calls[0]?.state === 'pending') await clock.advance(1)
        offers.push(clock.now() - before)
      }
      // The first holder’s own release is counted, too.
      expect(counts.slice(0, 5)).to.deep.equal([9, 17, 33, 65, 129])
      for (const offer of offers) expect(offer).to.be.within(5, 5 + 2 * TICK)
      void manager.close()
      await clock.advance(TICK)
    }))

  it('a process passes a lock on for half a second at most', () =>
    withManager({}, async ({ manager, clock }) => {
      const calls = Array.from({ length: 10 }, () => watch(manager.acquire('a', { wait: HOUR })))
      await clock.settle()
      const atOnce: boolean[] = []
      for (const [index, call] of calls.slice(0, 6).entries()) {
        await clock.advance(200)
        await call.value.release()
        await clock.settle()
        atOnce.push(calls[index + 1]?.state === 'fulfilled')
        await clock.advance(5 + 2 * TICK)
      }
      expect(atOnce.slice(0, 4)).to.deep.equal([true, true, true, false])
      void manager.close()
      await clock.advance(TICK)
    }))

  it('a process passes a wanted lock on eight times', () =>
    withStage(async ({ open, clock }) => {
      const [one, other] = [new Crowd(open()), new Crowd(open())]
      const log: string[] = []
      const pass = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 5))
      one.start(20, 'one', log, pass)
      other.start(20, 'other', log, pass)
      await clock.advance(5_000)
      const settled = stretches(log).slice(5, -1)
      expect(Math.max(...settled.map(({ length }) => length))).to.equal(9)
      expect(one.grants / other.grants).to.be.within(0.9, 1.1)
      const stopped = Promise.all([one.stop(), other.stop()])
      await clock.advance(5_000)
      await stopped
    }))

  it('a process serves its callers in order, even while other processes compete', () =>
    withStage(async ({ open, clock }) => {
      const [here, there] = [open(), new Crowd(open())]
      const pass = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 5))
      there.start(3, 'there', [], pass)
      const order: number[] = []
      const calls = Array.from({ length: 40 }, async (_, index) => {
        const lease = await here.manager.acquire('a', { wait: HOUR })
        order.push(index)
        await pass()
        await lease.release()
      })
      await clock.advance(3_000)
      await Promise.all(calls)
      expect(order).to.deep.equal(Array.from({ length: 40 }, (_, index) => index))
      const stopped = there.stop()
      await clock.advance(1_000)
      await stopped
    }))

  it('a process yields the lock even if its callers come one by one', () =>
    withStage(async ({ open, clock }) => {
      const [here, there] = [open(), open()]
      // Whoever holds it here is followed by one who came meanwhile: the line is empty in between.
      let lease = await grant(here.manager.tryAcquire('a'))
      const other = watch(there.manager.acquire('a', { wait: HOUR }))
      let passed = 0
      for (let over = false; !over; passed += 1) {
        if (passed === 100) expect.fail('the other process never had its turn')
        const next = watch(here.manager.acquire('a', { wait: HOUR }))
        await clock.advance(1)
        await lease.release()
        await clock.advance(2)
        over = other.state === 'fulfilled'
        if (over) {
          await other.value.release()
          await clock.advance(2 * TICK)
        }
        expect(next.state).to.equal('fulfilled')
        lease = next.value
      }
      expect(other.state).to.equal('fulfilled')
      expect(passed).to.be.at.most(10)
      await lease.release()
    }))

  it('yields to many callers, each in another process', () =>
    withStage(async ({ open, clock }) => {
      const crowds = Array.from({ length: 4 }, () => new Crowd(open()))
      const log: string[] = []
      const pass = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 5))
      for (const [index, crowd] of crowds.entries()) crowd.start(10, String(index), log, pass)
      await clock.advance(10_000)
      const grants = crowds.map((crowd) => crowd.grants)
      for (const count of grants) expect(count, grants.join(' ')).to.be.greaterThan(0)
      const stopped = Promise.all(crowds.map((crowd) => crowd.stop()))
      await clock.advance(5_000)
      await stopped
    }))
})

/** A lock that has just been left to others by a process that would like to have it again. */
async function offered(member: Member, settle: () => Promise<void>, callers: number) {
  const { manager } = member
  const lease = await grant(manager.tryAcquire('a'))
  const aborts = Array.from({ length: callers + 8 }, () => new AbortController())
  const calls = aborts.map(({ signal }) => watch(manager.acquire('a', { wait: HOUR, signal })))
  await settle()
  await lease.release()
  await settle()
  const passed = await handOn(calls, settle)
  expect(passed).to.equal(8)
  expect(calls[8]?.state, 'left to others').to.equal('pending')
  return { calls: calls.slice(8), aborts: aborts.slice(8) }
}

describe('a lock that is yielded to other processes', () => {
  it('a yielded lock is watched from its deletion on', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      await offered(member, () => clock.settle(), 1)
      const released = member.backend.calls('release').map(({ watched }) => watched)
      expect(released.slice(0, -1).every((keys) => keys.length === 0)).to.equal(true)
      expect(released.at(-1)).to.deep.equal(['a'])
      void member.manager.close()
      await clock.advance(TICK)
    }))

  it('P23 goes to a waiter elsewhere, and is then waited for as usual', () =>
    withStage(async ({ open, clock }) => {
      const [here, there] = [open(), open()]
      const { calls } = await offered(here, () => clock.settle(), 1)
      const before = clock.now()
      const lease = await grant(there.manager.tryAcquire('a'))
      await clock.advance(100)
      expect(calls[0]?.state).to.equal('pending')
      const asked = here.backend.requests.acquire
      await lease.release()
      await clock.settle()
      expect(calls[0]?.value.held).to.equal(true)
      expect(here.backend.requests.acquire - asked).to.equal(1)
      expect(clock.now()).to.equal(before + 100)
      expect(here.manager.stats().wakeUps.change).to.be.at.least(2)
      await calls[0]?.value.release()
    }))

  it('P23 goes to the next caller of this process if the first aborts', () =>
    withStage(async ({ open, clock }) => {
      const { calls, aborts } = await offered(open(), () => clock.settle(), 3)
      aborts[0]?.abort()
      await clock.settle()
      expect(calls[0]?.error).to.include({ name: 'AbortError' })
      expect(calls[1]?.state).to.equal('pending')
      await clock.advance(5 + 2 * TICK)
      expect(calls.map(({ state }) => state)).to.deep.equal(['rejected', 'fulfilled', 'pending'])
      await calls[1]?.value.release()
      await clock.advance(2 * TICK)
      await calls[2]?.value.release()
    }))

  it('P5 P7 P11 a caller whose wait ends with the yield requests nothing again', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      backend.there = 20
      backend.back = 20
      const first = watch(manager.tryAcquire('a'))
      await clock.advance(50)
      const second = watch(manager.acquire('a', { wait: HOUR }))
      // It is left to others for 5 ms and two round trips.
      const third = watch(manager.acquire('a', { wait: 600 + 85 }))
      void first.value?.release()
      await clock.advance(600)
      void second.value.release()
      await clock.advance(60)
      // It is made to ask for both, and has no time left to be answered: what it is granted then is given back.
      const fourth = watch(manager.tryAcquire('a'))
      await clock.advance(300)
      expect(third.state).to.equal('rejected')
      expect(fourth.value).to.equal(null)
      const [, , token, ...others] = backend
        .calls('acquire')
        .flatMap(({ entries }) => entries.map((entry) => entry.token))
      expect(others).not.to.include(token)
      expect(store.get('lease:a')).to.equal(undefined)
      void manager.close()
      await clock.advance(100)
    }))

  it('P22 a yielded lock leaves no timer if all its callers abort', () =>
    withStage(async ({ open, clock, store }) => {
      const member = open()
      const { calls, aborts } = await offered(member, () => clock.settle(), 3)
      for (const abort of aborts) abort.abort()
      await clock.settle()
      expect(calls.map(({ state }) => state)).to.deep.equal(['rejected', 'rejected', 'rejected'])
      expect(clock.timers).to.equal(0)
      expect(store.get('lease:a')).to.equal(undefined)
      expect((await grant(member.manager.tryAcquire('a'))).held).to.equal(true)
    }))

  it('P24 leaves nothing behind if the manager is closed', () =>
    withStage(async ({ open, clock, store }) => {
      const member = open()
      const { calls } = await offered(member, () => clock.settle(), 3)
      const closed = member.manager.close()
      await clock.settle()
      await closed
      expect(calls.map(({ state }) => state)).to.deep.equal(['rejected', 'rejected', 'rejected'])
      expect(clock.timers).to.equal(0)
      expect(store.get('lease:a')).to.equal(undefined)
    }))

  it('is granted at once to a new caller that has no competitor', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      const { aborts } = await offered(member, () => clock.settle(), 1)
      aborts[0]?.abort()
      await clock.settle()
      const lease = await grant(member.manager.tryAcquire('a'))
      expect(lease.held).to.equal(true)
    }))

  it('answers callers without a wait by the end of the yield', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      const { calls } = await offered(member, () => clock.settle(), 1)
      const attempt = watch(member.manager.tryAcquire('a'))
      await clock.advance(5 + 2 * TICK)
      expect(attempt.value).to.equal(null)
      expect(calls[0]?.value.held).to.equal(true)
      await calls[0]?.value.release()
    }))
})

describe('a lock that is yielded to others, and attempts without a wait', () => {
  for (const call of ['tryAcquire', 'acquire', 'acquireMany'] as const) {
    it(`a yielded lock is not requested by ${call} without a wait`, () =>
      withManager({}, async ({ manager, backend, clock }) => {
        const attempt = {
          tryAcquire: async () => manager.tryAcquire('a'),
          acquire: async () => manager.acquire('a', { wait: 0 }).catch(() => null),
          acquireMany: async () => (await manager.acquireMany(['a']))[0],
        }[call]
        let lease = await manager.acquire('a')
        // Handed on from one to the next until the others have their turn.
        for (let turn = 0; turn < 8; turn += 1) {
          const next = watch(manager.acquire('a', { wait: HOUR }))
          await clock.settle()
          await lease.release()
          await clock.settle()
          lease = next.value
        }
        const waiting = watch(manager.acquire('a', { wait: HOUR }))
        await clock.settle()
        await lease.release()
        await clock.settle()
        expect(waiting.state, 'it is left to others').to.equal('pending')
        const before = backend.calls('acquire').length
        for (let poll = 0; poll < 3; poll += 1) {
          expect(await attempt()).to.equal(null)
          await clock.advance(1)
        }
        expect(backend.calls('acquire')).to.have.length(before)
        await clock.advance(5 + 2 * TICK)
        expect(waiting.value.held).to.equal(true)
      }))
  }
})
