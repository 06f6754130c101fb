/** One attempt to connect, from its beginning to the end of its connection: what was learned, and the words for why it failed. */
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
  /** Something was said of why it fails. */
  explained = false
  /** A server that is none: what it is, in words. */
  unfit: UnavailableError | undefined = undefined
  /** What the server said of its own accord before it closed the connection. */
  #lastWords: Error | undefined = undefined

  /** A server that has no room for another client says so before it is asked anything. @param data the first that came. */
  onFirstData(data: Buffer): void {
    if (data[0] === 0x2d) this.#lastWords = new Error(data.toString('utf8', 1, Math.max(data.indexOf('\r\n'), 1)))
  }

  /** Why it was closed before it was of any use. @param before the last known reason: what was said at an earlier attempt says more than nothing. */
  reason(before: Error | undefined): Error {
    if (this.#lastWords) return this.#lastWords
    return before === undefined || before === CLOSED ? CLOSED_AT_ONCE : before
  }
}
