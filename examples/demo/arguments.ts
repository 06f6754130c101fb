/**
 * What the demo can be told on its command line, and where it says so. An argument that cannot be understood is a
 * `UsageError` whose message names it.
 */
import { parseArgs } from 'node:util'

export interface DemoArguments {
  readonly leases: number
  /** How long the leases are held at least. */
  readonly seconds: number
  /** ms. */
  readonly ttl: number
  /** The URL of a server; none: the memory backend. */
  readonly redis: string | undefined
  /** Whether that server is a node of a cluster, which is to be used. */
  readonly cluster: boolean
  /** Whether to serve the live page. */
  readonly page: boolean
}

export class UsageError extends Error {}

interface IntegerArgument {
  readonly initial: number
  readonly min: number
  readonly max: number
}

const LEASES: IntegerArgument = { initial: 10_000, min: 100, max: 1_000_000 }
const SECONDS: IntegerArgument = { initial: 12, min: 1, max: 3_600 }
/** Seconds with the page, unless it is said: enough to open it. */
const SECONDS_WITH_PAGE = 300
const TTL: IntegerArgument = { initial: 6_000, min: 1_000, max: 60_000 }

export const HELP: string = `Holds many leases at once, lets another party delete and replace some of their keys and block the backend for
a while, prints the events that come of it, and checks that every one of them is as it should be.

npm run demo -- [options]

  --leases N    how many leases to hold: ${range(LEASES)} (default ${LEASES.initial})
  --seconds S   how long to hold them at least: ${range(SECONDS)} (default ${SECONDS.initial});
                what the other party does may take longer, about 1.5 times the ttl
  --ttl MS      time to live of their keys in ms: ${range(TTL)} (default ${TTL.initial})
  --redis URL   use this server (redis:// or rediss://) rather than memory; REDIS_URL in the environment does the
                same. CLIENT PAUSE then blocks the whole server, for all its clients, for some seconds
  --page        serves the live page on a free port, and prints its address; the default of --seconds is
                ${SECONDS_WITH_PAGE} then
  --cluster     that server is a node of a cluster, and the leases go to all of its nodes. All of them are blocked
  --help        show this

Exit code: 0 when every expectation held, 1 when one did not or the server is missing, 2 for a bad argument,
130 after Ctrl-C.`

/**
 * @returns `help` when that was asked for.
 * @throws UsageError
 */
export function readArguments(args: readonly string[], environment: NodeJS.ProcessEnv): DemoArguments | 'help' {
  const values = parse(args)
  if (values.help) return 'help'
  const redis = values.redis === undefined ? url('REDIS_URL', environment.REDIS_URL) : url('--redis', values.redis)
  const { cluster = false, page = false } = values
  if (cluster && redis === undefined) throw new UsageError('Expected `--redis` to name a node of the cluster')
  return {
    leases: integer('--leases', values.leases, LEASES),
    seconds: integer('--seconds', values.seconds, page ? { ...SECONDS, initial: SECONDS_WITH_PAGE } : SECONDS),
    ttl: integer('--ttl', values.ttl, TTL),
    redis,
    cluster,
    page,
  }
}

interface Texts {
  readonly leases?: string
  readonly seconds?: string
  readonly ttl?: string
  readonly redis?: string
  readonly cluster?: boolean
  readonly page?: boolean
  readonly help?: boolean
}

function parse(args: readonly string[]): Texts {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const help = { type: 'boolean', short: 'h' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { leases: text, seconds: text, ttl: text, redis: text, cluster: flag, page: flag, help },
    }).values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const [, name] = /^Option '(--\w+).*' argument (?:missing|is ambiguous)/.exec(message) ?? []
    if (name !== undefined) throw new UsageError(`Expected a value after \`${name}\``)
    // Node's first sentence names the argument; advice follows that is not about this program.
    throw new UsageError(message.split(/\.\s/)[0])
  }
}

function integer(name: string, text: string | undefined, { initial, min, max }: IntegerArgument): number {
  if (text === undefined) return initial
  const value = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN
  if (value >= min && value <= max) return value
  throw new UsageError(`Expected \`${name}\` to be an integer from ${min} to ${max}, got \`${text}\``)
}

/** An empty variable is one that is not set; an empty argument is a mistake. */
function url(name: '--redis' | 'REDIS_URL', text: string | undefined): string | undefined {
  if (text === undefined || (text === '' && name === 'REDIS_URL')) return undefined
  if (/^rediss?:\/\/./.test(text) && URL.canParse(text)) return text
  // It may carry a password: it is not shown.
  throw new UsageError(`Expected \`${name}\` to be a redis:// or rediss:// URL, got another text`)
}

function range({ min, max }: IntegerArgument): string {
  return `${min} to ${max}`
}
