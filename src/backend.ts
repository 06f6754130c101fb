/**
 * The port between the manager and whatever keeps the locks. An implementation keeps no timers and decides nothing
 * about leases: it asks, and reports one outcome for each entry.
 */
import type { Clock } from './time/clock.ts'

/**
 * Where the fences are counted: one counter for all locks of a database, outside every prefix. So it survives a change of prefix, and
 * does not depend on which part of a key is called one.
 */
export const FENCE_KEY = 'leasewheel:fence'

/** One acquisition of one key: what the backend writes, looks for and deletes. */
export interface LockEntry {
  readonly key: string
  /** Unguessable, one per acquisition. */
  readonly token: string
  /** ms, an integer. */
  readonly ttl: number
}

/**
 * Not known: the request may or may not have been carried out, now or later. An `UnavailableError` that is `final` says that asking again
 * brings the same answer.
 */
export interface Unknown {
  readonly type: 'unknown'
  readonly error: Error
}

export type AcquireOutcome = Granted | Refusal | Unknown

/** The key holds our token for a whole ttl. Asking again with the same token is granted again. */
export interface Granted {
  readonly type: 'granted'
  readonly fence: number
}

/** Another token holds the key. */
export interface Refusal {
  readonly type: 'refused'
  /** What is left of its ttl in ms, Infinity if it has none. */
  readonly remaining: number
  /** The other token; empty where the key holds no text. */
  readonly holder: string
  /** The listener will be told of the next change of the key. */
  readonly watched: boolean
}

/** The outcome of a renewal, a release or a verification. */
export type ChangeOutcome =
  /** The key held our token and was extended by a whole ttl (renew), deleted (release), or left alone (verify). */
  | { readonly type: 'done' }
  /** The key did not hold our token and was left alone. Final. */
  | { readonly type: 'refused'; readonly reason: 'taken' | 'missing' }
  | Unknown

/** What a backend tells its manager unasked. */
export interface BackendListener {
  /** The backend can be asked again after a time in which it could not. */
  onRecovered(): void
  /** Another server answers from now on. It may not have what the one before confirmed, so everything is asked about at once (P26). */
  onSuspect(): void
  /** Changes may have gone untold for a time. What was watched still is. */
  onMissed(): void
  /**
   * Keys that were watched may have been changed by somebody else, or deleted, or have expired; without `keys`, any of them. A hint, no
   * verdict: they are not watched any more, and whoever cares asks again.
   */
  onChange(keys?: readonly string[]): void
  /** What was watched is so no more, and nobody will be told of changes until the next `onChange()`. */
  onUnwatched(): void
  /** Some of what was watched may have been forgotten, with or without a word. */
  onForgotten(): void
  /** A fault that belongs to no request. */
  onError(error: Error): void
}

/** A password, or a token that stands for one. */
export interface Credentials {
  /** Default: the server's default user. */
  readonly username?: string | undefined
  readonly password: string
}

export interface BackendSettings {
  /** Stands before every key. */
  readonly prefix: string
  /** How long one request may stay unanswered, in ms: the measure of when a connection is to be given up as dead. */
  readonly timeout: number
  /** Whether keys are to be watched at all, as far as the server is able to. */
  readonly watch: boolean
  /** Where the time comes from. Default: the machine's clock. */
  readonly clock?: Clock | undefined
  /** Asked for a name and a password before each connection. Default: what the connection was described with. */
  readonly credentials?: (() => Promise<Credentials>) | undefined
}

/** A lock to be given back. */
export interface ReleaseEntry extends LockEntry {
  /** Somebody here would like to have it next: the key is watched from its deletion on. */
  readonly watch?: boolean
}

/** What is on a key at this moment. */
export interface LockView {
  readonly token: string
  /** What is left of its ttl in ms; Infinity if it has none. */
  readonly remaining: number
}

/**
 * `acquire`, `renew`, `release` and `verify` each take an array and answer with an array of the same length and order, every entry
 * on its own. No key comes twice in one `acquire`; in the others it may come with two tokens, of which at most one is on it. They are carried out
 * in the order in which they were called, and should never reject: what goes wrong is an `unknown` outcome. (A rejection is read as `unknown` for all entries.)
 */
export interface Backend {
  /** Whether changes of keys are told at the moment. */
  readonly watching: boolean
  /** Why it cannot be asked, or could not be last, as far as is known: it goes with what was not answered. */
  readonly fault?: Error | undefined
  /** A key that cannot be a lock, as the backend keeps something else there; known once it is open. Default: none. */
  readonly reservedKey?: string | undefined
  /** Called once, before anything else. */
  open(settings: BackendSettings, listener: BackendListener): void
  /** `undefined` when requests can be sent now; otherwise a promise that settles at the next change, rejected with the reason why it cannot. */
  ready(): Promise<void> | undefined
  /** @param watch whether keys that are granted are to be watched (default: no); those that are refused always are, where that is possible. */
  acquire(entries: readonly LockEntry[], watch?: boolean): Promise<readonly AcquireOutcome[]>
  /**
   * Extends a key that holds the entry's token, never creates one and never touches another's. The array does not change; the
   * same one comes again while the same leases are renewed together, so that what was made of it can be kept.
   *
   * @param watch whether the keys are to be watched from now on. Default: no.
   */
  renew(entries: readonly LockEntry[], watch?: boolean): Promise<readonly ChangeOutcome[]>
  /** Deletes a key that holds the entry's token, and no other. */
  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]>
  /** Looks whether a key holds the entry's token, and changes nothing: not even whether it is watched. */
  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]>
  /** Who holds the key; `null` when nobody does. Rejects when it cannot be asked. */
  inspect(key: string): Promise<LockView | null>
  /** Deletes a key, whoever holds it. @returns whether there was one. Rejects when it cannot be asked. */
  forceRelease(key: string): Promise<boolean>
  /** From now on its connections do not keep the process alive. For good. Without this method they do, or there are none. */
  unref?(): void
  /** Gives up connections, settling what is still unanswered. Idempotent. */
  close(): Promise<void>
}
