import { type EventEmitter, once } from 'node:events'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { type LeaseEvents, LeaseManager, type LostEvent } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import sinon from 'sinon'
import { grant, only, TTL, withManager, withStage } from '../support/manager.ts'

const NAMES = ['acquired', 'renewed', 'jeopardy', 'safe', 'lost', 'released'] as const

/** Leads a manager through every event there is. */
async function tellEverything(
  manager: LeaseManager,
  parts: {
    backend: { fail(error: Error | undefined): void }
    clock: { advance(ms: number): Promise<void> }
    store: { delete(key: string): boolean }
  },
): Promise<void> {
  const { backend, clock, store } = parts
  const lease = await grant(manager.tryAcquire('a'))
  await grant(manager.tryAcquire('b'))
  await clock.advance(TTL)
  backend.fail(new Error('ECONNREFUSED'))
  await clock.advance(TTL / 2)
  backend.fail(undefined)
  await clock.advance(10)
  store.delete('lease:b')
  await clock.advance(TTL / 2)
  await lease.release()
}

describe('a listener', () => {
  for (const name of NAMES) {
    it(`P17 a listener that throws stops nothing, hides nothing, and causes \`error\`: ${name}`, () =>
      withManager({}, async (stage) => {
        const { manager, events } = stage
        const fault = new Error(`from a listener of ${name}`)
        const before = sinon.spy()
        const after = sinon.spy()
        manager.on(name, before)
        manager.on(name, () => {
          throw fault
        })
        manager.on(name, after)
        await tellEverything(manager, stage)
        expect(before.callCount).to.be.greaterThan(0)
        expect(after.callCount).to.equal(before.callCount)
        expect(new Set(events.takeErrors())).to.deep.equal(new Set([fault]))
        const told = new Set(events.all.map((item) => item.name))
        expect([...told]).to.have.members(NAMES)
      }))

    it(`P17 a listener that rejects stops nothing, and causes \`error\`: ${name}`, () =>
      withManager({}, async (stage) => {
        const { manager, events } = stage
        const fault = new Error(`from a listener of ${name}`)
        const rejects: () => unknown = () => Promise.reject(fault)
        manager.on(name, rejects)
        await tellEverything(manager, stage)
        expect(new Set(events.takeErrors())).to.deep.equal(new Set([fault]))
      }))
  }

  it('P17 a listener that throws on every renewal loses no lease', () =>
    withManager({}, async ({ manager, clock, events }) => {
      manager.on('renewed', () => {
        throw new Error('always')
      })
      const leases = await manager.acquireMany(Array.from({ length: 50 }, (_, index) => `key-${index}`))
      await clock.advance(5 * TTL)
      expect(leases.every((lease) => lease?.held)).to.equal(true)
      expect(events.takeErrors().length).to.be.greaterThan(50 * 10)
    }))

  it('P17 a listener that throws no error object is reported all the same', () =>
    withManager({}, async ({ manager, events }) => {
      manager.on('acquired', () => {
        // oxlint-disable-next-line typescript/only-throw-error -- what others throw is not ours to choose
        throw 'a string'
      })
      await manager.acquire('a')
      const [error] = events.takeErrors()
      expect(error).to.be.instanceOf(Error)
      expect(error?.message).to.include('a string')
    }))

  it('P17 a listener of `error` that throws harms nobody, and causes a process warning', () =>
    withManager({}, async ({ manager, events }) => {
      const warn = sinon.stub(process, 'emitWarning')
      try {
        const fault = new Error('from the listener of errors')
        const other = sinon.spy()
        manager.on('error', () => {
          throw fault
        })
        manager.on('error', other)
        manager.on('acquired', () => {
          throw new Error('from a listener')
        })
        await manager.acquire('a')
        expect(only(events.takeErrors()).message).to.equal('from a listener')
        expect(other.callCount).to.equal(1)
        expect(warn.firstCall.args[0]).to.equal(fault)
        expect(warn.callCount).to.equal(1)
      } finally {
        warn.restore()
      }
    }))

  it('P17 a listener that throws without a listener of `error` causes only a warning', () =>
    withManager({}, async ({ manager }) => {
      const warn = sinon.stub(process, 'emitWarning')
      try {
        manager.removeAllListeners('error')
        const fault = new Error('from a listener')
        manager.on('acquired', () => {
          throw fault
        })
        await manager.acquire('a')
        expect(warn.callCount).to.equal(1)
        expect(warn.firstCall.args[0]).to.equal(fault)
      } finally {
        warn.restore()
      }
    }))

  it('is called once if it was added with `once`', () =>
    withManager({}, async ({ manager }) => {
      const listener = sinon.spy()
      manager.once('acquired', listener)
      await manager.acquireMany(['a', 'b'])
      expect(listener.callCount).to.equal(1)
      expect(manager.listeners('acquired')).to.not.include(listener)
    }))

  it('is called as often as it was added, by any name of `on`', () =>
    withManager({}, async ({ manager }) => {
      const listener = sinon.spy()
      manager.on('acquired', listener)
      manager.addListener('acquired', listener)
      await manager.acquire('a')
      expect(listener.callCount).to.equal(2)
    }))

  for (const method of ['off', 'removeListener'] as const) {
    it(`is never called after \`${method}\``, () =>
      withManager({}, async ({ manager }) => {
        const [gone, once, stays] = [sinon.spy(), sinon.spy(), sinon.spy()]
        manager.on('acquired', gone).once('acquired', once).on('acquired', stays)
        manager[method]('acquired', gone)[method]('acquired', once)
        manager[method]('acquired', () => undefined)
        await manager.acquire('a')
        expect([gone.callCount, once.callCount, stays.callCount]).to.deep.equal([0, 0, 1])
      }))
  }

  it('is listed by the function that was passed', () =>
    withManager({}, async ({ manager }) => {
      const listener = sinon.spy()
      const before = manager.listenerCount('lost')
      manager.on('lost', listener)
      expect(manager.listenerCount('lost')).to.equal(before + 1)
      expect(manager.listeners('lost')).to.include(listener)
      manager.off('lost', listener)
      expect(manager.listeners('lost')).to.not.include(listener)
      expect(manager.eventNames()).to.include('lost')
    }))

  it('is called with its own context', () =>
    withManager({}, async ({ manager }) => {
      const context = {}
      const listener = sinon.spy()
      manager.on('acquired', listener, context)
      await manager.acquire('a')
      expect(listener.firstCall.thisValue).to.equal(context)
      manager.off('acquired', listener, context)
      await manager.acquire('b')
      expect(listener.callCount).to.equal(1)
    }))

  it('must be a function', () =>
    withManager({}, async ({ manager }) => {
      for (const listener of [undefined, null, 5, {}]) {
        expect(() => manager.on('acquired', listener as () => void)).to.throw(TypeError, '`listener`')
      }
    }))

  it('can add and remove listeners, itself among them', () =>
    withManager({}, async ({ manager }) => {
      const late = sinon.spy()
      const self = sinon.spy(() => {
        manager.off('acquired', self)
        manager.on('acquired', late)
      })
      manager.on('acquired', self)
      await manager.acquire('a')
      await manager.acquire('b')
      expect(self.callCount).to.equal(1)
      expect(late.callCount).to.equal(1)
    }))

  it('is not needed: a manager without listeners works as well', () =>
    withStage(async ({ clock, store }) => {
      const backend = new MemoryBackend({ store })
      const manager = new LeaseManager(backend, { ttl: TTL, clock })
      await tellEverything(manager, { backend, clock, store })
      expect(store.keys()).to.deep.equal([])
      expect(manager.stats()).to.deep.include({ held: 0, acquired: 2, released: 1 })
      expect(manager.stats().lost.missing).to.equal(1)
      await manager.close()
    }))

  it('gets one payload object, with the lease in it', () =>
    withManager({}, async (stage) => {
      const payloads = new Map<keyof LeaseEvents, string[]>()
      for (const name of NAMES) {
        stage.manager.on(name, (...values: unknown[]) => {
          expect(values).to.have.length(1)
          payloads.set(name, Object.keys(values[0] as object).sort())
        })
      }
      await tellEverything(stage.manager, stage)
      expect(Object.fromEntries(payloads)).to.deep.equal({
        acquired: ['lease'],
        renewed: ['lease'],
        jeopardy: ['error', 'lease', 'remaining'],
        safe: ['lease'],
        lost: ['error', 'lease', 'reason'],
        released: ['confirmed', 'detached', 'lease'],
      })
    }))
})

