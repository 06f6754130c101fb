/** Every error this library makes, each with a stable `code`. */
import type { LossReason } from './rules/lease-state.ts'

export type LeaseErrorCode =
  | 'ERR_NOT_ACQUIRED'
  | 'ERR_NOT_HELD'
  | 'ERR_LEASE_LOST'
  | 'ERR_UPGRADE'
  | 'ERR_UNAVAILABLE'
  | 'ERR_CLOSED'

/** Options of an error. The global `ErrorOptions` is unknown to a `lib` older than ES2022. */
export interface LeaseErrorOptions {
  readonly cause?: unknown
}

/** The base of all errors of this library. `code` says which one it is, and `cause` what caused it. */
export abstract class LeaseError extends Error {
  abstract readonly code: LeaseErrorCode
  /** `Error` has it, but a `lib` older than ES2022 does not say so. */
  declare readonly cause?: unknown
  /** The key of the lock; undefined if the error concerns no particular lock. */
  readonly key: string | undefined

  static {
    nameOf(this.prototype, 'LeaseError')
  }

  constructor(message: string, key?: string, options?: LeaseErrorOptions) {
    super(message, options)
    this.key = key
  }
}

/** Sets a name that no minifier changes. Like built-in errors it is on the prototype, so that stack traces begin with it and subclasses can override it. */
function nameOf(prototype: Error, name: string): void {
  Object.defineProperty(prototype, 'name', { value: name, writable: true, configurable: true })
}

/** Details of a `LockNotAcquiredError`. */
export interface RefusalDetails {
  /** Set if this process was in the way: a lease of the same manager holds the lock, or other callers were ahead. */
  readonly here?: 'held' | 'ahead' | undefined
  readonly attempts: number
  readonly waited: number
  readonly remaining: number | undefined
  readonly owner?: string | undefined
}

/** Another holds the lock, and the caller's time or attempts are used up. */
export class LockNotAcquiredError extends LeaseError {
  readonly code = 'ERR_NOT_ACQUIRED'
  /** How often the backend was asked. 0 if other callers of this process, or a lease of this manager, were in the way all the time. */
  readonly attempts: number
  /** How long the caller waited, in ms. */
  readonly waited: number
  /** What was left of the holder's ttl at the last refusal, in ms; Infinity for a key without a ttl, undefined if not known. */
  readonly remaining: number | undefined
  /** Who held the lock at the last refusal: the `owner` of a manager, or undefined if the token names none. */
  readonly owner: string | undefined

  static {
    nameOf(this.prototype, 'LockNotAcquiredError')
  }

  constructor(key: string, details: RefusalDetails) {
    const { attempts, waited, remaining, owner } = details
    super(refusal(key, details), key)
    this.attempts = attempts
    this.waited = waited
    this.remaining = remaining
    this.owner = owner
  }
}

function refusal(key: string, { here, attempts, waited, remaining, owner }: RefusalDetails): string {
  const duration = `${Math.round(waited)} ms`
  if (here === 'held') {
    return `Lock \`${key}\` is held by this LeaseManager itself: not acquired in ${duration}. Locks are not reentrant: code that holds one must not ask for it again`
  }
  if (here === 'ahead') {
    return `Lock \`${key}\` was not acquired in ${duration}: other callers of this process were ahead all the time`
  }
  const holder = owner === undefined ? 'another' : `another (${owner})`
  const count = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`
  const left = remaining === undefined ? '' : `; ${timeLeft(remaining)}`
  return `Lock \`${key}\` is held by ${holder}: not acquired after ${count} in ${duration}${left}`
}

function timeLeft(remaining: number): string {
  return remaining === Number.POSITIVE_INFINITY
    ? 'it has no ttl'
    : `its holder's ttl has ${Math.ceil(remaining)} ms left`
}

/** The lease is not held, and the call needs a held lease. */
export class LockNotHeldError extends LeaseError {
  readonly code = 'ERR_NOT_HELD'

  static {
    nameOf(this.prototype, 'LockNotHeldError')
  }

  constructor(key: string, state: string, options?: LeaseErrorOptions) {
    super(`Lock \`${key}\` is not held by this lease any more (it is ${state})`, key, options)
  }
}

/** A reader cannot become a writer. */
export class LeaseUpgradeError extends LeaseError {
  readonly code = 'ERR_UPGRADE'

  static {
    nameOf(this.prototype, 'LeaseUpgradeError')
  }

  constructor(key: string) {
    super(
      `Lease of \`${key}\` cannot become a writer: two readers that both wait to become the writer would wait for each other. Release it, and acquire the key with \`mode: 'write'\``,
      key,
    )
  }
}

const LOSSES: Record<LossReason, string> = {
  expired: 'no renewal was confirmed before its deadline',
  taken: 'another token is on the key',
  missing: 'the key is gone',
  maxHold: 'it reached the limit its owner set with `maxHold`',
}

/** The lease ended against its holder's will. Also the reason of an aborted `lease.signal`. */
export class LeaseLostError extends LeaseError {
  readonly code = 'ERR_LEASE_LOST'
  readonly reason: LossReason

  static {
    nameOf(this.prototype, 'LeaseLostError')
  }

  constructor(key: string, reason: LossReason, options?: LeaseErrorOptions) {
    super(`Lease of \`${key}\` was lost: ${LOSSES[reason]}`, key, options)
    this.reason = reason
  }
}

/** Options of the constructor of `UnavailableError`. */
export interface UnavailableErrorOptions extends LeaseErrorOptions {
  /** Default: the value of the cause, if that is an `UnavailableError`; otherwise `false`. */
  readonly final?: boolean | undefined
}

/** The backend could not be asked, or did not answer. Whether the lock is free is unknown. */
export class UnavailableError extends LeaseError {
  readonly code = 'ERR_UNAVAILABLE'
  /** Whether another attempt would fail in the same way. If so, waiters fail at once. */
  readonly final: boolean

  static {
    nameOf(this.prototype, 'UnavailableError')
  }

  constructor(message: string, key?: string, { cause, final = isFinal(cause) }: UnavailableErrorOptions = {}) {
    super(message, key, cause === undefined ? undefined : { cause })
    this.final = final
  }
}

/** Whether another attempt would fail in the same way. Checks the shape: the error may come from another copy of this package. */
export function isFinal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'final' in error && error.final === true
}

/** The manager has been closed. Also the reason of a `lease.signal` that `close()` aborted. */
export class ManagerClosedError extends LeaseError {
  readonly code = 'ERR_CLOSED'

  static {
    nameOf(this.prototype, 'ManagerClosedError')
  }

  constructor(key?: string, message = 'This LeaseManager is closed') {
    super(message, key)
  }
}
