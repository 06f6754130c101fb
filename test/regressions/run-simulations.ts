/** Simulates run after run, up to the first violation, and says which. `bundles.ts` makes a program of it. */
import { QuorumSimulation } from '../simulation/quorum-simulation.ts'
import { Simulation } from '../simulation/simulation.ts'
import { report } from './findings.ts'
import type { SimulationHarness } from './regression.ts'

/** How long users act in a run, in simulated ms. */
const DURATION = 60_000
/** The same on a quorum. */
const QUORUM_DURATION = 10_000

// Where an error was made is of no interest here, and takes time.
Error.stackTraceLimit = 0

export async function runSimulations({
  seed,
  runs,
  keepers = false,
  quorum = false,
}: SimulationHarness): Promise<void> {
  for (let run = 0; run < runs; run += 1) {
    const simulation = quorum
      ? new QuorumSimulation({ seed: seed + run, duration: QUORUM_DURATION })
      : new Simulation({ seed: seed + run, duration: DURATION, keepers })
    const { violation } = await simulation.run()
    if (violation === undefined) continue
    report({ passes: run, failures: [violation.message] })
    return process.exit()
  }
  report({ passes: runs, failures: [] })
}
