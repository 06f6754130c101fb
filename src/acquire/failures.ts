/** How attempts fail: the errors inside this folder, and those that callers get. */
import type { Backend, Refusal } from '../backend.ts'
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import { ownerOf } from '../lease/token.ts'
import type { AcquireSettings } from '../options/settings.ts'
import type { Joint } from '../rules/sharing.ts'
import type { Patience } from './patience.ts'

/**
 * Thrown by refused attempts, and by acquisitions that end refused. All share one object: otherwise each of a hundred thousand waiters
 * would keep an error with its stack. `Acquisition.explain` makes the error that the caller gets.
 */
export const REFUSED: Error = new Error('Held by another')

export const TOO_LATE: UnavailableError = new UnavailableError('The grant came after the deadline of its lease')

/** The caller's error for an attempt that the backend did not answer. */
export function unavailable(key: string, cause: Error): UnavailableError {
  return new UnavailableError(`Lock \`${key}\` could not be acquired: ${cause.message}`, key, { cause })
}

/** The caller's error for a refusal. @param isHeldHere a lease of this manager holds the lock. */
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

/** @throws TypeError if the backend cannot do what the call asks for. */
export function checkAbilities(
  backend: Pick<Backend, 'joints' | 'stays'>,
  { joint, atLeast }: Pick<AcquireSettings, 'joint' | 'atLeast'>,
): void {
  checkJoint(backend, joint)
  if (atLeast === undefined || backend.stays) return
  throw new TypeError('Expected no `atLeast` with this connection: a backend without `stays` deletes each key at once')
}

/** @throws TypeError if the backend knows plain locks only: it would take the key for one caller. */
export function checkJoint(backend: Pick<Backend, 'joints'>, joint: Joint | undefined): void {
  if (joint === undefined || backend.joints) return
  throw new TypeError(
    `Expected no \`${joint.mode === 'permit' ? 'permits' : 'mode'}\` with this connection: a quorum, and a backend without \`joints\`, has no keys that several may hold`,
  )
}
