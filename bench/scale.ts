/** `scale`: what holding costs with few locks and with many. Promises for each number what `hold` promises. */
import type { Command } from './command.ts'
import { combineTurns, comparisonOptions, formatSubject, librariesOf, writeResult } from './comparison.ts'
import { listEntrants } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { measureHold } from './hold.ts'
import { computeFigures, worst } from './hold-figures.ts'
import { describeOptions, integerOption, integersOption, parseOptions } from './options.ts'
import { openRawData } from './raw-data.ts'
import { formatFigures, formatRatios } from './comparison-report.ts'
import { commandLine } from './result.ts'
import { explainLimits, isWithin, limitOption } from './scale-limit.ts'
import { columns, compared } from './scale-report.ts'
import { takeTurns } from './turns.ts'

const options = {
  locks: integersOption({
    placeholder: 'N,N',
    summary: 'locks that the process holds',
    initial: [1_000, 10_000, 100_000, 300_000, 1_000_000],
    minimum: 1,
  }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each lock, renewed every third of it',
    initial: 30_000,
    minimum: 1_000,
  }),
  limit: limitOption,
  ...comparisonOptions,
}

/** Locks that are taken while the others are held. */
const CROWD = 20_000

const help = `Holds few locks and many with each library in turn and measures what that costs per second.

npm run bench -- scale [options]

${describeOptions(options)}

Each window, first of delays and then of CPU, is a third of the ttl, rounded up to a second: in so much each lock is renewed
once, even by a library that renews all that it took in one burst in another burst.

Node, Redis     CPU in ms per second, and in µs per renewal, user and system; of Redis, the main thread
acquires        what 1,000 callers take at once, ${CROWD} free keys in all, while the locks are held; and Node's CPU for each
other columns   as in \`hold\`, which is what is done for each number

With several rounds each figure is a median, but for the longest delay, the most timers, the oldest renewal and the most lost.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, ttl, limit, libraries, runtimes, rounds, json } = parseOptions(options, args)
  if (json !== undefined) openRawData(json)
  const seconds = Math.ceil(ttl / 3_000)
  const most = Math.max(...locks)
  const limits = explainLimits(limit, libraries, most)
  for (const sentence of limits) console.log(sentence)
  const entrants = listEntrants(libraries, runtimes)
  const cases = locks.flatMap((count) =>
    entrants.filter(({ library }) => isWithin(limit, library, count)).map((entrant) => ({ entrant, locks: count })),
  )
  const turns = await takeTurns(
    cases,
    rounds,
    ({ locks: count }) => `${count} locks, ttl ${ttl} ms`,
    ({ entrant, locks: count }, url) =>
      measureHold(entrant, { library: entrant.library, url, locks: count, ttl, seconds, crowd: CROWD }),
  )

  const rows = combineTurns(cases, turns, computeFigures, worst)
  const environment = readEnvironment(turns.redis, librariesOf(cases))
  const subject = `ttl ${ttl} ms, windows of ${seconds} s`
  const ratios = locks.map((count) => {
    const ofCount = rows.filter(({ figures }) => figures.locks === count)
    return `${count} locks: ${formatRatios(ofCount, compared)}`
  })
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns),
      '',
      ...ratios,
    ].join('\n'),
  )
  if (json === undefined) return
  const command = commandLine('scale', args)
  const settings = { locks, ttl, seconds, limits }
  writeResult(json, { command, subject, environment, settings, rounds, rows, measurements: turns.turns })
}

export const scale: Command = { summary: 'what holding costs with few locks and with many', help, run }
