/** Hints and wake-ups that race a request, a late deletion or a timeout. */
import { expect } from 'chai'
import { fixedInterval, UnavailableError } from 'leasewheel'
import { grant, TICK, TTL, watch, withManager, withStage } from '../support/manager.ts'

const HOUR = 3_600_000

describe('a caller that waits', () => {
  it('P11 releases a late grant if the event loop was blocked at its timeout', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      store.set('lease:a', 'somebody', HOUR)
      const call = watch(manager.acquire('a', { wait: 1_000 }))
      await clock.advance(400)
      backend.holdAnswers('acquire')
      store.delete('lease:a')
      await clock.settle()
      // Both the pause and the timeout of the question are over when the event loop is free again.
      clock.jump(700)
      await clock.advance(0)
      expect(call.error).to.be.instanceOf(UnavailableError)
      backend.deliverAll()
      await clock.advance(100)
      expect(store.get('lease:a')).to.equal(undefined)
    }))

  it('P23 a waiter loses no hint, at whatever moment after a refusal', () =>
    withStage(async ({ open, clock, store }) => {
      const lost: number[] = []
      for (let moment = 0; moment < 25; moment += 1) {
        const { manager, backend } = open()
        store.set('lease:a', 'somebody', HOUR)
        await clock.settle()
        const retry = fixedInterval({ interval: 5_000, jitter: false })
        const call = watch(manager.acquire('a', { wait: 9_000, retry }))
        await clock.settle()
        backend.holdAnswers('acquire')
        await clock.advance(5_000 + 2 * TICK)
        backend.deaf = true
        backend.deliverAll()
        for (let turn = 0; turn < moment; turn += 1) await Promise.resolve()
        store.delete('lease:a')
        backend.listener.onChange(['a'])
        await clock.settle()
        if (call.state === 'fulfilled') await call.value.release()
        else lost.push(moment)
        await clock.advance(9_000)
        if (call.state === 'fulfilled') await call.value.release()
      }
      expect(lost).to.deep.equal([])
    }))

  it('P23 a waiter asks again if the lock is released before an answer', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      const call = watch(manager.acquire('a', { wait: HOUR }))
      await clock.settle()
      backend.deaf = true
      backend.holdAnswers('acquire')
      backend.listener.onChange(['a'])
      await clock.settle()
      expect(backend.answers).to.have.length(1)
      await (await manager.adopt(handle)).release()
      backend.deliverAll()
      await clock.advance(10 * TICK)
      expect(call.value.held).to.equal(true)
    }))

  it('P18 a waiter loses no hint, at whatever moment around its grant', () =>
    withStage(async ({ open, clock, store }) => {
      const lost: number[] = []
      for (let moment = 0; moment < 25; moment += 1) {
        const { manager, backend } = open()
        store.set('lease:a', 'somebody', HOUR)
        await clock.settle()
        const call = watch(manager.acquire('a', { wait: 500 }))
        await clock.settle()
        backend.holdAnswers('acquire')
        store.delete('lease:a')
        await clock.settle()
        backend.deaf = true
        backend.deliverAll()
        for (let turn = 0; turn < moment; turn += 1) await Promise.resolve()
        store.delete('lease:a')
        backend.listener.onChange(['a'])
        await clock.settle()
        if (call.value.held) lost.push(moment)
        await clock.advance(600)
        await manager.close()
      }
      expect(lost).to.deep.equal([])
    }))
})

describe('a key that this process deletes late', () => {
  it('P23 a late deletion does not make the second caller wait for a ttl', () =>
    withManager({ ttl: 30_000 }, async ({ manager, backend, clock, store }) => {
      backend.there = 50
      backend.back = 50
      const abort = new AbortController()
      const first = watch(manager.acquire('a', { signal: abort.signal }))
      const second = watch(manager.acquire('a', { wait: 20_000 }))
      await clock.advance(20)
      abort.abort()
      await clock.advance(1_000)
      expect(first.error).to.include({ name: 'AbortError' })
      expect(second.state).to.equal('fulfilled')
      expect(store.get('lease:a')).to.equal(second.value.token)
    }))

  it('P23 an expired lease does not make the next caller wait for a ttl', () =>
    withManager({ ttl: 30_000, timeout: 500 }, async ({ manager, backend, clock }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const next = watch(manager.acquire('a', { wait: HOUR }))
      // Renewals are carried out, and nobody hears of it.
      backend.dropAnswers(true)
      await clock.advance(29_800)
      expect(lease.held).to.equal(false)
      await clock.advance(600)
      backend.dropAnswers(false)
      await clock.advance(5_000)
      expect(next.state).to.equal('fulfilled')
    }))

  it('P23 a key goes to the next caller at once after several release attempts', () =>
    withStage(async ({ open, clock }) => {
      const member = open()
      const { manager, backend } = member
      const lease = await grant(manager.tryAcquire('a'))
      const calls = Array.from({ length: 9 }, () => watch(manager.acquire('a', { wait: HOUR })))
      await clock.settle()
      await lease.release()
      await clock.settle()
      for (const call of calls.slice(0, 7)) {
        await call.value.release()
        await clock.settle()
      }
      backend.fail(new Error('ECONNRESET'))
      const release = watch(calls[7]?.value.release() as Promise<boolean>)
      await clock.settle()
      backend.fail(undefined)
      await clock.advance(TTL / 3)
      expect(release.value).to.equal(true)
      expect(calls[8]?.value.held).to.equal(true)
    }))
})

describe('leases that may have been lost', () => {
  it('P18 leases are verified if everything may have changed during their renewal', () =>
    withManager({ timeout: 900 }, async ({ manager, backend, clock, store, events }) => {
      await grant(manager.tryAcquire('a'))
      backend.holdAnswers('renew')
      await clock.advance(TTL / 3)
      expect(backend.requests.renew).to.equal(1)
      store.clear()
      await clock.settle()
      backend.deliverAll()
      await clock.settle()
      expect(events.lines.at(-1)).to.equal('lost a: missing')
    }))

  it('leases are not watched with a `watchLimit` of 0', () =>
    withManager({ watchLimit: 0 }, async ({ manager, backend, store, events, clock }) => {
      await grant(manager.tryAcquire('a'))
      expect(backend.calls('acquire').map(({ watched }) => watched)).to.deep.equal([[]])
      store.delete('lease:a')
      await clock.settle()
      expect(events.lines).to.deep.equal(['acquired a'])
    }))
})

describe('adoptions at once', () => {
  it('simultaneous adoptions pass the backend no key twice in one call', () =>
    withStage(async ({ open }) => {
      const [from, to] = [open(), open()]
      const handle = (await grant(from.manager.tryAcquire('a'))).detach()
      const [first, second] = await Promise.all([to.manager.adopt(handle), to.manager.adopt(handle)])
      expect(second).to.equal(first)
      expect(to.events.lines).to.deep.equal(['acquired a'])
    }))
})
