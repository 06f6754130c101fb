/** `npm run moves`: moves slots under traffic, and shows what came of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { findServerBinary } from '../support/redis-server.ts'
import { moveAllSlots } from './all-slots.ts'
import { HELP, type MovesArguments, readArguments, UsageError, type Way } from './arguments.ts'
import { leaveHalfMoved } from './half-moved.ts'
import { formatHalf, formatMoves } from './report.ts'

/** How many violations are shown. */
const SHOWN = 10

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args, Math.random)
  if (options === 'help') return console.log(HELP)
  if (options.server !== undefined) process.env['REDIS_SERVER'] = options.server
  const { processes, keys, leases, ttl, seed } = options
  console.log(
    `${processes} processes share ${keys} locks, one holds ${leases} leases, ttl ${ttl} ms, seed ${seed}, ${findServerBinary()}`,
  )
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-moves-'))
  const clear = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  process.once('exit', clear)
  const violations: string[] = []
  for (const way of options.ways) violations.push(...(await run(way, options, directory)))
  if (violations.length === 0) return
  process.off('exit', clear)
  writeFileSync(join(directory, 'violations.txt'), violations.join('\n\n'))
  for (const violation of violations.slice(0, SHOWN)) console.error(`\n${violation}`)
  console.error(`\nAll ${violations.length} violations, and the histories of all processes, are in ${directory}`)
  process.exitCode = 1
}

/** @returns the violations. */
async function run(way: Way, options: MovesArguments, directory: string): Promise<readonly string[]> {
  if (way !== 'half') {
    const report = await moveAllSlots(way, options, directory)
    console.log(formatMoves(report))
    return report.violations
  }
  const violations: string[] = []
  for (const fence of ['source', 'target'] as const) {
    const report = await leaveHalfMoved(fence, options)
    console.log(formatHalf(report))
    violations.push(...report.violations)
  }
  return violations
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run moves -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
