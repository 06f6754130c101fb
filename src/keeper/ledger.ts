/**
 * The memory that a manager and its keeper share: which leases there are, and what each side has confirmed.
 *
 *     head     the beat, a gate, and some counts
 *     slots    one for each lease:  mark │ end │ cohort │ key and token
 *     cohorts  one for each cohort: when its last confirmed request was sent │ ttl
 *
 * A lease finds its deadline through its cohort, so a renewal of the manager writes one number for hundreds of leases. A confirmation of the keeper
 * goes into the mark of each lease, so it can never count for another one:
 *
 *     0 free ──▶ a number that no lease had before: held ──▶ a time: held, and confirmed by the keeper for a request sent then
 *        ▲                       └──────────────┬────────────────┘ └─▶ refused: taken, or missing
 *        └── the manager ends the lease ────────┘
 *
 * The keeper changes a mark only if it is still what it was when the keeper asked. So an answer never reaches a later lease in the same slot.
 *
 * The gate orders endings and renewals: the manager first clears the mark, then waits until the gate is open. The keeper closes the gate, looks at the
 * marks, sends, and opens it. So no renewal of a lease is sent after its manager has ended it.
 *
 * Times are whole µs on the steady clock of the process.
 */
import type { LedgerPart } from '../backend.ts'
import {
  BEAT,
  CLOSED,
  CONNECTED,
  FIRST_MARK,
  FREE,
  GATE,
  HEAD_WORDS,
  LARGEST_TEXT,
  LENGTHS,
  LONGEST_WAIT,
  Ledger,
  MISSING,
  NO_END,
  REFUSALS,
  RENEWALS,
  SHORTEST_TTL,
  SLOTS,
  SMALLEST_TEXT,
  TAKEN,
  countOf,
  indexOf,
  microseconds,
  type KeeperRefusal,
} from './ledger-layout.ts'

export type { KeeperRefusal } from './ledger-layout.ts'

/** The side of the manager. */
export class LedgerWriter extends Ledger {
  readonly #onPart: (part: LedgerPart) => void
  /** Parts so far: for a keeper that begins later. */
  readonly parts: LedgerPart[] = []
  /** Free slots, by the size of their text. */
  readonly #freeSlots = new Map<number, number[]>()
  readonly #freeCohorts: number[] = []
  #nextMark = FIRST_MARK
  #isStuck = false

  /** @param onPart called with each new part, before it is used. */
  constructor(onPart: (part: LedgerPart) => void) {
    super(new SharedArrayBuffer(8 * HEAD_WORDS), [])
    this.#onPart = onPart
  }

  /** Whether the keeper can ask the server. */
  get connected(): boolean {
    return this.half(CONNECTED) === 1
  }

  /** How many renewals of leases the keeper has confirmed. */
  get renewals(): number {
    return Number(Atomics.load(this.words, RENEWALS))
  }

  /** How many leases the server has refused to the keeper. */
  get refusals(): number {
    return this.half(REFUSALS)
  }

  beat(now: number): void {
    Atomics.store(this.words, BEAT, microseconds(now))
  }

  set shortestTtl(ttl: number) {
    this.setHalf(SHORTEST_TTL, ttl)
  }

  /** From now on the keeper renews nothing. */
  close(): void {
    this.setHalf(CLOSED, 1)
    this.#awaitGate()
  }

  openCohort(ttl: number, confirmedAt: number): number {
    if (this.#freeCohorts.length === 0) {
      addIds(this.#freeCohorts, this.cohorts.length, SLOTS)
      this.#grow({ kind: 'cohorts', buffer: new SharedArrayBuffer(12 * SLOTS), stride: 0 })
    }
    const cohort = this.#freeCohorts.pop() as number
    Atomics.store(this.cohortsOf(cohort).ttls, indexOf(cohort), ttl)
    this.confirmCohort(cohort, confirmedAt)
    return cohort
  }

  confirmCohort(cohort: number, confirmedAt: number): void {
    Atomics.store(this.cohortsOf(cohort).confirmed, indexOf(cohort), microseconds(confirmedAt))
  }

  /** No lease has this cohort any more. */
  closeCohort(cohort: number): void {
    this.#freeCohorts.push(cohort)
  }

  /**
   * A lease is held. @param end when it ends whatever is confirmed; Infinity for never.
   *
   * @returns its slot; -1 if its key and token are too long.
   */
  open(key: string, token: string, cohort: number, end: number): number {
    const bytes = Buffer.byteLength(key)
    const length = LENGTHS + bytes + Buffer.byteLength(token)
    const slot = this.#takeSlot(length)
    if (slot === -1) return -1
    const slots = this.slotsOf(slot)
    const index = indexOf(slot)
    const { texts, stride } = slots
    const start = index * stride
    texts.writeUInt32LE(bytes, start)
    texts.writeUInt32LE(length - LENGTHS - bytes, start + 4)
    texts.write(key, start + LENGTHS, 'utf8')
    texts.write(token, start + LENGTHS + bytes, 'utf8')
    Atomics.store(slots.cohorts, index, cohort)
    Atomics.store(slots.ends, index, end === Number.POSITIVE_INFINITY ? NO_END : microseconds(end))
    // Last of all: from now on the keeper sees it.
    this.#nextMark -= 1n
    Atomics.store(slots.marks, index, this.#nextMark)
    return slot
  }

  move(slot: number, cohort: number): void {
    Atomics.store(this.slotsOf(slot).cohorts, indexOf(slot), cohort)
  }

  /** A lease has ended. When this returns, the keeper sends no renewal of it any more. */
  end(slot: number): void {
    const slots = this.slotsOf(slot)
    Atomics.store(slots.marks, indexOf(slot), FREE)
    this.#awaitGate()
    this.#freeSlots.get(slots.stride)?.push(slot)
  }

  /** When the last request was sent that the keeper has confirmed for this lease, in ms; -Infinity if there is none. */
  confirmedAt(slot: number): number {
    const mark = Atomics.load(this.slotsOf(slot).marks, indexOf(slot))
    return mark > FREE ? Number(mark) / 1_000 : Number.NEGATIVE_INFINITY
  }

  /** Why the server refused this lease to the keeper, if it did. */
  refusalOf(slot: number): KeeperRefusal | undefined {
    const mark = Atomics.load(this.slotsOf(slot).marks, indexOf(slot))
    if (mark === TAKEN) return 'taken'
    return mark === MISSING ? 'missing' : undefined
  }

  #awaitGate(): void {
    if (this.half(GATE) === 0) this.#isStuck = false
    else if (!this.#isStuck) this.#isStuck = Atomics.wait(this.halves, 2 * GATE, 1, LONGEST_WAIT) === 'timed-out'
  }

  #takeSlot(length: number): number {
    let stride = SMALLEST_TEXT
    while (stride < length) stride *= 2
    if (stride > LARGEST_TEXT) return -1
    let free = this.#freeSlots.get(stride)
    if (free === undefined) this.#freeSlots.set(stride, (free = []))
    if (free.length === 0) {
      const count = countOf(stride)
      addIds(free, this.slots.length, count)
      this.#grow({ kind: 'slots', buffer: new SharedArrayBuffer(count * (20 + stride)), stride })
    }
    return free.pop() as number
  }

  #grow(part: LedgerPart): void {
    this.add(part)
    this.parts.push(part)
    this.#onPart(part)
  }
}

