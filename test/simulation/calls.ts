/** What callers wait for: each call from its beginning to its end, and by when it must have ended. */
import { LeaseError } from 'leasewheel'
import type { Chronicle } from './chronicle.ts'
import type { Member } from './member.ts'
import type { Verdict } from './violation.ts'

/** How long timers and steps may take in a process whose event loop is free, in ms. */
const LATE = 60
/** How many turns of a slow event loop a call may take beyond its time: its timer is late, waits one turn for answers, and the caller is told in another. */
const TURNS = 6

/** What somebody waits for. */
export interface Call {
  /** It has its lock, and works under it: what it waits for is its own end. */
  working: boolean
  readonly member: Member
  readonly what: string
  /** The keys that it asked for. */
  readonly keys: readonly string[]
  /** The key that it waits for, if it is to get it as soon as that is free. */
  readonly key: string | undefined
  /** True time. */
  readonly startedAt: number
  /** How long it may take whatever fails around it, in ms. */
  readonly limit: number
  /** The part of `limit` that it takes after its wait is over, in ms: a process that was stopped meanwhile has it still before it. */
  readonly afterwards: number
  /** True time; Infinity if its signal is not aborted. */
  abortedAt: number
}

/** By what a call is bounded. */
export interface CallTerms {
  /** ms. */
  readonly limit: number
  /** See `Call.afterwards`. Default 0. */
  readonly afterwards?: number
  readonly waitsFor?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Work under a lock that failed. */
export class WorkFailed extends Error {}

export class Calls {
  readonly pending: Set<Call> = new Set()
  readonly #verdict: Verdict
  readonly #chronicle: Chronicle

  constructor(verdict: Verdict, chronicle: Chronicle) {
    this.#verdict = verdict
    this.#chronicle = chronicle
  }

  /** @param then is told of the result in the continuation of the call itself. */
  follow<T>(
    member: Member,
    what: string,
    keys: readonly string[],
    { limit, afterwards = 0, waitsFor, signal }: CallTerms,
    promise: Promise<T>,
    then: (value: T) => void = () => undefined,
  ): Call {
    const { process } = member
    const call: Call = {
      working: false,
      member,
      what,
      keys,
      key: waitsFor,
      startedAt: process.time,
      limit,
      afterwards,
      abortedAt: signal?.aborted ? process.time : Number.POSITIVE_INFINITY,
    }
    this.pending.add(call)
    signal?.addEventListener('abort', () => {
      call.abortedAt = process.time
    })
    const note = (line: () => string): void => this.#chronicle.note(process.name, line)
    const name = keys.length > 3 ? `${keys.length} keys` : keys.join(', ')
    note(() => `${what} ${name}, for ${limit} ms at most`)
    void promise
      .then(
        (value) => {
          note(() => `${what} ${name} is done`)
          then(value)
        },
        (error: unknown) => {
          note(() => `${what} ${name} failed: ${String(error)}`)
          const known = error instanceof LeaseError || error instanceof WorkFailed || signal?.aborted === true
          const expected = member.faults.onSeen(error) || known
          this.#verdict.expect(expected, 'P24', () => `${what} was rejected with ${String(error)}`)
          this.#verdict.expect(what !== 'release', 'P16', () => `a release was rejected with ${String(error)}`)
        },
      )
      .finally(() => this.pending.delete(call))
    return call
  }

  /** P24: whatever does not answer, a call ends by its timeout, its `wait` or its signal. */
  checkTimes(): void {
    for (const call of this.pending) this.#checkTime(call)
  }

  #checkTime({ member, what, keys, startedAt, limit, afterwards, abortedAt, working }: Call): void {
    const { process } = member
    // A slow event loop is busy nearly always.
    if (working || (process.lag > 0 ? process.condition !== 'running' : !process.observable)) return
    // Its clock may be a little slow.
    // Where it was stopped between reckoning what is left and waiting for that, it waits for all of that afterwards.
    // If it began while the event loop lagged, its request left some slow turns later, and its timeout counts from there.
    const begun = Math.max(
      startedAt,
      process.wentOnAt,
      startedAt < process.laggedUntil ? process.laggedUntil : startedAt,
    )
    const due = Math.min(begun + limit * 1.01, abortedAt)
    const [since, slack] = process.lag > 0 ? [process.ranSince, LATE + TURNS * process.lag] : [process.freeSince, LATE]
    const left = process.time < abortedAt ? afterwards * 1.01 : 0
    const late = process.time - Math.max(due, since + left) - slack
    const reason = abortedAt < startedAt + limit ? 'it was aborted' : 'its time was up'
    const why = process.lag > 0 ? `${reason} (its event loop lags)` : reason
    this.#verdict.expect(late < 0, 'P24', () => `${what} of ${keys.join(', ')} is not over ${late} ms after ${why}`)
  }
}
