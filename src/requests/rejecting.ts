/** Calls that fail at once. */
import { asError } from '../as-error.ts'

/** Turns a throw into a rejection, like an async function, but makes no second promise. */
export function rejecting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(asError(error))
  }
}
