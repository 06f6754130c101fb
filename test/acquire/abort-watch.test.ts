/** The abort signals that callers pass. */
import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { rejectionOf, watch, withManager, withStage } from '../support/manager.ts'

describe('a signal', () => {
  it('a signal that eleven managers share has one listener', () =>
    withStage(async ({ open, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      const controller = new AbortController()
      const { signal } = controller
      const calls = Array.from({ length: 11 }, () => watch(open().manager.acquire('a', { signal, wait: 60_000 })))
      await clock.settle()
      expect(getEventListeners(signal, 'abort')).to.have.length(1)
      controller.abort()
      await clock.settle()
      expect(calls.every(({ error }) => error === signal.reason)).to.equal(true)
      expect(getEventListeners(signal, 'abort')).to.have.length(0)
    }))

  it('a signal of another realm aborts like any other', () =>
    withManager({}, async ({ manager, store, clock }) => {
      store.set('lease:a', 'somebody', 60_000)
      const foreign = foreignSignal()
      expect(foreign.signal).not.to.be.instanceOf(AbortSignal)
      const call = watch(manager.acquire('a', { signal: foreign.signal, wait: 60_000 }))
      await clock.settle()
      foreign.abort('enough')
      await clock.settle()
      expect(call.error).to.equal('enough')
    }))

  for (const value of [null, 5, {}, { aborted: false }, new EventTarget()]) {
    it(`a signal cannot be ${inspect(value)}`, () =>
      withManager({}, async ({ manager }) => {
        expect(await rejectionOf(manager.acquire('a', { signal: value as never }))).to.be.instanceOf(TypeError)
      }))
  }
})

/** As jsdom and happy-dom have one: the right shape, and another class. */
function foreignSignal(): { readonly signal: AbortSignal; abort(reason: unknown): void } {
  const target = new EventTarget()
  const signal = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  }
  return {
    signal: signal as unknown as AbortSignal,
    abort: (reason) => {
      signal.aborted = true
      signal.reason = reason
      target.dispatchEvent(new Event('abort'))
    },
  }
}
