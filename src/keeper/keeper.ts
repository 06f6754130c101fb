/**
 * The keeper: it looks for the beat of a manager's event loop, and renews the leases of the manager while there is none. It runs in a thread of its
 * own, with a connection of its own.
 *
 *     each look:  the event loop beats ─────────────────────────────▶ nothing to do
 *                 silent ──▶ leases that are due ──▶ batches ──▶ behind the gate: is each still held? ──▶ sent ──▶ its answer, in the mark of each lease
 *                 silent for `maxBlocked` ──────────────────────────▶ nothing to do any more
 *
 * It decides on the steady clock of the process. A sleep of the machine makes that useless: then the keeper waits for the next beat.
 */
import type { ChangeOutcome, LockEntry } from '../backend.ts'
import { isDueForKeeper, isKeeping, lookEvery } from '../rules/keeping.ts'
import { deadlineOf, defaultTimeout, renewalRetryDelay } from '../rules/timing.ts'
import type { SystemClock } from '../time/clock.ts'
import type { KeptLease, LedgerReader } from './ledger.ts'

/** Batches under way at once. */
const MOST_BATCHES = 8

export interface KeeperParts {
  readonly ledger: LedgerReader
  readonly clock: Pick<SystemClock, 'now' | 'steady' | 'ahead' | 'setTimer'>
  readonly maxBlocked: number
  readonly batchSize: number
  readonly driftFactor: number
  readonly random: () => number
  /** `undefined` if requests can be sent now: see `Backend.ready`. */
  readonly ready: () => Promise<void> | undefined
  /** Sends a renewal before it returns, and nothing later. */
  readonly renew: (entries: readonly LockEntry[]) => Promise<readonly ChangeOutcome[]>
  /** Whether one of the keys may be to blame for the failure of a batch. */
  readonly mayBeOneKey: (error: Error) => boolean
  readonly onFault: (fault: unknown) => void
}

/** A lease that is asked about, or was. */
interface Attempt {
  readonly lease: KeptLease
  readonly deadline: number
  /** Failures in a row. */
  failures: number
  /** When it may be asked about again. */
  nextAt: number
  /** Its key may be why its batch failed: it shares no batch any more. */
  apart: boolean
}

interface Batch {
  readonly attempts: readonly Attempt[]
  readonly sentAt: number
  readonly timeout: number
}

export class Keeper {
  readonly #parts: KeeperParts
  /** By slot: leases that the keeper has asked about, or is about to, and that were not confirmed since. */
  readonly #attempts = new Map<number, Attempt>()
  readonly #underWay = new Set<Batch>()
  #waiting: Attempt[] = []
  #timer: { cancel(): void } | undefined
  /** What was confirmed before then does not count: another server answers. */
  #doubtBefore = Number.NEGATIVE_INFINITY
  /** See `SystemClock.ahead`. While it grows, only another beat makes times comparable again. */
  #ahead: number
  #trustBeatsAfter = Number.NEGATIVE_INFINITY
  #isAwaiting = false
  #closed = false

  constructor(parts: KeeperParts) {
    this.#parts = parts
    this.#ahead = parts.clock.ahead
  }

  start(): void {
    this.#plan()
  }

