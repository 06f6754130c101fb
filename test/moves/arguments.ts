/** What `npm run moves` can be told on its command line. What cannot be understood is a `UsageError` whose message names it. */
import { parseArgs } from 'node:util'

export class UsageError extends Error {}

/** How slots are on their way: key by key, at once, or key by key and not to the end. */
export type Way = 'old' | 'atomic' | 'half'
const WAYS: readonly Way[] = ['old', 'atomic', 'half']

export interface MovesArguments {
  readonly ways: readonly Way[]
  readonly processes: number
  /** That the processes share. */
  readonly keys: number
  /** That one more process holds all the time. */
  readonly leases: number
  /** ms. */
  readonly ttl: number
  readonly seed: number
  /** The path of the server; undefined: the one that the tests use. */
  readonly server: string | undefined
}

export const HELP: string = `Moves every slot of a cluster to another node and back while processes acquire, renew and release, one key or many, and one more holds
many leases. Each process writes down what it held, and writes to a store that refuses stale fences. Afterwards a checker looks whether any
two held one lock at once, whether fences grew, and whether any lease was lost: none may be.
The way \`half\` leaves one slot half moved for three ttls, with half of its leases on either side, once with the fence's key at the source and
once at the target. Held leases must live; whoever wants another lock there must get it, wait, or be told the slot and why.

npm run moves -- [options]

  --ways LIST      of ${WAYS.join(',')} (default: all; atomic needs Redis 8.4 or Valkey 9)
  --processes P    how many processes share locks (default 4)
  --keys K         how many plain locks they share (default 2000). For 20 of them there is one key of permits, and one for readers and writers
  --leases N       how many leases one more process holds all the time (default 20000)
  --ttl MS         time to live of the keys in ms (default 3000)
  --seed S         what the processes try to do (default: another each time)
  --server PATH    the server's program (default: the one that the tests use)
  --help           show this

Exit code: 0 when nothing of that was violated, 1 otherwise, 2 for a bad argument.`

/**
 * @param random a number in [0, 1), for a seed where none is given.
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[], random: () => number): MovesArguments | 'help' {
  const { help, server, ways = WAYS.join(','), ...texts } = parse(args)
  if (help === true) return 'help'
  const integer = (name: keyof typeof texts, initial: number, least: number, most: number): number => {
    const text = texts[name]
    const value = text === undefined ? initial : Number(text || Number.NaN)
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`Expected --${name} to be an integer from ${least} to ${most}, got \`${text}\``)
  }
  const names = ways.split(',')
  const chosen = WAYS.filter((way) => names.includes(way))
  if (chosen.length !== names.length)
    throw new UsageError(`Expected --ways to be of ${WAYS.join(', ')}, got \`${ways}\``)
  return {
    ways: chosen,
    processes: integer('processes', 4, 1, 64),
    keys: integer('keys', 2_000, 1, 100_000),
    leases: integer('leases', 20_000, 1, 1_000_000),
    ttl: integer('ttl', 3_000, 500, 60_000),
    seed: integer('seed', Math.floor(random() * 1e6), 0, 2 ** 31 - 1),
    server,
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const options = {
      ways: text,
      processes: text,
      keys: text,
      leases: text,
      ttl: text,
      seed: text,
      server: text,
      help: { type: 'boolean' },
    } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    // Node's first sentence names the argument; advice follows that is not about this program.
    throw new UsageError((error as Error).message.split(/\.\s/)[0])
  }
}
