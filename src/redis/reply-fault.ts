/**
 * What a server means by an error reply, told by its words. Never by class names: a minifier changes them, and the application may have
 * another copy of ioredis. Pure. May import nothing.
 */

export type ReplyKind =
  /** Every request on this connection will be answered so. */
  | 'final'
  /** One of the keys is to blame. Requests for other keys may succeed. */
  | 'key'
  /** The server as a whole cannot do it now. */
  | 'passing'
  /** Anything else: perhaps one key is to blame. */
  | 'unclear'

/** ioredis says what a reply answers; it says the same of commands that it gave up, in these words. */
const ABORTED = 'Command aborted'

/** Redis before 7 puts what a command of a script was answered at the end of an error of its own. */
const INSIDE_SCRIPT = /^ERR Error running script .*?@user_script: ?\d+: -?(?=[A-Z]+ )/

const FINAL = /^(CROSSSLOT|MOVED|ASK|NOPROTO)\b|\bunknown (sub)?command\b|\bcan't run this command\b|\bnot allowed\b/i
const FORBIDDEN = /^NOPERM\b/
const FORBIDDEN_KEY = /\bkeys?\b/i
const PASSING =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|UNKILLABLE|OOM|NOREPLICAS|MISCONF|NOSCRIPT|NOAUTH|WRONGPASS)\b|max(imum)? number of clients/

/** Whether the server said this in answer to a command, rather than ioredis or the network. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && 'command' in error && !error.message.startsWith(ABORTED)
}

export function kindOf(reply: Error): ReplyKind {
  const words = wordsOf(reply)
  if (PASSING.test(words)) return 'passing'
  if (FORBIDDEN.test(words)) return FORBIDDEN_KEY.test(words) ? 'key' : 'final'
  if (FINAL.test(words)) return 'final'
  return words.startsWith('WRONGTYPE') ? 'key' : 'unclear'
}

/** What a server said, without what Redis before 7 puts in front of it. */
function wordsOf(reply: Error): string {
  return reply.message.replace(INSIDE_SCRIPT, '')
}