  /** Another server answers from now on: every lease is asked about. */
  doubt(): void {
    this.#doubtBefore = this.#parts.clock.steady()
    this.#attempts.clear()
    this.look()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #plan(): void {
    const { clock, ledger } = this.#parts
    this.#timer = clock.setTimer(() => {
      this.#plan()
      this.look()
    }, lookEvery(ledger.shortestTtl))
  }

  /** Looks for the beat, and renews what is due without one. */
  look(): void {
    const { ledger, clock, onFault } = this.#parts
    if (this.#closed) return
    try {
      this.#noticeSleep()
      const now = clock.steady()
      this.#giveUp(now)
      if (this.#isKeeping(now, ledger.shortestTtl)) this.#collect(now)
      else this.#forget()
      this.#pump()
    } catch (fault) {
      onFault(fault)
    }
  }

  #isKeeping(now: number, ttl: number): boolean {
    const { ledger, maxBlocked } = this.#parts
    const { beat } = ledger
    return !ledger.closed && beat > this.#trustBeatsAfter && isKeeping(now, { beat, maxBlocked }, ttl)
  }

  #noticeSleep(): void {
    const { clock } = this.#parts
    // Reading the clock is how it notices.
    clock.now()
    if (clock.ahead === this.#ahead) return
    this.#ahead = clock.ahead
    this.#trustBeatsAfter = clock.steady()
  }

  #forget(): void {
    this.#attempts.clear()
    this.#waiting = []
  }

  /** Puts the leases that are due into the queue, nearest deadline first. */
  #collect(now: number): void {
    const { ledger, driftFactor } = this.#parts
    const due: Attempt[] = []
    for (const lease of ledger.leases()) {
      const { slot, mark, ttl, confirmedAt, end } = lease
      const deadline = Math.min(deadlineOf(confirmedAt, ttl, driftFactor), end)
      const isDue = isDueForKeeper(now, confirmedAt, ttl) || confirmedAt < this.#doubtBefore
      if (now >= deadline || !isDue || !this.#isKeeping(now, ttl)) continue
      const before = this.#attempts.get(slot)
      const isSame = before?.lease.mark === mark
      if (isSame && now < before.nextAt) continue
      due.push({
        lease,
        deadline,
        failures: isSame ? before.failures : 0,
        nextAt: now,
        apart: isSame && before.apart,
      })
    }
    this.#waiting = due.sort((a, b) => a.deadline - b.deadline)
  }

  /** Sends what waits, as far as there is room. */
  #pump(): void {
    if (this.#waiting.length === 0 || !this.#isReady()) return
    while (this.#waiting.length > 0 && this.#underWay.size < MOST_BATCHES) {
      this.#send(this.#waiting.splice(0, this.#sizeOfNext()))
    }
  }

  #sizeOfNext(): number {
    if (this.#waiting[0]?.apart) return 1
    const end = this.#waiting.findIndex(({ apart }) => apart)
    return Math.min(this.#parts.batchSize, end === -1 ? this.#waiting.length : end)
  }

  #isReady(): boolean {
    const ready = this.#parts.ready()
    if (ready === undefined) return true
    if (this.#isAwaiting) return false
    this.#isAwaiting = true
    const goOn = (): void => {
      this.#isAwaiting = false
    }
    ready.then(
      () => {
        goOn()
        this.look()
      },
      // The next look tries again.
      goOn,
    )
    return false
  }

  #send(attempts: readonly Attempt[]): void {
    const { ledger, clock, renew } = this.#parts
    this.#noticeSleep()
    // Before a byte is written: every deadline that this batch may set counts from here.
    const sentAt = clock.steady()
    const asked: Attempt[] = []
    const answer = ledger.whileNoneEnds(() => {
      const entries: LockEntry[] = []
      for (const attempt of attempts) {
        const { slot, mark, ttl } = attempt.lease
        if (!this.#isKeeping(sentAt, ttl) || sentAt >= attempt.deadline || ledger.lease(slot)?.mark !== mark) continue
        asked.push(attempt)
        entries.push({ ...ledger.textOf(slot), ttl })
      }
      return entries.length > 0 ? renew(entries) : undefined
    })
    if (answer === undefined) return
    const timeout = Math.max(...asked.map(({ lease }) => defaultTimeout(lease.ttl)))
    const batch = { attempts: asked, sentAt, timeout }
    for (const attempt of asked) {
      attempt.nextAt = sentAt + timeout
      this.#attempts.set(attempt.lease.slot, attempt)
    }
    this.#underWay.add(batch)
    const settle = (outcomes: readonly (ChangeOutcome | undefined)[]): void => this.#settle(batch, outcomes)
    answer.then(settle, () => settle([])).catch(this.#parts.onFault)
  }

  #settle(batch: Batch, outcomes: readonly (ChangeOutcome | undefined)[]): void {
    const { clock, ledger } = this.#parts
    const { sentAt, attempts } = batch
    this.#end(batch)
    this.#noticeSleep()
    const now = clock.steady()
    for (const [index, attempt] of attempts.entries()) {
      const { slot, mark } = attempt.lease
      const outcome = outcomes[index]
      if (outcome?.type === 'refused') {
        ledger.refuse(slot, mark, outcome.reason)
      } else if (outcome?.type !== 'done') {
        attempt.apart = attempts.length > 1 && outcome !== undefined && this.#parts.mayBeOneKey(outcome.error)
        this.#fail(attempt, now)
      } else if (now < attempt.deadline && sentAt > this.#trustBeatsAfter) {
        // An answer after the deadline revives nothing (P2).
        ledger.confirm(slot, mark, sentAt)
        if (this.#attempts.get(slot) === attempt) this.#attempts.delete(slot)
      }
    }
    this.#pump()
  }

  #fail(attempt: Attempt, now: number): void {
    const { ttl } = attempt.lease
    attempt.failures += 1
    attempt.nextAt = now + renewalRetryDelay(ttl, attempt.failures, attempt.deadline - now, this.#parts.random())
  }

  /** Stops waiting for batches that are overdue. Their answers still count. */
  #giveUp(now: number): void {
    for (const batch of this.#underWay) {
      if (now < batch.sentAt + batch.timeout) continue
      this.#end(batch)
      for (const attempt of batch.attempts) this.#fail(attempt, now)
    }
  }

  #end(batch: Batch): void {
    this.#underWay.delete(batch)
  }
}
