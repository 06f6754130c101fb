/** Tells of a server that refuses requests, once. */
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { codeOf, kindOf } from './reply-fault.ts'

/** A kind of request that there is not. */
const NEVER_ANSWERED = ''

export class ToldFaults {
  readonly #listener: Pick<BackendListener, 'onError'>
  /** The codes of replies that were told, each with the kind of request that was refused last. */
  readonly #told = new Map<string, string>()

  constructor(listener: Pick<BackendListener, 'onError'>) {
    this.#listener = listener
  }

  /** @param what the kind of request: a server may refuse some of them only. @param explained what the caller is told. */
  onRefused(what: string, reply: Error, explained: Error): void {
    const kind = kindOf(reply)
    if (kind === 'key') return
    const code = codeOf(reply)
    const isNew = !this.#told.has(code)
    // A key may be to blame: while others are answered nothing has changed.
    this.#told.set(code, kind === 'unclear' ? NEVER_ANSWERED : what)
    if (!isNew) return
    const error =
      kind === 'final'
        ? explained
        : new UnavailableError(`The server refuses requests: ${reply.message}`, undefined, { cause: reply })
    this.#listener.onError(error)
  }

  /** Requests of this kind are answered again. */
  onAnswered(what: string): void {
    if (this.#told.size === 0) return
    for (const [code, refused] of this.#told) if (refused === what) this.#told.delete(code)
  }
}
