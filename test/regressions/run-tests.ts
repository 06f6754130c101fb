/** A program that runs the tests of some files whose titles match, up to the first that fails, and says which. `search.ts` runs it in copies of the source. */
import { resolve } from 'node:path'
import Mocha from 'mocha'
import { mochaGlobalSetup, mochaGlobalTeardown } from '../support/setup.ts'

/** What the program prints after `RESULT`, as JSON. */
export interface TestResult {
  readonly passes: number
  /** Full titles: of tests, or of hooks. */
  readonly failures: readonly string[]
}

/** How long one test may take on a busy machine, in ms. */
const PATIENCE = 20_000

const [titles = '', ...files] = process.argv.slice(2)
// The base of all reporters prints nothing.
const mocha = new Mocha({ bail: true, timeout: PATIENCE, grep: new RegExp(titles), reporter: Mocha.reporters.Base })
for (const file of files) mocha.addFile(resolve(file))
await mocha.loadFilesAsync()

mochaGlobalSetup()
const failures: string[] = []
const runner = mocha.run(() => void end())
runner.on('fail', (test) => failures.push(test.fullTitle()))

async function end(): Promise<void> {
  await mochaGlobalTeardown()
  const result: TestResult = { passes: runner.stats?.passes ?? 0, failures }
  console.log(`RESULT ${JSON.stringify(result)}`)
  // A test that failed may have left something open.
  process.exit()
}
