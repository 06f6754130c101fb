/** Errors, and whatever else was thrown in their place. */
import { isNativeError } from 'node:util/types'

/** Whether it is an error, of whatever realm: tests in a vm context meet errors that are no instances of this one's class. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || isNativeError(value)
}

/** Whatever was thrown, as an `Error`. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown
  try {
    return new Error(String(thrown))
  } catch {
    // Not even that: `Object.create(null)`, for one.
    return new Error('An object was thrown that is no Error')
  }
}
