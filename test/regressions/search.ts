/**
 * A search for bugs in a copy of the source, in a process of its own: what the simulator or some tests have to say
 * about it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Harness } from './regression.ts'
import type { TestResult } from './run-tests.ts'

const SIMULATE = 'test/simulation/main.ts'
const TESTS = 'test/regressions/run-tests.ts'
/** Preloaded by whatever runs in a copy, and by the processes that it starts. */
const PLAIN_FILES = 'test/regressions/plain-files.mjs'

export class Search {
  readonly #child: ChildProcess
  readonly #harness: Harness
  /** What was found: the first violation, or the titles of tests that failed; nothing if all is well. */
  readonly findings: Promise<readonly string[]>

  /** @param folder the root of the copy. @param isPatched whether a bug has been put into it: then tests wait for nothing for long. */
  constructor(folder: string, harness: Harness, isPatched = true) {
    this.#harness = harness
    const env = isPatched ? { ...process.env, LEASEWHEEL_TEST_PATIENCE: '4000' } : process.env
    const preload = pathToFileURL(join(folder, PLAIN_FILES)).href
    const node = [`--import=${preload}`, '--conditions=leasewheel:source']
    this.#child = spawn(process.execPath, [...node, ...argumentsOf(harness)], { cwd: folder, env })
    this.findings = this.#run()
    // It may be long over when somebody asks.
    this.findings.catch(() => undefined)
  }

  /** Ends it, if it is not over. */
  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    this.#child.kill()
    await once(this.#child, 'exit')
  }

  async #run(): Promise<readonly string[]> {
    const { stdout, stderr } = this.#child
    if (stdout === null || stderr === null) throw new Error('A child without output')
    const [output, errors, exit] = await Promise.all([text(stdout), text(stderr), once(this.#child, 'exit')])
    const read = this.#harness.type === 'simulation' ? violationsIn : failuresIn
    const found = read(output)
    // What broke down has neither found anything nor shown that there is nothing.
    if (found === undefined) throw new Error(`The search ended with ${String(exit)}:\n${output}\n${errors}`)
    return found
  }
}

function argumentsOf(harness: Harness): readonly string[] {
  if (harness.type === 'simulation') {
    const keepers = harness.keepers ? ['--keepers'] : []
    return [SIMULATE, '--seed', String(harness.seed), '--runs', String(harness.runs), '--processes', '1', ...keepers]
  }
  return [TESTS, harness.titles, ...harness.files]
}

function violationsIn(output: string): readonly string[] | undefined {
  const { 1: violation } = /^Seed \d+, after \d+ events: (.*)$/m.exec(output) ?? []
  if (violation !== undefined) return [violation]
  return output.includes('Nothing was found.') ? [] : undefined
}

function failuresIn(output: string): readonly string[] | undefined {
  const { 1: json } = /^RESULT (.*)$/m.exec(output) ?? []
  if (json === undefined) return undefined
  const { passes, failures } = JSON.parse(json) as TestResult
  // Titles that match nothing find nothing, and show nothing.
  return passes + failures.length === 0 ? undefined : failures
}
