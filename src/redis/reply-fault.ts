/**
 * Classifies error replies of a server by their text. Class names would not do: a minifier changes them, and the application
 * may have another copy of ioredis. Pure.
 */
import { FENCE_KEY } from '../backend.ts'
import { UnavailableError } from '../errors.ts'

export type ReplyKind =
  /** The server will answer every request on this connection in this way. */
  | 'final'
  /** One of the keys is to blame. Requests for other keys may succeed. */
  | 'key'
  /** The server cannot carry out any request now. */
  | 'passing'
  /** Anything else: perhaps one key is to blame. */
  | 'unclear'

/** ioredis adds the command to an error reply. It also adds it to its own error for commands that it gave up, which begins like this. */
const ABORTED = 'Command aborted'

/** Redis before 7 wraps the error of a command in a script into an error of its own. */
const INSIDE_SCRIPT = /^ERR Error running script .*?@user_script: ?\d+: -?(?=[A-Z]+ )/

const CLUSTER = /^(CROSSSLOT|MOVED|ASK)\b/
const REFUSED = /\b(unknown|unsupported) (sub)?command\b|\bcommand\b.*\bnot (be )?(allowed|support(ed)?)\b/i
const FORBIDDEN = /^NOPERM\b|\bACL failure in script\b|\bcan't run this command\b/
const FORBIDDEN_KEY = /\b(a|the) keys?\b/i
/** Some servers get into a state in which they answer so to every script. It says nothing about a key. */
const NON_LOCAL = /\bnon local key\b/
const PASSING =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|UNKILLABLE|OOM|NOREPLICAS|MISCONF|NOSCRIPT|NOAUTH|WRONGPASS)\b|\bmax(imum)? number of clients\b/

/** Whether this is a server's reply to a command, and not an error of ioredis or the network. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && 'command' in error && !error.message.startsWith(ABORTED)
}

export function kindOf(reply: Error): ReplyKind {
  const words = wordsOf(reply)
  if (PASSING.test(words) || NON_LOCAL.test(words)) return 'passing'
  if (FORBIDDEN.test(words)) return FORBIDDEN_KEY.test(words) ? 'key' : 'final'
  if (CLUSTER.test(words) || REFUSED.test(words)) return 'final'
  return words.startsWith('WRONGTYPE') ? 'key' : 'unclear'
}

/** Whether the server refuses the command itself, whatever its arguments, and not a command inside a script. */
export function refusesCommand(reply: Error): boolean {
  return kindOf(reply) === 'final' && !CLUSTER.test(reply.message) && !reply.message.includes('@user_script')
}

/** The code that a reply begins with, such as `READONLY`. */
export function codeOf(reply: Error): string {
  return /^\S*/.exec(wordsOf(reply))?.[0] ?? ''
}

/**
 * The caller's error. If another attempt would fail in the same way, it says what is wrong and what to do; otherwise it is the reply itself.
 *
 * @param key the key of the request, if there was only one.
 */
export function explainReply(reply: Error, key?: string): Error {
  const explanation = explanationOf(reply, key)
  if (explanation === undefined) return reply
  return new UnavailableError(`${explanation}: ${reply.message}`, key, { cause: reply, final: true })
}

function explanationOf(reply: Error, key: string | undefined): string | undefined {
  const words = wordsOf(reply)
  const isForbidden = FORBIDDEN.test(words)
  const kind = kindOf(reply)
  if (kind === 'key' && isForbidden) {
    const what = key === undefined ? 'a key' : `the key \`${key}\``
    return `The ACL denies the user ${what} or the fence counter \`${FENCE_KEY}\`; allow both`
  }
  if (kind !== 'final') return undefined
  if (CLUSTER.test(words)) {
    return 'The server is a node of a Redis Cluster; pass an ioredis `Cluster` instead of a `Redis` client or a URL'
  }
  if (isForbidden) return 'The ACL denies the user a command that locks need; docs/redis-users.md lists them'
  return 'The server does not know a command that locks need; connect to Redis itself, not to a Sentinel or a proxy'
}

/** The text of a reply, without the wrapping of Redis before 7. */
function wordsOf(reply: Error): string {
  return reply.message.replace(INSIDE_SCRIPT, '')
}
