/**
 * Keys that attempts in no line are asking for. A reservation stands in the table of leases in the place of the lease that may come of it: later
 * callers of the key wait for its outcome.
 */
import type { KeyTable } from '../structures/key-table.ts'
import type { LeaseRecord, LeaseTerms } from './lease-record.ts'

/** When a reservation was made, as far as changes are concerned; see `changedSince`. */
export type Mark = number

export class Reservations {
  readonly #records: KeyTable<LeaseRecord>
  /** How many stand in the table. */
  #placed = 0
  /** Reservations whose places were taken by leases that were adopted meanwhile: they get them back when those end. */
  readonly #displaced = new Map<string, LeaseRecord>()
  /** Reserved keys that may have changed, and how often any may have. */
  readonly #stale = new Set<string>()
  #mark: Mark = 0

  /** @param records the table of leases. */
  constructor(records: KeyTable<LeaseRecord>) {
    this.#records = records
  }

  get size(): number {
    return this.#placed + this.#displaced.size
  }

  /** How many stand in the table of leases. */
  get placed(): number {
    return this.#placed
  }

  /** A changed key that is told by no name is known by a larger mark. */
  get mark(): Mark {
    return this.#mark
  }

  has(key: string): boolean {
    return (this.#records.get(key)?.reserving ?? false) || (this.#displaced.size > 0 && this.#displaced.has(key))
  }

  /** Whether the key is reserved on these very terms: by the call whose own they are. */
  hasOf(key: string, terms: LeaseTerms): boolean {
    const record = this.#records.get(key)
    return (record?.reserving && record.terms === terms) || this.#displaced.get(key)?.terms === terms
  }

  /** @returns whether the key was free: nothing is leased or reserved there, as far as has been noticed. */
  add(record: LeaseRecord): boolean {
    if (this.#records.claim(record)) return false
    record.state = 'reserved'
    this.#placed += 1
    return true
  }

  /** Nothing comes of it: its key is reserved no longer, if it still was. */
  remove(record: LeaseRecord): void {
    this.forgetDisplaced(record)
    if (!record.reserving) return
    this.#records.delete(record)
    this.onTaken(record)
    record.state = 'released'
  }

  /** A key may have changed; without one, any may have: an answer that is on its way may be older. */
  hint(key?: string): void {
    if (key === undefined) this.#mark += 1
    else if (this.size > 0 && this.has(key)) this.#stale.add(key)
  }

  /** Whether a reserved key may have changed, as far as is known. If another has taken its place, it has. @param mark of when it was reserved. */
  changedSince({ key, reserving }: LeaseRecord, mark: Mark): boolean {
    return !reserving || mark !== this.#mark || (this.#stale.size > 0 && this.#stale.has(key))
  }

  /** A reservation has become a lease, or has lost its place. */
  onTaken(record: LeaseRecord): void {
    record.state = 'held'
    this.#placed -= 1
    if (this.#stale.size > 0) this.#stale.delete(record.key)
  }

  /** A lease has taken the place of a reservation. Its request is still under way, and it may take the place of that lease later. */
  onDisplaced(record: LeaseRecord): void {
    this.onTaken(record)
    this.#displaced.set(record.key, record)
  }

  forgetDisplaced(record: LeaseRecord): void {
    const { key } = record
    if (this.#displaced.size === 0 || this.#displaced.get(key) !== record) return
    this.#displaced.delete(key)
    this.#stale.delete(key)
  }

  /** A lease has ended: a reservation that it had displaced gets its place back. Nobody else is to ask for the key meanwhile. */
  onVacated(key: string): void {
    const displaced = this.#displaced.size > 0 && this.#displaced.get(key)
    if (!displaced || !this.add(displaced)) return
    this.#displaced.delete(key)
    this.#stale.add(key)
  }
}
