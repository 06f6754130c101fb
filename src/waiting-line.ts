/**
 * The callers of this process that want the same key: first in, first served, and only the first one asks the backend.
 * Entering and leaving are O(1) wherever one stands. May import the port's types.
 */
import type { AcquireOutcome } from './backend.ts'

/** Somebody in a line. */
export interface Waiter {
  line: WaitingLine | undefined
  next: Waiter | undefined
  previous: Waiter | undefined
  /** Something may have changed: it has become the first, or the key was given back here. */
  wake(): void
  /** Somebody who does not want to wait shares the next attempt: it is made now. */
  nudge(): void
  /** The manager is closed, or the caller's signal aborted. */
  cancel(reason: unknown): void
}

class WaitingLine {
  readonly key: string
  first: Waiter | undefined
  last: Waiter | undefined
  /** Those who share the first one's next attempt. Called once, with the next answer, or with nothing where whoever was to bring it has left. */
  listeners: ((outcome: AcquireOutcome | undefined) => void)[] = []

  constructor(key: string) {
    this.key = key
  }

  onFirstLeft(): void {
    this.onAnswer(undefined)
    this.first?.wake()
  }

  onAnswer(outcome: AcquireOutcome | undefined): void {
    if (this.listeners.length === 0) return
    const { listeners } = this
    this.listeners = []
    for (const listener of listeners) listener(outcome)
  }
}

export type { WaitingLine }

export class WaitingLines {
  readonly #lines = new Map<string, WaitingLine>()
  #size = 0

  /** Callers in all lines. */
  get size(): number {
    return this.#size
  }

  /** The line of a key, if anybody stands in it. */
  get(key: string): WaitingLine | undefined {
    return this.#lines.get(key)
  }

  enter(key: string, waiter: Waiter): void {
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = new WaitingLine(key)
      this.#lines.set(key, line)
    }
    waiter.line = line
    waiter.previous = line.last
    if (line.last) line.last.next = waiter
    else line.first = waiter
    line.last = waiter
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
    if (line.first === undefined) this.#lines.delete(line.key)
    else if (previous === undefined) line.onFirstLeft()
  }

  /** The key was given back in this process: the first in its line need not wait for its next attempt. */
  wake(key: string): void {
    this.#lines.get(key)?.first?.wake()
  }

  cancelAll(reasonFor: (key: string) => unknown): void {
    for (const line of this.#lines.values()) {
      for (let waiter = line.first; waiter !== undefined; ) {
        const { next } = waiter
        waiter.cancel(reasonFor(line.key))
        waiter = next
      }
    }
  }
}
