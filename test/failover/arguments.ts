/** What `npm run failover` can be told on its command line. What cannot be understood is a `UsageError`. */
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

/** How a master comes to be replaced. */
export type Fault = 'planned' | 'kill' | 'stop' | 'stop-continue'
export const FAULTS: readonly Fault[] = ['planned', 'kill', 'stop', 'stop-continue']

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

export const HELP: string = `Measures what failovers do to leases. Each round starts three Sentinels, a master and two replicas, and a manager with its default
options that holds leases. Then the master is replaced. A second process waits for some of those locks and takes fresh ones all the time, a
plain ioredis client with \`failoverDetector\` writes, and an observer takes every key that is free on the new master.

npm run failover -- [options]

  --rounds N         rounds of each fault (default 1)
  --leases N         how many leases are held before (default 5000)
  --ttl MS           time to live of their keys in ms (default 10000)
  --faults LIST      of ${FAULTS.join(',')} (default: all)
  --server PATH      the server's program (default: the one that the tests use)
  --min-replicas N   min-replicas-to-write of the servers (default 0)
  --coordinated      SENTINEL FAILOVER … COORDINATED for a planned one (Valkey 9)
  --help             show this

Exit code: 0 when no lease that was held before was lost or had a second holder, and renewals resumed within 0.5 s of the plain client;
1 otherwise; 2 for a bad argument.`

/**
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[]): FailoverArguments | 'help' {
  const { help, coordinated, server, faults = FAULTS.join(','), ...texts } = parse(args)
  if (help === true) return 'help'
  const integer = (name: keyof typeof texts, initial: number, least: number, most: number): number => {
    const text = texts[name]
    const value = text === undefined ? initial : Number(text || Number.NaN)
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`Expected --${name} to be an integer from ${least} to ${most}, got \`${text}\``)
  }
  const isFault = (name: string): name is Fault => FAULTS.some((fault) => fault === name)
  const chosen = faults.split(',')
  if (!chosen.every(isFault)) throw new UsageError(`Expected --faults to be of ${FAULTS.join(', ')}, got \`${faults}\``)
  return {
    rounds: integer('rounds', 1, 1, 1_000),
    leases: integer('leases', 5_000, 1, 100_000),
    ttl: integer('ttl', 10_000, 1_000, 60_000),
    faults: chosen,
    server,
    minReplicas: integer('min-replicas', 0, 0, 2),
    coordinated: coordinated === true,
  }
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
      help: flag,
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    // Node's first sentence names the argument; advice follows that is not about this program.
    throw new UsageError((error as Error).message.split(/\.\s/)[0])
  }
}
