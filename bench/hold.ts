/**
 * `hold`: what holding many locks costs with each library. Promises each library, in each round, a fresh server and a
 * fresh process, and that the libraries take turns. May import everything of the bench but the libraries themselves.
 */
import { appendFileSync, writeFileSync } from 'node:fs'
import { RedisServer } from '../test/support/redis-server.ts'
import { runInChild } from './child-process.ts'
import { type Command, UsageError } from './command.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { combineRounds, computeFigures } from './hold-figures.ts'
import type { HoldJob, HoldMeasurement } from './hold-measurement.ts'
import { formatFigures, formatRatios } from './hold-report.ts'
import { LIBRARY_NAMES, type LibraryName, reasonToSkip } from './library-name.ts'
import { describeOptions, integerOption, namesOption, parseOptions, textOption } from './options.ts'
import { progress } from './progress.ts'

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
    summary: 'length of each of the two windows: CPU, then delays',
    initial: 6,
    minimum: 1,
  }),
  libraries: namesOption({ placeholder: 'a,b', summary: 'libraries to measure' }, LIBRARY_NAMES),
  rounds: integerOption({ placeholder: 'R', summary: 'turns of each; the table has medians', initial: 1, minimum: 1 }),
  json: textOption({ placeholder: 'FILE', summary: 'file for all raw data' }),
}

const help = `Holds many locks with each library in turn and measures what that costs.

npm run bench -- hold [options]

${describeOptions(options)}

acquires/s        locks over the time to take them all, at most 1,000 calls at once (leasewheel: one acquireMany)
renewals/s        extensions of a key's life that the server executed, inside scripts or not
Node, Redis       CPU per renewal, user and system; of Redis, the main thread
commands/s        commands that the server received from clients
heap              bytes per lock after a collection, the key and memory outside the heap included
loop delay        time between two ticks of a 1 ms timer: an idle loop shows 1.1 ms
alive, lost       keys on the server at the end; locks lost, by the library's word

With several rounds each figure is a median, but for the longest delay, the fewest alive and the most lost.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, ttl, seconds, libraries, rounds, json } = parseOptions(options, args)
  // Before the minutes of measuring, not after.
  if (json !== undefined) openFile(json)
  const measurements: HoldMeasurement[] = []
  const names = libraries.filter((name) => {
    const reason = reasonToSkip(name)
    if (reason !== undefined) console.log(reason)
    return reason === undefined
  })
  if (names.length === 0) throw new Error('No library is left to measure')

  let redis = ''
  for (let round = 1; round <= rounds; round++) {
    for (const library of names) {
      const measured = await measure({ library, locks, ttl, seconds }, `round ${round} of ${rounds}`)
      measurements.push(measured.measurement)
      redis = measured.redis
    }
  }

  const environment = readEnvironment(redis, names)
  const figures = new Map(names.map((name) => [name, combineRounds(figuresOf(name, measurements))]))
  console.log(
    [
      formatEnvironment(environment),
      `${locks} locks, ttl ${ttl} ms, windows of ${seconds} s, ${rounds === 1 ? 'one round' : `median of ${rounds} rounds`}`,
      '',
      formatFigures(figures),
      '',
      formatRatios(figures),
    ].join('\n'),
  )
  if (json !== undefined) {
    const data = { environment, locks, ttl, seconds, rounds, figures: Object.fromEntries(figures), measurements }
    writeFileSync(json, `${JSON.stringify(data, null, 2)}\n`)
    progress(`raw data is in ${json}`)
  }
}

async function measure(
  job: Omit<HoldJob, 'url'>,
  round: string,
): Promise<{ readonly measurement: HoldMeasurement; readonly redis: string }> {
  const { library, locks, ttl, seconds } = job
  // Twice the windows and the settling, and a minute and 1 ms per lock for the rest: connecting, acquiring, releasing.
  const limit = 2 * (2 * seconds * 1_000 + ttl) + 60_000 + locks
  const server = await RedisServer.start()
  try {
    progress(`${round}: ${library} holds ${locks} locks`)
    const worker = new URL('hold-worker.ts', import.meta.url)
    const measurement = await runInChild<HoldMeasurement>(worker, { ...job, url: server.url } satisfies HoldJob, limit)
    const redis = (await server.info('server')).get('redis_version') ?? 'unknown'
    return { measurement, redis }
  } catch (error) {
    throw new Error(`${library} could not be measured`, { cause: error })
  } finally {
    await server.stop()
  }
}

function figuresOf(
  library: LibraryName,
  measurements: readonly HoldMeasurement[],
): ReturnType<typeof computeFigures>[] {
  return measurements.filter((measurement) => measurement.library === library).map(computeFigures)
}

function openFile(file: string): void {
  try {
    // Appending nothing: what it holds is replaced only by a result.
    appendFileSync(file, '')
  } catch (error) {
    throw new UsageError(`Expected \`--json\` to be a file that can be written: ${String(error)}`)
  }
}

export const hold: Command = { summary: 'what holding many locks costs', help, run }
