/**
 * Keeps the map of the cluster: asks for it at the start, every ten seconds, after MOVED, and again and again while a node that serves slots is
 * away or silent. Wishes for a new map are collected for a moment, with jitter, so that many managers do not ask at once.
 */
import { UnavailableError } from '../../errors.ts'
import { asError } from '../../as-error.ts'
import type { Clock, Timer } from '../../time/clock.ts'
import { FaultLog } from '../fault-log.ts'
import { Readiness } from '../readiness.ts'
import type { SlotRange } from './slots-reply.ts'

/** ms between two maps if there is no reason for one. */
const USUAL = 10_000
/** ms from the first wish for a map to the question; the pause doubles while wishes go on. */
const SHORTEST = 50
const LONGEST = 1_000
/** ms between two questions while a node is away. After so many of them the pause grows, too: nobody takes its place. */
const TROUBLED = 100
const MOST_TROUBLED = 300
/** ms after which the next node is asked, too. */
const HEDGE = 200

/** Asks one node for the map. */
export type AskForMap = () => Promise<readonly SlotRange[]>

export interface MapKeeperParts {
  readonly clock: Clock
  /** Who can be asked, the best first. */
  readonly candidates: () => Promise<readonly AskForMap[]>
  /** Whether a node that serves slots is away or silent, or a slot has no node. */
  readonly isTroubled: () => boolean
  /** Whether the end of a slot's move is awaited. */
  readonly isUnsettled: () => boolean
  readonly onMap: (ranges: readonly SlotRange[]) => void
  /** Nobody gave a map; not told twice for one reason. */
  readonly onFault: (error: Error) => void
}

export class MapKeeper {
  readonly #parts: MapKeeperParts
  readonly #faults = new FaultLog()
  readonly #readiness = new Readiness()
  #timer: Timer | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #asking: Promise<void> | undefined
  #next: Promise<void> | undefined
  /** Wishes in a row without a quiet time between. */
  #wishes = 0
  #askedAt = Number.NEGATIVE_INFINITY
  /** A wish came while the question was under way: the answer may be older. */
  #wished = false
  #troubles = 0
  #failures = 0
  #referenced = true
  #closed = false

  constructor(parts: MapKeeperParts) {
    this.#parts = parts
  }

  /** Why there was no new map, the last time. */
  get fault(): Error | undefined {
    return this.#faults.last
  }

  start(): void {
    void this.fresh()
  }

  /** Settles after the next question for a map; rejects if nobody answered it. */
  changed(): Promise<void> {
    return this.#readiness.next
  }

  /** Something has changed: a new map is wanted soon. */
  wish(): void {
    const now = this.#parts.clock.now()
    this.#wished = true
    if (now - this.#askedAt > 2 * LONGEST) this.#wishes = 0
    this.#schedule(this.#wishPause())
  }

  /** Asks for a map from now on. Never rejects: see `fault`. */
  fresh(): Promise<void> {
    this.#next ??= this.#askNext()
    return this.#next
  }

  unref(): void {
    this.#referenced = false
    this.#timer?.unref?.()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#readiness.settle(new UnavailableError('The connection to Redis is closed'))
  }

  async #askNext(): Promise<void> {
    // Questions of one turn are one, and who comes later wants a later answer.
    await this.#asking
    this.#next = undefined
    if (this.#closed) return
    this.#asking = this.#ask()
    await this.#asking
    this.#asking = undefined
    if (!this.#closed) this.#schedule(this.#pause())
  }

  async #ask(): Promise<void> {
    const { clock, candidates, onMap, onFault } = this.#parts
    this.#askedAt = clock.now()
    this.#wished = false
    this.#wishes = Math.min(this.#wishes + 1, 10)
    this.#timer?.cancel()
    this.#timer = undefined
    this.#dueAt = Number.POSITIVE_INFINITY
    try {
      const ranges = await askAround(clock, await candidates())
      if (this.#closed) return
      onMap(ranges)
      this.#failures = 0
      this.#faults.last = undefined
      this.#faults.forget()
      this.#readiness.settle()
    } catch (thrown) {
      if (this.#closed) return
      const cause = asError(thrown)
      const error = new UnavailableError(`No map of the cluster: ${cause.message}`, undefined, { cause })
      this.#failures += 1
      const isNews = this.#faults.add(error)
      this.#readiness.settle(error)
      if (isNews) onFault(error)
    }
  }

  #wishPause(): number {
    return jitter(Math.min(SHORTEST * 2 ** this.#wishes, LONGEST))
  }

  /** ms until the next question. */
  #pause(): number {
    if (this.#failures > 0) return jitter(Math.min(SHORTEST * 2 ** Math.min(this.#failures - 1, 10), LONGEST))
    if (!this.#parts.isTroubled()) {
      this.#troubles = 0
      if (this.#wished) return this.#wishPause()
      return jitter(this.#parts.isUnsettled() ? LONGEST : USUAL)
    }
    this.#troubles += 1
    return jitter(this.#troubles > MOST_TROUBLED ? LONGEST : TROUBLED)
  }

  #schedule(delay: number): void {
    const { clock } = this.#parts
    const dueAt = clock.now() + delay
    if (this.#closed || this.#asking || dueAt >= this.#dueAt) return
    this.#timer?.cancel()
    this.#dueAt = dueAt
    this.#timer = clock.setTimer(() => this.start(), delay)
    if (!this.#referenced) this.#timer.unref?.()
  }
}

/** From half of it to all of it. */
function jitter(ms: number): number {
  return ms * (0.5 + Math.random() / 2)
}

/** The first answer. A node that is silent delays the next question only. */
function askAround(clock: Clock, candidates: readonly AskForMap[]): Promise<readonly SlotRange[]> {
  return new Promise((resolve, reject) => {
    let asked = 0
    let underWay = 0
    let timer: Timer | undefined
    let settled = false
    const finish = (): void => {
      settled = true
      timer?.cancel()
    }
    const askNext = (): void => {
      timer?.cancel()
      const ask = candidates[asked]
      asked += 1
      if (ask === undefined) return
      underWay += 1
      timer = clock.setTimer(askNext, HEDGE)
      ask().then(
        (ranges) => {
          if (settled) return
          finish()
          resolve(ranges)
        },
        (error: unknown) => {
          underWay -= 1
          if (settled) return
          if (asked < candidates.length) askNext()
          else if (underWay === 0) {
            finish()
            reject(asError(error))
          }
        },
      )
    }
    if (candidates.length === 0) reject(new UnavailableError('no node is known'))
    else askNext()
  })
}