/** Adds the ids of a new part, so that the first one is taken first. */
function addIds(free: number[], part: number, count: number): void {
  for (let index = count - 1; index >= 0; index -= 1) free.push(part * SLOTS + index)
}

/** A lease, as the keeper sees it. Times are in ms. */
export interface KeptLease {
  readonly slot: number
  readonly mark: bigint
  readonly ttl: number
  /** When the last confirmed request for it was sent, by whichever side. */
  readonly confirmedAt: number
  /** When it ends whatever is confirmed. */
  readonly end: number
}

/** The side of the keeper. */
export class LedgerReader extends Ledger {
  /** The last beat, in ms. */
  get beat(): number {
    return Number(Atomics.load(this.words, BEAT)) / 1_000
  }

  get closed(): boolean {
    return this.half(CLOSED) === 1
  }

  get shortestTtl(): number {
    return this.half(SHORTEST_TTL)
  }

  set connected(connected: boolean) {
    this.setHalf(CONNECTED, connected ? 1 : 0)
  }

  /** All leases, in no particular order. */
  *leases(): Generator<KeptLease, void> {
    for (const [part, { marks }] of this.slots.entries()) {
      for (let index = 0; index < marks.length; index += 1) {
        const lease = this.lease(part * SLOTS + index)
        if (lease) yield lease
      }
    }
  }

  /** The lease in a slot; undefined if there is none, or if the server has refused it. */
  lease(slot: number): KeptLease | undefined {
    const { marks, cohorts, ends } = this.slotsOf(slot)
    const index = indexOf(slot)
    for (;;) {
      const mark = Atomics.load(marks, index)
      if (mark === FREE || mark === TAKEN || mark === MISSING) return undefined
      const cohort = Atomics.load(cohorts, index)
      const { confirmed, ttls } = this.cohortsOf(cohort)
      const byManager = Number(Atomics.load(confirmed, indexOf(cohort))) / 1_000
      const ttl = Atomics.load(ttls, indexOf(cohort))
      const end = Number(Atomics.load(ends, index)) / 1_000
      // Meanwhile the lease may have joined another cohort, and this one may be another by now.
      if (Atomics.load(cohorts, index) !== cohort || Atomics.load(marks, index) !== mark) continue
      const byKeeper = mark > FREE ? Number(mark) / 1_000 : byManager
      return { slot, mark, ttl, confirmedAt: Math.max(byManager, byKeeper), end }
    }
  }

  /** Behind a closed gate only: otherwise the slot may get another lease meanwhile. */
  textOf(slot: number): { readonly key: string; readonly token: string } {
    const { texts, stride } = this.slotsOf(slot)
    const start = indexOf(slot) * stride
    const middle = start + LENGTHS + texts.readUInt32LE(start)
    const end = middle + texts.readUInt32LE(start + 4)
    return { key: texts.toString('utf8', start + LENGTHS, middle), token: texts.toString('utf8', middle, end) }
  }

  /** The server has confirmed a renewal. @param mark that of the lease when it was sent. @param sentAt ms. @returns whether the lease is still there. */
  confirm(slot: number, mark: bigint, sentAt: number): boolean {
    const isThere = this.#replace(slot, mark, microseconds(sentAt))
    if (isThere) Atomics.add(this.words, RENEWALS, 1n)
    return isThere
  }

  /** The server has refused a lease. */
  refuse(slot: number, mark: bigint, reason: KeeperRefusal): void {
    if (this.#replace(slot, mark, reason === 'taken' ? TAKEN : MISSING)) Atomics.add(this.halves, 2 * REFUSALS, 1)
  }

  /** Runs `send` while no lease can end. It must not wait. */
  whileNoneEnds<T>(send: () => T): T {
    this.setHalf(GATE, 1)
    try {
      return send()
    } finally {
      this.setHalf(GATE, 0)
      Atomics.notify(this.halves, 2 * GATE)
    }
  }

  #replace(slot: number, mark: bigint, by: bigint): boolean {
    return Atomics.compareExchange(this.slotsOf(slot).marks, indexOf(slot), mark, by) === mark
  }
}
