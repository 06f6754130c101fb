/** `quorum`: how long acquiring on a quorum takes, with all members and with one that hangs. Promises each library a fresh process and fresh servers. */
import type { RedisServer } from '../test/support/redis-server.ts'
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { combineTurns, formatSubject, librariesOf, runOptions, writeResult } from './comparison.ts'
import { formatFigures } from './comparison-report.ts'
import { joinMembers } from './connect-to.ts'
import { listEntrants } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import type { LibraryName } from './library-name.ts'
import { describeOptions, integerOption, namesOption, parseOptions } from './options.ts'
import { computeFigures, worst } from './quorum-figures.ts'
import type { QuorumMeasurement } from './quorum-measurement.ts'
import { columns, formatCost } from './quorum-report.ts'
import { openRawData } from './raw-data.ts'
import { commandLine } from './result.ts'
import { withSeveral } from './several-redis.ts'
import { takeTurns } from './turns.ts'

const worker = new URL('quorum-worker.ts', import.meta.url)

/** Not redlock-universal: its quorum has another interface. */
const NAMES: readonly LibraryName[] = ['leasewheel', 'redis-semaphore', 'redlock']

const options = {
  servers: integerOption({
    placeholder: 'N',
    summary: 'servers, of which a majority decides',
    initial: 3,
    minimum: 3,
  }),
  pairs: integerOption({
    placeholder: 'P',
    summary: 'acquires of each turn, each with its release',
    initial: 500,
    minimum: 1,
  }),
  ttl: integerOption({ placeholder: 'MS', summary: 'ttl of each lock', initial: 30_000, minimum: 1_000 }),
  patience: integerOption({
    placeholder: 'MS',
    summary: 'how long an acquire or a release may take until it is given up',
    initial: 5_000,
    minimum: 100,
  }),
  libraries: namesOption({ placeholder: 'a,b', summary: 'libraries to measure' }, NAMES),
  ...runOptions,
}

const help = `Acquires locks on a quorum, one after the other, by turns with all members and with one that is stopped (SIGSTOP): its connections
stay open, and it answers nothing. The clients have nothing set, as with most applications: no \`commandTimeout\`.

npm run bench -- quorum [options]

${describeOptions(options)}

all members, one hangs    from the call of acquire to the lock; its release is not in it, but comes before the next acquire
given up                  turns that ended because an acquire or a release was not done in time

Each library has sixteen turns of both kinds in one process, and each kind comes first in turn.
With several rounds each figure is a median, but for the most that were given up.`

async function run(args: readonly string[]): Promise<void> {
  const { servers, libraries, rounds, json, ...settings } = parseOptions(options, args)
  if (json !== undefined) openRawData(json)
  const cases = listEntrants(libraries, ['here']).map((entrant) => ({ entrant }))
  // The last member is the one that hangs.
  let pid = 0
  const turns = await takeTurns(
    cases,
    rounds,
    () => `a quorum of ${servers}`,
    ({ entrant: { library } }, url) => {
      // The warm-up and all turns, at 10 ms for a pair, what each turn may wait, and a minute.
      const limit = 60_000 + 32 * settings.patience + 400 * settings.pairs
      return runInChild<QuorumMeasurement>(worker, { ...settings, library, url, pid }, limit)
    },
    (_, work) =>
      withSeveral(servers, (members) => {
        pid = (members.at(-1) as RedisServer).pid
        return work(joinMembers(members.map(({ url }) => url)), members[0] as RedisServer)
      }),
  )
  const subject = `a quorum of ${servers}, turns of ${settings.pairs} acquires, ttl ${settings.ttl} ms`
  const environment = readEnvironment(turns.redis, librariesOf(cases))
  const rows = combineTurns(cases, turns, computeFigures, worst)
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns),
      '',
      formatCost(rows, settings.patience),
    ].join('\n'),
  )
  if (json === undefined) return
  const command = commandLine('quorum', args)
  writeResult(json, {
    command,
    subject,
    environment,
    settings: { servers, ...settings },
    rounds,
    rows,
    measurements: turns.turns,
  })
}

export const quorum: Command = { summary: 'acquiring on a quorum, with all members and with one that hangs', help, run }
