/** The rules of keys that several may hold: time is a variable. */
import { expect } from 'chai'
import fc from 'fast-check'
import {
  acquireJoint,
  endOfSharing,
  releaseJoint,
  renewJoint,
  type Joint,
  type JointRefusal,
  type Sharing,
  sharingAt,
  weightOf,
} from '#src/rules/sharing.js'
import { runs } from '../support/manager.ts'

const TTL = 1_000
const ANNOUNCE = 200

const read: Joint = { mode: 'read', permits: 0, weight: 1, announce: ANNOUNCE }
const write: Joint = { mode: 'write', permits: 0, weight: 1, announce: ANNOUNCE }
const permit = (permits: number, weight = 1): Joint => ({ mode: 'permit', permits, weight })

/** A key, and a clock. */
class Key {
  now = 1_000_000
  sharing: Sharing | undefined

  acquire(token: string, joint: Joint, turn?: number): JointRefusal | undefined {
    const { sharing, refusal } = acquireJoint(this.at, { token, ttl: TTL, joint, turn }, this.now)
    this.sharing = sharing
    return refusal
  }

  renew(token: string, joint: Joint): boolean {
    const renewed = renewJoint(this.at, { token, ttl: TTL, joint }, this.now)
    if (renewed) this.sharing = renewed
    return renewed !== undefined
  }

  release(token: string): boolean {
    const released = releaseJoint(this.at, token, this.now)
    if (released) this.sharing = released.sharing
    return released !== undefined
  }

  get at(): Sharing | undefined {
    return sharingAt(this.sharing, this.now)
  }

  get holders(): string[] {
    return [...(this.at?.holders.keys() ?? [])]
  }
}

