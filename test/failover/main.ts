/** `npm run failover`: measures what failovers of a Sentinel group, or of a cluster, do to leases, and shows it. */
import { constants } from 'node:os'
import { findServerBinary } from '../support/redis-server.ts'
import {
  type ClusterFailoverArguments,
  type FailoverArguments,
  HELP,
  isForCluster,
  readArguments,
  UsageError,
} from './arguments.ts'
import { findClusterBreaches, formatClusterRound, formatClusterTable } from './cluster-report.ts'
import { type ClusterRound, runClusterRound } from './cluster-round.ts'
import { findBreaches, formatRound, formatTable } from './report.ts'
import { type Round, runRound } from './round.ts'

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args)
  if (options === 'help') return console.log(HELP)
  if (options.server !== undefined) process.env['REDIS_SERVER'] = options.server
  console.log(`${options.leases} leases with a ttl of ${options.ttl} ms on ${findServerBinary()}`)
  if (isForCluster(options)) await measureCluster(options)
  else await measureSentinels(options)
}

async function measureSentinels(options: FailoverArguments): Promise<void> {
  const rounds: Round[] = []
  for (const fault of options.faults) {
    for (let number = 1; number <= options.rounds; number += 1) {
      const round = await runRound(fault, options)
      rounds.push(round)
      console.log(`${String(number).padStart(2)}  ${formatRound(round)}`)
    }
  }
  console.log(`\n${formatTable(rounds)}`)
  if (rounds.some((round) => findBreaches(round).length > 0)) process.exitCode = 1
}

async function measureCluster(options: ClusterFailoverArguments): Promise<void> {
  const rounds: ClusterRound[] = []
  for (const fault of options.faults) {
    for (let number = 1; number <= options.rounds; number += 1) {
      const round = await runClusterRound(fault, options)
      rounds.push(round)
      console.log(`${String(number).padStart(2)}  ${formatClusterRound(round)}`)
    }
  }
  console.log(`\n${formatClusterTable(rounds)}`)
  if (rounds.some((round) => findClusterBreaches(round).length > 0)) process.exitCode = 1
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const isUsage = error instanceof UsageError
  console.error(isUsage ? `${error.message}\nTry: npm run failover -- --help` : error)
  process.exit(isUsage ? 2 : 1)
}
