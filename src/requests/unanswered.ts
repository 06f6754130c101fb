/** The error for a request without an answer. */
import { UnavailableError } from '../errors.ts'

/** @param message who did not answer, and for how long. @param cause why, if that is known. */
export function unanswered(message: string, cause: Error | undefined): UnavailableError {
  return new UnavailableError(cause ? `${message}: ${cause.message}` : message, undefined, cause && { cause })
}
