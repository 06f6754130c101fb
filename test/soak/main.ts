/**
 * `npm run soak`: runs one, and shows what came of it. Whatever ends this process ends its workers and its server, and
 * removes what they wrote, except where there are violations to be looked into.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { HELP, readArguments, UsageError } from './arguments.ts'
import { formatNamed, formatReport } from './report.ts'
import { runSoak } from './soak.ts'

/** ms from one fault to the next, on average. */
const FAULT_INTERVAL = 400
/** How many violations are shown. */
const SHOWN = 10

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args, Math.random)
  if (options === 'help') return console.log(HELP)
  const { minutes, processes, keys, ttl, seed, sentinel } = options
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-soak-'))
  const clear = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  process.once('exit', clear)
  console.log(
    `npm run soak -- --minutes ${minutes} --processes ${processes} --keys ${keys} --ttl ${ttl} --seed ${seed}${sentinel ? ' --sentinel' : ''}`,
  )
  const { violations, ...rest } = await runSoak({
    duration: minutes * 60_000,
    processes,
    keys,
    ttl,
    seed,
    sentinel,
    directory,
    faultInterval: FAULT_INTERVAL,
    onProgress: (line) => console.log(`  ${line}`),
  })
  console.log(`\n${formatReport({ violations, ...rest })}`)
  for (const line of formatNamed(rest)) console.log(line)
  if (violations.length === 0) return
  for (const { message } of violations.slice(0, SHOWN)) console.error(`\n${message}`)
  const times = rest.failovers.map(({ beganAt, promotedAt, switchedAt }) => ({ beganAt, promotedAt, switchedAt }))
  const texts = [...violations.map(({ message }) => message), ...times.map((failover) => JSON.stringify(failover))]
  writeFileSync(join(directory, 'violations.txt'), texts.join('\n\n'))
  process.off('exit', clear)
  console.error(
    `\nAll ${violations.length} violations, the times of failovers, and the histories of all workers are in ${directory}`,
  )
  process.exitCode = 1
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run soak -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
