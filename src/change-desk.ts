/**
 * Hears from the backend which keys may have changed, and passes it on to those who care: callers that wait for them ask again,
 * leases of them are verified. May import types.
 */
import type { Clock } from './clock.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Renewer } from './renewer.ts'
import type { Tally } from './stats.ts'
import type { Verifier } from './verifier.ts'
import type { WaitingLines } from './waiting-line.ts'

/** How many callers are made to ask in one turn of the event loop. */
const WAKE_UPS_PER_TURN = 4_096

export interface ChangeDeskParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly renewer: Renewer
  readonly verifier: Verifier
  readonly tally: Tally
}

export class ChangeDesk {
  readonly #parts: ChangeDeskParts

  constructor(parts: ChangeDeskParts) {
    this.#parts = parts
  }

  /** See `BackendListener.onChange`. */
  onChange(keys: readonly string[] | undefined): void {
    if (keys === undefined) {
      this.#verifyAll()
      this.wakeAll()
      return
    }
    const { table, lines, verifier, tally } = this.#parts
    for (const key of keys) {
      const record = table.get(key)
      if (record) verifier.verify(record)
      const first = lines.get(key)?.first
      if (first === undefined) continue
      tally.wakeUps.change += 1
      first.hint()
    }
  }

  /** All who wait ask again, some thousands at a time. */
  wakeAll(): void {
    const { clock, lines, tally } = this.#parts
    const iterator = lines.values()
    const wakeSome = (): void => {
      let count = 0
      // One line after another, in several turns: the iterator must not be closed when a turn is over.
      for (let next = iterator.next(); !next.done; next = iterator.next()) {
        tally.wakeUps.reconnect += 1
        next.value.first?.hint()
        count += 1
        if (count === WAKE_UPS_PER_TURN) {
          clock.soon(wakeSome)
          return
        }
      }
    }
    wakeSome()
  }

  /** Renewing is verifying, and watches the keys again; leases that are renewed by hand only are left as they are. */
  #verifyAll(): void {
    const { table, renewer, verifier } = this.#parts
    renewer.renewAll()
    for (const record of table.values()) {
      if (record.cohort?.terms.autoRenew === false) verifier.verify(record)
    }
  }
}
