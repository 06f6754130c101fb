/** Why a connection cannot be used, in words, and which of these reasons have been told already. */
import { UnavailableError } from '../errors.ts'

const NO_CONNECTION = 'No connection to Redis'
/** Reasons that are remembered: a server that fails in ever new ways is told of again. */
const MOST_TOLD = 16

export class FaultLog {
  /** The last known reason; none while all is well. */
  last: Error | undefined = undefined
  readonly #told = new Set<string>()

  /** Notes a reason. @returns whether it has not been told since the connection last worked. */
  add(fault: Error): boolean {
    this.last = fault
    const kind = kindOf(fault)
    if (this.#told.has(kind)) return false
    if (this.#told.size >= MOST_TOLD) this.#told.clear()
    this.#told.add(kind)
    return true
  }

  /** A fault is news again; without one, because the server has answered something sensible, all are. */
  forget(fault?: Error): void {
    if (fault) this.#told.delete(kindOf(fault))
    else if (this.#told.size > 0) this.#told.clear()
  }
}

/** Delays, ports and ids differ from one attempt to the next. */
function kindOf(fault: Error): string {
  return fault.message.replaceAll(/\d+/g, '#')
}

/**
 * An error that says something. Where a name has several addresses and none of them answers, Node gives an error without a message that
 * holds one for each; other errors without a message have a code.
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

/** What is said to whoever would need the connection. */
export function noConnection(cause: Error | undefined): UnavailableError {
  if (cause === undefined) return new UnavailableError(NO_CONNECTION)
  const message = cause.message.startsWith(NO_CONNECTION) ? cause.message : `${NO_CONNECTION}: ${cause.message}`
  return new UnavailableError(message, undefined, { cause })
}

/** What ioredis says of a command without a connection if it must not queue it, and of one whose connection broke. */
const NOT_WRITABLE = "Stream isn't writeable"
const BROKEN = /max retries per request|Connection is closed/

/** Whether the connection of a command broke before its answer came. */
export function isBrokenUnder(error: Error): boolean {
  return BROKEN.test(error.message)
}

/** Whether an error says no more than that the other side has closed the connection: it may have said why. */
export function isEcho({ message }: Error, usable: boolean): boolean {
  return message.includes(NOT_WRITABLE) || message.includes('EPIPE') || (!usable && message.includes('ECONNRESET'))
}
