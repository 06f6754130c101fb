/**
 * `guard`: whether anything got worse. Promises exit code 1 and one line for each broken bound; and that no bound
 * depends on how fast the machine is: they are counts, or ratios of CPU to a peer that was measured right before or
 * after.
 */
import { hostname } from 'node:os'
import { measurePart } from './acquire.ts'
import type { PartMeasurement } from './acquire-measurement.ts'
import type { Command } from './command.ts'
import { formatSubject, runOptions, writeResult } from './comparison.ts'
import { type Entrant, listEntrants } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { formatBroken, formatVerdicts, judge } from './guard-bounds.ts'
import { computeGuardFigures, type GuardRound } from './guard-figures.ts'
import { measureHold } from './hold.ts'
import { computeFigures } from './hold-figures.ts'
import type { HoldMeasurement } from './hold-measurement.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { openRawData } from './raw-data.ts'
import { commandLine } from './result.ts'
import { takeTurns } from './turns.ts'

/** More than leasewheel watches by default: a watched key costs Redis something that no peer offers. */
const LOCKS = 60_000
/** In ms. */
const TTL = 6_000
/** A third of the ttl, so that each lock is renewed once in it. */
const SECONDS = 2
/** In MiB: room for all that is allocated in a window, so that nothing is collected and allocations can be counted. */
const YOUNG = 64
const FLAGS = [`--min-semi-space-size=${YOUNG}`, `--max-semi-space-size=${YOUNG}`]

const options = {
  ...runOptions,
  rounds: integerOption({
    placeholder: 'R',
    summary: 'turns of each; what is compared with a bound is a median',
    initial: 3,
    minimum: 1,
  }),
}

const help = `Checks that nothing got worse: counts that do not depend on the machine, and ratios to redis-semaphore in the same run.
Exit code 1, and one line for each bound that is broken.

npm run bench -- guard [options]

${describeOptions(options)}

Each round holds ${LOCKS} locks with each of the two, with a ttl of ${TTL} ms and windows of ${SECONDS} s, and takes ${LOCKS} locks with 1,000 callers
at once. The bounds are in bench/guard-bounds.ts.`

interface Side {
  readonly hold: HoldMeasurement
  readonly acquire: PartMeasurement
}

async function run(args: readonly string[]): Promise<void> {
  const { rounds, json } = parseOptions(options, args)
  if (json !== undefined) openRawData(json)
  const entrants = listEntrants(['leasewheel', 'redis-semaphore'], ['here'])
  const cases = entrants.map((entrant) => ({ entrant }))
  const subject = `${LOCKS} locks, ttl ${TTL} ms, windows of ${SECONDS} s`
  const { turns, redis } = await takeTurns(
    cases,
    rounds,
    () => subject,
    ({ entrant }, url) => measureSide(entrant, url),
  )

  const figures = computeGuardFigures(
    Array.from({ length: rounds }, (_, index) => {
      const ofRound = turns.filter(({ round }) => round === index + 1).map(({ measurement }) => measurement)
      return pairUp(ofRound)
    }),
  )
  const verdicts = judge(figures)
  const environment = readEnvironment(redis, ['leasewheel', 'redis-semaphore'])
  console.log([formatEnvironment(environment), formatSubject(subject, rounds), '', formatVerdicts(verdicts)].join('\n'))
  if (json !== undefined) {
    const command = commandLine('guard', args)
    const settings = { locks: LOCKS, ttl: TTL, seconds: SECONDS }
    const rows = [{ label: 'leasewheel', figures }]
    writeResult(json, { command, subject, environment, settings, rounds, rows, measurements: turns })
  }
  const broken = formatBroken(verdicts)
  for (const line of broken) console.error(line)
  if (broken.length > 0) process.exitCode = 1
}

async function measureSide(entrant: Entrant, url: string): Promise<Side> {
  const { library } = entrant
  const hold = await measureHold(entrant, { library, url, locks: LOCKS, ttl: TTL, seconds: SECONDS }, FLAGS)
  const acquire = await measurePart(entrant, { part: 'crowd', library, url, locks: LOCKS, pairs: 0, ttl: 30_000 })
  return { hold, acquire }
}

function pairUp([ours, peer]: readonly Side[]): GuardRound {
  if (ours === undefined || peer === undefined) throw new Error('Expected both libraries in each round')
  const figures = computeFigures(ours.hold)
  return {
    ours: figures,
    peer: computeFigures(peer.hold),
    nodeTimers: ours.hold.timers.set ?? Number.NaN,
    bytesPerRenewal: figures.bytesPerRenewal - Buffer.byteLength(hostname()),
    acquire: { ours: cpuPerLock(ours.acquire), peer: cpuPerLock(peer.acquire) },
  }
}

function cpuPerLock({ nodeCpu, redisCpu }: PartMeasurement): number {
  return (nodeCpu + redisCpu) / LOCKS
}

export const guard: Command = { summary: 'whether anything got worse: exit code 1 if so', help, run }
