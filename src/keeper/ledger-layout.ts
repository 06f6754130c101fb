/** Where everything is in the memory that a manager and its keeper share: see `ledger.ts`. */
import type { LedgerPart } from '../backend.ts'

/** Words of the head, each of 8 bytes. */
export const BEAT = 0
export const GATE = 1
export const CLOSED = 2
export const REFUSALS = 3
export const SHORTEST_TTL = 4
export const CONNECTED = 5
export const RENEWALS = 6
export const HEAD_WORDS = 8

export const FREE = 0n
export const TAKEN = -1n
export const MISSING = -2n
/** Marks of leases that the keeper has not confirmed count down from here. */
export const FIRST_MARK = -3n
export const NO_END: bigint = 2n ** 62n

/** Leases in one part of the memory, at most. */
export const SLOTS = 4_096
const SLOT_BITS = 12
/** Bytes of a part with leases, at most. */
const PART_SIZE = 1_048_576
/** Bytes for a key, a token and their lengths: the smallest and the largest size of a slot. */
export const SMALLEST_TEXT = 128
export const LARGEST_TEXT = 65_536
export const LENGTHS = 8
/** How long an ending waits for a keeper that is about to send, in ms. A keeper that has died there is not waited for again. */
export const LONGEST_WAIT = 250

/** Why the server refused a lease. */
export type KeeperRefusal = 'taken' | 'missing'

export class Slots {
  readonly marks: BigInt64Array
  readonly ends: BigInt64Array
  readonly cohorts: Int32Array
  readonly texts: Buffer
  readonly stride: number

  constructor({ buffer, stride }: LedgerPart) {
    const count = countOf(stride)
    this.stride = stride
    this.marks = new BigInt64Array(buffer, 0, count)
    this.ends = new BigInt64Array(buffer, 8 * count, count)
    this.cohorts = new Int32Array(buffer, 16 * count, count)
    this.texts = Buffer.from(buffer, 20 * count)
  }
}

export class Cohorts {
  readonly confirmed: BigInt64Array
  readonly ttls: Int32Array

  constructor({ buffer }: LedgerPart) {
    this.confirmed = new BigInt64Array(buffer, 0, SLOTS)
    this.ttls = new Int32Array(buffer, 8 * SLOTS, SLOTS)
  }
}

export function countOf(stride: number): number {
  return Math.min(SLOTS, PART_SIZE / stride)
}

export function microseconds(ms: number): bigint {
  return BigInt(Math.floor(ms * 1_000))
}

/** What both sides do with the memory. */
export class Ledger {
  readonly head: SharedArrayBuffer
  protected readonly words: BigInt64Array
  /** The same memory. Only a word of 4 bytes can be waited for on every platform. */
  protected readonly halves: Int32Array
  protected readonly slots: Slots[] = []
  protected readonly cohorts: Cohorts[] = []

  constructor(head: SharedArrayBuffer, parts: readonly LedgerPart[]) {
    this.head = head
    this.words = new BigInt64Array(head)
    this.halves = new Int32Array(head)
    for (const part of parts) this.add(part)
  }

  add(part: LedgerPart): void {
    if (part.kind === 'slots') this.slots.push(new Slots(part))
    else this.cohorts.push(new Cohorts(part))
  }

  protected half(word: number): number {
    return Atomics.load(this.halves, 2 * word)
  }

  protected setHalf(word: number, value: number): void {
    Atomics.store(this.halves, 2 * word, value)
  }

  protected slotsOf(slot: number): Slots {
    return this.slots[slot >>> SLOT_BITS] as Slots
  }

  protected cohortsOf(cohort: number): Cohorts {
    return this.cohorts[cohort >>> SLOT_BITS] as Cohorts
  }
}

export function indexOf(id: number): number {
  return id & (SLOTS - 1)
}
