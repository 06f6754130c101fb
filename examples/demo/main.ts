/**
 * `npm run demo`: holds ten thousand leases, lets somebody else interfere, and checks that the manager tells exactly
 * what happened to each of them. This file knows the command line, signals and exit codes; `story.ts` tells the rest.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { type DemoArguments, HELP, readArguments, UsageError } from './arguments.ts'
import { openBackend } from './backend.ts'
import { count } from './format.ts'
import { Screen } from './screen.ts'
import { tellStory } from './story.ts'

const screen = new Screen(process.stdout)
const interruption = new AbortController()
let interruptedBy: 'SIGINT' | 'SIGTERM' | undefined

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // Who asks twice does not want to wait.
    if (interruptedBy !== undefined) process.exit(128 + constants.signals[name])
    interruptedBy = name
    screen.settle()
    screen.line('Interrupted: releasing everything')
    interruption.abort()
  })
}

// Nobody reads on, as after `| head`: the leases of a process that is gone expire.
process.stdout.on('error', () => process.exit(1))

/** @returns the exit code. */
async function main(): Promise<number> {
  try {
    const settings = readArguments(process.argv.slice(2), process.env)
    if (settings === 'help') {
      screen.line(HELP)
      return 0
    }
    return await run(settings)
  } catch (error) {
    if (interruptedBy !== undefined) return 128 + constants.signals[interruptedBy]
    screen.settle()
    const message = error instanceof Error ? error.message : String(error)
    console.error(error instanceof UsageError ? `${message} (npm run demo -- --help explains the arguments)` : message)
    return error instanceof UsageError ? 2 : 1
  }
}

async function run(settings: DemoArguments): Promise<number> {
  const { leases, ttl } = settings
  const backend = await openBackend(settings)
  screen.line(`${count(leases)} leases with a ttl of ${count(ttl)} ms, on ${backend.description}`)
  try {
    // A shared server may have the keys of another demo, and of programs that are none.
    const prefix = `leasewheel-demo:${randomBytes(4).toString('hex')}:`
    const { signal } = interruption
    const expectations = await tellStory({ settings, backend, prefix, screen, signal }).catch((error: unknown) => {
      throw new Error(`The demo ended early: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    })
    for (const line of expectations.lines()) screen.line(line)
    return expectations.failures === 0 ? 0 : 1
  } finally {
    await backend.otherParty.close()
  }
}

// Not `process.exit`: that the process ends by itself shows that nothing was left running.
process.exitCode = await main()
