/** Runs the tests of some files whose titles match, up to the first that fails, and says which. `bundles.ts` makes a program of it. */
import Mocha from 'mocha'
import { mochaGlobalSetup, mochaGlobalTeardown } from '../support/setup.ts'
import { report } from './findings.ts'

/** How long one test or hook may take on a busy machine, in ms. */
const PATIENCE = 60_000
/** The same for a test that is to fail, and may hang. */
const SHORT_PATIENCE = 10_000

/** @param load imports the files, which expect mocha's functions. */
export async function runTests(titles: string, load: () => Promise<void>): Promise<void> {
  // The base of all reporters prints nothing.
  const mocha = new Mocha({ bail: true, timeout: PATIENCE, grep: new RegExp(titles), reporter: Mocha.reporters.Base })
  mocha.suite.emit(Mocha.Suite.constants.EVENT_FILE_PRE_REQUIRE, globalThis, '', mocha)
  await load()

  mochaGlobalSetup()
  const failures: string[] = []
  const runner = mocha.run(() => void end())
  runner.on('fail', (test) => failures.push(test.fullTitle()))
  if (process.env['LEASEWHEEL_TEST_PATIENCE'] !== undefined)
    runner.on('test', (test) => void test.timeout(SHORT_PATIENCE))

  async function end(): Promise<void> {
    await mochaGlobalTeardown()
    report({ passes: runner.stats?.passes ?? 0, failures })
    // A test that failed may have left something open.
    process.exit()
  }
}
