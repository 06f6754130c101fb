import { expect } from 'chai'
import type { AcquiredEvent, Lease, LostEvent } from 'leasewheel'
import sinon from 'sinon'
import { GuardedEmitter } from '#src/manager/guarded-emitter.js'

const lease = { key: 'order:42' } as Lease
const acquired: AcquiredEvent = { lease }
const fault = new Error('thrown by a listener')

function fail(): never {
  throw fault
}

/** What a listener may throw, and what it is called when it is told of. */
const thrown: readonly (readonly [string, unknown, RegExp])[] = [
  ['an Error', fault, /^thrown by a listener$/],
  ['a text', 'broken', /broken/],
  ['undefined', undefined, /undefined/],
  ['null', null, /null/],
  ['a symbol', Symbol('sign'), /sign/],
  ['an unprintable object', Object.create(null), /object/],
]

describe('GuardedEmitter', () => {
  let emitter: GuardedEmitter
  let warn: sinon.SinonStub

  beforeEach(() => {
    emitter = new GuardedEmitter()
    warn = sinon.stub(process, 'emitWarning')
  })

  afterEach(() => {
    warn.restore()
  })

  /** Collects what is emitted as `error`. */
  function errors(): Error[] {
    const heard: Error[] = []
    emitter.on('error', (error) => heard.push(error))
    return heard
  }

  it('calls all listeners in their order of arrival, with the same payload', () => {
    const heard: unknown[] = []
    emitter.on('acquired', (event) => heard.push(1, event))
    emitter.on('acquired', (...all) => heard.push(2, all))
    expect(emitter.emit('acquired', acquired)).to.equal(true)
    expect(heard).to.deep.equal([1, acquired, 2, [acquired]])
    expect(heard[1]).to.equal(acquired)
    expect(emitter.emit('renewed', acquired)).to.equal(false)
  })

  describe('P17 a listener that fails', () => {
    for (const [what, value, message] of thrown) {
      const cases: Record<string, () => unknown> = {
        throws: () => {
          throw value
        },
        'rejects with': async () => {
          await Promise.resolve()
          throw value
        },
      }
      for (const [how, listener] of Object.entries(cases)) {
        it(`${how} ${what}: other listeners get the event, and one error is emitted`, async () => {
          const heard = errors()
          const [before, after, elsewhere] = [sinon.fake(), sinon.fake(), sinon.fake()]
          emitter.on('acquired', before)
          emitter.on('acquired', listener)
          emitter.on('acquired', after)
          emitter.on('released', elsewhere)
          expect(emitter.emit('acquired', acquired)).to.equal(true)
          await new Promise(setImmediate)
          expect([before.args, after.args]).to.deep.equal([[[acquired]], [[acquired]]])
          expect(elsewhere.callCount).to.equal(0)
          expect(heard.length).to.equal(1)
          expect(heard[0]).to.be.instanceOf(Error)
          expect(heard[0]?.message).to.match(message)
          if (value instanceof Error) expect(heard[0]).to.equal(value)
          expect(warn.callCount).to.equal(0)
        })

        it(`${how} ${what} without a listener for errors: a process warning is emitted`, async () => {
          emitter.on('acquired', listener)
          expect(emitter.emit('acquired', acquired)).to.equal(true)
          await new Promise(setImmediate)
          expect(warn.callCount).to.equal(1)
          expect(warn.args[0]?.[0]).to.be.instanceOf(Error).with.property('message').that.matches(message)
        })

        it(`${how} ${what} and listens to errors itself: a process warning is emitted`, async () => {
          const after = sinon.fake()
          emitter.on('error', listener)
          emitter.on('error', after)
          expect(emitter.emit('error', new Error('first'))).to.equal(true)
          await new Promise(setImmediate)
          expect(after.callCount).to.equal(1)
          expect(warn.callCount).to.equal(1)
          expect(warn.args[0]?.[0]).to.be.instanceOf(Error).with.property('message').that.matches(message)
        })
      }
    }

    it('gets the next event like all others', () => {
      const heard = errors()
      emitter.on('acquired', fail)
      for (let round = 0; round < 3; round += 1) emitter.emit('acquired', acquired)
      expect(heard).to.deep.equal([fault, fault, fault])
      expect(emitter.listenerCount('acquired')).to.equal(1)
    })

    it('causes one error each if several fail', () => {
      const heard = errors()
      const second = new Error('second')
      emitter.on('acquired', fail)
      emitter.on('acquired', () => {
        throw second
      })
      emitter.emit('acquired', acquired)
      expect(heard).to.deep.equal([fault, second])
    })

    it('is harmless if it was added with once', () => {
      const heard = errors()
      emitter.once('acquired', fail)
      emitter.emit('acquired', acquired)
      emitter.emit('acquired', acquired)
      expect(heard).to.deep.equal([fault])
    })

    it('is a real warning of the process if nobody listens to errors', async () => {
      warn.restore()
      const others = process.listeners('warning')
      process.removeAllListeners('warning')
      try {
        const warned = new Promise<Error>((resolve) => {
          process.once('warning', resolve)
        })
        emitter.on('acquired', fail)
        emitter.emit('acquired', acquired)
        expect(await warned).to.equal(fault)
      } finally {
        for (const listener of others) process.on('warning', listener)
      }
    })
  })

  describe('an error', () => {
    it('an error without a listener throws nothing', () => {
      expect(emitter.emit('error', fault)).to.equal(false)
    })

    it('an error reaches its listeners unchanged', () => {
      const heard = errors()
      emitter.emit('error', fault)
      expect(heard).to.deep.equal([fault])
    })
  })

  describe('once', () => {
    it('calls a listener for one event', () => {
      const heard = sinon.fake()
      expect(emitter.once('acquired', heard)).to.equal(emitter)
      expect(emitter.listenerCount('acquired')).to.equal(1)
      emitter.emit('acquired', acquired)
      emitter.emit('acquired', acquired)
      expect(heard.args).to.deep.equal([[acquired]])
      expect(emitter.listenerCount('acquired')).to.equal(0)
    })

    it('calls each of several listeners once, and lasting ones each time', () => {
      const [first, second, lasting] = [sinon.fake(), sinon.fake(), sinon.fake()]
      emitter.once('acquired', first)
      emitter.on('acquired', lasting)
      emitter.once('acquired', second)
      emitter.emit('acquired', acquired)
      emitter.emit('acquired', acquired)
      expect([first.callCount, second.callCount, lasting.callCount]).to.deep.equal([1, 1, 2])
    })

    it('can share its function with a lasting listener, which stays', () => {
      const heard = sinon.fake()
      emitter.on('acquired', heard)
      emitter.once('acquired', heard)
      emitter.emit('acquired', acquired)
      expect(heard.callCount).to.equal(2)
      emitter.emit('acquired', acquired)
      expect(heard.callCount).to.equal(3)
    })
  })

  describe('off', () => {
    for (const remove of ['off', 'removeListener'] as const) {
      for (const add of ['on', 'once', 'addListener'] as const) {
        it(`as \`${remove}\` removes what \`${add}\` added`, () => {
          const [kept, removed] = [sinon.fake(), sinon.fake()]
          expect(emitter[add]('acquired', kept)).to.equal(emitter)
          expect(emitter[add]('acquired', removed)).to.equal(emitter)
          expect(emitter[remove]('acquired', removed)).to.equal(emitter)
          emitter.emit('acquired', acquired)
          expect([kept.callCount, removed.callCount]).to.deep.equal([1, 0])
        })
      }

      it(`as \`${remove}\` removes nobody if the listener is not known`, () => {
        const heard = sinon.fake()
        emitter.on('acquired', heard)
        emitter[remove]('acquired', sinon.fake())
        emitter.emit('acquired', acquired)
        expect(heard.callCount).to.equal(1)
      })

      it(`as \`${remove}\` removes every listener of an event if none is named`, () => {
        const [heard, elsewhere] = [sinon.fake(), sinon.fake()]
        emitter.on('acquired', heard).on('acquired', fail).on('released', elsewhere)
        emitter[remove]('acquired')
        expect(emitter.listenerCount('acquired')).to.equal(0)
        expect(emitter.listenerCount('released')).to.equal(1)
      })
    }

    it('removes only listeners added with once if asked to', () => {
      const heard = sinon.fake()
      emitter.on('acquired', heard)
      emitter.once('acquired', heard)
      emitter.off('acquired', heard, undefined, true)
      emitter.emit('acquired', acquired)
      expect(heard.callCount).to.equal(1)
      expect(emitter.listenerCount('acquired')).to.equal(1)
    })

    it('removes only the listeners of one context if asked to', () => {
      const heard = sinon.fake()
      const [mine, yours] = [{ name: 'mine' }, { name: 'yours' }]
      emitter.on('acquired', heard, mine)
      emitter.on('acquired', heard, yours)
      emitter.off('acquired', heard, mine)
      emitter.emit('acquired', acquired)
      expect(heard.thisValues).to.deep.equal([yours])
    })

    it('can be called by a listener during the event', () => {
      const last = sinon.fake()
      emitter.on('acquired', () => emitter.off('acquired', last))
      emitter.on('acquired', last)
      emitter.emit('acquired', acquired)
      emitter.emit('acquired', acquired)
      expect(last.callCount).to.be.at.most(1)
      expect(emitter.listenerCount('acquired')).to.equal(1)
    })
  })

  describe('its listeners', () => {
    it('are known by the functions that were passed', () => {
      const [first, second] = [sinon.fake(), sinon.fake()]
      emitter.on('acquired', first)
      emitter.once('acquired', second)
      expect(emitter.listeners('acquired')).to.deep.equal([first, second])
      expect(emitter.listeners('acquired')[0]).to.equal(first)
      expect(emitter.listeners('lost')).to.deep.equal([])
      expect(emitter.listenerCount('acquired')).to.equal(2)
      expect(emitter.eventNames()).to.deep.equal(['acquired'])
      emitter.removeAllListeners()
      expect(emitter.listeners('acquired')).to.deep.equal([])
    })

    it('can listen to several events, and leave one of them', () => {
      const heard = sinon.fake()
      emitter.on('acquired', heard)
      emitter.on('renewed', heard)
      emitter.off('acquired', heard)
      emitter.emit('acquired', acquired)
      emitter.emit('renewed', acquired)
      expect(heard.callCount).to.equal(1)
      expect(emitter.listeners('renewed')).to.deep.equal([heard])
    })

    it('P17 can listen to errors and to others, and fail at both', () => {
      emitter.on('acquired', fail)
      emitter.on('error', fail)
      emitter.emit('acquired', acquired)
      // First as `error`, and from there, once, as a warning.
      expect(warn.args).to.deep.equal([[fault]])
    })

    it('can be added twice to one event, and are called twice', () => {
      const heard = sinon.fake()
      emitter.on('acquired', heard).on('acquired', heard)
      emitter.emit('acquired', acquired)
      expect(heard.callCount).to.equal(2)
      expect(emitter.listeners('acquired')).to.deep.equal([heard, heard])
      emitter.off('acquired', heard)
      expect(emitter.listenerCount('acquired')).to.equal(0)
    })

    it('can listen to several emitters, and leave one of them', () => {
      const other = new GuardedEmitter()
      const heard = sinon.fake()
      emitter.on('acquired', heard)
      other.on('acquired', heard)
      emitter.off('acquired', heard)
      emitter.emit('acquired', acquired)
      other.emit('acquired', acquired)
      expect(heard.callCount).to.equal(1)
    })

    it('run in their own context, or in that of the emitter', () => {
      const context = { name: 'context' }
      for (const add of ['on', 'once', 'addListener'] as const) {
        const heard = sinon.fake()
        emitter[add]('acquired', heard, context)
        emitter[add]('acquired', heard)
        emitter.emit('acquired', acquired)
        expect(heard.thisValues).to.deep.equal([context, emitter])
        emitter.off('acquired')
      }
    })

    it('are functions', () => {
      for (const add of ['on', 'once', 'addListener'] as const) {
        for (const listener of [undefined, null, 'heard', {}]) {
          expect(() => emitter[add]('acquired', listener as never)).to.throw(
            TypeError,
            /^Expected `listener` to be a function, got /,
          )
        }
      }
      expect(emitter.eventNames()).to.deep.equal([])
    })
  })

  it('carries the payload of each event to its listeners', () => {
    const event = { lease, reason: 'taken' } as LostEvent
    const heard = sinon.fake()
    emitter.on('lost', heard)
    emitter.emit('lost', event)
    expect(heard.args).to.deep.equal([[event]])
  })
})
