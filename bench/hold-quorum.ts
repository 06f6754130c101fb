/**
 * `hold --quorum N`: what holding many locks on a quorum costs, beside leasewheel on one server. Promises each a fresh process and fresh servers, in
 * turns.
 */
import type { RedisServer } from '../test/support/redis-server.ts'
import { combineTurns, formatSubject, librariesOf, writeResult } from './comparison.ts'
import { formatFigures } from './comparison-report.ts'
import { joinMembers } from './connect-to.ts'
import { type Entrant, listEntrants } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { computeFigures, worst } from './hold-figures.ts'
import type { HoldJob, HoldMeasurement } from './hold-measurement.ts'
import { columns, formatRatios, formatScaling, ONE_SERVER, type QuorumHoldFigures } from './hold-quorum-report.ts'
import { LIBRARY_NAMES, type LibraryName } from './library-name.ts'
import { openRawData } from './raw-data.ts'
import type { RuntimeName } from './runtime.ts'
import { withSeveral } from './several-redis.ts'
import { takeTurns } from './turns.ts'

interface QuorumHold {
  readonly command: string
  readonly locks: number
  /** Locks of other libraries, at most. */
  readonly peers: number
  /** In ms. */
  readonly ttl: number
  /** Of each of the two windows. */
  readonly seconds: number
  /** Servers. */
  readonly quorum: number
  readonly libraries: readonly LibraryName[]
  readonly runtimes: readonly RuntimeName[]
  readonly rounds: number
  readonly json: string | undefined
}

interface QuorumCase {
  readonly entrant: Entrant
  readonly servers: number
  readonly locks: number
}

/** Not redlock-universal: its quorum has another interface. */
const ON_QUORUMS: readonly LibraryName[] = LIBRARY_NAMES.filter((name) => name !== 'redlock-universal')

export async function holdOnQuorum(
  { command, locks, peers, ttl, seconds, quorum, libraries, runtimes, rounds, json }: QuorumHold,
  measure: (entrant: Entrant, job: HoldJob) => Promise<HoldMeasurement>,
): Promise<void> {
  if (json !== undefined) openRawData(json)
  const entrants = listEntrants(
    libraries.filter((name) => ON_QUORUMS.includes(name)),
    runtimes,
  )
  const cases = entrants.flatMap((entrant) => casesOf(entrant, quorum, locks, peers))
  const turns = await takeTurns<QuorumCase, HoldMeasurement>(
    cases,
    rounds,
    (one) => `${one.locks} locks, ttl ${ttl} ms, servers ${one.servers}`,
    (one, url) => measure(one.entrant, { library: one.entrant.library, url, locks: one.locks, ttl, seconds }),
    (one, work) =>
      withSeveral(one.servers, (servers) =>
        work(joinMembers(servers.map(({ url }) => url)), servers[0] as RedisServer),
      ),
  )
  const environment = readEnvironment(turns.redis, librariesOf(cases))
  const rows = combineTurns(cases, turns, figuresOf, { ...worst, kept: Math.min, alive: Math.min })
  const subject = `${locks} locks, ttl ${ttl} ms, windows of ${seconds} s, a quorum of ${quorum} servers`
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns),
      '',
      formatRatios(rows),
      ...formatScaling(rows, locks),
    ].join('\n'),
  )
  if (json === undefined) return
  const settings = { locks, peers, ttl, seconds, quorum }
  writeResult(json, { command, subject, environment, settings, rounds, rows, measurements: turns.turns })
}

/** leasewheel on one server stands beside itself on the quorum. */
function casesOf(entrant: Entrant, servers: number, locks: number, peers: number): readonly QuorumCase[] {
  if (entrant.library !== 'leasewheel') return [{ entrant, servers, locks: Math.min(locks, peers) }]
  const beside = { entrant: { ...entrant, label: `${entrant.label}${ONE_SERVER}` }, servers: 1, locks }
  return [beside, { entrant, servers, locks }]
}

function figuresOf(measurement: HoldMeasurement): QuorumHoldFigures {
  const { locks, ttl } = measurement
  const figures = computeFigures(measurement)
  return { ...figures, kept: figures.renewalsPerSecond / ((locks * 1_000) / (ttl / 3)) }
}
