/** Every error this library makes, each with a stable `code`. */
import type { LossReason } from './rules/lease-state.ts'

export type LeaseErrorCode = 'ERR_NOT_ACQUIRED' | 'ERR_NOT_HELD' | 'ERR_LEASE_LOST' | 'ERR_UNAVAILABLE' | 'ERR_CLOSED'

/** What an error may be made with. The global `ErrorOptions` is unknown to a `lib` older than ES2022. */
export interface LeaseErrorOptions {
  readonly cause?: unknown
}

/** The base of all errors of this library: `code` says which, `cause` says what it came from. */
export abstract class LeaseError extends Error {
  abstract readonly code: LeaseErrorCode
  /** `Error` has it by itself, but a `lib` older than ES2022 does not say so. */
  declare readonly cause?: unknown
  /** The key of the lock it is about; none where it is about no lock in particular. */
  readonly key: string | undefined

  static {
    nameOf(this.prototype, 'LeaseError')
  }

  constructor(message: string, key?: string, options?: LeaseErrorOptions) {
    super(message, options)
    this.key = key
  }
}

/** A name that no minifier changes. It stands where the names of built-in errors do, so that stack traces begin with it, and subclasses may have their own. */
function nameOf(prototype: Error, name: string): void {
  Object.defineProperty(prototype, 'name', { value: name, writable: true, configurable: true })
}

/** What a `LockNotAcquiredError` is made with. */
export interface RefusalDetails {
  /** Who stood in the way, where that was somebody of this process: a lease of the same manager, or other callers who were ahead. */
  readonly here?: 'held' | 'ahead' | undefined
  readonly attempts: number
  readonly waited: number
  readonly remaining: number | undefined
  readonly owner?: string | undefined
}

/** Somebody else holds the lock, and the time or the attempts that the caller granted are used up. */
export class LockNotAcquiredError extends LeaseError {
  readonly code = 'ERR_NOT_ACQUIRED'
  /** How often the backend was asked. 0 when other callers of this process were ahead all the time. */
  readonly attempts: number
  /** How long the caller waited, in ms. */
  readonly waited: number
  /** What was left of the holder's ttl at the last refusal, in ms; Infinity for a lock without one, undefined when nobody was asked. */
  readonly remaining: number | undefined
  /** Who held it at the last refusal, as far as its token says so: the `owner` of another manager. */
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
    return `Lock \`${key}\` is held by this LeaseManager itself: not acquired in ${duration}. Locks are not reentrant: whoever holds one must not ask for it again`
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

/** The lease was asked to do something that only a held lease can do. */
export class LockNotHeldError extends LeaseError {
  readonly code = 'ERR_NOT_HELD'

  static {
    nameOf(this.prototype, 'LockNotHeldError')
  }

  constructor(key: string, state: string, options?: LeaseErrorOptions) {
    super(`Lock \`${key}\` is not held by this lease any more (it is ${state})`, key, options)
  }
}

const LOSSES: Record<LossReason, string> = {
  expired: 'no renewal was confirmed before its deadline',
  taken: 'another token is on the key',
  missing: 'the key is gone',
  maxHold: 'it reached the limit its owner set with `maxHold`',
}

/** The lease ended against its holder's will; the reason of an aborted `lease.signal`. */
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

/** What an `UnavailableError` may be made with. */
export interface UnavailableErrorOptions extends LeaseErrorOptions {
  /** Default: what the cause says, if that is an `UnavailableError`, otherwise `false`. */
  readonly final?: boolean | undefined
}

/** The backend could not be asked, or did not answer: whether the lock is free or held is unknown. */
export class UnavailableError extends LeaseError {
  readonly code = 'ERR_UNAVAILABLE'
  /** Whether asking again will bring the same answer: callers that wait are told at once. */
  readonly final: boolean

  static {
    nameOf(this.prototype, 'UnavailableError')
  }

  constructor(message: string, key?: string, { cause, final = isFinal(cause) }: UnavailableErrorOptions = {}) {
    super(message, key, cause === undefined ? undefined : { cause })
    this.final = final
  }
}

/** Whether asking again will bring the same answer. By its shape: the error may come from another copy of this package. */
export function isFinal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'final' in error && error.final === true
}

/** The manager has been closed; the reason of an aborted `lease.signal` whose lock is given back because of that. */
export class ManagerClosedError extends LeaseError {
  readonly code = 'ERR_CLOSED'

  static {
    nameOf(this.prototype, 'ManagerClosedError')
  }

  constructor(key?: string, message = 'This LeaseManager is closed') {
    super(message, key)
  }
}
