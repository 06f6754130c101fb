/** Whether the backend can be asked: what `stats`, `health` and events say of it. */
import { expect } from 'chai'
import type { LeaseManager } from 'leasewheel'
import { grant, heldFor, TTL, watch, withManager } from '../support/manager.ts'

function tellsOf(manager: LeaseManager): string[] {
  const tells: string[] = []
  manager.on('disconnected', ({ error }) => tells.push(`disconnected: ${error?.message}`))
  manager.on('connected', ({ after }) => tells.push(`connected after ${after}`))
  return tells
}

describe('the connection', () => {
  it('is reported by stats and by one event for each change', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const tells = tellsOf(manager)
      expect(manager.stats()).to.include({ connection: 'connected', disconnections: 0 })
      backend.fail(new Error('ECONNREFUSED'))
      backend.fail(new Error('again'))
      expect(manager.stats()).to.include({ connection: 'disconnected', disconnections: 1 })
      expect(tells, 'listeners have a turn of their own').to.deep.equal([])
      await clock.advance(100)
      backend.fail(undefined)
      await clock.settle()
      expect(manager.stats()).to.include({ connection: 'connected', disconnections: 1 })
      expect(tells).to.deep.equal(['disconnected: ECONNREFUSED', 'connected after 100'])
    }))

  it('that a closing manager ends is no fault', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const tells = tellsOf(manager)
      const closed = manager.close()
      expect(manager.stats().connection).to.equal('closed')
      await clock.settle()
      await closed
      backend.listener.onDisconnected?.(new Error('closed'))
      await clock.settle()
      expect(tells).to.deep.equal([])
      expect(manager.stats()).to.include({ connection: 'closed', disconnections: 0 })
    }))

  it('that breaks during a drain is reported', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const tells = tellsOf(manager)
      const work = watch(manager.using('a', () => new Promise((resolve) => clock.setTimer(() => resolve(1), 500))))
      await clock.settle()
      const closed = manager.close({ drain: 1_000 })
      await clock.advance(100)
      backend.fail(new Error('ECONNRESET'))
      backend.fail(undefined)
      await clock.advance(1_000)
      await closed
      expect(work.state).to.equal('fulfilled')
      expect(tells).to.deep.equal(['disconnected: ECONNRESET', 'connected after 0'])
    }))
})

describe('health', () => {
  it('is fine while the manager can take on work', () =>
    withManager({}, async ({ manager }) => {
      await grant(manager.tryAcquire('a'))
      expect(manager.health()).to.deep.equal({ ok: true, reasons: [] })
    }))

  it('names a lost connection, and leases whose renewals fail', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      await grant(manager.tryAcquire('a'))
      backend.fail(new Error('ECONNREFUSED'))
      expect(manager.health()).to.deep.equal({ ok: false, reasons: ['disconnected'] })
      await clock.advance(TTL / 2)
      expect(manager.health()).to.deep.equal({ ok: false, reasons: ['disconnected', 'jeopardy'] })
      backend.fail(undefined)
      await clock.settle()
      expect(manager.health()).to.deep.equal({ ok: true, reasons: [] })
    }))

  it('names a server that hangs, although it is connected', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      await grant(manager.tryAcquire('a'))
      backend.block()
      await clock.advance(heldFor(TTL) - 100)
      expect(manager.health().reasons).to.include('jeopardy')
      expect(manager.health().reasons).not.to.include('disconnected')
    }))

  it('names an overload', () =>
    withManager({ batchSize: 10 }, async ({ manager, backend, clock }) => {
      await manager.acquireMany(Array.from({ length: 200 }, (_, index) => `key-${index}`))
      backend.pace = 0.05
      let seen = false
      for (let step = 0; step < 60 && !seen; step += 1) {
        await clock.advance(50)
        seen = manager.health().reasons.includes('overload')
      }
      expect(seen).to.equal(true)
      expect(manager.health().ok).to.equal(false)
    }))

  it('names a closed manager from the call of close on', () =>
    withManager({}, async ({ manager }) => {
      const closed = manager.close()
      expect(manager.health()).to.deep.equal({ ok: false, reasons: ['closed'] })
      await closed
    }))
})
