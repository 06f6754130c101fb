/**
 * The port: what the bench asks of a lock library. Promises that each library is used as its own documentation shows.
 */
export interface Library {
  /**
   * Connects with a client of its own; `url` may be those of a cluster's nodes, with commas between them. `ttl` in ms; every lock of `acquireAll` is renewed each third of it, so that
   * renewals compare. `onLost` is called with the key of each one that is lost; without it no lock costs a function.
   */
  open(url: string, ttl: number, onLost?: OnLost): Promise<Holder>
}

export type OnLost = (key: string) => void

/** One lock, as an application keeps it. */
export interface Held {
  release(): Promise<unknown>
}

/** One process's use of a library. */
export interface Holder {
  /** Takes all the locks, as many at once as suits the library, and from then on keeps them renewed. */
  acquireAll(keys: readonly string[]): Promise<void>
  /** Gives back all that `acquireAll` took. */
  releaseAll(): Promise<void>
  /** Takes one lock that nobody else wants, with nothing set but the ttl. It may be renewed, or not, as by default. */
  take(key: string): Promise<Held>
  /** Takes one lock, and waits for it as the library does by default, but for as long as it takes. */
  acquire(key: string): Promise<Held>
  /** Locks held, by the library's own word. */
  held(): number
  /** Locks lost since `open`, by the library's own word. */
  lost(): number
  /** Where the library tells it: the timers it has set, and by how much a renewal was late at most, in ms. */
  tell?(): { readonly timers: number; readonly lag: number }
  /** Releases everything and ends the connections. */
  close(): Promise<void>
}
