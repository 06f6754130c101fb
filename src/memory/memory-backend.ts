/**
 * The port over a `MemoryStore`: the same answers as a server gives, and the faults that a server and a network have, on
 * demand. May import the port and the store.
 */
import type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  LockEntry,
  LockView,
  Unknown,
} from '../backend.ts'
import { MemoryStore } from './memory-store.ts'

export interface MemoryBackendOptions {
  /** Where the locks are. Default: a store of its own. */
  readonly store?: MemoryStore
}

type Operation = 'acquire' | 'renew' | 'release' | 'inspect'

/** A request that waits: for the server to go on, or for the end. */
interface Held {
  run(): void
}

const DONE = { type: 'done' } as const

/**
 * Locks that live and die with this process. Good for a program that may run without Redis, for examples, and, with
 * `block`, `fail` and `dropAnswers`, as a double of Redis in tests.
 */
export class MemoryBackend implements Backend {
  readonly store: MemoryStore
  #prefix = ''
  #listener: BackendListener | undefined
  #blocked = false
  #dropping = false
  #fault: Error | undefined
  #held: Held[] = []
  /** Requests that were carried out and not answered. */
  #dropped: Held[] = []
  #closed = false
  readonly #requests: Record<Operation, number> = { acquire: 0, renew: 0, release: 0, inspect: 0 }

  constructor(options: MemoryBackendOptions = {}) {
    this.store = options.store ?? new MemoryStore()
  }

  /** How many requests have arrived, by kind; each may have carried many keys. */
  get requests(): Readonly<Record<Operation, number>> {
    return this.#requests
  }

  /** A server that hangs: requests arrive and are carried out, in order, only after `unblock`. */
  block(): void {
    this.#blocked = true
  }

  unblock(): void {
    this.#blocked = false
    const held = this.#held
    this.#held = []
    for (const request of held) request.run()
    this.#listener?.onRecovered()
  }

  /** A server that refuses everything with an error, or cannot be reached; `undefined` ends it. */
  fail(error: Error | undefined): void {
    const recovered = this.#fault !== undefined && error === undefined
    this.#fault = error
    if (recovered) this.#listener?.onRecovered()
  }

  /** A network that loses answers: requests are carried out, and nobody hears of it. */
  dropAnswers(dropping: boolean): void {
    this.#dropping = dropping
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    this.#prefix = settings.prefix
    this.#listener = listener
  }

  ready(): undefined {
    return undefined
  }

  acquire(entries: readonly LockEntry[]): Promise<readonly AcquireOutcome[]> {
    return this.#carryOut('acquire', entries, () => {
      let granted: AcquireOutcome | undefined
      return entries.map(({ key, token, ttl }): AcquireOutcome => {
        const holder = this.store.get(this.#prefix + key)
        if (holder !== undefined && holder !== token) {
          return { type: 'refused', remaining: this.store.remaining(this.#prefix + key) ?? 0 }
        }
        this.store.set(this.#prefix + key, token, ttl)
        granted ??= { type: 'granted', fence: this.store.nextFence() }
        return granted
      })
    })
  }

  renew(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#change('renew', entries, (key, ttl) => this.store.extend(key, ttl))
  }

  release(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#change('release', entries, (key) => this.store.delete(key))
  }

  async inspect(key: string): Promise<LockView | null> {
    this.#requests.inspect += 1
    if (!this.#closed && this.#fault) throw this.#fault
    await this.#turn()
    if (this.#closed) throw closed()
    const token = this.store.get(this.#prefix + key)
    const remaining = this.store.remaining(this.#prefix + key)
    return token === undefined || remaining === undefined ? null : { token, remaining }
  }

  async close(): Promise<void> {
    this.#closed = true
    const unanswered = [...this.#held, ...this.#dropped]
    this.#held = []
    this.#dropped = []
    for (const request of unanswered) request.run()
  }

  #change(
    operation: Operation,
    entries: readonly LockEntry[],
    change: (key: string, ttl: number) => void,
  ): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut(operation, entries, () =>
      entries.map(({ key, token, ttl }): ChangeOutcome => {
        const holder = this.store.get(this.#prefix + key)
        if (holder === undefined) return { type: 'refused', reason: 'missing' }
        if (holder !== token) return { type: 'refused', reason: 'taken' }
        change(this.#prefix + key, ttl)
        return DONE
      }),
    )
  }

  async #carryOut<O>(
    operation: Operation,
    entries: readonly LockEntry[],
    work: () => readonly O[],
  ): Promise<readonly (O | Unknown)[]> {
    this.#requests[operation] += 1
    if (!this.#closed && this.#fault) return unknown(entries, this.#fault)
    await this.#turn()
    if (this.#closed) return unknown(entries, closed())
    const outcomes = work()
    if (!this.#dropping) return outcomes
    await new Promise<void>((resolve) => {
      this.#dropped.push({ run: resolve })
    })
    return unknown(entries, closed())
  }

  /** Resolves when the server gets round to this request: at once, unless it hangs. */
  #turn(): Promise<void> | undefined {
    if (!this.#blocked || this.#closed) return undefined
    return new Promise((resolve) => {
      this.#held.push({ run: resolve })
    })
  }
}

function closed(): Error {
  return new Error('The memory backend is closed')
}

function unknown(entries: readonly LockEntry[], error: Error): readonly Unknown[] {
  return entries.map(() => ({ type: 'unknown', error }))
}
