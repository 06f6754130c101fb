/** What `npm run failover` can be told on its command line. What cannot be understood is a `UsageError`. */
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

/** How a master comes to be replaced. */
export type Fault = 'planned' | 'kill' | 'stop' | 'stop-continue'
export const FAULTS: readonly Fault[] = ['planned', 'kill', 'stop', 'stop-continue']

/** The same in a cluster: `planned`, `force` and `takeover` are `CLUSTER FAILOVER` and its two options. */
export type ClusterFault = Fault | 'force' | 'takeover'
export const CLUSTER_FAULTS: readonly ClusterFault[] = ['kill', 'stop', 'stop-continue', 'planned', 'force', 'takeover']

export interface FailoverArguments {
  /** Of each fault. */
  readonly rounds: number
  readonly leases: number
  /** ms. */
  readonly ttl: number
  readonly faults: readonly Fault[]
  /** The path of the server; undefined: the one that the tests use. */
  readonly server: string | undefined
  /** `min-replicas-to-write`; 0: not set. */
  readonly minReplicas: number
  /** Whether a planned failover is to be a coordinated one (Valkey 9). */
  readonly coordinated: boolean
}

/** With `--cluster`. */
export interface ClusterFailoverArguments extends Pick<FailoverArguments, 'rounds' | 'leases' | 'ttl' | 'server'> {
  readonly faults: readonly ClusterFault[]
}

export const HELP: string = `Measures what failovers do to leases. Each round starts three Sentinels, a master and two replicas, and a manager with its default
options that holds leases. Then the master is replaced. A second process waits for some of those locks and takes fresh ones all the time, a
plain ioredis client with \`failoverDetector\` writes, and an observer takes every key that is free on the new master.

npm run failover -- [options]

With --cluster each round starts a cluster of three masters with a replica each and without full coverage, and a manager that holds leases on
one master, and as many on the other two. The one is replaced. A plain client writes to its replica until that answers, and an observer sees
the first script there that renews a key. Each round says why leases were lost, before or after anybody could write, and what else went on.
--faults is of ${CLUSTER_FAULTS.join(',')} then.

  --cluster          a cluster instead of a Sentinel group
  --rounds N         rounds of each fault (default 1)
  --leases N         how many leases are held before, in a cluster on the master that is replaced (default 5000; with --cluster 10000)
  --ttl MS           time to live of their keys in ms (default 10000)
  --faults LIST      of ${FAULTS.join(',')} (default: all)
  --server PATH      the server's program (default: the one that the tests use)
  --min-replicas N   min-replicas-to-write of the servers (default 0)
  --coordinated      SENTINEL FAILOVER … COORDINATED for a planned one (Valkey 9)
  --help             show this

Exit code: 0 when no lease that was held before was lost or had a second holder, and renewals resumed within 0.5 s of the plain client;
1 otherwise; 2 for a bad argument. With --cluster: 0 when no lease that was held before was lost, no other shard had an event, the other
shards' renewals were late by at most 1.2 times what they were before or 10 ms more, and renewals resumed within 0.2 s of the plain client.`

/**
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[]): FailoverArguments | ClusterFailoverArguments | 'help' {
  const { help, coordinated, cluster, server, faults, ...texts } = parse(args)
  if (help === true) return 'help'
  const integer = (name: keyof typeof texts, initial: number, least: number, most: number): number => {
    const text = texts[name]
    const value = text === undefined ? initial : Number(text || Number.NaN)
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`Expected --${name} to be an integer from ${least} to ${most}, got \`${text}\``)
  }
  const common = {
    rounds: integer('rounds', 1, 1, 1_000),
    leases: integer('leases', cluster === true ? 10_000 : 5_000, 1, 100_000),
    ttl: integer('ttl', 10_000, 1_000, 60_000),
    server,
  }
  if (cluster === true) {
    if (coordinated === true || texts['min-replicas'] !== undefined)
      throw new UsageError('--coordinated and --min-replicas are for Sentinels only')
    return { ...common, faults: chosen(faults, CLUSTER_FAULTS) }
  }
  return {
    ...common,
    faults: chosen(faults, FAULTS),
    minReplicas: integer('min-replicas', 0, 0, 2),
    coordinated: coordinated === true,
  }
}

export function isForCluster(
  options: FailoverArguments | ClusterFailoverArguments,
): options is ClusterFailoverArguments {
  return !('minReplicas' in options)
}

function chosen<Some extends string>(text: string | undefined, known: readonly Some[]): readonly Some[] {
  if (text === undefined) return known
  const names = text.split(',')
  const faults = known.filter((fault) => names.includes(fault))
  if (faults.length === names.length) return faults
  throw new UsageError(`Expected --faults to be of ${known.join(', ')}, got \`${text}\``)
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    const options = {
      rounds: text,
      leases: text,
      ttl: text,
      faults: text,
      server: text,
      'min-replicas': text,
      coordinated: flag,
      cluster: flag,
      help: flag,
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    // Node's first sentence names the argument; advice follows that is not about this program.
    throw new UsageError((error as Error).message.split(/\.\s/)[0])
  }
}
