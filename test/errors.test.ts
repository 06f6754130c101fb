import { expect } from 'chai'
import {
  LeaseError,
  LeaseLostError,
  LockNotAcquiredError,
  LockNotHeldError,
  ManagerClosedError,
  UnavailableError,
} from 'leasewheel'

const cause = new Error('the cause')

const errors = [
  {
    error: new LockNotAcquiredError('order:42', { attempts: 3, waited: 1_000, remaining: 500 }),
    type: LockNotAcquiredError,
    name: 'LockNotAcquiredError',
    code: 'ERR_NOT_ACQUIRED',
  },
  {
    error: new LockNotHeldError('order:42', 'lost', { cause }),
    type: LockNotHeldError,
    name: 'LockNotHeldError',
    code: 'ERR_NOT_HELD',
  },
  {
    error: new LeaseLostError('order:42', 'expired', { cause }),
    type: LeaseLostError,
    name: 'LeaseLostError',
    code: 'ERR_LEASE_LOST',
  },
  {
    error: new UnavailableError('No answer', 'order:42', { cause }),
    type: UnavailableError,
    name: 'UnavailableError',
    code: 'ERR_UNAVAILABLE',
  },
  {
    error: new ManagerClosedError('order:42'),
    type: ManagerClosedError,
    name: 'ManagerClosedError',
    code: 'ERR_CLOSED',
  },
] as const

describe('the errors', () => {
  for (const { error, type, name, code } of errors) {
    describe(name, () => {
      it(`has the code ${code}, its own name and the key`, () => {
        expect(error.code).to.equal(code)
        expect(error.name).to.equal(name)
        expect(error.key).to.equal('order:42')
        expect(`${error}`).to.equal(`${name}: ${error.message}`)
      })

      it('is a LeaseError, an Error, and none of the others', () => {
        expect(error).to.be.instanceOf(LeaseError).and.instanceOf(Error)
        const types = errors.filter((other) => error instanceof other.type).map((other) => other.name)
        expect(types).to.deep.equal([name])
        expect(error).to.be.instanceOf(type)
      })

      it('has a stack that starts where it was made', () => {
        expect(error.stack).to.match(new RegExp(`^${name}: .*\\n.*errors\\.test\\.ts`, 's'))
      })
    })
  }

  it('have codes and names of their own', () => {
    expect(new Set(errors.map(({ code }) => code)).size).to.equal(errors.length)
    expect(new Set(errors.map(({ error }) => error.name)).size).to.equal(errors.length)
  })

  it('carry their origin as `cause`, and have none if there was no origin', () => {
    expect(new LockNotHeldError('a', 'lost', { cause }).cause).to.equal(cause)
    expect(new LeaseLostError('a', 'expired', { cause }).cause).to.equal(cause)
    expect(new UnavailableError('No answer', 'a', { cause }).cause).to.equal(cause)
    for (const error of [
      new LockNotHeldError('a', 'lost'),
      new LeaseLostError('a', 'expired'),
      new UnavailableError('No answer'),
      new ManagerClosedError(),
    ]) {
      expect(error, error.name).not.to.have.property('cause')
    }
  })

  it('have no key if they concern no lock', () => {
    expect(new UnavailableError('No answer').key).to.equal(undefined)
    expect(new ManagerClosedError().key).to.equal(undefined)
  })

  it('report the attempts, the wait, and the rest of the holder’s ttl', () => {
    const error = new LockNotAcquiredError('order:42', { attempts: 3, waited: 1_000.4, remaining: 499.2 })
    expect(error.attempts).to.equal(3)
    expect(error.waited).to.equal(1_000.4)
    expect(error.remaining).to.equal(499.2)
    expect(error.message).to.equal(
      "Lock `order:42` is held by another: not acquired after 3 attempts in 1000 ms; its holder's ttl has 500 ms left",
    )
  })

  it('report nothing of an unknown holder, and name a single attempt as one', () => {
    const error = new LockNotAcquiredError('order:42', { attempts: 1, waited: 0, remaining: undefined })
    expect(error.remaining).to.equal(undefined)
    expect(error.message).to.equal('Lock `order:42` is held by another: not acquired after 1 attempt in 0 ms')
  })

  it('say why a lease was lost, with a text for each reason', () => {
    const reasons = ['expired', 'taken', 'missing', 'maxHold'] as const
    const messages = reasons.map((reason) => {
      const error = new LeaseLostError('order:42', reason)
      expect(error.reason).to.equal(reason)
      expect(error.message).to.match(/^Lease of `order:42` was lost: \w+/)
      return error.message
    })
    expect(new Set(messages).size).to.equal(reasons.length)
  })

  it('name the state of a lease that is not held', () => {
    const { message } = new LockNotHeldError('order:42', 'released')
    expect(message).to.equal('Lock `order:42` is not held by this lease any more (it is released)')
  })

  it('have names that no minifier changes, and a subclass can have its own', () => {
    class Renamed extends LeaseLostError {}
    class Own extends LeaseLostError {
      override name = 'Own'
    }
    expect(new Renamed('a', 'taken').name).to.equal('LeaseLostError')
    expect(new Renamed('a', 'taken').stack).to.match(/^LeaseLostError: Lease of `a`/)
    expect(new Own('a', 'taken').name).to.equal('Own')
    expect(new Own('a', 'taken')).to.be.instanceOf(LeaseError)
    expect(Object.keys(new LeaseLostError('a', 'taken'))).not.to.include('name')
  })
})
