/**
 * The records of a manager: one for each key, and any number for a key that several may hold. A key may have both while a request is under way, and
 * while this manager has not noticed yet that one is lost.
 */
import { KeyTable } from '../structures/key-table.ts'
import type { Lease } from './lease.ts'
import type { LeaseRecord } from './lease-record.ts'

const NONE: ReadonlySet<LeaseRecord> = new Set()

export class LeaseRecords {
  readonly #plain: KeyTable<LeaseRecord>
  /** Records with a share, by key. */
  readonly #shares = new Map<string, Set<LeaseRecord>>()
  #shareCount = 0

  /** @param seed see `KeyTable`. */
  constructor(seed: number) {
    this.#plain = new KeyTable(seed)
  }

  get size(): number {
    return this.#plain.size + this.#shareCount
  }

  /** The record without a share. */
  get(key: string): LeaseRecord | undefined {
    return this.#plain.get(key)
  }

  /** The leases with a share. */
  sharesOf(key: string): Iterable<LeaseRecord> {
    const records = this.#sharesOf(key)
    return records.size === 0 ? NONE : [...records].filter(({ reserving }) => !reserving)
  }

  /** The reservations of shares. */
  reservedSharesOf(key: string): Iterable<LeaseRecord> {
    const records = this.#sharesOf(key)
    return records.size === 0 ? NONE : [...records].filter(({ reserving }) => reserving)
  }

  /** The record of a lease. */
  of(lease: Lease): LeaseRecord | undefined {
    const { key, share } = lease
    const records = share ? this.#sharesOf(key) : [this.get(key)]
    for (const record of records) if (record?.handle === lease) return record
    return undefined
  }

  /** Adds a record. @returns the record without a share that it replaces. */
  set(record: LeaseRecord): LeaseRecord | undefined {
    if (record.share === undefined) return this.#plain.set(record)
    this.#add(record)
    return undefined
  }

  /** Adds a record unless that needs the place of another one. @returns that other one. */
  claim(record: LeaseRecord): LeaseRecord | undefined {
    if (record.share === undefined) return this.#plain.claim(record)
    this.#add(record)
    return undefined
  }

  /** @returns whether it was there. */
  delete(record: LeaseRecord): boolean {
    if (record.share === undefined) return this.#plain.delete(record)
    const shares = this.#shares.get(record.key)
    if (shares?.delete(record) !== true) return false
    this.#shareCount -= 1
    if (shares.size === 0) this.#shares.delete(record.key)
    return true
  }

  *values(): Generator<LeaseRecord, undefined> {
    yield* this.#plain.values()
    for (const shares of this.#shares.values()) yield* [...shares]
  }

  #sharesOf(key: string): ReadonlySet<LeaseRecord> {
    return this.#shareCount === 0 ? NONE : (this.#shares.get(key) ?? NONE)
  }

  #add(record: LeaseRecord): void {
    const shares = this.#shares.get(record.key)
    if (shares?.has(record)) return
    if (shares) shares.add(record)
    else this.#shares.set(record.key, new Set([record]))
    this.#shareCount += 1
  }
}
