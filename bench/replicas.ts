/** `replicas`: what it costs to wait for replicas. Promises that both ways have the same servers, in turns, and fresh processes. */
import { withReplicas } from '../test/support/replicated-server.ts'
import { runInChild } from './child-process.ts'
import type { Command } from './command.ts'
import { formatSubject, runOptions } from './comparison.ts'
import { formatEnvironment, readEnvironment } from './environment.ts'
import { combineRounds } from './figures.ts'
import { describeOptions, integerOption, parseOptions } from './options.ts'
import { progress } from './progress.ts'
import type { ReplicasJob, ReplicasMeasurement } from './replicas-measurement.ts'
import { formatNumber, formatTable } from './table.ts'

const worker = new URL('replicas-worker.ts', import.meta.url)

const options = {
  locks: integerOption({ placeholder: 'N', summary: 'locks that are renewed', initial: 20_000, minimum: 1 }),
  seconds: integerOption({ placeholder: 'S', summary: 'for how long they are renewed', initial: 5, minimum: 1 }),
  pairs: integerOption({
    placeholder: 'P',
    summary: 'acquires and releases, one after the other',
    initial: 2_000,
    minimum: 1,
  }),
  replicas: integerOption({
    placeholder: 'N',
    summary: 'replicas, all of which have to acknowledge',
    initial: 1,
    minimum: 1,
  }),
  rounds: runOptions.rounds,
}

const help = `Renews all locks again and again, as fast as that goes, without and with replicas that have to acknowledge it.

npm run bench -- replicas [options]

${describeOptions(options)}

renewals/s    confirmed renewals
Node, Redis   CPU per renewal, user and system, in µs; of Redis, the main thread of the master
pair          ms for an acquire and a release of one caller

With several rounds each figure is a median. The replicas run in both cases.`

async function run(args: readonly string[]): Promise<void> {
  const { replicas, rounds, ...settings } = parseOptions(options, args)
  const ways = [0, replicas].map((count) => ({ count, own: [] as ReplicasMeasurement[] }))
  await withReplicas(replicas, async ({ master: { url } }) => {
    for (let round = 1; round <= rounds; round++) {
      for (const { count, own } of ways) {
        progress(`round ${round} of ${rounds}: replicas ${count}`)
        const job: ReplicasJob = { ...settings, url, replicas: count }
        own.push(await runInChild<ReplicasMeasurement>(worker, job, 60_000 + 3_000 * settings.seconds))
      }
    }
  })
  const [without, withAll] = ways.map(({ own }) => combineRounds(own, {})) as [ReplicasMeasurement, ReplicasMeasurement]
  const row = (name: string, { renewalsPerSecond, nodeCpu, redisCpu, pair }: ReplicasMeasurement): string[] => [
    name,
    formatNumber(renewalsPerSecond),
    formatNumber(nodeCpu, 2),
    formatNumber(redisCpu, 2),
    formatNumber(pair, 2),
  ]
  console.log(
    [
      formatEnvironment(readEnvironment(undefined, [])),
      formatSubject(`${settings.locks} locks, ${replicas} replicas`, rounds),
      '',
      formatTable(
        ['replicas', 'renewals/s', 'Node', 'Redis', 'pair'],
        [row('0', without), row(String(replicas), withAll)],
      ),
      '',
      `Throughput of renewals: ${formatNumber(withAll.renewalsPerSecond / without.renewalsPerSecond, 2)} of that without.`,
    ].join('\n'),
  )
}

export const replicas: Command = { summary: 'what it costs to wait for replicas', help, run }