describe('the rules of sharing a key', () => {
  let key: Key

  beforeEach(() => {
    key = new Key()
  })

  it('P33 end a holder at its ttl, and no ms earlier', () => {
    expect(key.acquire('1', permit(1))).to.equal(undefined)
    key.now += TTL - 1
    expect(key.acquire('2', permit(1))).to.include({ remaining: 1, holder: '1' })
    key.now += 1
    expect(key.at).to.equal(undefined)
    expect(key.acquire('2', permit(1))).to.equal(undefined)
    expect(key.holders).to.deep.equal(['2'])
  })

  it('tell a refused caller which holder ends first', () => {
    key.acquire('1', permit(2))
    key.now += 100
    key.acquire('2', permit(2))
    key.now += 100
    expect(key.acquire('3', permit(2))).to.include({ remaining: TTL - 200, holder: '1' })
    expect(key.renew('1', permit(2))).to.equal(true)
    expect(key.acquire('3', permit(2))).to.include({ remaining: TTL - 100, holder: '2' })
  })

  it('change the version with every change, and with nothing else', () => {
    key.acquire('1', permit(1))
    const first = key.acquire('2', permit(1))?.version
    expect(key.acquire('2', permit(1))?.version).to.equal(first)
    key.renew('1', permit(1))
    expect(key.acquire('2', permit(1))?.version).not.to.equal(first)
  })

  it('know nobody who has released, and nobody else', () => {
    expect(key.release('1')).to.equal(false)
    key.acquire('1', permit(2))
    expect(key.release('2')).to.equal(false)
    expect(key.renew('2', permit(2))).to.equal(false)
    expect(key.release('1')).to.equal(true)
    expect(key.sharing).to.equal(undefined)
    expect(key.renew('1', permit(2))).to.equal(false)
  })

  it('let permits in only beside permits', () => {
    key.acquire('1', read)
    expect(key.acquire('2', permit(9))).not.to.equal(undefined)
    key.release('1')
    key.acquire('1', permit(9))
    expect(key.acquire('2', read)).not.to.equal(undefined)
    expect(key.acquire('2', write)).not.to.equal(undefined)
  })

  it('let a waiting writer go before later readers, for as long as it says so', () => {
    key.acquire('r1', read)
    key.acquire('w1', write)
    key.now += ANNOUNCE - 1
    expect(key.acquire('r2', { ...read, announce: 0 })).not.to.equal(undefined)
    key.now += 1
    expect(key.acquire('r2', read)).to.equal(undefined)
  })

  it('tell a caller that is refused for a waiting one until when', () => {
    key.acquire('r1', read)
    key.acquire('w1', write)
    key.release('r1')
    expect(key.acquire('r2', read)).to.include({ remaining: ANNOUNCE, holder: '' })
  })

  it('renew an announcement in its second half only', () => {
    key.acquire('w0', write)
    const { version } = key.acquire('w1', write) as JointRefusal
    key.now += ANNOUNCE / 2
    expect(key.acquire('w1', write)?.version).to.equal(version)
    key.now += 1
    expect(key.acquire('w1', write)?.version).not.to.equal(version)
  })

  it('after a writer let the readers go first that it refused', () => {
    key.acquire('w1', write)
    const { turn } = key.acquire('r1', read) as JointRefusal
    key.acquire('w2', write)
    key.release('w1')
    expect(key.acquire('w2', write)).not.to.equal(undefined)
    expect(key.acquire('late', read)).not.to.equal(undefined)
    expect(key.acquire('r1', read, turn)).to.equal(undefined)
    // They have had their turn.
    key.release('r1')
    expect(key.acquire('w2', write)).to.equal(undefined)
  })

  it('let at most one writer pass a reader that waits', () => {
    key.acquire('w1', write)
    const { turn } = key.acquire('r1', read) as JointRefusal
    key.release('w1')
    // It was too late for its turn.
    key.now += ANNOUNCE
    expect(key.acquire('w2', write)).to.equal(undefined)
    key.acquire('w3', write)
    key.release('w2')
    expect(key.acquire('r1', read, turn)).to.equal(undefined)
  })

  it('end a writer at its own time, whoever looks, and whenever', () => {
    key.acquire('w1', write)
    const { turn } = key.acquire('r1', { ...read, announce: 5 * TTL }) as JointRefusal
    key.now += TTL + 10
    const early = key.at?.turn
    key.now += 10
    expect(key.at?.turn).to.equal(early)
    expect(early).not.to.equal(turn)
    expect(key.acquire('w2', write), 'readers go first').not.to.equal(undefined)
    expect(key.acquire('r1', read, turn)).to.equal(undefined)
  })

  it('make a reader of a writer, which no later renewal undoes', () => {
    key.acquire('1', write)
    expect(key.renew('1', write)).to.equal(true)
    expect(key.acquire('2', read)).not.to.equal(undefined)
    expect(key.renew('1', read)).to.equal(true)
    expect(key.acquire('2', read)).to.equal(undefined)
    expect(key.renew('1', write)).to.equal(true)
    expect(key.at?.mode).to.equal('read')
  })

  it('P33 hold over random requests and times', () => {
    const step = fc.record({
      what: fc.constantFrom('acquire', 'acquire', 'renew', 'release'),
      token: fc.integer({ min: 0, max: 5 }),
      joint: fc.constantFrom(read, write, permit(3), permit(3, 2)),
      pause: fc.constantFrom(0, 1, 50, ANNOUNCE, TTL),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const one = new Key()
        const modes = new Map<string, Joint>()
        for (const { what, token, joint, pause } of steps) {
          one.now += pause
          const name = `${token} ${joint.mode} ${joint.weight}`
          if (what === 'acquire') {
            if (one.acquire(name, joint) === undefined) modes.set(name, joint)
          } else if (what === 'renew') one.renew(name, joint)
          else one.release(name)
          const { at } = one
          if (at === undefined) continue
          const held = [...at.holders.keys()].map((holder) => modes.get(holder) as Joint)
          if (at.mode === 'permit') expect(weightOf(at)).to.be.at.most(3)
          if (held.some(({ mode }) => mode === 'write')) expect(held).to.have.length(1)
          for (const { mode } of held) expect(mode).to.equal(at.mode)
          expect(at.mode === undefined).to.equal(held.length === 0)
          expect(endOfSharing(at)).to.be.greaterThan(one.now)
        }
      }),
      runs(300),
    )
  })
})