describe('an error of another realm', () => {
  it('an error of another realm that a listener throws is emitted unchanged', () =>
    withManager({}, async ({ manager, events }) => {
      const fault: unknown = runInNewContext("new Error('from another realm')")
      expect(fault).not.to.be.instanceOf(Error)
      manager.on('acquired', () => {
        throw fault
      })
      await manager.acquire('a')
      expect(only(events.takeErrors())).to.equal(fault)
    }))

  it('an error of another realm that a listener rejects with is emitted, too', () =>
    withManager({}, async ({ manager, events, clock }) => {
      const rejected: unknown = runInNewContext("Promise.reject(new Error('later'))")
      manager.on('acquired', () => rejected)
      await manager.acquire('a')
      await clock.settle()
      expect(only(events.takeErrors()).message).to.equal('later')
    }))
})

describe('a fault without a listener', () => {
  it('a fault without a listener is a warning of the process, once for each manager', () =>
    withManager({}, async ({ manager, backend }) => {
      const warn = sinon.stub(process, 'emitWarning')
      try {
        manager.removeAllListeners('error')
        backend.listener.onError(new Error('connect ECONNREFUSED'))
        backend.listener.onError(new Error('another one'))
        expect(warn.callCount).to.equal(1)
        expect(warn.firstCall.args[0]).to.include('connect ECONNREFUSED').and.to.include('`error`')
        expect(warn.firstCall.args[1]).to.include({ code: 'LEASEWHEEL_UNHEARD_ERROR' })
      } finally {
        warn.restore()
      }
    }))
})

describe('once of node:events', () => {
  it('`once` of node:events accepts a manager as an emitter', () =>
    withManager({ autoRenew: false }, async ({ manager, clock }) => {
      await manager.acquire('a')
      const lost = once(manager as unknown as EventEmitter, 'lost')
      await clock.advance(TTL)
      const [event] = (await lost) as [LostEvent]
      expect(event.lease.key).to.equal('a')
    }))
})
