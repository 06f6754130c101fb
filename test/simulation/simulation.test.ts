/** The simulator, run in small; `npm run simulate` does more. What it is able to find is shown in `test/regressions`. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { Simulation } from './simulation.ts'

const RUNS = Number(process.env['SIMULATION_RUNS'] ?? 40)
const SEED = Number(process.env['SIMULATION_SEED'] ?? 1)

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

interface Outcome {
  readonly code: number
  readonly output: string
}

function simulate(...args: readonly string[]): Promise<Outcome> {
  const options = [...process.execArgv, MAIN, ...args]
  return new Promise((resolve) => {
    // All events of a run are more than the usual megabyte.
    const child = execFile(process.execPath, options, { maxBuffer: 2 ** 26 }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, output: stdout + stderr })
    })
  })
}

describe('managers in a simulated world', () => {
  it('P1 P2 P3 P4 P5 P6 P7 P8 P9 P10 P11 P12 P13 P14 P15 P16 P17 P18 P19 P20 P21 P22 P23 P24 P26 P28 P29 P30 P31 P36 P37 hold after every step, whatever fails', async () => {
    let leases = 0
    let faults = 0
    for (let seed = SEED; seed < SEED + RUNS; seed += 1) {
      const report = await new Simulation({ seed, duration: 60_000 }).run()
      if (report.violation) expect.fail(`seed ${seed}: ${report.violation.message}`)
      leases += report.leases
      for (const count of Object.values(report.faults)) faults += count
    }
    expect(leases).to.be.greaterThan(RUNS * 10)
    expect(faults).to.be.greaterThan(RUNS * 5)
  }).timeout(600_000)

  it('behave the same for the same seed', async () => {
    const stories = []
    for (let turn = 0; turn < 2; turn += 1) {
      const lines: string[] = []
      await new Simulation({ seed: 7, duration: 10_000, onEvent: (line) => lines.push(line) }).run()
      stories.push(lines)
    }
    const [first = [], second] = stories
    expect(first.length).to.be.greaterThan(100)
    expect(second).to.deep.equal(first)
  })
})

describe('a simulated world with several servers', () => {
  it('has places that move at once and key by key, and processes with outdated maps', async () => {
    const lines: string[] = []
    const faults = ['move', 'moveSlowly'] as const
    const scenario = { nodes: 3, faults, faultEvery: 500, actionEvery: 60 }
    const simulation = new Simulation({ seed: 7, duration: 20_000, scenario, onEvent: (line) => lines.push(line) })
    const { violation } = await simulation.run()
    expect(violation).to.equal(undefined)
    const told = lines.join('\n')
    for (const type of ['MOVED', 'ASK', 'TRYAGAIN'])
      expect(told).to.match(new RegExp(`is told about key \\d+: ${type} to node`))
  })

  it('is one of four, and all other seeds have one server', () => {
    const spread = Array.from({ length: 200 }, (_, seed) => new Simulation({ seed, duration: 1 }).scenario.nodes)
    const share = spread.filter((nodes) => nodes > 1).length / spread.length
    expect(share).to.be.within(0.15, 0.35)
  })
})

describe('a simulated world with keepers', () => {
  it('P34 keeps leases while event loops are blocked, and everything else holds', async () => {
    let kept = 0
    let blocked = 0
    for (let seed = SEED; seed < SEED + RUNS / 2; seed += 1) {
      const onEvent = (line: string): void => {
        if (line.includes('its keeper is told done')) kept += 1
      }
      const { violation, faults } = await new Simulation({ seed, duration: 60_000, keepers: true, onEvent }).run()
      if (violation) expect.fail(`seed ${seed}: ${violation.message}`)
      blocked += faults.block ?? 0
    }
    expect(blocked).to.be.greaterThan(RUNS)
    expect(kept).to.be.greaterThan(RUNS)
  }).timeout(600_000)
})

describe('a simulated world with a replica', () => {
  it('P38 misses nothing that is held after a failover, and everything else holds', async () => {
    let leases = 0
    let failovers = 0
    let freezes = 0
    for (let seed = SEED; seed < SEED + RUNS / 5; seed += 1) {
      const report = await new Simulation({ seed, duration: 20_000, replicas: true }).run()
      if (report.violation) expect.fail(`seed ${seed}: ${report.violation.message}`)
      leases += report.leases
      failovers += report.faults.failOver ?? 0
      freezes += report.faults.freezeReplica ?? 0
    }
    expect(leases).to.be.greaterThan(RUNS)
    expect(failovers).to.be.greaterThan(RUNS / 5)
    expect(freezes).to.be.greaterThan(RUNS / 5)
  }).timeout(600_000)
})

describe('npm run simulate', () => {
  it('reports how many runs found nothing', async () => {
    const { code, output } = await simulate('--runs', '3', '--seconds', '5', '--processes', '2')
    expect(output).to.match(/^3 runs, .* leases, \d+ faults, in .* s$/m)
    expect(output).to.include('Nothing was found.')
    expect(code).to.equal(0)
  })

  it('reports what the grants of a quorum have shown', async () => {
    const { code, output } = await simulate('--quorum', '--runs', '2', '--seconds', '5', '--processes', '2')
    expect(output).to.match(/^2 runs, .* \d+ grants, .* in .* s$/m)
    expect(output).to.match(/^In \d+ grants of a majority no fence was repeated, and none fell\.$/m)
    expect(code).to.equal(0)
  })

  it('prints every event of a run', async () => {
    const { code, output } = await simulate('--runs', '1', '--seed', '7', '--seconds', '5', '--events')
    expect(output).to.match(/^ +\d+\.\d\d {2}process \d+ +asks to acquire key \d #1/m)
    expect(code).to.equal(0)
  })

  for (const [args, message] of [
    [['--runs', '0'], 'Expected --runs to be an integer >= 1, got `0`'],
    [['--seed', 'x'], 'Expected --seed to be an integer >= 0, got `x`'],
    [['--soak', '1.5'], 'Expected --soak to be an integer >= 1, got `1.5`'],
    [['--events'], 'Expected --events to come with --runs 1'],
    [['--quorum', '--keepers'], 'Expected one of --quorum, --keepers and --replicas'],
    [['--speed'], "Unknown option '--speed'"],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      const { code, output } = await simulate(...args)
      expect(output).to.include(message)
      expect(code).to.equal(2)
    })
  }
})
