/** `release`: how fast locks are given back. Promises each library a fresh process for each way of doing so. */
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { compare, comparisonOptionsFor } from './comparison.ts'
import type { Entrant } from './entrant.ts'
import { BARE, LIBRARY_NAMES } from './library-name.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { computeFigures, worst } from './release-figures.ts'
import type { PartMeasurement, ReleaseJob, ReleaseMeasurement } from './release-measurement.ts'
import { columns, compared } from './release-report.ts'
import { commandLine } from './result.ts'

const worker = new URL('release-worker.ts', import.meta.url)

const options = {
  locks: integerOption({ placeholder: 'N', summary: 'locks that are given back', initial: 100_000, minimum: 1 }),
  ttl: integerOption({ placeholder: 'MS', summary: 'ttl of each lock', initial: 30_000, minimum: 1_000 }),
  ...comparisonOptionsFor([...LIBRARY_NAMES, BARE]),
}

const help = `Gives back the locks that a process holds, with each library in turn, and measures how fast that goes.

npm run bench -- release [options]

${describeOptions(options)}

1,000 callers   each releases one lock after the other: locks over time
Node, Redis     CPU for each of those, user and system; of Redis, the main thread
close           locks over the time to release all that is held and to end the connections: leasewheel's close(); with the others,
                which renew their locks until then, 1,000 calls at once
left behind     keys that are on the server afterwards all the same
${BARE}    no library: a script that compares and deletes, sent by plain ioredis

With several rounds each figure is a median, but for the most left behind.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, ttl, ...shared } = parseOptions(options, args)
  const settings = { locks, ttl }
  await compare(
    {
      command: commandLine('release', args),
      subject: `${locks} locks, ttl ${ttl} ms`,
      settings,
      measure: (entrant, url) => measureRelease(entrant, { ...settings, library: entrant.library, url }),
      computeFigures,
      worst,
      columns,
      compared,
    },
    shared,
  )
}

async function measureRelease(entrant: Entrant, job: Omit<ReleaseJob, 'part'>): Promise<ReleaseMeasurement> {
  const { library, locks } = job
  const crowd = await measurePart(entrant, { ...job, part: 'crowd' })
  const close = library === BARE ? null : await measurePart(entrant, { ...job, part: 'close' })
  return { library, locks, crowd, close }
}

/** In a fresh process. */
function measurePart({ runtime }: Entrant, job: ReleaseJob): Promise<PartMeasurement> {
  // A minute, and 1 ms per lock for each of the rest.
  return runInChild<PartMeasurement>(worker, job, 60_000 + job.locks, { runtime })
}

export const release: Command = { summary: 'how fast locks are given back', help, run }
