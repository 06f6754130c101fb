/**
 * The backend reports here which keys may have changed. The desk passes that on: waiters ask again, and leases are
 * verified. A report with a route concerns the keys of one of several servers, and the others are left alone.
 */
import type { Routing } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
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
  /** Whether the keys of held leases are watched now. @param route those of one server. */
  readonly isWatching: (added: number, route: number | undefined) => boolean
  readonly tally: Tally
  /** None if there is one server. */
  readonly routing: Routing | undefined
  /** The route of a key now, if there are several. */
  readonly routeOf: (key: string) => number | undefined
}

/** What the desk knows of a server. */
interface Known {
  unreliableUntil: number
  /** When its leases were last looked at, and whether another look is planned. */
  lookedAt: number
  looking: boolean
}

export class ChangeDesk {
  readonly #parts: ChangeDeskParts
  /** By route; undefined stands for all servers. */
  readonly #known = new Map<number | undefined, Known>()

  constructor(parts: ChangeDeskParts) {
    this.#parts = parts
  }

  /** See `BackendListener.onChange`. */
  onChange(keys?: readonly string[], route?: number): void {
    if (keys === undefined) {
      this.#verifyAll(route)
      this.wakeAll(route)
      return
    }
    const { table, lines, verifier, adoptions, tally } = this.#parts
    for (const key of keys) {
      const record = table.get(key)
      if (record) verifier.verify(record)
      // Others change the key of a joint lease all the time. A renewal would be one more change, of which they would be told.
      for (const joint of table.records.jointsOf(key)) verifier.look(joint)
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
  onMissed(route?: number): void {
    this.wakeAll(route)
    const { clock, scheduler, adoptions, table, isWatching } = this.#parts
    adoptions.hint()
    const known = this.#of(route)
    if (known.looking || table.size === 0 || !isWatching(0, route)) return
    known.looking = true
    const pause = known.lookedAt + LOOK_AGAIN_AFTER * table.size - clock.now()
    if (pause <= 0) this.#look(known, route)
    else scheduler.after(pause, () => this.#look(known, route))
  }

  #look(known: Known, route: number | undefined): void {
    known.looking = false
    known.lookedAt = this.#parts.clock.now()
    this.#lookAtSome(this.#parts.table.cohorts(), route)
  }

  #lookAtSome(cohorts: Iterator<LeaseCohort>, route: number | undefined): void {
    const { scheduler, verifier } = this.#parts
    let looks = 0
    for (let next = cohorts.next(); !next.done; next = cohorts.next()) {
      for (const record of next.value.members) {
        if (!this.#concerns(route, record)) continue
        verifier.look(record)
        looks += 1
      }
      if (looks < LOOKS_AT_ONCE) continue
      scheduler.after(LOOK_EVERY, () => this.#lookAtSome(cohorts, route))
      return
    }
  }

  /** Whether waiters for a key of this route may rely on notifications. */
  isReliable(route?: number): boolean {
    const now = this.#parts.clock.now()
    return this.#isReliable(now, undefined) && (route === undefined || this.#isReliable(now, route))
  }

  #isReliable(now: number, route: number | undefined): boolean {
    return now >= (this.#known.get(route)?.unreliableUntil ?? now)
  }

  #of(route: number | undefined): Known {
    const present = this.#known.get(route)
    if (present) return present
    const never = Number.NEGATIVE_INFINITY
    const known = { unreliableUntil: never, lookedAt: never, looking: false }
    this.#known.set(route, known)
    return known
  }

  /** Whether a report concerns a lease. @param route that of the report; none if it concerns all keys. */
  #concerns(route: number | undefined, { rank }: LeaseRecord): boolean {
    const { routing } = this.#parts
    return route === undefined || routing === undefined || routing.routeOf(rank) === route
  }

  /**
   * A notification was missed, or was a false alarm; or the server has no room left for watched keys, and forgets some, not always with a
   * notification. Waiters poll for a while.
   */
  onUnreliable(route?: number): void {
    const reliable = this.isReliable(route)
    this.#of(route).unreliableUntil = this.#parts.clock.now() + UNRELIABLE_FOR
    if (reliable) this.#parts.clock.soon(() => this.wakeAll(route))
  }

  /** The first waiters of all lines ask again, some thousands at a time. @param route only those for keys of one server. */
  wakeAll(route?: number): void {
    const { clock, table, lines, tally, routeOf } = this.#parts
    // This concerns answers that are on their way from any server. If such an answer is a grant, the lease is verified.
    table.reservations.hint()
    const iterator = lines.values()
    const wakeSome = (): void => {
      let count = 0
      // The loop goes on in later turns: `for of` would close the iterator at the end of this one.
      for (let next = iterator.next(); !next.done; next = iterator.next()) {
        const { key, first } = next.value
        count += 1
        if (route === undefined || routeOf(key) === route) {
          tally.wakeUps.reconnect += 1
          first?.hint()
        }
        if (count === WAKE_UPS_PER_TURN) {
          clock.soon(wakeSome)
          return
        }
      }
    }
    wakeSome()
  }

  /** A renewal verifies a lease and watches its key again. Leases without `autoRenew` are verified without a renewal. */
  #verifyAll(route: number | undefined): void {
    const { table, renewer, verifier, adoptions } = this.#parts
    renewer.renewAll(route)
    adoptions.hint()
    for (const { terms, members } of table.cohorts()) {
      if (terms.autoRenew) continue
      for (const record of members) if (this.#concerns(route, record)) verifier.verify(record)
    }
  }
}
