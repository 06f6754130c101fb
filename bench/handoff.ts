/**
 * `handoff`: how one lock that many want goes from hand to hand. Promises each library fresh processes, all of which
 * start at the same time.
 */
import { Redis } from 'ioredis'
import { runInChild } from './child-process.ts'
import { type Command, UsageError } from './command.ts'
import { compare, comparisonOptions } from './comparison.ts'
import type { Entrant } from './entrant.ts'
import { computeFigures, worst } from './handoff-figures.ts'
import {
  type CallersMeasurement,
  type HandoffJob,
  type HandoffMeasurement,
  makeSchedule,
  TRAFFIC_WINDOW,
} from './handoff-measurement.ts'
import { columns, compared } from './handoff-report.ts'
import { sleepUntil } from './machine-clock.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { meet } from './rendezvous.ts'
import { commandLine } from './result.ts'
import { countersBetween, readServerCounters } from './server-counters.ts'
import { watchTraffic } from './traffic.ts'

const worker = new URL('handoff-worker.ts', import.meta.url)

const options = {
  waiters: integerOption({ placeholder: 'N', summary: 'callers that want the lock', initial: 50, minimum: 1 }),
  processes: integerOption({ placeholder: 'P', summary: 'processes they are spread over', initial: 2, minimum: 1 }),
  seconds: integerOption({ placeholder: 'S', summary: 'length of the window', initial: 8, minimum: 1 }),
  section: integerOption({
    placeholder: 'MS',
    summary: 'time for which a caller keeps the lock',
    initial: 5,
    minimum: 0,
  }),
  ttl: integerOption({ placeholder: 'MS', summary: 'ttl of the lock', initial: 10_000, minimum: 1_000 }),
  ...comparisonOptions,
}

const help = `Lets many callers in several processes take one lock in turn, again and again, and measures how it changes hands.

npm run bench -- handoff [options]

${describeOptions(options)}

Each caller acquires the lock, waiting as the library does by default but without a limit; counts itself in with an INCR
in Redis, keeps the lock for --section, counts itself out with a DECR, releases the lock, and begins again at once. The
window opens half a second after all have started. A grant belongs to it when the lock was acquired within it.

grants/s          times that somebody got the lock
release to grant  from just before a caller asks for the release to just after the next one has the lock, by the
                  machine's monotonic clock, which all processes share
to another        the mean of it where the next one is another caller
repeated          grants to the caller that had released the lock just before: it asks again at once, and need not wait
fairness          Jain's index over the grants of all callers: 1 when each got as many, 1/N when one got all
starved           callers that never got the lock
overlaps          grants during which somebody else was inside, by the counter in Redis or by the clock
commands/grant    commands that clients sent, the INCRs and DECRs left out, over the grants in the same second: one after the
                  window, in which MONITOR tells them from what scripts call (INFO counts both alike)
scripts/grant     calls of EVAL, EVALSHA and FCALL that the server counted
Node, Redis       CPU per grant, user and system: of all processes of callers; of Redis, the main thread. The INCR, the
                  DECR and the timer of the section are in it, the same for every library

With several rounds each figure is a median, but for the lowest fairness, the most starved and the most overlaps.`

async function run(args: readonly string[]): Promise<void> {
  const { waiters, processes, seconds, section, ttl, ...shared } = parseOptions(options, args)
  if (waiters < processes) {
    throw new UsageError(`Expected \`--waiters\` to be at least \`--processes\`, got \`${waiters}\` for ${processes}`)
  }
  // Some libraries renew what was acquired, others do not; none should have to.
  if (section > ttl / 2) {
    throw new UsageError(
      `Expected \`--section\` to be at most half of \`--ttl\`, got \`${section}\` for a ttl of ${ttl} ms`,
    )
  }
  const settings = { waiters, processes, seconds, section, ttl }
  await compare(
    {
      command: commandLine('handoff', args),
      subject: `${waiters} waiters in ${processes} processes, window of ${seconds} s, section of ${section} ms, ttl ${ttl} ms`,
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

interface Settings extends Pick<HandoffJob, 'processes' | 'seconds' | 'section' | 'ttl'> {
  readonly waiters: number
}

async function measure({ library, runtime }: Entrant, url: string, settings: Settings): Promise<HandoffMeasurement> {
  const { waiters, ...rest } = settings
  const { processes, seconds, section } = settings
  // Twice the window and what comes after it, and a minute for the rest.
  const limit = 2 * (seconds * 1_000 + section) + 60_000
  const runs = Array.from({ length: processes }, (_, index) => {
    const first = Math.floor((index * waiters) / processes)
    const count = Math.floor(((index + 1) * waiters) / processes) - first
    return runInChild<CallersMeasurement>(worker, { ...rest, library, url, callers: { first, count } }, limit, {
      runtime,
    })
  })
  const [observed, ...told] = await Promise.all([observe(url, settings), ...runs])
  return { library, callers: waiters, ...observed, processes: told }
}

/** What the server tells meanwhile. */
async function observe(
  url: string,
  settings: Settings,
): Promise<Pick<HandoffMeasurement, 'schedule' | 'server' | 'traffic'>> {
  const control = new Redis(url)
  const schedule = makeSchedule(await meet(control, 'start', settings.processes + 1), settings)
  await sleepUntil(schedule.from)
  const before = await readServerCounters(control)
  await sleepUntil(schedule.to)
  const after = await readServerCounters(control)
  const traffic = await watchTraffic(url, TRAFFIC_WINDOW)
  control.disconnect()
  return { schedule, server: countersBetween(before, after), traffic }
}

export const handoff: Command = { summary: 'how one lock that many want goes from hand to hand', help, run }
