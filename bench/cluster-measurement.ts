/** Promises what one process that holds locks on a cluster, or on one server, is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { ServerCounters } from './server-counters.ts'

export interface ClusterJob {
  readonly library: LibraryName
  /** Of each server; one is no cluster. */
  readonly urls: readonly string[]
  readonly locks: number
  /** In ms. */
  readonly ttl: number
  /** Of the window. */
  readonly seconds: number
}

/** Raw: what it means per renewal is computed in cluster-figures.ts. */
export interface ClusterMeasurement {
  readonly locks: number
  /** In ms. */
  readonly ttl: number
  /** Of the window, in s. */
  readonly seconds: number
  /** Within the window: user and system, of all threads, in µs. */
  readonly nodeCpu: number
  /** Within the window, of each server. */
  readonly servers: readonly ServerCounters[]
  /** At the end: by the library's own word, and by the servers'. */
  readonly lost: number
  readonly alive: number
}
