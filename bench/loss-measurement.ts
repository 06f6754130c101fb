/** Promises what a process that loses locks is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { ServerCounters } from './server-counters.ts'

export interface LossJob {
  readonly library: LibraryName
  readonly url: string
  readonly leases: number
  /** In ms. */
  readonly ttl: number
}

/** The library's word that a lock is lost. */
export interface Notice {
  readonly key: string
  /** In ms of the machine's clock. */
  readonly noticedAt: number
}

/** A lock that somebody else deleted. */
export interface Deletion {
  readonly key: string
  /** In ms of the machine's clock: just before the DEL was sent. */
  readonly deletedAt: number
}

/** Raw: what it means is computed in loss-figures.ts. */
export interface LossMeasurement {
  readonly library: LibraryName
  /** In ms. */
  readonly ttl: number
  /** While the locks were only held. */
  readonly holding: {
    /** In s. */
    readonly seconds: number
    readonly server: ServerCounters
  }
  readonly deletions: readonly Deletion[]
  readonly notices: readonly Notice[]
}
