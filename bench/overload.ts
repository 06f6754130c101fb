/**
 * `overload`: what is left of many locks when the server is too slow to renew all of them. Promises each library a
 * fresh process, and that the server is stopped for most of the time.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { runInChild } from './child-process.ts'
import { type Command, UsageError } from './command.ts'
import { compare, comparisonOptions } from './comparison.ts'
import type { Entrant } from './entrant.ts'
import { findKeys } from './keys.ts'
import { machineTime, sleepUntil } from './machine-clock.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { computeFigures, worst } from './overload-figures.ts'
import type { OverloadJob, OverloadMeasurement, Remainder } from './overload-measurement.ts'
import { columns, compared } from './overload-report.ts'
import { meet } from './rendezvous.ts'
import { commandLine } from './result.ts'
import { countersBetween, readServerCounters } from './server-counters.ts'

const worker = new URL('overload-worker.ts', import.meta.url)

const options = {
  locks: integerOption({ placeholder: 'N', summary: 'locks that the process holds', initial: 100_000, minimum: 1 }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each lock, renewed every third of it',
    initial: 6_000,
    minimum: 1_000,
  }),
  seconds: integerOption({ placeholder: 'S', summary: 'for how long the server is slow', initial: 20, minimum: 1 }),
  period: integerOption({ placeholder: 'MS', summary: 'time from stop to stop', initial: 100, minimum: 2 }),
  run: integerOption({ placeholder: 'MS', summary: 'part of it in which the server runs', initial: 3, minimum: 1 }),
  ...comparisonOptions,
}

const help = `Slows the server down while a process holds many locks, and looks how many of them are left.

npm run bench -- overload [options]

${describeOptions(options)}

The server is stopped and continued by signals, again and again: it runs for --run of each --period.

needed      renewals per second for all locks: three per ttl of each
done        extensions of a key's life that the server executed per second while it was slow
keepable    locks that a server of this speed can keep: what it renews within a ttl
held        at the end, by the library's own word
alive       keys on the server at the end
lost        by the library's own word

With several rounds each figure is a median, but for the fewest held and alive, and the most lost.`

async function run(args: readonly string[]): Promise<void> {
  const { locks, ttl, seconds, period, run: running, ...shared } = parseOptions(options, args)
  if (running >= period) {
    throw new UsageError(`Expected \`--run\` to be less than \`--period\`, got \`${running}\` of ${period}`)
  }
  const settings = { locks, ttl, seconds, period, running }
  await compare(
    {
      command: commandLine('overload', args),
      subject: `${locks} locks, ttl ${ttl} ms, a server that runs ${running} ms of ${period} for ${seconds} s`,
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

interface Settings extends Pick<OverloadJob, 'locks' | 'ttl'> {
  readonly seconds: number
  readonly period: number
  readonly running: number
}

async function measure({ library, runtime }: Entrant, url: string, settings: Settings): Promise<OverloadMeasurement> {
  const { locks, ttl, seconds } = settings
  // The slow time, the settling, and a minute and 1 ms per lock for the rest.
  const limit = seconds * 1_000 + 3 * ttl + 60_000 + locks
  const job: OverloadJob = { library, url, locks, ttl }
  const [seen, left] = await Promise.all([
    interfere(url, settings),
    runInChild<Remainder>(worker, job, limit, { runtime }),
  ])
  return { library, locks, ttl, ...seen, ...left }
}

async function interfere(url: string, settings: Settings): Promise<Pick<OverloadMeasurement, 'slow' | 'alive'>> {
  const control = new Redis(url)
  await meet(control, 'all held', 2)
  // Until each has been renewed.
  await setTimeout(settings.ttl / 2)
  const pid = Number(/^process_id:(\d+)/m.exec(await control.info('server'))?.[1])
  const before = await readServerCounters(control)
  const startedAt = machineTime()
  await slowDown(pid, settings)
  const after = await readServerCounters(control)
  const seconds = (machineTime() - startedAt) / 1_000
  const alive = (await findKeys(control, 'benched:')).size
  await meet(control, 'over', 2)
  control.disconnect()
  return { slow: { seconds, server: countersBetween(before, after) }, alive }
}

/** The server runs again when this is over, however it ends. */
async function slowDown(pid: number, { seconds, period, running }: Settings): Promise<void> {
  const goOn = (): void => void process.kill(pid, 'SIGCONT')
  process.once('exit', goOn)
  try {
    const end = machineTime() + seconds * 1_000
    for (let start = machineTime(); start < end; start += period) {
      process.kill(pid, 'SIGSTOP')
      await sleepUntil(start + period - running)
      goOn()
      await sleepUntil(start + period)
    }
  } finally {
    process.off('exit', goOn)
  }
}

export const overload: Command = { summary: 'what is left of many locks when the server is too slow', help, run }
