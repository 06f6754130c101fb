/**
 * Who belongs to a group: each member announces itself among the managers of the prefix, and learns from the answer who else does.
 *
 *     announced ──every `every` ms, again──▶ the answer names all ──a new one──▶ a member
 *        │                                            └──one is missing twice in a row──▶ no member
 *        └──left──▶ withdrawn. A member that dies is forgotten `lasts` ms after its last announcement.
 *
 * If an announcement fails, the others stay members. So they do for `lasts` ms after the next one that succeeds: each has to come back first.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import { Setbacks } from './setbacks.ts'
import type { StandingPort } from './standing.ts'

/** Answers in a row that must miss a member. After a loss of data all announce themselves anew before the second one. */
const MISSING = 2
/** Announcements in one ttl of the leases. */
const PER_TTL = 12
/** ms. */
const MOST_OFTEN = 50
const LEAST_OFTEN = 150
/** How many pauses between announcements a member is forgotten before its leases expire: others then wait for them already. */
const EARLIER = 3
/** The length of an id. */
const ID = 36

export interface GroupSettings {
  readonly group: string
  /** The ttl of the leases of the group, in ms. */
  readonly ttl: number
  /** The `owner` of the manager. */
  readonly owner: string
}

export class Group {
  readonly id: string = randomUUID()
  readonly #port: Pick<StandingPort, 'askCatalogue'> & { readonly clock: Clock; readonly scheduler: Alarms }
  readonly #setbacks: Setbacks
  readonly #prefix: string
  readonly #text: string
  readonly #every: number
  readonly #lasts: number
  readonly #onMembers: (ids: readonly string[]) => void
  /** How many answers in a row have missed each member. */
  readonly #missing = new Map<string, number>()
  /** Until then no member is missed, in ms on the clock. */
  #patientUntil = Number.NEGATIVE_INFINITY
  #left = false
  #next: Alarm | undefined

  /** @param onMembers called with the ids of all members, this one included, each time they have changed. */
  constructor(port: StandingPort, { group, ttl, owner }: GroupSettings, onMembers: (ids: readonly string[]) => void) {
    this.#port = port
    this.#setbacks = new Setbacks(port)
    this.#prefix = `share:${group}:`
    this.#text = JSON.stringify({ group, owner, host: hostname(), pid: process.pid })
    this.#every = Math.min(Math.max(Math.floor(ttl / PER_TTL), MOST_OFTEN), LEAST_OFTEN)
    this.#lasts = Math.max(ttl - EARLIER * this.#every, EARLIER * this.#every)
    this.#onMembers = onMembers
    this.#plan(0)
  }

  /** Takes the announcement back. Others learn that within two of their own. Never rejects. */
  async leave(): Promise<void> {
    this.#left = true
    this.#next?.cancel()
    // Without an answer the announcement expires.
    await this.#port.askCatalogue((catalogue) => catalogue.withdraw(this.#name)).catch(() => undefined)
  }

  get #name(): string {
    return this.#prefix + this.id
  }

  #plan(delay: number): void {
    if (!this.#left) this.#next = this.#port.scheduler.after(delay, () => void this.#announce())
  }

  async #announce(): Promise<void> {
    try {
      const names = await this.#port.askCatalogue(async (catalogue) =>
        this.#left ? [] : catalogue.announce({ id: this.#name, text: this.#text }, this.#lasts),
      )
      this.#setbacks.onSuccess()
      if (!this.#left) this.#compare(names)
    } catch (error) {
      this.#patientUntil = Number.POSITIVE_INFINITY
      if (!this.#left) this.#setbacks.tell(error)
    }
    this.#plan(this.#every)
  }

  #compare(names: readonly string[]): void {
    const now = this.#port.clock.now()
    if (this.#patientUntil === Number.POSITIVE_INFINITY) this.#patientUntil = now + this.#lasts
    const present = new Set(names.filter((name) => this.#isOurs(name)).map((name) => name.slice(this.#prefix.length)))
    let changed = false
    for (const id of present) {
      changed ||= !this.#missing.has(id)
      this.#missing.set(id, 0)
    }
    for (const [id, before] of this.#missing) {
      if (present.has(id) || now < this.#patientUntil) continue
      this.#missing.set(id, before + 1)
      if (before + 1 < MISSING) continue
      this.#missing.delete(id)
      changed = true
    }
    if (changed) this.#onMembers([...this.#missing.keys()])
  }

  /** Names of other groups may begin in the same way. */
  #isOurs(name: string): boolean {
    return name.startsWith(this.#prefix) && name.length === this.#prefix.length + ID
  }
}
