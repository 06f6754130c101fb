/**
 * The waiters of this process for one key: first in, first served, and only the first one asks the backend. Entering and
 * leaving are O(1) from any place.
 *
 * If this process releases the lock, the first waiter asks at once, so that the release and the acquisition are one request.
 * If the process has had the lock for long enough, the waiter asks after a moment in which others may take it:
 *
 *     given back ──passed on──▶ the first asks
 *          └───left to others──▶ (on offer) ──the server reports another holder─────────▶ the first asks, and waits as for anybody's lock
 *                                     └──────nobody did──▶ (declined) ──▶ the first asks
 */
import type { AcquireOutcome } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'
import { Fairness } from '../rules/fairness.ts'

/** A caller in a line. */
export interface Waiter {
  /** See `WaitingLines.takeNumber`. */
  readonly number: number
  line: WaitingLine | undefined
  next: Waiter | undefined
  previous: Waiter | undefined
  /** The waiter has become the first. */
  wake(): void
  /** This process is giving the key back, and it is the turn of this waiter, the first one. */
  handOver(): void
  /** A caller that does not wait shares the next attempt: make it now. */
  nudge(): void
  /** The key may have changed. @param named the server named this key; otherwise any key may have changed. */
  hint(named?: boolean): void
  /** The manager is closed, or the caller's signal aborted. */
  cancel(reason: unknown): void
}

class WaitingLine {
  readonly key: string
  first: Waiter | undefined
  last: Waiter | undefined
  /** Callers that share the first waiter's next attempt. Called once, with the next answer, or with nothing if that waiter leaves. */
  #listeners: ((outcome: AcquireOutcome | undefined) => void)[] | undefined = undefined
  /** The hand-overs of the lock in this process; undefined before the first one. */
  fairness: Fairness | undefined = undefined
  /** `open`: the lock is left to other processes now. `declined`: it was, and none took it. */
  offer: 'open' | 'declined' | undefined = undefined
  #alarm: Alarm | undefined

  constructor(key: string) {
    this.key = key
  }

  /** How many wait. It counts them one by one. */
  get size(): number {
    let size = 0
    for (let waiter = this.first; waiter !== undefined; waiter = waiter.next) size += 1
    return size
  }

  /** The attempt ahead of the line is over. @param outcome its answer, if there was one. */
  onFirstLeft(outcome?: AcquireOutcome): void {
    this.onAnswer(outcome)
    this.first?.wake()
  }

  /** Cancels every waiter of the line. */
  cancelAll(reason: unknown): void {
    for (let waiter = this.first; waiter !== undefined; ) {
      const { next } = waiter
      waiter.cancel(reason)
      waiter = next
    }
  }

  /** Calls the listener with the first waiter's next answer. */
  listen(listener: (outcome: AcquireOutcome | undefined) => void): void {
    this.#listeners ??= []
    this.#listeners.push(listener)
  }

  onAnswer(outcome: AcquireOutcome | undefined): void {
    const listeners = this.#listeners
    if (listeners === undefined) return
    this.#listeners = undefined
    for (const listener of listeners) listener(outcome)
  }

  /** The first waiter has an answer to its request, which was sent at `sentAt`. */
  onOutcome(outcome: AcquireOutcome, clock: Clock, sentAt: number): void {
    if (outcome.type === 'refused') {
      this.fairness ??= new Fairness()
      // If several may hold the key, this process may have all that there is: only a refusal after an offer tells of others.
      if (outcome.version === undefined || this.offer) this.fairness.onRefused()
    } else if (outcome.type === 'granted' && this.offer === 'declined') {
      this.fairness?.onUnwanted()
    }
    if (outcome.type !== 'unknown') this.fairness?.onAnswered(clock.now() - sentAt)
    this.closeOffer()
  }

  /** Leaves the lock to others for `duration` ms. */
  openOffer(alarms: Alarms, duration: number, onDeclined: () => void): void {
    this.closeOffer()
    this.offer = 'open'
    this.#alarm = alarms.after(duration, () => {
      this.offer = 'declined'
      onDeclined()
    })
  }

  closeOffer(): void {
    this.offer = undefined
    this.#alarm?.cancel()
  }
}

