/** A bug that somebody had, kept as a small change that puts it back, and what is to find it. */

/** A change of one place in the source. */
export interface Patch {
  /** From the root of the project. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly replace: string
}

/** The simulator, over a range of seeds: wide enough to find the bug many times over, so that no change elsewhere hides it. */
export interface SimulationHarness {
  readonly type: 'simulation'
  readonly seed: number
  readonly runs: number
  readonly keepers?: boolean
  /** Managers on a quorum: a world of its own, in shorter runs. */
  readonly quorum?: boolean
}

/** The tests of some files, those whose titles match. */
interface TestHarness {
  readonly type: 'tests'
  readonly files: readonly string[]
  readonly titles: string
}

/** What looks for bugs, and stops at the first it finds. */
export type Harness = SimulationHarness | TestHarness

export interface Regression {
  /** What went wrong, in one line: as in the table of docs/properties.md, if it went wrong in another library. */
  readonly failure: string
  readonly patches: readonly Patch[]
  readonly harness: Harness
  /** What the finding must look like: a violation of the simulator, or the title of a test that failed. */
  readonly report: RegExp
}

/** The simulator, on the seeds that all share. */
export const SIMULATION: Harness = simulationFrom(1)

/** A few runs show that the harness works; CI simulates many more of the source as it is. */
export const SHORT_SIMULATION: Harness = { type: 'simulation', seed: 1, runs: 5 }

/** For what shows in crowds: the first of these runs is one, and there are others among them. */
export const CROWDS: Harness = { type: 'simulation', seed: 25, runs: 120 }

/** For what shows where servers are replaced and many leases are held: the first of these runs is such a one, and there are others among them. */
export const FAILOVERS: Harness = { type: 'simulation', seed: 171, runs: 150 }

/** For what shows where places move: the first of these runs is a world in which they do all the time, and there are others among them. */
export const WANDERERS: Harness = { type: 'simulation', seed: 313, runs: 60 }

/** For processes with keepers. */
export const KEEPERS: Harness = keepersFrom(1)

/** For what shows in few runs out of a hundred: where servers are replaced, or nobody tells. */
export const LONG_SIMULATION: Harness = simulationFrom(1, 400)

/** For what shows in some runs only: the first of these is one that finds it. A run that finds nothing takes a second or two. */
export function simulationFrom(seed: number, runs = 100): Harness {
  return { type: 'simulation', seed, runs }
}

/** The same for processes with keepers. */
export function keepersFrom(seed: number): Harness {
  return { type: 'simulation', seed, runs: 60, keepers: true }
}

/** The same for managers on a quorum. */
export function quorumsFrom(seed: number, runs = 300): Harness {
  return { type: 'simulation', seed, runs, quorum: true }
}

export function tests(file: string, titles: string): Harness {
  return { type: 'tests', files: [file], titles }
}
