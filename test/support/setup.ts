/**
 * Loaded by mocha before every test file. Finds the server once, fails the run on whatever nobody caught, and does not
 * let the run end with something still open.
 */
import { inspect } from 'node:util'
import { RedisServer } from './redis-server.ts'
import { findServerBinary } from './server-binary.ts'

/** What sockets and timers of the last test may take to go, in ms. */
const EXIT_BUDGET = 5_000

// mocha fails the current test on an uncaught exception; of unhandled rejections it takes care of its own only.
process.on('unhandledRejection', (reason) => {
  if (reason instanceof Error && 'code' in reason && String(reason.code).startsWith('ERR_MOCHA')) return
  throw new Error(`Unhandled rejection: ${inspect(reason)}`, { cause: reason })
})

export function mochaGlobalSetup(): void {
  try {
    findServerBinary()
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

export async function mochaGlobalTeardown(): Promise<void> {
  const forgotten = await RedisServer.stopAll()
  if (forgotten.length > 0) {
    process.once('beforeExit', () =>
      failRun(`servers on ports ${forgotten.join(', ')} were not stopped by their tests`),
    )
  }
  // Unreferenced, so it fires only where something else keeps the process alive.
  setTimeout(() => {
    failRun(`the process is kept alive by ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit()
  }, EXIT_BUDGET).unref()
}

/** To be called after mocha's end only: mocha sets the exit code in an `exit` listener of its own, and the last one wins. */
function failRun(message: string): void {
  console.error(`The run failed after its last test: ${message}`)
  process.on('exit', () => {
    process.exitCode = 1
  })
}
