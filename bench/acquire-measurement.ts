/** Promises what one process that takes locks is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'

/** `single`: one caller, one lock after the other. `crowd`: many callers at once. `many`: all the locks in one go. */
export type AcquirePart = 'single' | 'crowd' | 'many'

export interface AcquireJob {
  readonly part: AcquirePart
  readonly library: LibraryName
  readonly url: string
  /** Locks that the crowd takes, and that are taken in one go. */
  readonly locks: number
  /** Acquires of the single caller, each with its release. */
  readonly pairs: number
  /** In ms. */
  readonly ttl: number
}

/** Raw: what it means is computed in acquire-figures.ts. */
export interface PartMeasurement {
  /** Of all acquires together, those of the single caller with their releases: in s. */
  readonly seconds: number
  /** User and system, of all threads, in µs. */
  readonly nodeCpu: number
  /** Of the server's thread that executes commands, in µs. */
  readonly redisCpu: number
  /** From the call of acquire to the answer of the release, of each pair of the single caller: in µs. */
  readonly latencies: readonly number[]
}

export interface AcquireMeasurement {
  readonly library: LibraryName
  readonly locks: number
  readonly pairs: number
  readonly single: PartMeasurement
  readonly crowd: PartMeasurement
  /** `null` where the library cannot hold locks. */
  readonly many: PartMeasurement | null
}
