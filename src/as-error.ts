/** Errors, and other thrown values. */
import { isNativeError } from 'node:util/types'

/** Whether a value is an error of any realm: in a vm context errors are no instances of our `Error`. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || isNativeError(value)
}

/** Turns any thrown value into an `Error`. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown
  try {
    return new Error(String(thrown))
  } catch {
    // Some objects have no string form, such as `Object.create(null)`.
    return new Error('The thrown object is not an Error')
  }
}