export type { WaitingLine }

export class WaitingLines {
  readonly #alarms: Alarms
  readonly #tally: Tally
  readonly #onLine: (key: string, begun: boolean) => void
  readonly #lines = new Map<string, WaitingLine>()
  #size = 0
  #numbers = 0

  /** @param onLine called when a line has begun, and when it has ended. */
  constructor(alarms: Alarms, tally: Tally, onLine: (key: string, begun: boolean) => void = () => undefined) {
    this.#alarms = alarms
    this.#tally = tally
    this.#onLine = onLine
  }

  /** Waiters in all lines. */
  get size(): number {
    return this.#size
  }

  /** Keys with a line. */
  get count(): number {
    return this.#lines.size
  }

  /** The line of a key, if it has waiters. */
  get(key: string): WaitingLine | undefined {
    // Most of the time there are no waiters at all.
    return this.#lines.size === 0 ? undefined : this.#lines.get(key)
  }

  /**
   * An attempt that skipped the line is over: the first waiter looks again. If the attempt was granted, the waiter finds that the key is leased here.
   * @param outcome the answer, if there was one.
   */
  onAskedFor(key: string, outcome?: AcquireOutcome): void {
    this.get(key)?.onFirstLeft(outcome)
  }

  /** All lines. Some may be gone before the iterator reaches them. */
  values(): IterableIterator<WaitingLine> {
    return this.#lines.values()
  }

  /** Numbers callers in the order of their calls: those with smaller numbers are ahead. */
  takeNumber(): number {
    this.#numbers += 1
    return this.#numbers
  }

  /** Enters behind all that called before. That is usually the end; or the front, after an attempt that skipped the line. */
  enter(key: string, waiter: Waiter): void {
    const line = this.#lineOf(key)
    const isFirst = line.first !== undefined && line.first.number > waiter.number
    let ahead = isFirst ? undefined : line.last
    while (ahead && ahead.number > waiter.number) ahead = ahead.previous
    const behind = ahead ? ahead.next : line.first
    waiter.line = line
    waiter.previous = ahead
    waiter.next = behind
    if (ahead) ahead.next = waiter
    else line.first = waiter
    if (behind) behind.previous = waiter
    else line.last = waiter
    this.#size += 1
  }

  /** Leaves from any place, and wakes a new first waiter. */
  leave(waiter: Waiter): void {
    const { line, next, previous } = waiter
    if (line === undefined) return
    if (next) next.previous = previous
    else line.last = previous
    if (previous) previous.next = next
    else line.first = next
    waiter.line = undefined
    waiter.next = undefined
    waiter.previous = undefined
    this.#size -= 1
    if (line.first === undefined) {
      this.#lines.delete(line.key)
      this.#onLine(line.key, false)
      line.closeOffer()
    } else if (previous === undefined) {
      line.onFirstLeft()
    }
  }

  /**
   * A lease ended in this process: the first waiter for its key need not wait for its next attempt, unless it is the turn of
   * other processes.
   *
   * @param givenBack when the lock was released; undefined if it was lost.
   * @param fairness the hand-overs of the lock until now, if known.
   */
  onVacated(key: string, givenBack: number | undefined, fairness: Fairness | undefined): void {
    const line = this.get(key)
    if (line === undefined || line.offer === 'open') return
    line.fairness ??= fairness ?? new Fairness()
    if (givenBack === undefined || line.fairness.passOn(givenBack)) this.#handOver(line)
    else line.openOffer(this.#alarms, line.fairness.pause, () => this.#handOver(line))
  }

  #lineOf(key: string): WaitingLine {
    let line = this.get(key)
    if (line === undefined) {
      line = new WaitingLine(key)
      this.#lines.set(key, line)
      this.#onLine(key, true)
    }
    return line
  }

  #handOver(line: WaitingLine): void {
    this.#tally.wakeUps.handOver += 1
    line.first?.handOver()
  }

  /** Whether a lock is left to other processes at its release. */
  isOffered(key: string): boolean {
    return this.get(key)?.offer === 'open'
  }

  cancelAll(reasonFor: (key: string) => unknown): void {
    for (const line of this.#lines.values()) line.cancelAll(reasonFor(line.key))
  }
}
