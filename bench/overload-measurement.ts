/** Promises what a process that holds locks on a slow server is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { ServerCounters } from './server-counters.ts'

export interface OverloadJob {
  readonly library: LibraryName
  readonly url: string
  readonly locks: number
  /** In ms. */
  readonly ttl: number
}

/** By the library's own word, at the end. */
export interface Remainder {
  readonly held: number
  readonly lost: number
}

/** Raw: what it means is computed in overload-figures.ts. */
export interface OverloadMeasurement extends Remainder {
  readonly library: LibraryName
  readonly locks: number
  /** In ms. */
  readonly ttl: number
  /** While the server was slow. */
  readonly slow: {
    /** In s. */
    readonly seconds: number
    readonly server: ServerCounters
  }
  /** Keys on the server at the end. */
  readonly alive: number
}
