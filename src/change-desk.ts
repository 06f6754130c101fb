/**
 * Hears from the backend which keys may have changed, and passes it on to those who care: callers that wait for them ask again,
 * leases of them are verified. May import types.
 */
import type { Adoptions } from './adoption.ts'
import type { Clock } from './clock.ts'
import type { LeaseTable } from './lease-table.ts'
import type { Renewer } from './renewer.ts'
import type { Tally } from './stats.ts'
import type { Verifier } from './verifier.ts'
import type { WaitingLines } from './waiting-line.ts'

/** How many callers are made to ask in one turn of the event loop. */
const WAKE_UPS_PER_TURN = 4_096
/** For how long the server is not relied upon after it was found not to tell, in ms. */
const UNRELIABLE_FOR = 300_000

export interface ChangeDeskParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly renewer: Renewer
  readonly verifier: Verifier
  readonly adoptions: Adoptions
  readonly tally: Tally
}

export class ChangeDesk {
  readonly #parts: ChangeDeskParts
  #unreliableUntil = Number.NEGATIVE_INFINITY

  constructor(parts: ChangeDeskParts) {
    this.#parts = parts
  }

  /** See `BackendListener.onChange`. */
  onChange(keys?: readonly string[]): void {
    if (keys === undefined) {
      this.#verifyAll()
      this.wakeAll()
      return
    }
    const { table, lines, verifier, adoptions, tally } = this.#parts
    for (const key of keys) {
      const record = table.get(key)
      if (record) verifier.verify(record)
      adoptions.hint(key)
      table.hint(key)
      const first = lines.get(key)?.first
      if (first === undefined) continue
      tally.wakeUps.change += 1
      first.hint(true)
    }
  }

  /** Whether callers may rely on being told. */
  isReliable(): boolean {
    return this.#parts.clock.now() >= this.#unreliableUntil
  }

  /**
   * A change was not told, or one was told that was none, or the server says so: it has no room left for watched keys, and forgets some of
   * them, not always with a word. Callers that wait are to poll for a while.
   */
  onUnreliable(): void {
    const reliable = this.isReliable()
    this.#unreliableUntil = this.#parts.clock.now() + UNRELIABLE_FOR
    if (reliable) this.#parts.clock.soon(() => this.wakeAll())
  }

  /** All who wait ask again, some thousands at a time. */
  wakeAll(): void {
    const { clock, table, lines, tally } = this.#parts
    table.hint()
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
    const { table, renewer, verifier, adoptions } = this.#parts
    renewer.renewAll()
    adoptions.hint()
    for (const { terms, members } of table.cohorts()) {
      if (!terms.autoRenew) for (const record of members) verifier.verify(record)
    }
  }
}
