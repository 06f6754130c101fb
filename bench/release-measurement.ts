/** Promises what one process that gives locks back is told to do and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { Taken } from './stopwatch.ts'

/** `crowd`: a call for each lock, many at once. `close`: all that is held, in one go. */
export type ReleasePart = 'crowd' | 'close'

export interface ReleaseJob {
  readonly part: ReleasePart
  readonly library: LibraryName
  readonly url: string
  readonly locks: number
  /** In ms. */
  readonly ttl: number
}

export interface PartMeasurement extends Taken {
  /** Keys that are on the server afterwards all the same. */
  readonly left: number
}

/** Raw: what it means is computed in release-figures.ts. */
export interface ReleaseMeasurement {
  readonly library: LibraryName
  readonly locks: number
  readonly crowd: PartMeasurement
  /** `null` where the library cannot hold locks. */
  readonly close: PartMeasurement | null
}
