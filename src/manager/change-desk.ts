/**
 * The backend reports here which keys may have changed. The desk passes that on: waiters ask again, and leases are
 * verified.
 */
import type { Clock } from '../time/clock.ts'
import type { LeaseCohort } from '../lease/lease-record.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { Renewer } from '../renewal/renewer.ts'
import type { Alarms } from '../time/scheduler.ts'
import type { Tally } from '../stats.ts'
import type { Verifier } from '../renewal/verifier.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'

/** How many waiters are woken in one turn of the event loop. */
const WAKE_UPS_PER_TURN = 4_096
/** ms for which waiters do not rely on the server after a missed notification or a false alarm. */
const UNRELIABLE_FOR = 300_000

/** Leases that are looked at together after notifications may have been missed, and ms between two such groups. */
const LOOKS_AT_ONCE = 512
const LOOK_EVERY = 20
/** ms per lease between two looks at all leases: looking costs a tenth of their renewals at the usual ttl. */
const LOOK_AGAIN_AFTER = 0.2

/** A part that waits for answers, which may be older than a change. */
interface Hinted {
  /** The key may have changed; without a key, any may have. */
  hint(key?: string): void
}

export interface ChangeDeskParts {
  readonly clock: Clock
  readonly scheduler: Alarms
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly renewer: Renewer
  readonly verifier: Verifier
  readonly adoptions: Hinted
  /** Whether the keys of held leases are watched now. */
  readonly isWatching: () => boolean
  readonly tally: Tally
}

export class ChangeDesk {
  readonly #parts: ChangeDeskParts
  #unreliableUntil = Number.NEGATIVE_INFINITY
  /** When leases were last looked at, and whether another look is planned. */
  #lookedAt = Number.NEGATIVE_INFINITY
  #looking = false

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
      table.reservations.hint(key)
      const first = lines.get(key)?.first
      if (first === undefined) continue
      tally.wakeUps.change += 1
      first.hint(true)
    }
  }

  /**
   * See `BackendListener.onMissed`. Waiters ask again. Leases are looked at in small groups, so that a proxy that cuts the connection every few
   * seconds does not cause a load.
   */
  onMissed(): void {
    this.wakeAll()
    const { clock, scheduler, adoptions, table, isWatching } = this.#parts
    adoptions.hint()
    if (this.#looking || table.size === 0 || !isWatching()) return
    this.#looking = true
    const pause = this.#lookedAt + LOOK_AGAIN_AFTER * table.size - clock.now()
    if (pause <= 0) this.#look()
    else scheduler.after(pause, () => this.#look())
  }

  #look(): void {
    this.#looking = false
    this.#lookedAt = this.#parts.clock.now()
    this.#lookAtSome(this.#parts.table.cohorts())
  }

  #lookAtSome(cohorts: Iterator<LeaseCohort>): void {
    const { scheduler, verifier } = this.#parts
    let looks = 0
    for (let next = cohorts.next(); !next.done; next = cohorts.next()) {
      for (const record of next.value.members) verifier.look(record)
      looks += next.value.size
      if (looks < LOOKS_AT_ONCE) continue
      scheduler.after(LOOK_EVERY, () => this.#lookAtSome(cohorts))
      return
    }
  }

  /** Whether waiters may rely on notifications. */
  isReliable(): boolean {
    return this.#parts.clock.now() >= this.#unreliableUntil
  }

  /**
   * A notification was missed, or was a false alarm; or the server has no room left for watched keys, and forgets some, not always with a
   * notification. Waiters poll for a while.
   */
  onUnreliable(): void {
    const reliable = this.isReliable()
    this.#unreliableUntil = this.#parts.clock.now() + UNRELIABLE_FOR
    if (reliable) this.#parts.clock.soon(() => this.wakeAll())
  }

  /** The first waiters of all lines ask again, some thousands at a time. */
  wakeAll(): void {
    const { clock, table, lines, tally } = this.#parts
    table.reservations.hint()
    const iterator = lines.values()
    const wakeSome = (): void => {
      let count = 0
      // The loop goes on in later turns: `for of` would close the iterator at the end of this one.
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

  /** A renewal verifies a lease and watches its key again. Leases without `autoRenew` are verified without a renewal. */
  #verifyAll(): void {
    const { table, renewer, verifier, adoptions } = this.#parts
    renewer.renewAll()
    adoptions.hint()
    for (const { terms, members } of table.cohorts()) {
      if (!terms.autoRenew) for (const record of members) verifier.verify(record)
    }
  }
}
