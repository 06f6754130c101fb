/**
 * The port: what the bench asks of a structure that knows what is due next. Promises that entries are numbers from 0 and
 * times are whole ms.
 */

export interface TimerQueue {
  /** An entry that is not in it. */
  schedule(entry: number, due: number): void
  /** An entry that is in it. */
  reschedule(entry: number, due: number): void
  /** Takes out all that is due at `now`, and tells how many. */
  fire(now: number): number
}
