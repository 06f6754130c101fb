/**
 * Several managers on one store, led through random operations and faults. After every step what must hold is looked at:
 * without reading any lease where the step does not say so, for reading one is how its end may be noticed.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import type { DetachedLease, Lease } from 'leasewheel'
import { heldFor, type Member, randomFrom, runs, TICK, type Watched, watch, withStage } from '../support/manager.ts'

const MANAGERS = 3
const KEYS = ['a', 'b', 'c']
const LEASE_TTL = 1_000
const FOREIGN = 'of somebody else'

const manager = fc.nat({ max: MANAGERS - 1 })
const key = fc.constantFrom(...KEYS)
const index = fc.nat({ max: 1_000 })

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('acquire' as const),
      manager,
      key,
      wait: fc.constantFrom(0, 200, 1_500),
      autoRenew: fc.constantFrom(true, true, true, false),
      maxHold: fc.constantFrom(Infinity, Infinity, Infinity, 700, 2_500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('acquireAll' as const), manager, wait: fc.constantFrom(0, 500) }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('release' as const), index }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('renew' as const), index }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('detach' as const), index }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('adopt' as const), manager, index }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forceRelease' as const), manager, key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('abort' as const), index }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('set' as const), key, ttl: fc.integer({ min: 1, max: 1_500 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('fault' as const),
      manager,
      fault: fc.constantFrom('block', 'fail', 'drop', 'heal', 'heal', 'heal', 'heal', 'heal'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('jump' as const), duration: fc.integer({ min: 1, max: 1_500 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant('advance' as const), duration: fc.integer({ min: 0, max: 400 }) }),
  },
)
type RandomOperation = typeof operation extends fc.Arbitrary<infer O> ? O : never

/** What is known of one lease. */
interface Known {
  readonly lease: Lease
  readonly member: Member
  ended: boolean
  /** It was found not held. */
  over: boolean
  /** Somebody deleted or overwrote its key: from then on another may hold it as well. */
  robbed: boolean
}

class World {
  readonly leases: Known[] = []
  readonly calls: { call: Watched<unknown>; abort: AbortController }[] = []
  /** Given away, and nobody's yet: each is adopted by one manager, and by another only where that did not come to anything. */
  readonly #detached: DetachedLease[] = []
  readonly #givenAway = new Set<string>()
  /** Managers whose requests are carried out later, if at all. */
  readonly #blocked = new Set<Member>()
  readonly #members: readonly Member[]
  readonly #now: () => number
  readonly #fences = new Map<string, number>()

  constructor(members: readonly Member[], now: () => number) {
    this.#members = members
    this.#now = now
    for (const member of members) {
      member.manager.on('acquired', ({ lease }) => this.#onAcquired(member, lease))
      member.manager.on('lost', ({ lease }) => this.#onEnded(lease))
      member.manager.on('released', ({ lease }) => this.#onEnded(lease))
    }
  }

  async apply(operation: RandomOperation, stage: Parameters<Parameters<typeof withStage>[0]>[0]): Promise<void> {
    const { clock, store } = stage
    const known = 'index' in operation ? this.leases[operation.index % this.leases.length] : undefined
    switch (operation.type) {
      case 'acquire': {
        const { wait, autoRenew, maxHold } = operation
        this.#call(operation.manager, (on, signal) => on.acquire(operation.key, { wait, autoRenew, maxHold, signal }))
        break
      }
      case 'acquireAll':
        this.#call(operation.manager, (on, signal) => on.acquireAll(KEYS.slice(0, 2), { wait: operation.wait, signal }))
        break
      case 'release':
        void known?.lease.release()
        break
      case 'renew':
        known?.lease.renew().catch(() => undefined)
        break
      case 'detach':
        if (known?.lease.held) {
          this.#detached.push(known.lease.detach())
          this.#givenAway.add(known.lease.token)
        }
        break
      case 'adopt': {
        const [detached] = this.#detached.splice(operation.index % this.#detached.length, 1)
        if (detached) this.#call(operation.manager, (on, signal) => this.#adopt(on, detached, signal))
        break
      }
      case 'forceRelease': {
        const member = this.#members[operation.manager] as Member
        // Where it is carried out later, nobody knows whom it hits.
        if (this.#blocked.has(member)) break
        await clock.settle()
        this.#rob(operation.key)
        await member.manager.forceRelease(operation.key).catch(() => undefined)
        break
      }
      case 'abort':
        this.calls[operation.index % this.calls.length]?.abort.abort()
        break
      case 'delete':
        // A grant that is on its way is somebody's lease, too.
        await clock.settle()
        this.#rob(operation.key)
        store.delete(`lease:${operation.key}`)
        break
      case 'set':
        await clock.settle()
        this.#rob(operation.key)
        store.set(`lease:${operation.key}`, FOREIGN, operation.ttl)
        break
      case 'fault':
        this.#fault(this.#members[operation.manager] as Member, operation.fault)
        break
      case 'jump':
        clock.jump(operation.duration)
        break
      case 'advance':
        await clock.advance(operation.duration)
        this.#checkDeadlines()
        break
    }
  }

  /** P1, P3 and P7, by reading every lease there ever was. */
  read(): void {
    const holders = new Map<string, number>()
    for (const known of this.leases) {
      const { lease, member } = known
      if (!lease.held) {
        known.over = true
        continue
      }
      if (known.over) expect.fail(`P3: \`${lease.key}\` is held again`)
      if (known.ended) expect.fail(`P14: \`${lease.key}\` is held after its last event`)
      const deadline = (member.backend.confirmedAt(lease.token) ?? 0) + heldFor(LEASE_TTL)
      if (lease.remaining > deadline - this.#now()) expect.fail(`P1: \`${lease.key}\` is held past its deadline`)
      if (!known.robbed) holders.set(lease.key, (holders.get(lease.key) ?? 0) + 1)
    }
    for (const [key, count] of holders) if (count > 1) expect.fail(`P7: \`${key}\` has ${count} holders`)
  }

  #call(on: number, ask: (manager: Member['manager'], signal: AbortSignal) => Promise<unknown>): void {
    const abort = new AbortController()
    const { manager } = this.#members[on] as Member
    this.calls.push({ call: watch(ask(manager, abort.signal)), abort })
  }

  #onAcquired(member: Member, lease: Lease): void {
    const adopted = this.#givenAway.has(lease.token)
    const last = this.#fences.get(lease.key) ?? 0
    if (adopted ? lease.fence > last : lease.fence <= last) {
      expect.fail(`P6: the fence of \`${lease.key}\` did not grow, or did where it was adopted`)
    }
    if (adopted) this.#adopted(member, lease)
    else this.#acquired(member, lease)
  }

  async #adopt(on: Member['manager'], detached: DetachedLease, signal: AbortSignal): Promise<void> {
    try {
      await on.adopt(detached, { signal })
    } catch (error) {
      this.#detached.push(detached)
      throw error
    }
  }

  #acquired(member: Member, lease: Lease): void {
    this.#fences.set(lease.key, lease.fence)
    this.leases.push({ lease, member, ended: false, over: false, robbed: false })
  }

  /** It may have been robbed before, or be adopted a second time by somebody who was never answered the first time. */
  #adopted(member: Member, lease: Lease): void {
    const robbed = this.leases.some((known) => known.lease.token === lease.token && known.robbed)
    this.leases.push({ lease, member, ended: false, over: false, robbed })
  }

