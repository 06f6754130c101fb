/**
 * `loss`: how soon a holder is told that somebody else deleted its lock. Promises each library a fresh process, and
 * that the deletions come from another one.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { runInChild } from './child-process.ts'
import { type Command, UsageError } from './command.ts'
import { compare, comparisonOptions } from './comparison.ts'
import type { Entrant } from './entrant.ts'
import { findKeys, withoutPrefix } from './keys.ts'
import { computeFigures, IN_TIME, worst } from './loss-figures.ts'
import type { Deletion, LossJob, LossMeasurement, Notice } from './loss-measurement.ts'
import { columns, compared } from './loss-report.ts'
import { machineTime, sleepUntil } from './machine-clock.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { meet } from './rendezvous.ts'
import { commandLine } from './result.ts'
import { countersBetween, readServerCounters } from './server-counters.ts'

/** In ms: what the burst of acquisitions left behind is done then. */
const REST = 1_000
/** Of the ttl: how long notices are waited for. redlock retries for two seconds after its own count of the ttl ran out. */
const PATIENCE = 1.5

const worker = new URL('loss-worker.ts', import.meta.url)

const options = {
  leases: integerOption({ placeholder: 'N', summary: 'locks that the process holds', initial: 10_000, minimum: 1 }),
  deletions: integerOption({ placeholder: 'D', summary: 'locks that are deleted', initial: 1_000, minimum: 1 }),
  every: integerOption({ placeholder: 'MS', summary: 'time between two deletions', initial: 5, minimum: 0 }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each lock, renewed every third of it',
    initial: 6_000,
    minimum: 1_000,
  }),
  ...comparisonOptions,
}

const help = `Deletes locks that a process holds, and measures how soon the library tells of it.

npm run bench -- loss [options]

${describeOptions(options)}

One process holds the locks. After a second of rest and a window of one ttl, in which they are only held, another process
deletes some of them at random.

notice after      from just before the DEL was sent to the library's own word: leasewheel's event \`lost\`, redis-semaphore's
                  onLockLost, the signal of \`using\` with the others; by the machine's monotonic clock, which all processes
                  share. What was not noticed within ${PATIENCE} ttl is not in it; - when nothing was
noticed           deleted locks of which there was notice within ${IN_TIME} ttl of the deletion
unfounded         locks told to be lost that nobody had deleted
Redis             CPU of the main thread, in ms per second of the window in which the locks are only held

With several rounds each figure is a median, but for the longest delay, the fewest noticed and the most unfounded.`

async function run(args: readonly string[]): Promise<void> {
  const { leases, deletions, every, ttl, ...shared } = parseOptions(options, args)
  if (deletions > leases) {
    throw new UsageError(`Expected \`--deletions\` to be at most \`--leases\`, got \`${deletions}\` of ${leases}`)
  }
  const settings = { leases, deletions, every, ttl }
  await compare(
    {
      command: commandLine('loss', args),
      subject: `${leases} locks, ttl ${ttl} ms, ${deletions} deleted, one every ${every} ms`,
      settings,
      measure: (entrant, url) => measure(entrant, url, settings),
      computeFigures,
      worst,
      columns,
      compared,
    },
    shared,
  )
}

interface Settings extends Pick<LossJob, 'leases' | 'ttl'> {
  readonly deletions: number
  readonly every: number
}

async function measure({ library, runtime }: Entrant, url: string, settings: Settings): Promise<LossMeasurement> {
  const { leases, deletions, every, ttl } = settings
  // Twice the window, the deletions and the patience; a minute and 1 ms per lock for the rest.
  const limit = 2 * (ttl + deletions * every + PATIENCE * ttl) + 60_000 + leases
  const [seen, notices] = await Promise.all([
    interfere(url, settings),
    runInChild<readonly Notice[]>(worker, { library, url, leases, ttl } satisfies LossJob, limit, { runtime }),
  ])
  return { library, ...seen, notices }
}

/** What happens to the locks, and to the server, meanwhile. */
async function interfere(url: string, settings: Settings): Promise<Omit<LossMeasurement, 'library' | 'notices'>> {
  const control = new Redis(url)
  await meet(control, 'all held', 2)
  const victims = pickAtRandom(await findKeys(control, 'benched:'), settings.deletions)
  await setTimeout(REST)
  const holding = await measureHolding(control, settings.ttl)
  const deletions = await deleteAll(control, victims, settings.every)
  await setTimeout(PATIENCE * settings.ttl)
  await meet(control, 'all deleted', 2)
  control.disconnect()
  return { ttl: settings.ttl, holding, deletions }
}

async function measureHolding(control: Redis, duration: number): Promise<LossMeasurement['holding']> {
  const startedAt = machineTime()
  const before = await readServerCounters(control)
  await sleepUntil(startedAt + duration)
  const after = await readServerCounters(control)
  return { seconds: (machineTime() - startedAt) / 1_000, server: countersBetween(before, after) }
}

/** Leaves out what the library had let go of already. */
async function deleteAll(control: Redis, victims: readonly string[], every: number): Promise<Deletion[]> {
  const deletions: Deletion[] = []
  const startedAt = machineTime()
  for (const [index, name] of victims.entries()) {
    await sleepUntil(startedAt + index * every)
    const deletedAt = machineTime()
    if ((await control.del(name)) === 1) deletions.push({ key: withoutPrefix(name, 'benched:'), deletedAt })
  }
  return deletions
}

/** `count` different ones, in an order of chance. */
function pickAtRandom(names: ReadonlySet<string>, count: number): string[] {
  const drawn = [...names].map((name) => ({ name, lot: Math.random() }))
  const shuffled = drawn.toSorted((one, other) => one.lot - other.lot)
  return shuffled.slice(0, count).map(({ name }) => name)
}

export const loss: Command = { summary: 'how soon a holder is told that its lock was deleted', help, run }
