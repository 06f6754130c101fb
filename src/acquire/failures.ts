/** How attempts fail, inside this folder and as callers are told. */
import type { Refusal } from '../backend.ts'
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import { ownerOf } from '../lease/token.ts'
import type { Patience } from './patience.ts'

/**
 * Thrown by attempts that were refused, and by all acquisitions that were in the end. One for all: a hundred thousand callers that wait
 * would otherwise keep an error each, with its stack. What the caller is told is made by `Acquisition.explain`.
 */
export const REFUSED: Error = new Error('Held by another')

export const TOO_LATE: UnavailableError = new UnavailableError('It was granted so late that its lease was over already')

/** What the caller is told of an attempt that was not answered. */
export function notAskedFor(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be asked for: ${cause.message}`, key, { cause })
}

/** What the caller is told of a refusal. @param isHeldHere by a lease of this manager. */
export function notAcquired(
  key: string,
  { attempts, waited }: Patience,
  refusal: Refusal | undefined,
  isHeldHere: boolean,
): LockNotAcquiredError {
  const here = isHeldHere ? 'held' : attempts === 0 ? 'ahead' : undefined
  const owner = refusal && ownerOf(refusal.holder)
  return new LockNotAcquiredError(key, { here, attempts, waited, remaining: refusal?.remaining, owner })
}
