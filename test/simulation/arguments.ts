/**
 * What `npm run simulate` can be told on its command line. What cannot be understood is a `UsageError` whose message names it. May
 * import node: modules only.
 */
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

export interface SimulateArguments {
  /** Infinity where it is to go on for some time. */
  readonly runs: number
  /** Of the first run; each further one has the next. */
  readonly seed: number
  /** How long users act in a run, in simulated seconds. */
  readonly seconds: number
  /** How long to go on, in minutes; none: until all runs are done. */
  readonly soak: number | undefined
  readonly processes: number
  /** Managers on a quorum, in a world with a checker of its own. */
  readonly quorum: boolean
  /** See `RunOptions.keepers`. */
  readonly keepers: boolean
  /** See `RunOptions.replicas`. */
  readonly replicas: boolean
  /** Print every event; for a single run. */
  readonly events: boolean
  /** A regular expression: violations that match it are let pass. */
  readonly ignore: string | undefined
}

export const HELP = `Runs managers in a simulated world, with clocks, processes, a network and a server that fail in many ways, and looks after
each step whether what must hold does hold (docs/guarantees.md). Everything in a run follows from its seed.

npm run simulate -- [options]

  --runs N         how many worlds (default 100)
  --seed S         the seed of the first; each further one has the next (default 1)
  --seconds T      how long users act in each, in simulated seconds (default 60, on a quorum 30); some time to come to rest is added
  --soak MINUTES   go on for so long, whatever the number of runs
  --processes P    how many processes share the work (default: one for each processor)
  --quorum         managers on a quorum of servers; \`npm run simulate:quorum\` is short for it
  --keepers        give each process a keeper, and block event loops
  --replicas       a replica has to acknowledge what counts, stands still at times, and takes over
  --events         print every event of a single run
  --ignore REGEXP  let violations pass that match this, to see what else there is
  --help           show this

Exit code: 0 when nothing was found, 1 when something was, 2 for a bad argument, 130 after Ctrl-C.`

/**
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[], processors: number): SimulateArguments | 'help' {
  const { help, events = false, keepers = false, replicas = false, quorum = false, ignore, ...texts } = parse(args)
  if (help) return 'help'
  const number = (name: keyof typeof texts, initial: number, least: number): number => {
    const text = texts[name]
    const value = text === undefined ? initial : Number(text)
    if (Number.isSafeInteger(value) && value >= least) return value
    throw new UsageError(`Expected --${name} to be an integer >= ${least}, got \`${text}\``)
  }
  const soak = texts.soak === undefined ? undefined : number('soak', 1, 1)
  const runs = soak !== undefined && texts.runs === undefined ? Number.POSITIVE_INFINITY : number('runs', 100, 1)
  if (events && runs !== 1) throw new UsageError('Expected --events to come with --runs 1')
  if ([quorum, keepers, replicas].filter(Boolean).length > 1)
    throw new UsageError('Expected one of --quorum, --keepers and --replicas')
  return {
    runs,
    soak,
    quorum,
    keepers,
    replicas,
    events,
    ignore,
    seed: number('seed', 1, 0),
    seconds: number('seconds', quorum ? 30 : 60, 1),
    processes: Math.min(number('processes', processors, 1), runs),
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    const numbers = { runs: text, seed: text, seconds: text, soak: text, processes: text }
    const options = { ...numbers, ignore: text, events: flag, keepers: flag, replicas: flag, quorum: flag, help: flag }
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
