/** The kinds of worlds that `npm run simulate` knows, and what it tells of a run in each of them. */
import { QuorumSimulation } from './quorum-simulation.ts'
import type { Scenario } from './scenario.ts'
import type { QuorumScenario } from './quorum-scenario.ts'
import { Simulation } from './simulation.ts'
import type { Violation } from './violation.ts'

export interface WorldOptions {
  readonly seed: number
  /** How long users act and faults happen, in simulated ms. */
  readonly duration: number
  /** Managers on a quorum. */
  readonly quorum: boolean
  /** See `RunOptions`. */
  readonly keepers: boolean
  readonly replicas: boolean
  /** A regular expression; see `RunOptions`. */
  readonly ignore: string | undefined
  readonly careful?: boolean
  readonly onEvent?: (line: string) => void
}

export interface WorldReport {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly events: number
  /** Simulated ms. */
  readonly duration: number
  readonly leases: number
  /** Of quorums, with fences that were compared. */
  readonly grants?: number
  readonly faults: Readonly<Partial<Record<string, number>>>
}

export interface World {
  readonly scenario: Scenario | QuorumScenario
  run(): Promise<WorldReport>
}

export function makeWorld({ quorum, keepers, replicas, ignore: pattern, ...common }: WorldOptions): World {
  const options = { ...common, ignore: pattern === undefined ? undefined : new RegExp(pattern) }
  return quorum ? new QuorumSimulation(options) : new Simulation({ ...options, keepers, replicas })
}
