/** `hold`: what holding many locks costs with each library. Promises each library a fresh process. */
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { compare, comparisonOptions } from './comparison.ts'
import { LIBRARY_NAMES, OBSERVED, KEPT } from './library-name.ts'
import type { Entrant } from './entrant.ts'
import { computeFigures, worst } from './hold-figures.ts'
import type { HoldJob, HoldMeasurement } from './hold-measurement.ts'
import { holdOnQuorum } from './hold-quorum.ts'
import { columns, compared } from './hold-report.ts'
import { describeOptions, integerOption, namesOption, parseOptions } from './options.ts'
import { commandLine } from './result.ts'

const worker = new URL('hold-worker.ts', import.meta.url)

const options = {
  locks: integerOption({ placeholder: 'N', summary: 'locks that the process holds', initial: 20_000, minimum: 1 }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each lock, renewed every third of it',
    initial: 6_000,
    minimum: 1_000,
  }),
  seconds: integerOption({
    placeholder: 'S',
    summary: 'length of each of the two windows: delays, then CPU',
    initial: 6,
    minimum: 1,
  }),
  quorum: integerOption({
    placeholder: 'N',
    summary: 'servers, of which a majority decides',
    initial: 1,
    minimum: 1,
  }),
  peers: integerOption({
    placeholder: 'N',
    summary: 'on a quorum, locks that other libraries hold, if that is less: they could not keep up with many',
    initial: 5_000,
    minimum: 1,
  }),
  ...comparisonOptions,
  libraries: namesOption(
    {
      placeholder: 'a,b',
      summary: `libraries to measure; ${OBSERVED} has exporters, page and announce attached, ${KEPT} a keeper`,
      initial: LIBRARY_NAMES,
    },
    [...LIBRARY_NAMES, OBSERVED, KEPT],
  ),
}

const help = `Holds many locks with each library in turn and measures what that costs.

npm run bench -- hold [options]

${describeOptions(options)}

acquires/s        locks over the time to take them all, at most 1,000 calls at once (leasewheel: one acquireMany)
renewals/s        extensions of a key's life that the server executed, inside scripts or not
Node, Redis       CPU per renewal, user and system; of Redis, the main thread
commands/s        commands that the server received from clients
heap              bytes per lock after a collection, the key and memory outside the heap included
left              what is in memory when all is closed, less what was there before the locks were taken
loop delay        time between two ticks of a 1 ms timer: an idle loop shows 1.1 ms
timers            timers that are armed for the locks: by leasewheel's own word; with the others, those of Node in the heap, up to 100,000 locks
oldest            the longest time since a lock's last renewal, by the server's word at the end for up to 10,000 to 20,000 of
                  the locks; leasewheel's own word for all renewals since the start, where that is longer
alive, lost       keys on the server at the end; locks lost, by the library's word

The delays are watched from half a second after the last lock was taken, the CPU when each lock has been renewed.
With several rounds each figure is a median, but for the longest delay, the most timers, the oldest renewal, the fewest alive
and the most lost.

On a quorum leasewheel holds the same locks on one server as well, in turns. All figures of Redis are those of the server that
needs most CPU, and "of those due" are the renewals over one for each lock and third of the ttl. Who holds fewer locks, or cannot
keep up, is named: compare what a renewal costs.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, ttl, seconds, quorum, peers, ...shared } = parseOptions(options, args)
  const command = commandLine('hold', args)
  const settings = { locks, ttl, seconds }
  if (quorum > 1) return holdOnQuorum({ command, ...settings, quorum, peers, ...shared }, measureHold)
  await compare(
    {
      command,
      subject: `${locks} locks, ttl ${ttl} ms, windows of ${seconds} s`,
      settings,
      measure: (entrant, url) => measureHold(entrant, { ...settings, library: entrant.library, url }),
      computeFigures,
      worst,
      columns,
      compared,
    },
    shared,
  )
}

/** In a fresh process. @param execArgv more arguments for Node */
export function measureHold(
  { runtime }: Entrant,
  job: HoldJob,
  execArgv: readonly string[] = [],
): Promise<HoldMeasurement> {
  // Twice the windows and the settling, and a minute and 1 ms per lock for the rest: connecting, acquiring, releasing.
  const limit = 2 * (2 * job.seconds * 1_000 + job.ttl) + 60_000 + job.locks
  return runInChild<HoldMeasurement>(worker, job, limit, { runtime, execArgv })
}

export const hold: Command = { summary: 'what holding many locks costs', help, run }
