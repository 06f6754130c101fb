/** Bugs of other libraries in how callers wait. */
import { type Regression, simulationFrom } from './regression.ts'

const ACQUISITION = 'src/acquire/acquisition.ts'

export const WAITING_BUGS: readonly Regression[] = [
  {
    failure: 'a wake-up was sent before the waiter had subscribed to it, and for locks that expire none ever is',
    patches: [
      {
        file: ACQUISITION,
        find: 'this.#stale = true\n    else if (!this.#parts.table',
        replace: 'return\n    else if (!this.#parts.table',
      },
      {
        file: 'src/acquire/patience.ts',
        find: 'Math.min(interval, (refusal?.remaining ?? Number.POSITIVE_INFINITY) + 1, announcing, left)',
        replace: 'Math.min(interval, announcing, left)',
      },
    ],
    harness: simulationFrom(12, 400),
    report: /^P23:/,
  },
  {
    failure: 'thousands of waiters asked at once, each for itself',
    patches: [
      {
        file: ACQUISITION,
        find: 'while (line.first !== this || table.isTaken(this.key)',
        replace: 'while (table.isTaken(this.key)',
      },
    ],
    harness: simulationFrom(2),
    report: /^P21:/,
  },
]
