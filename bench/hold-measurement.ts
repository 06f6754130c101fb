/** Promises what one process that holds locks is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { ServerCounters } from './server-counters.ts'
import type { Taken } from './stopwatch.ts'

export interface HoldJob {
  readonly library: LibraryName
  readonly url: string
  readonly locks: number
  /** In ms. */
  readonly ttl: number
  /** Of each of the two windows. */
  readonly seconds: number
  /** Whether these are permits, several of one key. Default: plain locks. */
  readonly permits?: boolean
  /** Locks that many callers take at once while the others are held. Default: none. */
  readonly crowd?: number
}

/** Raw: what it means per renewal is computed in hold-figures.ts. */
export interface HoldMeasurement {
  readonly library: LibraryName
  readonly locks: number
  /** In ms. */
  readonly ttl: number
  readonly acquire: {
    /** In s. */
    readonly seconds: number
  }
  /** The first window: the event loop is watched. All in ms. */
  readonly delay: {
    readonly resolution: number
    readonly p50: number
    readonly p99: number
    readonly max: number
  }
  /** The second window: nothing runs but the library. */
  readonly cost: {
    /** In s. */
    readonly seconds: number
    /** User and system, of all threads, in µs. */
    readonly nodeCpu: number
    readonly server: ServerCounters
    /** Of a quorum, those of the other members. */
    readonly others?: readonly ServerCounters[]
    /** By how many bytes the heap grew: all that was allocated, where nothing was collected meanwhile. */
    readonly grown: number
    readonly collections: number
  }
  /** After the windows, while all locks are held: what it takes to take some more; null where that is not asked for. */
  readonly crowd: (Taken & { readonly locks: number }) | null
  readonly heap: {
    /** Of all locks together, in bytes: heap and what hangs on it outside. */
    readonly bytes: number
    /** What of it is still there when all is closed. */
    readonly left: number
  }
  readonly timers: {
    /** Of Node's, more than before the locks were taken; null where there are too many locks to count. */
    readonly set: number | null
    /** By the library's own word; null where it has none. */
    readonly told: number | null
  }
  readonly age: {
    /** Of a sample of the locks at one moment, the longest time since the last renewal, by the server's word: in ms. */
    readonly oldest: number
    /** By how much a renewal was late at most since the start, by the library's own word: in ms; null where it has none. */
    readonly lag: number | null
  }
  /** At the end: by the library's own word, and by the server's. */
  readonly end: {
    readonly held: number
    readonly lost: number
    readonly alive: number
  }
}
