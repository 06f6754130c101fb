/**
 * One lock that all processes want all the time, and one process in which somebody tries to get it as often as
 * possible without waiting. P23: whoever waits gets it within a bound, as every process has its turn.
 */
import type { Lease } from 'leasewheel'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { Timeline } from './timeline.ts'
import type { Verdict } from './violation.ts'
import type { Workload } from './workload.ts'

/** Callers of each process that wait. */
const WORKERS = 3
/** How long it goes on, in ms. */
const DURATION = 10_000
/** A process passes a lock on for half a second and leaves it to others then; with some time for each to have it, in ms. */
const LONGEST_TURN = 500
const NO_WAIT = 1
const WAIT = 20_000

export class Contest {
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #verdict: Verdict
  readonly #workload: Workload
  readonly #key: string
  /** When a process had the lock last, in true time. */
  readonly #hadAt = new Map<Member, number>()

  constructor(timeline: Timeline, random: Random, verdict: Verdict, workload: Workload, key: string) {
    this.#timeline = timeline
    this.#random = random
    this.#verdict = verdict
    this.#workload = workload
    this.#key = key
  }

  begin(members: readonly Member[]): void {
    for (const [index, member] of members.entries()) {
      this.#hadAt.set(member, this.#timeline.now)
      for (let worker = 0; worker < WORKERS; worker += 1) member.process.post(this, () => this.#work(member))
      if (index === 0) member.process.post(this, () => this.#poll(member))
    }
  }

  get #over(): boolean {
    return this.#timeline.now > DURATION
  }

  #work(member: Member): void {
    if (this.#over) return
    const promise = member.manager.acquire(this.#key, { wait: WAIT })
    this.#workload.calls.follow(member, 'acquire', [this.#key], { limit: WAIT }, promise, (lease) => {
      this.#hadAt.set(member, this.#timeline.now)
      this.#check(member)
      member.inspector.onGiven(lease, true)
      member.process.sleep(
        () => {
          this.#release(member, lease)
          this.#work(member)
        },
        this.#random.between(1, 10),
      )
    })
  }

  /** It never has the lock for longer than it takes to give it back. */
  #poll(member: Member): void {
    if (this.#over) return
    const limit = member.inspector.usualTimeout
    const promise = member.manager.tryAcquire(this.#key)
    this.#workload.calls.follow(member, 'tryAcquire', [this.#key], { limit }, promise, (lease) => {
      if (lease) {
        this.#check(member)
        member.inspector.onGiven(lease, true)
        this.#release(member, lease)
      }
      member.process.sleep(() => this.#poll(member), NO_WAIT)
    })
  }

  #release(member: Member, lease: Lease): void {
    member.inspector.onLetGo(lease)
    const limit = member.inspector.timeoutOf(lease)
    this.#workload.calls.follow(member, 'release', [this.#key], { limit }, lease.release())
  }

  #check(winner: Member): void {
    const bound = LONGEST_TURN * this.#hadAt.size
    for (const [{ process }, hadAt] of this.#hadAt) {
      const late = this.#timeline.now - hadAt - bound
      const what = (): string =>
        `${process.name} waits for ${this.#key} for ${late} ms too long: ${winner.process.name} has it`
      this.#verdict.expect(late < 0, 'P23', what)
    }
  }
}
