/**
 * The managers that share a prefix and announce themselves.
 *
 *     announced ──every `every` ms, again──▶ the answer names all who are announced ──a new one──▶ `joined`
 *        │                                                     └──one is missing twice in a row──▶ `left`
 *        └──`close`──▶ withdrawn. A manager that dies is forgotten after `LASTS` times `every`.
 *
 * One is missing only after two answers, because after a loss of data all managers announce themselves anew within `every`.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { asError } from '../as-error.ts'
import type { Backend } from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import type { LeaseEvents } from '../lease/events.ts'
import type { ManagerSettings } from '../options/settings.ts'
import type { LeaseManagerStats } from '../stats.ts'
import { dateOf, wallTime } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import { VERSION } from '../version.ts'
import { type Member, type MemberRoles, readMember, statsOf, writeMember } from '../member.ts'

/** An announcement is kept for this many times the pause between two. */
const LASTS = 5
/** Answers in a row that must miss a member before it has left. */
const MISSING = 2

export interface MembersParts {
  readonly settings: Pick<ManagerSettings, 'announce' | 'owner'>
  readonly backend: Backend
  readonly scheduler: Alarms
  readonly subscribers: {
    emit<E extends 'joined' | 'left'>(event: E, payload: LeaseEvents[E][0]): unknown
    reportFault(error: Error): void
  }
  readonly stats: () => LeaseManagerStats
  readonly standings: { readonly roles: MemberRoles }
  /** Asks the backend, within the timeout. */
  readonly ask: <T>(work: (catalogue: Catalogue) => Promise<T>) => Promise<T>
}

interface Known {
  /** Undefined if its announcement cannot be read. */
  readonly member: Member | undefined
  missing: number
}

export class Members {
  readonly #parts: MembersParts
  readonly #id = randomUUID()
  readonly #startedAt = wallTime()
  readonly #known = new Map<string, Known>()
  /** The first answer has come: whoever is new from now on has joined. */
  #begun = false
  /** The last announcement failed, and that was reported. */
  #failing = false
  #closed = false
  #next: Alarm | undefined

  constructor(parts: MembersParts) {
    this.#parts = parts
  }

  /** Announces this manager from now on, if its options say so. */
  start(): void {
    if (this.#parts.settings.announce !== undefined) this.#plan(0, this.#parts.settings.announce)
  }

  /** All managers that are announced. */
  async list(): Promise<Member[]> {
    const texts = await this.#parts.ask((catalogue) => catalogue.announced())
    return texts.map(readMember).filter((member) => member !== undefined)
  }

  /** Takes the announcement back. */
  async close(): Promise<void> {
    this.#closed = true
    this.#next?.cancel()
    if (this.#parts.settings.announce === undefined) return
    await this.#parts.ask((catalogue) => catalogue.withdraw(this.#id))
  }

  #plan(delay: number, every: number): void {
    if (this.#closed) return
    this.#next = this.#parts.scheduler.after(delay, () => void this.#announce(every))
  }

  async #announce(every: number): Promise<void> {
    try {
      const ids = await this.#parts.ask(async (catalogue) =>
        this.#closed ? [] : catalogue.announce({ id: this.#id, text: this.#describe() }, LASTS * every),
      )
      if (!this.#closed) await this.#compare(ids)
      this.#failing = false
    } catch (fault) {
      this.#report(fault)
    }
    this.#plan(every, every)
  }

  /** Faults of a connection are reported by the backend. */
  #report(fault: unknown): void {
    const { backend, subscribers } = this.#parts
    if (this.#failing || this.#closed || backend.fault) return
    this.#failing = true
    subscribers.reportFault(asError(fault))
  }

  async #compare(ids: readonly string[]): Promise<void> {
    const strangers = ids.filter((id) => id !== this.#id && !this.#known.has(id))
    const texts = strangers.length > 0 ? await this.#parts.ask((catalogue) => catalogue.announced(strangers)) : []
    const readable = new Map(texts.map(readMember).map((member) => [member?.id, member]))
    const present = new Set(ids)
    for (const id of strangers) {
      const member = readable.get(id)
      this.#known.set(id, { member, missing: 0 })
      if (this.#begun && member) this.#parts.subscribers.emit('joined', { member })
    }
    for (const [id, known] of this.#known) {
      known.missing = present.has(id) ? 0 : known.missing + 1
      if (known.missing < MISSING) continue
      this.#known.delete(id)
      if (known.member) this.#parts.subscribers.emit('left', { member: known.member })
    }
    this.#begun = true
  }

  #describe(): string {
    const { settings, stats, standings } = this.#parts
    return writeMember({
      id: this.#id,
      owner: settings.owner,
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      startedAt: dateOf(this.#startedAt),
      announcedAt: dateOf(wallTime()),
      ...standings.roles,
      stats: statsOf(stats()),
    })
  }
}
