/**
 * Tests of code that uses leases, under jest and under vitest, with a `ManualClock` and a `MemoryBackend`. This program runs
 * both and reads their results (docs/recipes/testing.md).
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

/** What both print as JSON. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly TestResult[]
  }[]
}
interface TestResult {
  readonly title: string
  readonly status: string
  readonly failureMessages: readonly string[]
}

const TITLES = [
  'gives up when others send invoices all the time',
  'stops when the lock is lost',
  'fake timers are for your code, the ManualClock is for leases',
  'without a clock of its own a manager stands still under fake timers',
]

/** ms for each test, as an option of both. Only a failure takes so long. */
const PATIENCE = '--testTimeout=60000'

const { resolve } = createRequire(import.meta.url)

/** The program of a package, started as its command is. */
function binary(name: string, file: string): string {
  return join(dirname(resolve(`${name}/package.json`)), file)
}

async function run(name: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  const { testResults } = JSON.parse(output) as Report
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  assert.deepEqual(
    tests.map(({ title, status, failureMessages }) => [title, status, ...failureMessages]),
    TITLES.map((title) => [title, 'passed']),
  )
  assert.equal(code, 0)
  console.log(`${name}: ${tests.length} tests passed`)
}

await Promise.all([
  run('jest', binary('jest', 'bin/jest.js'), '--json', PATIENCE, 'testing/jest.test.cjs'),
  run('vitest', binary('vitest', 'vitest.mjs'), 'run', '--reporter=json', PATIENCE, 'testing/vitest.test.ts'),
])
