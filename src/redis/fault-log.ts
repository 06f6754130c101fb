/** Why a connection cannot be used, and which of these reasons were reported already. */
import { UnavailableError } from '../errors.ts'

const NO_CONNECTION = 'No connection to Redis'
/** The number of remembered reasons. If a server fails in ever new ways, old reasons are reported again. */
const MOST_TOLD = 16

export class FaultLog {
  /** The last known reason; undefined while the connection works. */
  last: Error | undefined = undefined
  readonly #told = new Set<string>()

  /** Records a reason. @returns whether it was not reported since the connection last worked. */
  add(fault: Error): boolean {
    this.last = fault
    const kind = kindOf(fault)
    if (this.#told.has(kind)) return false
    if (this.#told.size >= MOST_TOLD) this.#told.clear()
    this.#told.add(kind)
    return true
  }

  /** Makes a fault new again. Without a fault, all are new: the server has answered properly. */
  forget(fault?: Error): void {
    if (fault) this.#told.delete(kindOf(fault))
    else if (this.#told.size > 0) this.#told.clear()
  }
}

/** Ignores numbers: delays, ports and ids differ from one attempt to the next. */
function kindOf(fault: Error): string {
  return fault.message.replaceAll(/\d+/g, '#')
}

/**
 * Makes an error with a message. If a name has several addresses and none answers, Node throws an error without a message that contains one
 * error for each. Other errors without a message have a code.
 */
export function tellingError(error: Error): Error {
  if (error.message !== '') return error
  const { errors, code } = error as { errors?: unknown; code?: unknown }
  const parts = Array.isArray(errors)
    ? errors.map((part: unknown) => (part instanceof Error ? part.message : String(part)))
    : []
  const message = parts.filter(Boolean).join('; ') || (typeof code === 'string' ? code : 'unknown reason')
  return new UnavailableError(`${NO_CONNECTION}: ${message}`, undefined, { cause: error })
}

/** The error for requests that need the connection. */
export function noConnection(cause: Error | undefined): UnavailableError {
  if (cause === undefined) return new UnavailableError(NO_CONNECTION)
  const message = cause.message.startsWith(NO_CONNECTION) ? cause.message : `${NO_CONNECTION}: ${cause.message}`
  return new UnavailableError(message, undefined, { cause })
}

/** The errors of ioredis for a command without a connection, if it must not queue it, and for one whose connection broke. */
const NOT_WRITABLE = "Stream isn't writeable"
const BROKEN = /max retries per request|Connection is closed/

/** Whether the connection of a command broke before its answer came. */
export function isBrokenUnder(error: Error): boolean {
  return BROKEN.test(error.message)
}

/** Whether an error only says that the other side closed the connection. An earlier error may have said why. */
export function isEcho({ message }: Error, usable: boolean): boolean {
  return message.includes(NOT_WRITABLE) || message.includes('EPIPE') || (!usable && message.includes('ECONNRESET'))
}
