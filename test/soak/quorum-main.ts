/** `npm run soak:quorum -- --minutes 5`: runs a soak on a quorum of five servers, and shows what came of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from './arguments.ts'
import { runQuorumSoak } from './quorum-soak.ts'

const HELP = `Lets processes share locks on a quorum of servers of its own, of which two are killed one after the other and come back empty, while others
hang, and processes are stopped and killed. Each process writes down what it held, and writes to a store that refuses stale fences. Afterwards a
checker looks whether any two held one lock at once, whether fences grew, whether a stale write was accepted, and what is left on any server.

npm run soak:quorum -- [options]

  --minutes M      how long things go wrong; may be a fraction (default 1)
  --members N      how many servers there are (default 5)
  --processes P    how many processes share the locks (default 4)
  --keys K         how many locks they contend for (default 200)
  --leases L       how many locks are held all the time besides, each by one of the processes (default 0)
  --ttl MS         time to live of all of them in ms (default 1000; with more than 1,000 leases 5000)
  --seed S         what goes wrong, and what the processes try to do; what comes of it differs from run to run (default: another each time)
  --help           show this

Exit code: 0 when there were no violations, 1 when there were or the soak failed, 2 for a bad argument, 128 and the signal's number after a signal.`

/** Above this, renewals within the usual ttl would take all of a small machine. */
const MANY = 1_000

async function main(args: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const
  const numbers = { minutes: text, members: text, processes: text, keys: text, leases: text, ttl: text, seed: text }
  const { help, ...values } = parse(args, { ...numbers, help: { type: 'boolean' } as const })
  if (help) return console.log(HELP)
  const number = (name: keyof typeof numbers, initial: number, least: number, isInteger = true): number => {
    const value = values[name] === undefined ? initial : Number(values[name] || Number.NaN)
    if (value >= least && (isInteger ? Number.isSafeInteger(value) : value > 0 && Number.isFinite(value))) return value
    const what = isInteger ? `an integer >= ${least}` : 'a number > 0'
    throw new UsageError(`Expected --${name} to be ${what}, got \`${values[name]}\``)
  }
  const leases = number('leases', 0, 0)
  const options = {
    duration: number('minutes', 1, 0, false) * 60_000,
    members: number('members', 5, 3),
    processes: number('processes', 4, 1),
    keys: number('keys', 200, 1),
    leases,
    ttl: number('ttl', leases > MANY ? 5_000 : 1_000, 300),
    seed: number('seed', Math.floor(Math.random() * 1e6) + 1, 0),
  }
  const directory = mkdtempSync(join(tmpdir(), 'leasewheel-quorum-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  console.log(
    Object.entries(options)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
  )
  const { faults, holds, standing, accepted, refused, violations } = await runQuorumSoak({
    ...options,
    directory,
    onProgress: (line) => console.log(`  ${line}`),
  })
  console.log(`${holds.length} holds, ${accepted} writes, ${refused} refused as stale; ${JSON.stringify(faults)}`)
  if (leases > 0)
    console.log(
      `${standing.keys} of ${leases} leases were held all the time; ${standing.lost} of their holds were lost, and claimed again`,
    )
  console.log(`${violations.length} violations`)
  for (const { message } of violations.slice(0, 10)) console.error(message)
  process.exit(violations.length > 0 ? 1 : 0)
}

function parse<O extends NonNullable<Parameters<typeof parseArgs>[0]>['options']>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run soak:quorum -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
