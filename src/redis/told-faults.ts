/** Reports a server that refuses requests, once. */
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { codeOf, kindOf } from './reply-fault.ts'

/** A kind that no request has. */
const NEVER_ANSWERED = ''

export class ToldFaults {
  readonly #listener: Pick<BackendListener, 'onError'>
  /** The codes of reported replies, each with the kind of request that was refused last. */
  readonly #told = new Map<string, string>()

  constructor(listener: Pick<BackendListener, 'onError'>) {
    this.#listener = listener
  }

  /** @param what the kind of request: a server may refuse only some kinds. @param explained the caller's error. */
  onRefused(what: string, reply: Error, explained: Error): void {
    const kind = kindOf(reply)
    if (kind === 'key') return
    const code = codeOf(reply)
    const isNew = !this.#told.has(code)
    // A key may be to blame. Then answers to other keys do not end the fault.
    this.#told.set(code, kind === 'unclear' ? NEVER_ANSWERED : what)
    if (!isNew) return
    const error =
      kind === 'final'
        ? explained
        : new UnavailableError(`The server refuses requests: ${reply.message}`, undefined, { cause: reply })
    this.#listener.onError(error)
  }

  /** The server answers requests of this kind again. */
  onAnswered(what: string): void {
    if (this.#told.size === 0) return
    for (const [code, refused] of this.#told) if (refused === what) this.#told.delete(code)
  }
}
