/**
 * The port between the manager and whatever keeps the locks. An implementation keeps no timers and decides nothing about
 * leases: it asks, and reports one outcome for each entry. May import nothing.
 */

/** Where the fences are counted: one counter for all locks of a database, outside the prefix, so that it survives a change of prefix. */
export const FENCE_KEY = 'leasewheel:fence'

/** One acquisition of one key: what the backend writes, looks for and deletes. */
export interface LockEntry {
  readonly key: string
  /** Unguessable, one per acquisition. */
  readonly token: string
  /** ms, an integer. */
  readonly ttl: number
}

/** Not known: the request may or may not have been carried out, now or later. */
export interface Unknown {
  readonly type: 'unknown'
  readonly error: Error
}

export type AcquireOutcome =
  /** The key holds our token for a whole ttl. Asking again with the same token is granted again. */
  | { readonly type: 'granted'; readonly fence: number }
  /** Another token holds the key; `remaining` is what is left of its ttl in ms, Infinity if it has none. */
  | { readonly type: 'refused'; readonly remaining: number }
  | Unknown

/** The outcome of a renewal or a release. */
export type ChangeOutcome =
  /** The key held our token and was extended by a whole ttl (renew), or deleted (release). */
  | { readonly type: 'done' }
  /** The key did not hold our token and was left alone. Final. */
  | { readonly type: 'refused'; readonly reason: 'taken' | 'missing' }
  | Unknown

/** What a backend tells its manager unasked. */
export interface BackendListener {
  /** The backend can be asked again after a time in which it could not. */
  onRecovered(): void
  /** A fault that belongs to no request. */
  onError(error: Error): void
}

export interface BackendSettings {
  /** Stands before every key. */
  readonly prefix: string
  /** How long one request may stay unanswered, in ms: the measure of when a connection is to be given up as dead. */
  readonly timeout: number
}

/** What is on a key at this moment. */
export interface LockView {
  readonly token: string
  /** What is left of its ttl in ms; Infinity if it has none. */
  readonly remaining: number
}

/**
 * `acquire`, `renew` and `release` each take an array and answer with an array of the same length and order, every entry
 * on its own. No key comes twice in one call, except that a release may name one with two tokens. They are carried out in the order in which they were called, and should
 * never reject: what goes wrong is an `unknown` outcome. (A rejection is read as `unknown` for all entries.)
 */
export interface Backend {
  /** Called once, before anything else. */
  open(settings: BackendSettings, listener: BackendListener): void
  /** `undefined` when requests can be sent now; otherwise a promise that settles at the next change, rejected with the reason why it cannot. */
  ready(): Promise<void> | undefined
  acquire(entries: readonly LockEntry[]): Promise<readonly AcquireOutcome[]>
  /**
   * Extends a key that holds the entry's token, never creates one and never touches another's. The array does not change; the
   * same one comes again while the same leases are renewed together, so that what was made of it can be kept.
   */
  renew(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]>
  /** Deletes a key that holds the entry's token, and no other. */
  release(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]>
  /** Who holds the key; `null` when nobody does. Rejects when it cannot be asked. */
  inspect(key: string): Promise<LockView | null>
  /** Gives up connections, settling what is still unanswered. Idempotent. */
  close(): Promise<void>
}
