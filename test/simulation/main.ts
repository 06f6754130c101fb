/**
 * `npm run simulate`: shares runs out among processes, counts what they tell, and shows the first violation in a way
 * that it can be looked into.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { HELP, readArguments, type SimulateArguments, UsageError } from './arguments.ts'
import type { WorkerReport, WorkerTask } from './worker.ts'
import { makeWorld, type WorldOptions } from './world.ts'

/** The last events before a violation that are printed. */
const LAST_EVENTS = 40
/** How often progress is told, in ms. */
const PROGRESS = 10_000

class Totals {
  runs = 0
  events = 0
  leases = 0
  /** Of quorums. */
  grants = 0
  /** Simulated ms. */
  duration = 0
  readonly faults: Record<string, number> = {}
  violation: WorkerReport | undefined

  add(report: WorkerReport): void {
    this.runs += 1
    this.events += report.events
    this.leases += report.leases
    this.grants += report.grants ?? 0
    this.duration += report.duration
    for (const [fault, count] of Object.entries(report.faults))
      this.faults[fault] = (this.faults[fault] ?? 0) + (count ?? 0)
    if (report.violation !== undefined) this.violation ??= report
  }

  summary(): string {
    const faults = Object.values(this.faults).reduce((sum, count) => sum + count, 0)
    const hours = (this.duration / 3_600_000).toFixed(1)
    const grants = this.grants > 0 ? `${this.grants} grants, ` : ''
    return `${this.runs} runs, ${hours} simulated hours, ${this.events} events, ${grants}${this.leases} leases, ${faults} faults`
  }
}

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args, availableParallelism())
  if (options === 'help') return console.log(HELP)
  if (options.events) {
    await show(options, options.seed, Number.POSITIVE_INFINITY)
    return
  }
  const startedAt = performance.now()
  const totals = await runAll(options)
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  console.log(`${totals.summary()}, in ${seconds} s`)
  console.log(
    Object.entries(totals.faults)
      .map(([fault, count]) => `${fault} ${count}`)
      .join(', '),
  )
  const { violation } = totals
  if (violation === undefined) {
    console.log('Nothing was found.')
    if (options.quorum) console.log(`In ${totals.grants} grants of a majority no fence was repeated, and none fell.`)
    return
  }
  await show(options, violation.seed, LAST_EVENTS)
  process.exitCode = 1
}

async function runAll(options: SimulateArguments): Promise<Totals> {
  const { runs, seed, soak, processes } = options
  const totals = new Totals()
  const children: ChildProcess[] = []
  const stop = (): void => {
    for (const child of children) child.kill()
  }
  const over = new AbortController()
  if (soak !== undefined) void setTimeout(soak * 60_000, undefined, { signal: over.signal }).then(stop, () => undefined)
  void tellProgress(totals, over.signal)
  await Promise.all(
    Array.from({ length: processes }, async (_, index) => {
      const child = fork(new URL('worker.ts', import.meta.url))
      children.push(child)
      child.on('message', (report: WorkerReport) => {
        totals.add(report)
        if (report.violation !== undefined) stop()
      })
      const share = Number.isFinite(runs) ? Math.floor((runs - index - 1) / processes) + 1 : Number.MAX_SAFE_INTEGER
      const task: WorkerTask = { ...settingsOf(options), seed: seed + index, stride: processes, runs: share }
      child.send(task)
      const [code] = (await once(child, 'exit')) as [number | null]
      if (code !== null && code !== 0) throw new Error(`A worker ended with code ${code}`)
    }),
  ).finally(() => {
    stop()
    over.abort()
  })
  return totals
}

/** What all runs have in common. */
function settingsOf({ seconds, ignore, keepers, replicas, quorum }: SimulateArguments): Omit<WorldOptions, 'seed'> {
  return { duration: seconds * 1_000, ignore, keepers, replicas, quorum }
}

async function tellProgress(totals: Totals, over: AbortSignal): Promise<void> {
  for (;;) {
    await setTimeout(PROGRESS, undefined, { signal: over, ref: false }).catch(() => undefined)
    if (over.aborted) return
    console.log(`  ${totals.summary()}`)
  }
}

/** Does one run again, and prints its last events. They are the shortest beginning that fails: after each one before nothing was wrong. */
async function show(options: SimulateArguments, seed: number, last: number): Promise<void> {
  const { seconds, ignore, keepers, replicas, quorum } = options
  const lines: string[] = []
  const world = makeWorld({
    ...settingsOf(options),
    seed,
    careful: true,
    onEvent: (line) => {
      if (last === Number.POSITIVE_INFINITY) console.log(line)
      else if (lines.push(line) > last) lines.shift()
    },
  })
  const { violation, events } = await world.run()
  for (const line of lines) console.log(line)
  console.log(`\nThe scenario: ${JSON.stringify(world.scenario)}`)
  if (violation === undefined) {
    console.log(`Seed ${seed}: nothing was found.`)
    return
  }
  console.log(`\nSeed ${seed}, after ${events} events: ${violation.message}`)
  const more = [
    ...(quorum ? ['--quorum'] : []),
    ...(keepers ? ['--keepers'] : []),
    ...(replicas ? ['--replicas'] : []),
    ...(seconds === (quorum ? 30 : 60) ? [] : [`--seconds ${seconds}`]),
    ...(ignore === undefined ? [] : [`--ignore '${ignore}'`]),
  ].map((option) => ` ${option}`)
  console.log(`All of them: npm run simulate -- --runs 1 --seed ${seed}${more.join('')} --events`)
  process.exitCode = 1
}

process.on('SIGINT', () => process.exit(130))

try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run simulate -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
