/** `npm run simulate:quorum -- --runs 500 --seed 1`: many runs of managers on a quorum. `--events` prints what happens in the last run. */
import { parseArgs } from 'node:util'
import { QuorumSimulation } from './quorum-simulation.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '30' },
    events: { type: 'boolean', default: false },
  },
})
const [runs, first, duration] = [Number(values.runs), Number(values.seed), Number(values.seconds) * 1_000]
if (![runs, first, duration].every(Number.isFinite))
  throw new RangeError('Expected --runs, --seed and --seconds to be numbers')
const totals = { events: 0, leases: 0, faults: 0 }
for (let seed = first; seed < first + runs; seed += 1) {
  const onEvent = values.events ? (line: string) => console.log(line) : undefined
  const simulation = new QuorumSimulation({ seed, duration, ...(onEvent && { onEvent }) })
  const { violation, events, leases, faults } = await simulation.run()
  totals.events += events
  totals.leases += leases
  for (const count of Object.values(faults)) totals.faults += count
  if (violation) {
    console.log(JSON.stringify(simulation.scenario))
    console.log(`Seed ${seed}, after ${events} events: ${violation.message}`)
    process.exit(1)
  }
}
console.log(
  `${runs} runs, ${totals.events} events, ${totals.leases} leases, ${totals.faults} faults: nothing was found.`,
)
