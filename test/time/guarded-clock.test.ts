import { GuardedClock } from '#src/time/guarded-clock.js'
import { expect } from 'chai'
import { ManualClock } from 'leasewheel/memory'
import sinon from 'sinon'

describe('a clock that throws', () => {
  it('P22 P31 stands still, is reported, and still fires its timers', async () => {
    const clock = new ManualClock(5)
    const faults: unknown[] = []
    const guarded = new GuardedClock(clock, (fault) => faults.push(fault))
    expect(guarded.now()).to.equal(5)
    clock.jump(10)
    const fault = new Error('broken')
    const stubs = (['now', 'setTimer', 'soon'] as const).map((name) => sinon.stub(clock, name).throws(fault))
    expect(guarded.now()).to.equal(5)
    await new Promise<void>((resolve) => guarded.soon(resolve))
    await new Promise<void>((resolve) => guarded.setTimer(resolve, 1))
    guarded.setTimer(() => expect.fail('it was cancelled'), 1).cancel()
    expect(faults).to.deep.equal([fault, fault, fault, fault])
    for (const stub of stubs) stub.restore()
    expect(guarded.now()).to.equal(15)
  })

  it('is not reported while it does not throw', () => {
    const clock = new ManualClock()
    const guarded = new GuardedClock(clock, () => expect.fail('nothing was thrown'))
    const timer = guarded.setTimer(() => undefined, 10)
    expect(clock.timers).to.equal(1)
    timer.cancel()
    expect(clock.timers).to.equal(0)
  })
})
