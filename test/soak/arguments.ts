/**
 * What `npm run soak` can be told on its command line. What cannot be understood is a `UsageError` whose message names
 * it.
 */
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

export interface SoakArguments {
  /** How long things go wrong. */
  readonly minutes: number
  readonly processes: number
  readonly keys: number
  /** ms. */
  readonly ttl: number
  readonly seed: number
  /** Whether there are failovers. */
  readonly sentinel: boolean
}

export const HELP = `Lets processes share locks on a Redis server of its own while workers are stopped and killed, connections break and the server
dies and comes back. Each process writes down what it held, and writes to a store that refuses stale fences. Afterwards a checker looks whether
any two held one lock at once, more permits were held than there are, or a reader was beside a writer; whether fences grew, and whether a stale
write was accepted.

npm run soak -- [options]

  --minutes M      how long things go wrong; may be a fraction (default 1)
  --processes P    how many processes share the locks (default 4)
  --keys K         how many plain locks there are (default 200). For 20 of them there is one key of permits, and one for readers and writers, but
                   not with --sentinel
  --ttl MS         time to live of their keys in ms (default 1000; with --sentinel 3000, so that it outlives a failover's window)
  --seed S         what goes wrong, and what the processes try to do; what comes of it differs from run to run (default: another each time)
  --sentinel       three Sentinels, a master and two replicas instead of one server, and failovers among the faults. What docs/guarantees.md
                   says a failover may cost is counted, and is no violation
  --help           show this

Exit code: 0 when there were no violations, 1 when there were or the soak failed, 2 for a bad argument, 130 after Ctrl-C.`

/**
 * @param random a number in [0, 1), for a seed where none is given.
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[], random: () => number): SoakArguments | 'help' {
  const { help, sentinel = false, minutes = '1', ...texts } = parse(args)
  if (help) return 'help'
  if (!(Number(minutes) > 0 && Number(minutes) <= 10_000)) {
    throw new UsageError(`Expected --minutes to be a number > 0 and <= 10000, got \`${minutes}\``)
  }
  const integer = (name: keyof typeof texts, initial: number, least: number, most: number): number => {
    const text = texts[name]
    const value = text === undefined ? initial : Number(text || Number.NaN)
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`Expected --${name} to be an integer from ${least} to ${most}, got \`${text}\``)
  }
  return {
    minutes: Number(minutes),
    processes: integer('processes', 4, 1, 64),
    keys: integer('keys', 200, 1, 100_000),
    ttl: integer('ttl', sentinel ? 3_000 : 1_000, 300, 60_000),
    seed: integer('seed', Math.floor(random() * 1e6), 0, 2 ** 31 - 1),
    sentinel,
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = {
      minutes: text,
      processes: text,
      keys: text,
      ttl: text,
      seed: text,
      sentinel: { type: 'boolean' },
      help: { type: 'boolean' },
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    // Node's first sentence names the argument; advice follows that is not about this program.
    throw new UsageError((error as Error).message.split(/\.\s/)[0])
  }
}
