/**
 * `acquire`: how fast locks are taken that nobody else wants. Promises each library a fresh process for each way of
 * taking them.
 */
import { computeFigures, worst } from './acquire-figures.ts'
import type { AcquireJob, AcquireMeasurement, PartMeasurement } from './acquire-measurement.ts'
import { columns, compared } from './acquire-report.ts'
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { compare, comparisonOptionsFor } from './comparison.ts'
import type { Entrant } from './entrant.ts'
import { BARE, LIBRARY_NAMES } from './library-name.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { commandLine } from './result.ts'

const worker = new URL('acquire-worker.ts', import.meta.url)

const options = {
  locks: integerOption({
    placeholder: 'N',
    summary: 'locks that the callers, and the call for all, take',
    initial: 100_000,
    minimum: 1,
  }),
  pairs: integerOption({
    placeholder: 'P',
    summary: 'acquires and releases of the single caller',
    initial: 10_000,
    minimum: 1,
  }),
  ttl: integerOption({ placeholder: 'MS', summary: 'ttl of each lock', initial: 30_000, minimum: 1_000 }),
  ...comparisonOptionsFor([...LIBRARY_NAMES, BARE]),
}

const help = `Takes locks that nobody else wants, with each library in turn, and measures how fast that goes.

npm run bench -- acquire [options]

${describeOptions(options)}

one caller      acquires a lock, releases it, and begins again, one call after the other: time for both
1,000 callers   each acquires one lock after the other, each a key that nobody has had, and keeps them all: locks over time
Node, Redis     CPU for each of those, user and system; of Redis, the main thread
in one go       keys over time: leasewheel's acquireMany; with the others 1,000 calls at once, after which they renew the locks,
                as leasewheel does in any case
${BARE}    no library: SET key token NX PX ttl, and a script that compares and deletes, sent by plain ioredis

With several rounds each figure is a median.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, pairs, ttl, ...shared } = parseOptions(options, args)
  const settings = { locks, pairs, ttl }
  await compare(
    {
      command: commandLine('acquire', args),
      subject: `${locks} locks, ${pairs} pairs, ttl ${ttl} ms`,
      settings,
      measure: (entrant, url) => measureAcquire(entrant, { ...settings, library: entrant.library, url }),
      computeFigures,
      worst,
      columns,
      compared,
    },
    shared,
  )
}

async function measureAcquire(entrant: Entrant, job: Omit<AcquireJob, 'part'>): Promise<AcquireMeasurement> {
  const { library, locks, pairs } = job
  const single = await measurePart(entrant, { ...job, part: 'single' })
  const crowd = await measurePart(entrant, { ...job, part: 'crowd' })
  const many = library === BARE ? null : await measurePart(entrant, { ...job, part: 'many' })
  return { library, locks, pairs, single, crowd, many }
}

/** In a fresh process. */
export function measurePart({ runtime }: Entrant, job: AcquireJob): Promise<PartMeasurement> {
  // A minute, and 1 ms for each of the rest.
  return runInChild<PartMeasurement>(worker, job, 60_000 + job.locks + job.pairs, { runtime })
}

export const acquire: Command = { summary: 'how fast locks are taken', help, run }
