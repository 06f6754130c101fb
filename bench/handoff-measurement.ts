/** Promises what a process of callers is told to do, when, and what it tells in return. */
import type { LibraryName } from './library-name.ts'
import type { ServerCounters } from './server-counters.ts'
import type { Traffic } from './traffic.ts'

export interface HandoffJob {
  readonly library: LibraryName
  readonly url: string
  /** Those of this process: a number for each, no two of all processes the same. */
  readonly callers: { readonly first: number; readonly count: number }
  /** All, in which callers run. */
  readonly processes: number
  /** Of the window. */
  readonly seconds: number
  /** In ms. */
  readonly section: number
  /** In ms. */
  readonly ttl: number
}

/** In ms of the machine's clock, as are all times here. */
export interface Schedule {
  /** Begin and end of the window that is measured. */
  readonly from: number
  readonly to: number
  /** When the callers stop; the commands are counted between `to` and this. */
  readonly end: number
}

/** In ms: how long the commands of clients are counted. */
export const TRAFFIC_WINDOW = 1_000
/** In ms: connections and compiled code are settled then. */
const WARM_UP = 500
/** In ms: for what has to begin and end between the window and the end. */
const SLACK = 500

/** @param startAt when the callers start */
export function makeSchedule(startAt: number, { seconds, section }: Pick<HandoffJob, 'seconds' | 'section'>): Schedule {
  const from = startAt + WARM_UP
  const to = from + seconds * 1_000
  // Whoever entered within the window has left by the end.
  return { from, to, end: to + TRAFFIC_WINDOW + section + SLACK }
}

/** One time that one caller had the lock. */
export interface Grant {
  readonly caller: number
  /** Just after the lock was acquired. */
  readonly enteredAt: number
  /** Just before its release was asked for. */
  readonly leavingAt: number
  /** Whether somebody else was in the section. */
  readonly overlaps: boolean
}

/** What one process tells. */
export interface CallersMeasurement {
  readonly grants: readonly Grant[]
  /** In the window: user and system, of all threads, in µs. */
  readonly nodeCpu: number
}

/** Raw: what it means per grant is computed in handoff-figures.ts. */
export interface HandoffMeasurement {
  readonly library: LibraryName
  readonly callers: number
  readonly schedule: Schedule
  /** One for each process. */
  readonly processes: readonly CallersMeasurement[]
  /** In the window. */
  readonly server: ServerCounters
  /** After the window. */
  readonly traffic: Traffic
}
