/**
 * `wheel`: what it costs to know which of many entries is due next. Promises each structure, in each round, a fresh
 * process; loops of its own instead of a benchmark runner, since an operation changes what the next one meets, and a
 * million entries cannot be made anew for each sample.
 */
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { formatSubject, runOptions, writeResult } from './comparison.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { combineRounds } from './figures.ts'
import { describeOptions, integersOption, parseOptions } from './options.ts'
import { progress } from './progress.ts'
import { openRawData } from './raw-data.ts'
import { formatFigures } from './comparison-report.ts'
import { commandLine } from './result.ts'
import { STRUCTURE_NAMES, type WheelJob, type WheelMeasurement } from './wheel-measurement.ts'
import { columns } from './wheel-report.ts'

const worker = new URL('wheel-worker.ts', import.meta.url)
/** In ms. */
const LIMIT = 120_000

const options = {
  entries: integersOption({
    placeholder: 'N,N',
    summary: 'entries that wait',
    initial: [1_000, 100_000, 1_000_000],
    minimum: 1,
  }),
  ...runOptions,
}

const help = `Tries leasewheel's timer wheel beside other structures that know what is due next.

npm run bench -- wheel [options]

${describeOptions(options)}

wheel        src/structures/timer-wheel.ts
setTimeout   Node's own timers: one each; to move one is clearTimeout and setTimeout
heap         a binary heap in typed arrays that knows where each entry is
FIFO         a doubly linked list in typed arrays: one is enough where all have the same ttl

schedule     ns to put an entry in, due at random within 10 s (FIFO: in order)
reschedule   ns to move an entry by 10 s, the one that is due first first
fire         ns to hand out an entry when it is due, looking every 10 ms; of setTimeout, from the first callback to the last when
             all are overdue

With several rounds each figure is a median.`

async function run(args: readonly string[]): Promise<void> {
  const { entries, rounds, json } = parseOptions(options, args)
  if (json !== undefined) openRawData(json)
  const jobs = entries.flatMap((count) => STRUCTURE_NAMES.map((structure): WheelJob => ({ structure, entries: count })))
  const turns: { readonly job: WheelJob; readonly round: number; readonly measurement: WheelMeasurement }[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const job of jobs) {
      progress(`round ${round} of ${rounds}: ${job.structure}, ${job.entries} entries`)
      turns.push({ job, round, measurement: await runInChild<WheelMeasurement>(worker, job, LIMIT) })
    }
  }

  const rows = jobs.map((job) => {
    const own = turns.filter((turn) => turn.job === job).map(({ measurement }) => measurement)
    return { label: job.structure, figures: combineRounds(own, {}) }
  })
  const environment = readEnvironment(undefined, [])
  const subject = 'ns per entry'
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns, 'structure'),
    ].join('\n'),
  )
  if (json === undefined) return
  const command = commandLine('wheel', args)
  writeResult(json, { command, subject, environment, settings: { entries }, rounds, rows, measurements: turns })
}

export const wheel: Command = { summary: 'what it costs to know what is due next', help, run }
