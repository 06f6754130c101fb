import { expect } from 'chai'
import { LockNotAcquiredError, ManagerClosedError } from 'leasewheel'
import { ManualClock } from 'leasewheel/memory'
import { heldFor, rejectionOf, TICK, TTL, watch, withStage } from '../support/manager.ts'

const AT_LEAST = 60_000
const OPTIONS = { wait: 0, atLeast: AT_LEAST } as const

describe('using with atLeast', () => {
  it('runs a job once, although another machine asks after its end', () =>
    withStage(async ({ open, clock, store }) => {
      const [one, other] = [open(), open()]
      let runs = 0
      const job = (): void => {
        runs += 1
      }
      await one.manager.using('job', job, OPTIONS)
      expect(one.manager.size).to.equal(0)
      await clock.advance(AT_LEAST - 1)
      expect(await rejectionOf(other.manager.using('job', job, OPTIONS))).to.be.instanceOf(LockNotAcquiredError)
      expect(await rejectionOf(one.manager.using('job', job, OPTIONS))).to.be.instanceOf(LockNotAcquiredError)
      expect(runs).to.equal(1)
      await clock.advance(2)
      expect(store.keys()).to.deep.equal([])
      await other.manager.using('job', job, OPTIONS)
      expect(runs).to.equal(2)
      await clock.advance(AT_LEAST)
    }))

  it('hands the key over to no caller of the same manager before that', () =>
    withStage(async ({ open, clock }) => {
      const { manager, backend } = open()
      const starts: number[] = []
      const job = (): void => void starts.push(clock.now())
      const first = watch(manager.using('job', job, OPTIONS))
      const second = watch(manager.using('job', job, { ...OPTIONS, wait: 2 * AT_LEAST }))
      await clock.advance(AT_LEAST - TICK)
      expect(first.state).to.equal('fulfilled')
      expect(starts).to.have.length(1)
      await clock.advance(AT_LEAST)
      expect(second.state).to.equal('fulfilled')
      const [start = 0, next = 0] = starts
      expect(next - start).to.be.at.least(AT_LEAST)
      expect(backend.requests.handOver).to.equal(0)
    }))

  it('keeps the key no longer than that, if the job was renewed meanwhile', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      const call = watch(
        manager.using('job', () => new Promise<void>((resolve) => void clock.setTimer(resolve, 45_000)), OPTIONS),
      )
      await clock.advance(45_000 + TICK)
      expect(call.state).to.equal('fulfilled')
      expect(backend.calls('renew').length).to.be.greaterThan(0)
      expect(store.remaining('lease:job')).to.be.within(14_000, 15_000)
      await clock.advance(15_000)
      expect(store.keys()).to.deep.equal([])
    }))

  it('deletes the key at once, if the job took longer than that', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager } = open()
      const job = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 5_000))
      const call = watch(manager.using('job', job, { wait: 0, atLeast: 4_000 }))
      await clock.advance(5_000 + TICK)
      expect(call.state).to.equal('fulfilled')
      expect(store.keys()).to.deep.equal([])
    }))

  it('keeps the key if the job fails', () =>
    withStage(async ({ open, clock, store }) => {
      const fault = new Error('from the job')
      expect(await rejectionOf(open().manager.using('job', () => Promise.reject(fault), OPTIONS))).to.equal(fault)
      await clock.advance(AT_LEAST - 1)
      expect(store.keys()).to.deep.equal(['lease:job'])
      await clock.advance(1)
    }))

  it('keeps the key by the clock of the server, whatever the clock of the machine says', () => {
    const storeClock = new ManualClock()
    return withStage(
      async ({ open, clock, store }) => {
        const { manager } = open()
        const job = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 30_000))
        const call = watch(manager.using('job', job, OPTIONS))
        await clock.settle()
        // The machine takes 10 s for 30 s.
        for (let i = 0; i < 30; i += 1) {
          storeClock.jump(333)
          await clock.advance(1_000 + TICK)
        }
        expect(call.state).to.equal('fulfilled')
        expect(store.remaining('lease:job')).to.be.within(AT_LEAST - 10_000 - 100, AT_LEAST - 9_000)
        storeClock.jump(AT_LEAST)
      },
      { storeClock },
    )
  })

  it('keeps the key if the manager closes', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager } = open()
      let signal: AbortSignal | undefined
      const call = watch(
        manager.using(
          'job',
          (lease) => {
            signal = lease.signal
            return new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
          },
          OPTIONS,
        ),
      )
      await clock.settle()
      const closed = watch(manager.close({ drain: 1_000 }))
      await clock.advance(1_000 + 2 * TICK)
      expect(closed.state).to.equal('fulfilled')
      expect(call.error).to.be.instanceOf(ManagerClosedError)
      expect(store.remaining('lease:job')).to.be.within(AT_LEAST - 1_100, AT_LEAST - 900)
      await clock.advance(AT_LEAST)
    }))

  it('keeps the key if the lease ends by `maxHold`', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager } = open()
      const job = ({ signal }: { readonly signal: AbortSignal }): Promise<void> =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
      const call = watch(manager.using('job', job, { ...OPTIONS, maxHold: 500 }))
      await clock.advance(1_000)
      expect(call.state).to.equal('rejected')
      expect(store.remaining('lease:job')).to.be.within(AT_LEAST - 1_100, AT_LEAST - 900)
      await clock.advance(AT_LEAST)
    }))

  it('gives the lease at least that ttl, so that the key stays if the process dies', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      const call = watch(manager.using('job', ({ ttl }) => new Promise<number>((resolve) => resolve(ttl)), OPTIONS))
      await clock.settle()
      expect(call.value).to.equal(AT_LEAST)
      expect(await manager.using('other', ({ ttl }) => ttl, { atLeast: 100 })).to.equal(TTL)
      await clock.advance(AT_LEAST)
      const dying = watch(manager.using('job', () => new Promise(() => undefined), OPTIONS))
      await clock.settle()
      backend.block()
      await clock.advance(heldFor(AT_LEAST) - TICK)
      expect(dying.state).to.equal('pending')
      expect(store.keys()).to.deep.equal(['lease:job'])
      await clock.advance(AT_LEAST)
      expect(store.keys()).to.deep.equal([])
    }))

  it('repeats a release that is not answered, and keeps the key all the same', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      backend.dropAnswers(false)
      const call = watch(
        manager.using('job', () => backend.dropAnswers(true), { wait: 0, atLeast: AT_LEAST, timeout: 100 }),
      )
      await clock.advance(200)
      expect(call.state).to.equal('fulfilled')
      backend.dropAnswers(false)
      await clock.advance(5_000)
      expect(store.remaining('lease:job')).to.be.within(AT_LEAST - 5_300, AT_LEAST - 5_000)
      await clock.advance(AT_LEAST)
      expect(store.keys()).to.deep.equal([])
    }))

  it('keeps a key whose first request was not answered, if the manager closes', () =>
    withStage(async ({ open, clock, store }) => {
      const { manager, backend } = open()
      backend.dropAnswers(true)
      // It does not listen to its signal: `close` releases the lock itself, together with others.
      const job = (): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, 4_000))
      const call = watch(manager.using('job', job, { wait: 5_000, atLeast: AT_LEAST, timeout: 100 }))
      await clock.advance(150)
      backend.dropAnswers(false)
      await clock.advance(2_000)
      expect(manager.size).to.equal(1)
      const closed = watch(manager.close({ drain: 0 }))
      await clock.advance(5_000)
      expect(closed.state).to.equal('fulfilled')
      expect(call.state).to.equal('rejected')
      expect(store.keys()).to.deep.equal(['lease:job'])
      await clock.advance(AT_LEAST)
    }))

  it('refuses a time that is none', () =>
    withStage(async ({ open }) => {
      const { manager } = open()
      for (const atLeast of [0, 0.5, -1, 2 ** 31]) {
        expect(await rejectionOf(manager.using('job', () => 1, { atLeast }))).to.be.instanceOf(RangeError)
      }
      expect(await rejectionOf(manager.acquire('job', { atLeast: 5 } as never))).to.be.instanceOf(TypeError)
    }))
})
