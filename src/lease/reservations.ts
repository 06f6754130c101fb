/**
 * Reserves keys for attempts that skip the line. A reservation takes the place of its later lease in the table of leases. Later callers for the
 * key wait for its outcome, unless it is for a joint lease.
 */
import type { LeaseRecord, LeaseTerms } from './lease-record.ts'
import type { LeaseRecords } from './lease-records.ts'
import type { Joint, JointMode } from '../rules/sharing.ts'

/** Orders reservations and hints about any key; see `changedSince`. */
export type Mark = number

export class Reservations {
  readonly #records: LeaseRecords
  /** How many are in the table. */
  #placed = 0
  /** Reservations that lost their places to adopted leases. They get them back when those end. */
  readonly #displaced = new Map<string, LeaseRecord>()
  /** Reserved keys that a hint has named, and the number of hints without a name. */
  readonly #stale = new Set<string>()
  #mark: Mark = 0
  readonly #isQueued: (key: string) => boolean
  /** How many are for keys that have a line of waiters. */
  #queued = 0
  /** How many of each mode a key has that several may hold. */
  readonly #joints = new Map<string, number>()

  /** @param records the table of leases. @param isQueued whether a key has a line of waiters. */
  constructor(records: LeaseRecords, isQueued: (key: string) => boolean) {
    this.#records = records
    this.#isQueued = isQueued
  }

  get size(): number {
    return this.#placed + this.#displaced.size
  }

  /** How many are in the table of leases. */
  get placed(): number {
    return this.#placed
  }

  /** Reserved keys that have a line of waiters as well. */
  get queued(): number {
    return this.#queued
  }

  /** A line of waiters has begun, or has ended. */
  onLine(key: string, begun: boolean): void {
    if (this.size > 0 && this.has(key)) this.#queued += begun ? 1 : -1
  }

  /**
   * What a request for the key may say. If an attempt of another kind is under way, its caller will be ahead in the line. It would be kept out by the
   * announcement of one who waits behind it, so that one does not announce itself yet.
   */
  fitting(key: string, joint: Joint | undefined): Joint | undefined {
    if (!joint?.announce || !this.#hasOther(key, joint.mode)) return joint
    return { ...joint, announce: 0 }
  }

  #hasOther(key: string, mode: JointMode): boolean {
    const isOther = (other: JointMode): boolean => other !== mode && this.#joints.has(nameOf(key, other))
    return this.has(key) || isOther('permit') || isOther('read') || isOther('write')
  }

  /** Grows with every hint that names no key. */
  get mark(): Mark {
    return this.#mark
  }

  has(key: string): boolean {
    return (this.#records.get(key)?.reserving ?? false) || (this.#displaced.size > 0 && this.#displaced.has(key))
  }

  /** Whether the key is reserved on this very object of terms, which means by the call that owns it. */
  hasOf(key: string, terms: LeaseTerms): boolean {
    const record = this.#records.get(key)
    return (record?.reserving && record.terms === terms) || this.#displaced.get(key)?.terms === terms
  }

  /** @returns whether the key was free: this manager has no lease and no reservation there. */
  add(record: LeaseRecord): boolean {
    if (this.#records.claim(record)) return false
    record.state = 'reserved'
    this.#placed += 1
    this.#count(record, 1)
    return true
  }

  /** Ends a reservation without a lease, if it still exists. */
  remove(record: LeaseRecord): void {
    this.forgetDisplaced(record)
    if (!record.reserving) return
    this.#records.delete(record)
    this.onTaken(record)
    record.state = 'released'
  }

  /** The key may have changed; without a key, any may have. An answer on its way may be older. */
  hint(key?: string): void {
    if (key === undefined) this.#mark += 1
    else if (this.size > 0) {
      if (this.has(key)) this.#stale.add(key)
      this.#hintJoints(key)
    }
  }

  /** Whether a reserved key may have changed: a hint came, or a lease took its place. @param mark the mark at the reservation. */
  changedSince({ key, reserving, has }: LeaseRecord, mark: Mark): boolean {
    return !reserving || has.hinted || mark !== this.#mark || (this.#stale.size > 0 && this.#stale.has(key))
  }

  /** A reservation became a lease, or lost its place. */
  onTaken(record: LeaseRecord): void {
    record.state = 'held'
    this.#placed -= 1
    this.#count(record, -1)
    if (record.joint === undefined && this.#stale.size > 0) this.#stale.delete(record.key)
  }

  /** A lease took the place of a reservation, whose request is still under way. The reservation may later replace that lease. */
  onDisplaced(record: LeaseRecord): void {
    this.onTaken(record)
    this.#displaced.set(record.key, record)
    this.#count(record, 1)
  }

  forgetDisplaced(record: LeaseRecord): void {
    const { key } = record
    if (this.#displaced.size === 0 || this.#displaced.get(key) !== record) return
    this.#displaced.delete(key)
    this.#count(record, -1)
    this.#stale.delete(key)
  }

  /**
   * A lease has ended: a reservation that it displaced gets its place back, so that no other caller asks for the key. If several may hold the key, an
   * attempt under way may be refused because of this very lease.
   */
  onVacated({ key, joint }: LeaseRecord): void {
    if (joint) this.hint(key)
    else this.#hintJoints(key)
    const displaced = this.#displaced.size > 0 && this.#displaced.get(key)
    if (!displaced || !this.add(displaced)) return
    this.#displaced.delete(key)
    this.#count(displaced, -1)
    this.#stale.add(key)
  }

  #hintJoints(key: string): void {
    for (const record of this.#records.reservedJointsOf(key)) record.own.hinted = true
  }

  #count({ key, joint }: LeaseRecord, count: 1 | -1): void {
    if (joint) this.#countJoint(nameOf(key, joint.mode), count)
    else if (this.#isQueued(key)) this.#queued += count
  }

  #countJoint(name: string, count: 1 | -1): void {
    const left = (this.#joints.get(name) ?? 0) + count
    if (left > 0) this.#joints.set(name, left)
    else this.#joints.delete(name)
  }
}

function nameOf(key: string, mode: JointMode): string {
  return `${mode} ${key}`
}
