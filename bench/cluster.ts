/** `cluster`: what holding locks costs on a cluster, beside the same on one server. Promises each a fresh process and fresh servers. */
import { withRedisCluster } from '../test/support/redis-cluster.ts'
import { withRedis } from '../test/support/redis-server.ts'
import { runInChild } from './child-process.ts'
import { computeFigures, worst } from './cluster-figures.ts'
import type { ClusterJob, ClusterMeasurement } from './cluster-measurement.ts'
import { columns, CONTENDERS, type Contender, formatRatios } from './cluster-report.ts'
import type { Command } from './command.ts'
import { combineTurns, formatSubject, librariesOf, runOptions, writeResult } from './comparison.ts'
import { formatFigures } from './comparison-report.ts'
import type { Entrant } from './entrant.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { type LibraryName, PIPELINED, UNWATCHED } from './library-name.ts'
import { describeOptions, integerOption, namesOption, parseOptions } from './options.ts'
import { openRawData } from './raw-data.ts'
import { commandLine } from './result.ts'
import { takeTurns } from './turns.ts'

const worker = new URL('cluster-worker.ts', import.meta.url)

const NAMES = Object.keys(CONTENDERS) as Contender[]
/** Nodes that are kept busy for so long are not replaced: this is no measurement of failovers. ms. */
const NODE_TIMEOUT = 15_000

const options = {
  locks: integerOption({ placeholder: 'N', summary: 'locks that the process holds', initial: 100_000, minimum: 1 }),
  peers: integerOption({
    placeholder: 'N',
    summary: 'locks that redlock and redis-semaphore hold, if that is less: they could not keep up with many',
    initial: 20_000,
    minimum: 1,
  }),
  ttl: integerOption({
    placeholder: 'MS',
    summary: 'ttl of each lock, renewed every third of it',
    initial: 6_000,
    minimum: 1_000,
  }),
  seconds: integerOption({ placeholder: 'S', summary: 'length of the window', initial: 12, minimum: 1 }),
  only: namesOption({ placeholder: 'a,b', summary: 'who takes part' }, NAMES),
  ...runOptions,
}

const help = `Holds many locks on a cluster of three masters, with leasewheel, without a library, and with others, and with leasewheel on one
server, in turns, and measures what a renewal costs.

npm run bench -- cluster [options]

${describeOptions(options)}

renewals/s      extensions of a key's life that the servers executed
of those due    the same over one renewal of each lock in each third of the ttl: less than 1 for who does not keep up
scripts/s       EVALSHA and EVAL that the servers got
servers, Node   CPU, user and system; of the servers all together, and of each the main thread
alive, lost     keys on the servers at the end; locks lost, by the library's word

leasewheel watches no keys here, as the others: with 100,000 locks on one server it would be beyond its watchLimit, and on three not.
Of them, \`watched\` tells what watching costs.

The window begins when each lock has been renewed once. With several rounds each figure is a median, but for the fewest alive, the
most lost and the least kept.`

interface ClusterCase {
  readonly entrant: Entrant
  readonly isOneServer: boolean
  readonly locks: number
}

async function run(args: readonly string[]): Promise<void> {
  const { locks, peers, ttl, seconds, only, rounds, json } = parseOptions(options, args)
  if (json !== undefined) openRawData(json)
  const cases = only.map((name) => caseOf(name, locks, peers))
  const turns = await takeTurns(
    cases,
    rounds,
    (one) => `${one.locks} locks, ttl ${ttl} ms`,
    (one, url) => measure({ library: one.entrant.library, urls: url.split(','), locks: one.locks, ttl, seconds }),
    (one, work) =>
      one.isOneServer
        ? withRedis((server) => work(server.url, server))
        : withRedisCluster(
            ({ nodes }) => work(nodes.map(({ url }) => url).join(','), nodes[0] as (typeof nodes)[number]),
            { replicas: 0, nodeTimeout: NODE_TIMEOUT },
          ),
  )
  const subject = `ttl ${ttl} ms, window of ${seconds} s, three masters`
  const environment = readEnvironment(turns.redis, librariesOf(cases))
  const rows = combineTurns(cases, turns, computeFigures, worst)
  console.log(
    [
      formatEnvironment(environment),
      formatSubject(subject, rounds),
      '',
      formatFigures(rows, columns),
      '',
      formatRatios(rows),
    ].join('\n'),
  )
  if (json === undefined) return
  const command = commandLine('cluster', args)
  const settings = { locks, peers, ttl, seconds }
  writeResult(json, { command, subject, environment, settings, rounds, rows, measurements: turns.turns })
}

function caseOf(name: Contender, locks: number, peers: number): ClusterCase {
  const library = libraryOf(name)
  const isPeer = library === 'redlock' || library === 'redis-semaphore'
  return {
    entrant: { label: CONTENDERS[name], library, runtime: 'here' },
    isOneServer: name === 'one-server',
    locks: isPeer ? Math.min(locks, peers) : locks,
  }
}

function libraryOf(name: Contender): LibraryName {
  switch (name) {
    case 'one-server':
    case 'leasewheel':
      return UNWATCHED
    case 'watched':
      return 'leasewheel'
    case 'pipelined':
      return PIPELINED
    case 'redlock':
    case 'redis-semaphore':
      return name
    default:
      return name satisfies never
  }
}

function measure(job: ClusterJob): Promise<ClusterMeasurement> {
  // Twice the window and the settling, and a minute and 1 ms per lock for the rest: connecting, acquiring, releasing.
  const limit = 2 * (job.seconds * 1_000 + job.ttl) + 60_000 + job.locks
  return runInChild<ClusterMeasurement>(worker, job, limit)
}

export const cluster: Command = { summary: 'what holding many locks costs on a cluster', help, run }
