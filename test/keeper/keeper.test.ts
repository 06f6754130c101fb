/** What a keeper renews, and what its manager makes of that, in two threads that are moved by hand. */
import { expect } from 'chai'
import type { ChangeOutcome, LockEntry } from 'leasewheel'
import { heldFor } from '../support/manager.ts'
import { TTL, TwoThreads } from './two-threads.ts'

const DONE: ChangeOutcome = { type: 'done' }

describe('leases with a keeper', () => {
  it('P34 outlast a blocked event loop, and synchronous code sees that they are held', () =>
    TwoThreads.with({}, async (threads) => {
      const { manager, story } = threads
      const leases = await manager.acquireAll(['a', 'b', 'c'])
      for (let turn = 0; turn < 10; turn += 1) {
        await threads.block(TTL / 2)
        expect(leases.map(({ held }) => held)).to.deep.equal([true, true, true])
        for (const { remaining } of leases) expect(remaining).to.be.greaterThan(TTL / 3)
      }
      await threads.pass(TTL)
      expect(leases.map(({ held, state }) => [held, state])).to.deep.equal(leases.map(() => [true, 'held']))
      expect(story).to.deep.equal(['acquired a', 'acquired b', 'acquired c'])
      expect(manager.stats().keeper).to.deep.include({ connected: true, kept: 3 })
      expect(manager.stats().keeper?.renewals).to.be.within(3 * 10, 3 * 20)
    }))

  it('P34 are lost in a blocked event loop without one', async () => {
    await TwoThreads.with({}, async (threads) => {
      threads.keeper?.close()
      const lease = await threads.manager.acquire('a')
      await threads.block(TTL)
      expect(lease.held).to.equal(false)
      await threads.settle()
      expect(threads.story).to.deep.equal(['acquired a', 'lost a: expired'])
    })
  })

  it('P34 cause no request of a keeper while the event loop is free', () =>
    TwoThreads.with({}, async (threads) => {
      await threads.manager.acquireAll(['a', 'b'])
      await threads.manager.acquire('short', { ttl: 500 })
      await threads.pass(3 * TTL)
      expect(threads.sent).to.deep.equal([])
      expect(threads.manager.stats().renewals).to.be.greaterThan(20)
    }))

  it('P34 cause none if a lease with a shorter ttl comes between two beats', () =>
    TwoThreads.with({}, async (threads) => {
      await threads.manager.acquire('a')
      // The next beat is still some time off.
      await threads.pass(TTL / 24 - 50)
      await threads.manager.acquire('short', { ttl: 400 })
      await threads.pass(20)
      // Another server answers: the keeper asks about all that it may renew.
      threads.keeper?.doubt()
      await threads.pass(100)
      expect(threads.sent).to.deep.equal([])
    }))

  it('P34 expire a ttl after the last renewal within `maxBlocked`', () =>
    TwoThreads.with({ maxBlocked: 10_000 }, async (threads) => {
      const { manager, story, store } = threads
      const lease = await manager.acquire('a')
      const begun = threads.now
      let sentAt = 0
      threads.intercept = (entries) => {
        sentAt = threads.now
        return threads.backend.renew(entries)
      }
      // The last one comes a third of the ttl before that at the earliest.
      while (threads.now < begun + 10_000) {
        await threads.block(10)
        expect(lease.held, `held after ${threads.now - begun} ms`).to.equal(true)
      }
      expect(sentAt).to.be.within(begun + 10_000 - TTL / 2, begun + 10_000)
      const last = sentAt
      while (threads.now < last + heldFor(TTL) - 0.5) {
        expect(lease.held).to.equal(true)
        await threads.block(1)
      }
      expect(sentAt, 'no renewal after `maxBlocked`').to.equal(last)
      expect(lease.held).to.equal(false)
      await threads.settle()
      expect(story).to.deep.equal(['acquired a', 'lost a: expired'])
      await threads.block(TTL)
      expect(store.get('a')).to.equal(undefined)
    }))

  it('P34 are not renewed once they are released, whatever the answer to that is', () =>
    TwoThreads.with({}, async (threads) => {
      const { manager, sent } = threads
      const [kept, released, detached] = await manager.acquireAll(['kept', 'released', 'detached'])
      await threads.block(TTL / 2)
      expect(sent.flat()).to.include('released')
      sent.length = 0
      // In the middle of the block: nothing of this has been sent.
      const answer = released?.release()
      detached?.detach()
      for (let turn = 0; turn < 4; turn += 1) await threads.block(TTL / 2)
      expect(new Set(sent.flat())).to.deep.equal(new Set(['kept']))
      expect([kept?.held, released?.held, detached?.held]).to.deep.equal([true, false, false])
      await threads.pass(100)
      expect(await answer).to.equal(true)
    }))

  it('P34 P2 are not revived by an answer that comes after their deadline', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      const answers: (() => void)[] = []
      threads.intercept = (entries) => new Promise((resolve) => answers.push(() => resolve(entries.map(() => DONE))))
      await threads.block(heldFor(TTL) + 1)
      expect(answers.length).to.be.greaterThan(0)
      for (const answer of answers) answer()
      await threads.settle()
      expect(lease.held).to.equal(false)
    }))

  it('P34 have the deadline of the renewal that was confirmed, counted from its sending', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      let sentAt = 0
      let answer: (() => void) | undefined
      threads.intercept = (entries) => {
        sentAt = threads.now
        return new Promise((resolve) => {
          answer = () => resolve(entries.map(() => DONE))
        })
      }
      while (answer === undefined) await threads.block(10)
      await threads.block(500)
      answer()
      await threads.settle()
      threads.keeper?.close()
      await threads.block(sentAt + heldFor(TTL) - threads.now - 1)
      expect([lease.held, Math.ceil(lease.remaining)]).to.deep.equal([true, 1])
      await threads.block(1)
      expect(lease.held).to.equal(false)
    }))

  it('P34 P5 keep nothing of a confirmation for an earlier lease in the same place', () =>
    TwoThreads.with({}, async (threads) => {
      const { manager } = threads
      const first = await manager.acquire('a')
      const second = await manager.acquire('b')
      let answer: (() => void) | undefined
      threads.intercept = (entries) =>
        new Promise((resolve) => {
          answer = () => resolve(entries.map(() => DONE))
        })
      while (answer === undefined) await threads.block(10)
      // The event loop goes on while the request of the keeper is under way.
      void first.release()
      void second.release()
      await threads.pass(10)
      const third = await manager.acquire('c')
      const fourth = await manager.acquire('d')
      answer()
      await threads.settle()
      threads.keeper?.close()
      await threads.block(heldFor(TTL))
      expect([third.held, fourth.held]).to.deep.equal([false, false])
    }))

  it('P34 are not held by a confirmation that came for another lease of their cohort', () =>
    TwoThreads.with({}, async (threads) => {
      const [kept, refused] = await threads.manager.acquireAll(['kept', 'unanswered'])
      threads.intercept = (entries) =>
        Promise.resolve(
          entries.map(({ key }) => (key === 'kept' ? DONE : { type: 'unknown', error: new Error('no answer') })),
        )
      await threads.block(heldFor(TTL) + 1)
      expect([kept?.held, refused?.held]).to.deep.equal([true, false])
      await threads.settle()
      expect(threads.story.at(-1)).to.equal('lost unanswered: expired')
      await threads.pass(TTL)
      expect(kept?.held).to.equal(true)
    }))

  it('P34 P18 are lost at the next look if the server has refused them to the keeper', () =>
    TwoThreads.with({}, async (threads) => {
      const leases = await threads.manager.acquireAll(['kept', 'gone', 'stolen'])
      const [kept, gone, stolen] = leases
      await threads.backend.forceRelease('gone')
      await threads.backend.forceRelease('stolen')
      threads.store.set('stolen', 'x', 60_000)
      await threads.block(TTL * 0.7)
      expect([kept?.held, gone?.held, stolen?.held]).to.deep.equal([true, false, false])
      await threads.settle()
      expect(threads.story.slice(3)).to.have.members(['lost gone: missing', 'lost stolen: taken'])
    }))

  it('P34 are kept while an event loop that was blocked is still late', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      await threads.block(TTL)
      // The manager cannot renew: each time that its event loop has a turn, that is late, and its server does not answer.
      threads.main.block()
      for (let turn = 0; turn < 5; turn += 1) {
        await threads.block(TTL / 4)
        await threads.pass(20)
        expect(lease.held).to.equal(true)
      }
      threads.main.unblock()
      await threads.pass(TTL)
      threads.sent.length = 0
      await threads.pass(TTL)
      expect([lease.held, threads.sent]).to.deep.equal([true, []])
    }))

  it('P34 end with `maxHold`, and are not renewed after it', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a', { maxHold: 2 * TTL })
      await threads.block(2 * TTL - 10)
      expect(lease.held).to.equal(true)
      threads.sent.length = 0
      await threads.block(20)
      expect(lease.held).to.equal(false)
      await threads.block(TTL)
      expect(threads.sent).to.deep.equal([])
      await threads.settle()
      expect(threads.story.at(-1)).to.equal('lost a: maxHold')
    }))

  it('P34 are left to their owner without `autoRenew`', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a', { autoRenew: false })
      await threads.block(TTL)
      expect(threads.sent).to.deep.equal([])
      expect(lease.held).to.equal(false)
    }))

  it('P34 P8 keep nothing that was confirmed before a sleep of the machine was noticed', () =>
    TwoThreads.with({}, async (threads) => {
      const unread = await threads.manager.acquire('unread')
      // Another ttl: another cohort.
      const read = await threads.manager.acquire('read', { ttl: TTL + 1 })
      await threads.block(1.5 * TTL)
      expect(read.held).to.equal(true)
      // Nobody can say whether the machine slept before or after the last confirmation.
      threads.sleep(300)
      expect([unread.held, read.held]).to.deep.equal([false, true])
    }))

  it('P34 outlast a block although the machine slept long before', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      threads.sleep(400)
      await threads.pass(2 * TTL)
      await threads.block(1.5 * TTL)
      expect(lease.held).to.equal(true)
    }))

  it('P34 P8 are not renewed after a sleep of the machine until the event loop beats again', () =>
    TwoThreads.with({}, async (threads) => {
      await threads.manager.acquire('a')
      await threads.pass(TTL)
      await threads.block(TTL / 2)
      threads.sleep(400)
      threads.sent.length = 0
      await threads.block(3 * TTL)
      expect(threads.sent).to.deep.equal([])
      await threads.pass(500)
      const lease = await threads.manager.acquire('b')
      await threads.block(2 * TTL)
      expect(lease.held).to.equal(true)
    }))

  it('P34 P13 are lost if the whole process was stopped for longer than their ttl', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      await threads.block(TTL)
      threads.stop(TTL)
      await threads.block(1_000)
      expect(lease.held).to.equal(false)
    }))

  it('P34 are renewed one by one if a key may be why a batch failed', () =>
    TwoThreads.with({}, async (threads) => {
      const leases = await threads.manager.acquireAll(['a', 'bad', 'c'])
      threads.intercept = (entries: readonly LockEntry[]) => {
        const error = new Error('one key')
        const isBad = entries.some(({ key }) => key === 'bad')
        return isBad ? Promise.resolve(entries.map(() => ({ type: 'unknown', error }))) : threads.backend.renew(entries)
      }
      await threads.block(2 * TTL)
      expect(leases.map(({ held }) => held)).to.deep.equal([true, false, true])
    }))

  it('P34 survive an outage of the server in a blocked event loop', () =>
    TwoThreads.with({}, async (threads) => {
      const leases = await threads.manager.acquireAll(['a', 'b'])
      await threads.block(TTL * 0.6)
      threads.backend.fail(new Error('away'))
      await threads.block(TTL * 0.6)
      threads.backend.fail(undefined)
      await threads.block(TTL)
      expect(leases.map(({ held }) => held)).to.deep.equal([true, true])
    }))

  it('P34 P21 are asked about at most every hundredth of the ttl if nothing answers', () =>
    TwoThreads.with({}, async (threads) => {
      await threads.manager.acquire('a')
      threads.intercept = () => new Promise(() => undefined)
      await threads.block(2 * TTL)
      expect(threads.sent.length).to.be.within(2, 10)
    }))

  it('P34 P26 are all asked about when another server answers in a blocked event loop', () =>
    TwoThreads.with({}, async (threads) => {
      await threads.manager.acquireAll(['a', 'b'])
      await threads.block(TTL * 0.7)
      threads.sent.length = 0
      threads.keeper?.doubt()
      expect(threads.sent.flat()).to.have.members(['a', 'b'])
    }))

  it('P34 go on together with leases that were kept', () =>
    TwoThreads.with({ batchSize: 4 }, async (threads) => {
      const { manager } = threads
      const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
      const leases = []
      for (const key of keys) leases.push(await manager.acquire(key, { ttl: key.endsWith('7') ? 2 * TTL : TTL }))
      for (let turn = 0; turn < 8; turn += 1) {
        await threads.block(TTL * (0.2 + 0.3 * turn))
        expect(leases.filter(({ held }) => held).length).to.equal(leases.length)
        await leases.pop()?.release()
        await threads.pass(TTL * (0.1 + 0.1 * turn))
      }
      expect(manager.stats().keeper?.kept).to.equal(leases.length)
    }))

  it('P22 leave no timer behind once the last one has ended', () =>
    TwoThreads.with({}, async (threads) => {
      const lease = await threads.manager.acquire('a')
      void lease.release()
      await threads.pass(200)
      expect(threads.manager.stats().timers).to.equal(0)
    }))
})
