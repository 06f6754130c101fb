/** A search for bugs in the source as patches make it, in a process of its own: what the simulator or some tests find. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import type { Bundles } from './bundles.ts'
import { findingsIn } from './findings.ts'
import { PROJECT } from './patches.ts'
import type { Harness, Patch } from './regression.ts'

/** What is to be searched, and by what. */
export interface Task {
  readonly patches: readonly Patch[]
  readonly harness: Harness
}

/** @returns the first violation, or the titles of tests that failed; nothing if all is well. */
export async function search(
  { patches, harness }: Task,
  bundles: Bundles,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const program = await bundles.make(patches, harness)
  const child = spawn(process.execPath, ['--conditions=leasewheel:source', program], {
    signal,
    env: {
      ...process.env,
      // Packages that are not beside the program.
      NODE_PATH: join(PROJECT, 'node_modules'),
      // With a bug, tests wait for nothing for long.
      ...(patches.length > 0 && { LEASEWHEEL_TEST_PATIENCE: '4000' }),
    },
  })
  const [output, errors, exit] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  const { passes, failures } = findingsIn(output) ?? { passes: 0, failures: [] }
  // What broke down has neither found anything nor shown that there is nothing; nor have titles that match no test.
  if (passes + failures.length === 0) throw new Error(`The search ended with ${String(exit)}:\n${output}\n${errors}`)
  return failures
}
