/**
 * Keys that are acquired whenever they can be had, for as long as they are wanted. Each key:
 *
 *     missing ──in a batch──▶ asking ──refused──▶ waiting ──granted──▶ held          (a key that is expected soon is missing again instead of waiting)
 *        ▲                       └────────────────granted──────────────▶ │
 *        │                                                               ├──lost──▶ stopping ──its work has ended──▶ missing
 *        └──────wanted again──── given back ◀──its work has ended, ◀─────┴──not wanted──▶ stopping
 *                                              or the drain is over
 *
 * A held key costs nothing here while nothing happens: no timer, no promise and no listener.
 */
import { LockNotHeldError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import type { AcquireSettings } from '../options/settings.ts'
import { Bell } from '../requests/bell.ts'
import type { LossReason } from '../rules/lease-state.ts'
import { nextTurn } from '../time/clock.ts'
import { drained } from './drain.ts'
import { paced } from './paced.ts'
import { Setbacks } from './setbacks.ts'
import type { Follower, StandingPort } from './standing.ts'
import { Tenure } from './tenure.ts'

/** Keys that are asked for at a time: an unanswered attempt gives back all of them. */
const KEYS_AT_ONCE = 2_048
/**
 * For how long a key is asked for in batches whose holder is about to give it back, before a caller waits for it, and how often. ms. Thousands of keys
 * that move together would need thousands of callers, each of which takes ten times the work of a place in a batch.
 */
const EXPECTED_WITHIN = 600
const ASK_AGAIN_AFTER = 100

/** Why a key is not held any more: its lock was lost, somebody else released the lease, another member of the group owns it, or all is over. */
export type ClaimEnd = LossReason | 'released' | 'moved' | 'closed'

export interface PursuitSettings extends AcquireSettings {
  /** ms. */
  readonly drain: number
}

/** Its owner, who tells users. */
export interface PursuitListener {
  onGained(tenure: Tenure): void
  /** The signal of the tenure has aborted. If the lease is held, it is given back once the tenure is idle. */
  onLost(tenure: Tenure, reason: ClaimEnd): void
  /** The number of held keys, or that of all keys, has changed. */
  onChanged(): void
}

class Pursued implements Follower {
  readonly key: string
  wanted = true
  phase: 'missing' | 'asking' | 'waiting' | 'held' | 'stopping' = 'missing'
  tenure: Tenure | undefined
  /** Ends the wait. */
  waiting: AbortController | undefined
  /** Until then its holder is expected to give it back, in ms on the clock. */
  expectedUntil = Number.NEGATIVE_INFINITY
  readonly #onLost: (pursued: Pursued, reason: ClaimEnd, error: Error) => void

  constructor(key: string, onLost: (pursued: Pursued, reason: ClaimEnd, error: Error) => void) {
    this.key = key
    this.#onLost = onLost
  }

  onEnded(reason: LossReason | 'released', error: Error): void {
    this.#onLost(this, reason, error)
  }
}

export class Pursuit {
  readonly #port: StandingPort
  readonly #settings: PursuitSettings
  readonly #listener: PursuitListener
  readonly #setbacks: Setbacks
  readonly #keys = new Map<string, Pursued>()
  readonly #missing = new Set<Pursued>()
  /** Missing keys that are asked for a little later. */
  readonly #expected = new Set<Pursued>()
  /** Keys that were given back, because the drain was over, and under which work goes on. */
  readonly #lingering = new Set<Pursued>()
  readonly #empty = new Bell()
  #closing = false
  #held = 0
  /** Callers that wait for a key each. */
  #waiting = 0
  #asking = false
  /** Why a wait has failed since the last batch: the next batch waits a while. */
  #trouble: unknown

  constructor(port: StandingPort, settings: PursuitSettings, listener: PursuitListener) {
    this.#port = port
    this.#settings = { ...settings, retry: paced(settings.retry, () => this.#waiting) }
    this.#listener = listener
    this.#setbacks = new Setbacks(port)
  }

  /** Keys that are held and wanted. */
  get held(): number {
    return this.#held
  }

  /** Whether every wanted key is held, and no other. */
  get settled(): boolean {
    return this.#held === this.#keys.size - this.#lingering.size
  }

  /** Whether the key is wanted. */
  has(key: string): boolean {
    return this.#keys.get(key)?.wanted ?? false
  }

  /** The lease on a key that is held and wanted. */
  get(key: string): Lease | undefined {
    const pursued = this.#keys.get(key)
    return pursued?.phase === 'held' ? pursued.tenure?.lease : undefined
  }

  *leases(): Generator<Lease, undefined> {
    for (const { phase, tenure } of this.#keys.values()) if (phase === 'held' && tenure?.lease.held) yield tenure.lease
  }

  /** @param soon whether the holders of the keys are about to give them back. */
  want(keys: Iterable<string>, soon = false): void {
    const expectedUntil = this.#port.clock.now() + (soon ? EXPECTED_WITHIN : 0)
    for (const key of keys) {
      const pursued = this.#keys.get(key) ?? this.#add(key)
      pursued.wanted = true
      this.#lingering.delete(pursued)
      pursued.expectedUntil = expectedUntil
    }
    this.#listener.onChanged()
  }

  /**
   * Gives keys back: each as soon as the work under it has ended, and after the drain at the latest. @param error the reason of the signals; default:
   * that the lease is being given back. Never rejects.
   */
  async drop(keys: Iterable<string>, reason: 'moved' | 'closed', error?: Error): Promise<void> {
    const idle: Pursued[] = []
    const busy: Promise<void>[] = []
    for (const key of keys) {
      const pursued = this.#keys.get(key)
      if (pursued === undefined || !pursued.wanted) continue
      pursued.wanted = false
      pursued.waiting?.abort()
      if (pursued.phase === 'missing') this.#forget(pursued)
      if (pursued.phase !== 'held' || !this.#stop(pursued, reason, error ?? givenBack(key))) continue
      if (pursued.tenure?.idle) idle.push(pursued)
      else busy.push(this.#drain(pursued))
    }
    this.#listener.onChanged()
    await Promise.all([this.#giveBack(idle), ...busy])
  }

  /** Drops all keys. Resolves once none is held or asked for any more. */
  async close(error?: Error): Promise<void> {
    this.#closing = true
    const dropped = this.drop(this.#keys.keys(), 'closed', error)
    this.#setbacks.end()
    // There is no lock to wait for.
    for (const pursued of this.#keys.values())
      if (pursued.phase === 'stopping' && !pursued.tenure?.lease.held) this.#forget(pursued)
    while (this.#keys.size > 0) await this.#empty.next()
    await dropped
  }

  #add(key: string): Pursued {
    const pursued = new Pursued(key, this.#onLost)
    this.#keys.set(key, pursued)
    this.#miss(pursued)
    return pursued
  }

  #forget(pursued: Pursued): void {
    this.#missing.delete(pursued)
    this.#expected.delete(pursued)
    this.#lingering.delete(pursued)
    if (this.#keys.get(pursued.key) === pursued) this.#keys.delete(pursued.key)
    if (this.#keys.size === 0) this.#empty.ring()
  }

  /** The key is not held. */
  #miss(pursued: Pursued): void {
    pursued.phase = 'missing'
    pursued.tenure = undefined
    if (!pursued.wanted) {
      this.#forget(pursued)
      return
    }
    this.#missing.add(pursued)
    if (this.#asking) return
    this.#asking = true
    void this.#ask()
  }

  /** Asks for all missing keys. What is lost in one turn is asked for together. */
  async #ask(): Promise<void> {
    const { clock, tryEach } = this.#port
    await nextTurn(clock)
    while (this.#missing.size > 0) {
      if (this.#trouble !== undefined) {
        const trouble = this.#trouble
        this.#trouble = undefined
        await this.#setbacks.rest(trouble)
        continue
      }
      const some = this.#takeMissing()
      const keys = some.map(({ key }) => key)
      try {
        const leases = await tryEach(keys, this.#settings)
        for (const [index, pursued] of some.entries()) this.#onAnswer(pursued, leases[index] ?? undefined)
      } catch (error) {
        for (const pursued of some) this.#miss(pursued)
        this.#trouble = error
      }
      this.#listener.onChanged()
    }
    this.#asking = false
  }

  #takeMissing(): readonly Pursued[] {
    const some: Pursued[] = []
    for (const pursued of this.#missing) {
      if (some.length === KEYS_AT_ONCE) break
      this.#missing.delete(pursued)
      pursued.phase = 'asking'
      some.push(pursued)
    }
    return some
  }

  #onAnswer(pursued: Pursued, lease: Lease | undefined): void {
    if (lease) {
      this.#setbacks.onSuccess()
      this.#hold(pursued, lease)
    } else if (!pursued.wanted) this.#miss(pursued)
    else if (this.#port.clock.now() < pursued.expectedUntil) this.#askAgain(pursued)
    else void this.#wait(pursued)
  }

  #askAgain(pursued: Pursued): void {
    pursued.phase = 'missing'
    this.#expected.add(pursued)
    if (this.#expected.size > 1) return
    this.#port.scheduler.after(ASK_AGAIN_AFTER, () => {
      const expected = [...this.#expected]
      this.#expected.clear()
      for (const one of expected) this.#miss(one)
    })
  }

  async #wait(pursued: Pursued): Promise<void> {
    const { waitFor } = this.#port
    pursued.phase = 'waiting'
    pursued.waiting = new AbortController()
    const { signal } = pursued.waiting
    this.#waiting += 1
    try {
      const lease = await waitFor(pursued.key, { ...this.#settings, wait: Number.POSITIVE_INFINITY, signal })
      this.#setbacks.onSuccess()
      this.#hold(pursued, lease)
    } catch (error) {
      if (!signal.aborted) this.#trouble = error
      this.#miss(pursued)
    }
    this.#waiting -= 1
    pursued.waiting = undefined
    this.#listener.onChanged()
  }

  #hold(pursued: Pursued, lease: Lease): void {
    const tenure = new Tenure(lease)
    pursued.tenure = tenure
    if (!pursued.wanted) {
      pursued.phase = 'stopping'
      void this.#giveBack([pursued])
      return
    }
    // The process may have been stopped since the grant.
    if (!lease.held) {
      this.#miss(pursued)
      return
    }
    pursued.phase = 'held'
    this.#held += 1
    this.#port.follow(lease, pursued)
    this.#listener.onGained(tenure)
  }

  readonly #onLost = (pursued: Pursued, reason: ClaimEnd, error: Error): void => {
    if (!this.#stop(pursued, reason, error)) return
    void this.#missOnceIdle(pursued)
    this.#listener.onChanged()
  }

  /** @returns whether it was held until now. */
  #stop(pursued: Pursued, reason: ClaimEnd, error: Error): boolean {
    const { tenure } = pursued
    if (pursued.phase !== 'held' || tenure === undefined) return false
    pursued.phase = 'stopping'
    this.#held -= 1
    tenure.end(error)
    this.#listener.onLost(tenure, reason)
    return true
  }

  /** The same process never works twice at once under one key. */
  async #missOnceIdle(pursued: Pursued): Promise<void> {
    const { tenure } = pursued
    if (tenure && !tenure.idle) await tenure.settled()
    this.#miss(pursued)
    this.#listener.onChanged()
  }

  async #drain(pursued: Pursued): Promise<void> {
    const { tenure } = pursued
    // A closing manager whose own drain is over releases the lock itself.
    if (tenure) await Promise.race([drained(tenure, this.#settings.drain, this.#port.scheduler), tenure.lease.ended])
    await this.#giveBack([pursued])
  }

  async #giveBack(some: readonly Pursued[]): Promise<void> {
    const { giveBack, unfollow } = this.#port
    const leases = some.flatMap(({ tenure }) => tenure?.lease ?? [])
    for (const lease of leases) unfollow(lease)
    if (leases.length > 0) await giveBack(leases)
    for (const pursued of some) {
      const isLingering = !(pursued.wanted || pursued.tenure?.idle)
      if (isLingering) this.#lingering.add(pursued)
      if (isLingering && this.#closing) this.#forget(pursued)
      else void this.#missOnceIdle(pursued)
    }
    this.#listener.onChanged()
  }
}

function givenBack(key: string): Error {
  return new LockNotHeldError(key, 'being given back')
}