  #onEnded(ended: Lease): void {
    for (const known of this.leases) if (known.lease === ended) known.ended = true
  }

  #rob(key: string): void {
    for (const known of this.leases) if (known.lease.key === key) known.robbed = true
  }

  #fault(member: Member, fault: 'block' | 'fail' | 'drop' | 'heal'): void {
    const { backend } = member
    if (fault === 'block') this.#blocked.add(member)
    if (fault === 'heal') this.#blocked.delete(member)
    if (fault === 'block') backend.block()
    else if (fault === 'fail') backend.fail(new Error('ECONNRESET'))
    else if (fault === 'drop') backend.dropAnswers(true)
    else backend.heal()
  }

  /** P15: the event loop was free, and nobody asked. */
  #checkDeadlines(): void {
    for (const { lease, member, ended } of this.leases) {
      const deadline = (member.backend.confirmedAt(lease.token) ?? 0) + heldFor(LEASE_TTL)
      if (!ended && this.#now() > deadline + TICK && !isReleasing(lease, member)) {
        expect.fail(`P15: the loss of \`${lease.key}\` was not told ${this.#now() - deadline} ms after its deadline`)
      }
    }
  }
}

/** Its release is under way: it has no deadline any more. Known without reading the lease. */
function isReleasing(lease: Lease, { backend }: Member): boolean {
  return backend.calls('release').some(({ entries }) => entries.some(({ token }) => token === lease.token))
}

describe('random operations on several managers that share a store', () => {
  it('P1 P3 P6 P7 P11 P12 P14 P15 P24 hold after every step', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(operation, fc.boolean()), { minLength: 30, maxLength: 120, size: 'max' }),
        fc.integer(),
        async (steps, seed) => {
          await withStage(async (stage) => {
            const random = randomFrom(seed)
            const members = Array.from({ length: MANAGERS }, () => stage.open({ ttl: LEASE_TTL, random }))
            const { clock, store } = stage
            const world = new World(members, () => clock.now())
            for (const [operation, reads] of steps) {
              await world.apply(operation, stage)
              if (reads) world.read()
              for (const { events } of members) expect(events.errors).to.deep.equal([])
            }

            // Everything gets well again: every call has settled, and a key is held by a lease or by nobody.
            for (const { backend } of members) backend.heal()
            await clock.advance(4 * LEASE_TTL)
            world.read()
            for (const { call } of world.calls) expect(call.state).not.to.equal('pending')
            const held = members.flatMap((member) => [...member.manager])
            const tokens = new Map(held.map((lease) => [`lease:${lease.key}`, lease.token]))
            for (const name of store.keys()) expect(store.get(name), 'P11').to.equal(tokens.get(name))

            await Promise.all(held.map((lease) => lease.release()))
            await clock.advance(TICK)
            expect(store.keys()).to.deep.equal([])
            for (const member of members) {
              expect(member.manager.stats()).to.include({ held: 0, waiting: 0, undoing: 0, timers: 0 })
            }
            expect(clock.timers, 'P22').to.equal(0)
          })
        },
      ),
      runs(200),
    )).timeout(600_000)
})
