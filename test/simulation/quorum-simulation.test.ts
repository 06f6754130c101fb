/** Managers on a quorum in a simulated world, in small; `QUORUM_RUNS` does more. What it is able to find is shown in `test/regressions`. */
import { expect } from 'chai'
import { QuorumSimulation } from './quorum-simulation.ts'

const RUNS = Number(process.env['QUORUM_RUNS'] ?? 20)
const SEED = Number(process.env['QUORUM_SEED'] ?? 1)

describe('managers on a simulated quorum', () => {
  it('P1 P6 P7 P11 P14 P18 P23 P24 P32 hold after every step, whatever fails', async () => {
    let leases = 0
    let grants = 0
    let faults = 0
    for (let seed = SEED; seed < SEED + RUNS; seed += 1) {
      const report = await new QuorumSimulation({ seed, duration: 30_000 }).run()
      if (report.violation) expect.fail(`quorum seed ${seed}: ${report.violation.message}`)
      leases += report.leases
      grants += report.grants
      for (const count of Object.values(report.faults)) faults += count
    }
    expect(leases).to.be.greaterThan(RUNS * 10)
    expect(grants).to.be.at.least(leases)
    expect(faults).to.be.greaterThan(RUNS)
  }).timeout(600_000)
})
