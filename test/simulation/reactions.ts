/**
 * Users who act at delicate moments: in the microtasks that follow an answer, and inside listeners, where they read, iterate, let go and ask. May
 * import the workload, members, the library's types and chance.
 */
import type { Lease, LeaseManager } from 'leasewheel'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { Scenario } from './scenario.ts'
import type { Verdict } from './violation.ts'
import type { Workload } from './workload.ts'

/** The most microtasks that lie between an answer and what a caller does because of it. */
const MOST_MICROTASKS = 12
/** The most keys that are being deleted while somebody calls because of an answer. Deletions are answered, too: where a key is refused there would be no end to it. */
const MOST_UNDONE = 50
/** Listeners that are called from within listeners: more than that is a recursion that grows with the number of leases. */
const DEEPEST = 8

export class Reactions {
  readonly #scenario: Scenario
  readonly #random: Random
  readonly #verdict: Verdict
  readonly #workload: Workload
  /** How many listeners are running, each called from within the one before. */
  #depth = 0

  constructor(scenario: Scenario, random: Random, verdict: Verdict, workload: Workload) {
    this.#scenario = scenario
    this.#random = random
    this.#verdict = verdict
    this.#workload = workload
  }

  /** Requests for these keys were answered just now: somebody whose call was answered with them may call again before this turn is over. */
  onAnswered(member: Member, keys: readonly string[]): void {
    const random = this.#random
    if (!random.chance(this.#scenario.chaining) || this.#workload.over) return
    if (member.manager.stats().undoing > MOST_UNDONE) return
    const key = random.pick(keys)
    const count = random.integer(0, MOST_MICROTASKS)
    void afterMicrotasks(count).then(() => {
      if (member.process.condition === 'dead') return
      const action = random.weighted({ tryAcquire: 4, acquire: 2, release: 1, acquireMany: 1, inspect: 1 })
      this.#workload.perform(member, action, key)
    })
  }

  /** A listener of this process hears of a lease. */
  onEvent(member: Member, lease: Lease): void {
    const random = this.#random
    if (!random.chance(this.#scenario.acting) || this.#workload.over) return
    this.#depth += 1
    this.#verdict.expect(
      this.#depth <= DEEPEST,
      'P30',
      () => `${this.#depth} listeners are running, each inside another`,
    )
    if (this.#depth <= DEEPEST) this.#act(member, lease)
    this.#depth -= 1
  }

  #act(member: Member, lease: Lease): void {
    const random = this.#random
    const { manager } = member
    const action = random.weighted({
      readAll: 3,
      iterate: 3,
      read: 2,
      letGo: 2,
      detach: 0.5,
      letGoOfAnother: 1,
      tryAcquire: 2,
      acquire: 1,
      acquireMany: 0.5,
      inspect: 0.5,
      renew: 0.5,
      close: 0.01,
    })
    switch (action) {
      case 'readAll':
        for (const { lease: other } of member.inspector.live) member.inspector.reading(() => other.held)
        break
      case 'iterate':
        member.inspector.reading(() => lookAtAll(manager))
        break
      case 'read':
        member.inspector.reading(() => [lease.held, lease.remaining, lease.state, lease.signal.aborted])
        break
      case 'letGo':
        this.#workload.letGo(member, lease)
        break
      case 'detach':
        this.#workload.giveAway(member, lease)
        break
      case 'letGoOfAnother':
        this.#workload.perform(member, 'release', lease.key)
        break
      case 'close':
        this.#workload.onClose(member)
        break
      case 'tryAcquire':
      case 'acquire':
      case 'acquireMany':
      case 'inspect':
      case 'renew':
        this.#workload.perform(member, action, lease.key)
        break
      default:
        action satisfies never
    }
  }
}

function lookAtAll(manager: LeaseManager): number {
  let remaining = manager.size
  for (const lease of manager) remaining += lease.remaining
  for (const { key } of manager) remaining += manager.get(key)?.remaining ?? 0
  return remaining + manager.stats().held
}

async function afterMicrotasks(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await Promise.resolve()
}
