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
  /** Records with a joint lease, by key. */
  readonly #joints = new Map<string, Set<LeaseRecord>>()
  #jointCount = 0

  /** @param seed see `KeyTable`. */
  constructor(seed: number) {
    this.#plain = new KeyTable(seed)
  }

  get size(): number {
    return this.#plain.size + this.#jointCount
  }

  /** The record without a joint lease. */
  get(key: string): LeaseRecord | undefined {
    return this.#plain.get(key)
  }

  /** The leases with a joint lease. */
  jointsOf(key: string): Iterable<LeaseRecord> {
    const records = this.#jointsOf(key)
    return records.size === 0 ? NONE : [...records].filter(({ reserving }) => !reserving)
  }

  /** The reservations of joint leases. */
  reservedJointsOf(key: string): Iterable<LeaseRecord> {
    const records = this.#jointsOf(key)
    return records.size === 0 ? NONE : [...records].filter(({ reserving }) => reserving)
  }

  /** The record of a lease. */
  of(lease: Lease): LeaseRecord | undefined {
    const { key, joint } = lease
    const records = joint ? this.#jointsOf(key) : [this.get(key)]
    for (const record of records) if (record?.handle === lease) return record
    return undefined
  }

  /** Adds a record. @returns the record without a joint lease that it replaces. */
  set(record: LeaseRecord): LeaseRecord | undefined {
    if (record.joint === undefined) return this.#plain.set(record)
    this.#add(record)
    return undefined
  }

  /** Adds a record unless that needs the place of another one. @returns that other one. */
  claim(record: LeaseRecord): LeaseRecord | undefined {
    if (record.joint === undefined) return this.#plain.claim(record)
    this.#add(record)
    return undefined
  }

  /** @returns whether it was there. */
  delete(record: LeaseRecord): boolean {
    if (record.joint === undefined) return this.#plain.delete(record)
    const joints = this.#joints.get(record.key)
    if (joints?.delete(record) !== true) return false
    this.#jointCount -= 1
    if (joints.size === 0) this.#joints.delete(record.key)
    return true
  }

  *values(): Generator<LeaseRecord, undefined> {
    yield* this.#plain.values()
    for (const joints of this.#joints.values()) yield* joints
  }

  #jointsOf(key: string): ReadonlySet<LeaseRecord> {
    return this.#jointCount === 0 ? NONE : (this.#joints.get(key) ?? NONE)
  }

  #add(record: LeaseRecord): void {
    const joints = this.#joints.get(record.key)
    if (joints?.has(record)) return
    if (joints) joints.add(record)
    else this.#joints.set(record.key, new Set([record]))
    this.#jointCount += 1
  }
}
