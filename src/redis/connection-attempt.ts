/** One attempt to connect, until the end of its connection: what it learned, and why it failed. */
import { UnavailableError } from '../errors.ts'

export const NO_MASTER: UnavailableError = new UnavailableError(
  'The Sentinels still name a server that is not the master any more',
)
export const LOADING: UnavailableError = new UnavailableError('Redis is loading its data')
export const CLOSED: UnavailableError = new UnavailableError('The other side closed the connection')
const CLOSED_AT_ONCE = new UnavailableError('The other side closed the connection during the handshake')

export class ConnectionAttempt {
  /** The connection was usable. */
  served = false
  /** A reason of its failure was reported. */
  explained = false
  /** Why locks cannot be kept on this server, if they cannot. */
  unfit: UnavailableError | undefined = undefined
  /** An error that the server sent unasked before it closed the connection. */
  #lastWords: Error | undefined = undefined

  /** A server without room for another client sends an error before any request. @param data the first data received. */
  onFirstData(data: Buffer): void {
    if (data[0] === 0x2d) this.#lastWords = new Error(data.toString('utf8', 1, Math.max(data.indexOf('\r\n'), 1)))
  }

  /** Why the connection closed before it was usable. @param before the last known reason, used if this attempt has none. */
  reason(before: Error | undefined): Error {
    if (this.#lastWords) return this.#lastWords
    return before === undefined || before === CLOSED ? CLOSED_AT_ONCE : before
  }
}
