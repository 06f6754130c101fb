/**
 * The callers of this process that want the same key: first in, first served, and only the first one asks the backend.
 * Entering and leaving are O(1) wherever one stands.
 *
 * When the lock is given back here, the first in its line asks for it at once, so that the release and the acquisition travel
 * together; or, where this process has had it for long enough, after a moment in which others may take it:
 *
 *     given back ──passed on──▶ the first asks
 *          └───left to others──▶ (on offer) ──somebody took it, as the server tells─────▶ the first asks, and waits as for anybody's lock
 *                                     └──────nobody did──▶ (declined) ──▶ the first asks
 */
import type { AcquireOutcome } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { Alarm, Alarms } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'
import { Fairness } from '../rules/fairness.ts'

/** Somebody in a line. */
export interface Waiter {
  line: WaitingLine | undefined
  next: Waiter | undefined
  previous: Waiter | undefined
  /** Something may have changed: it has become the first, or the key was given back here. */
  wake(): void
  /** Somebody who does not want to wait shares the next attempt: it is made now. */
  nudge(): void
  /** The key may have changed. @param named the server has named it; otherwise any may have changed. */
  hint(named?: boolean): void
  /** The manager is closed, or the caller's signal aborted. */
  cancel(reason: unknown): void
}

class WaitingLine {
  readonly key: string
  first: Waiter | undefined
  last: Waiter | undefined
  /** Those who share the first one's next attempt. Called once, with the next answer, or with nothing where whoever was to bring it has left. */
  #listeners: ((outcome: AcquireOutcome | undefined) => void)[] | undefined = undefined
  /** How the lock has gone from hand to hand, as far as this line has to know. */
  fairness: Fairness | undefined = undefined
  /** Whether the lock is left to others at the moment, or was and nobody took it. */
  offer: 'open' | 'declined' | undefined = undefined
  #alarm: Alarm | undefined

  constructor(key: string) {
    this.key = key
  }

  /** @param outcome the answer that it has left with, if it was answered. */
  onFirstLeft(outcome?: AcquireOutcome): void {
    this.onAnswer(outcome)
    this.first?.wake()
  }

  /** Nobody in the line waits any longer. */
  cancelAll(reason: unknown): void {
    for (let waiter = this.first; waiter !== undefined; ) {
      const { next } = waiter
      waiter.cancel(reason)
      waiter = next
    }
  }

  /** Hears of the first one's next answer. */
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

  /** The first one was answered; it had been asked for at `sentAt`. */
  onOutcome(outcome: AcquireOutcome, clock: Clock, sentAt: number): void {
    if (outcome.type === 'refused') {
      this.fairness ??= new Fairness()
      this.fairness.onRefused()
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
  readonly #lines = new Map<string, WaitingLine>()
  #size = 0

  constructor(alarms: Alarms, tally: Tally) {
    this.#alarms = alarms
    this.#tally = tally
  }

  /** Callers in all lines. */
  get size(): number {
    return this.#size
  }

  /** Keys that they want. */
  get count(): number {
    return this.#lines.size
  }

  /** The line of a key, if anybody stands in it. */
  get(key: string): WaitingLine | undefined {
    // Most of the time nobody waits for anything.
    return this.#lines.size === 0 ? undefined : this.#lines.get(key)
  }

  /**
   * Somebody who stands in no line has asked for a key, and that is over: everybody in its line looks again. Where it was granted, they find that it is
   * leased here. @param outcome the answer, if there was one.
   */
  onAskedFor(key: string, outcome?: AcquireOutcome): void {
    this.get(key)?.onFirstLeft(outcome)
  }

  /** All lines; some may be gone by the time they are come to. */
  values(): IterableIterator<WaitingLine> {
    return this.#lines.values()
  }

  enter(key: string, waiter: Waiter): void {
    const line = this.#lineOf(key)
    waiter.line = line
    waiter.previous = line.last
    if (line.last) line.last.next = waiter
    else line.first = waiter
    line.last = waiter
    this.#size += 1
  }

  /** For somebody who has come before those who stand there. */
  enterInFront(key: string, waiter: Waiter): void {
    const line = this.#lineOf(key)
    waiter.line = line
    waiter.next = line.first
    if (line.first) line.first.previous = waiter
    else line.last = waiter
    line.first = waiter
    this.#size += 1
  }

  /** Leaves from any place; whoever becomes the first is woken. */
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
      line.closeOffer()
    } else if (previous === undefined) {
      line.onFirstLeft()
    }
  }

  /**
   * A lease ended in this process: the first in the line of its key need not wait for its next attempt, unless the lock was given
   * back and it is the turn of others.
   *
   * @param givenBack nothing where the lock was lost; otherwise when.
   * @param fairness how the lock has gone from hand to hand until now, if that is known.
   */
  onVacated(key: string, givenBack: number | undefined, fairness: Fairness | undefined): void {
    const line = this.get(key)
    if (line === undefined) return
    line.fairness ??= fairness ?? new Fairness()
    if (givenBack === undefined || line.fairness.passOn(givenBack)) this.#handOver(line)
    else line.openOffer(this.#alarms, line.fairness.pause, () => this.#handOver(line))
  }

  #lineOf(key: string): WaitingLine {
    let line = this.get(key)
    if (line === undefined) {
      line = new WaitingLine(key)
      this.#lines.set(key, line)
    }
    return line
  }

  #handOver(line: WaitingLine): void {
    this.#tally.wakeUps.handOver += 1
    line.first?.wake()
  }

  /** Whether a lock that is being given back is left to others. */
  isOffered(key: string): boolean {
    return this.get(key)?.offer === 'open'
  }

  cancelAll(reasonFor: (key: string) => unknown): void {
    for (const line of this.#lines.values()) line.cancelAll(reasonFor(line.key))
  }
}
