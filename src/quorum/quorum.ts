/** `quorum()`: makes one backend of several. */
import type { Backend } from '../backend.ts'
import { checkInteger } from '../options/check.ts'
import { type Connectable, createBackend } from '../redis/create-backend.ts'
import { QuorumBackend } from './quorum-backend.ts'
import { QuorumMember } from './quorum-member.ts'

/** Members are bits of a mask. */
const MOST_MEMBERS = 31

export interface QuorumOptions {
  /**
   * For how long a member has no vote on new locks after its server was restarted, or another server has taken its place, in ms: an integer >= 0. It may lack
   * what it had granted, and would grant that once more. It must be at least the longest ttl of all managers that use these servers. Default: the longest ttl
   * that this manager uses. 0 is safe only if no member can lose a write: with `appendonly yes` and `appendfsync always`.
   */
  readonly restartDelay?: number | undefined
  /** The source of jitter: a function that returns a number in [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

/**
 * One backend over several independent servers, its members: a lock is held by whoever has it on a majority of all of them. Pass it to
 * `new LeaseManager`, which then owns and closes it.
 *
 * @param members ioredis or iovalkey clients, `Cluster` clients, URLs or backends. A cluster is one member. Members must not share a server; three or five
 * of them are usual, and an even number tolerates no more failures than one fewer.
 * @throws TypeError, RangeError if a member or an option is invalid, or if a member comes twice.
 */
export function quorum(members: readonly Connectable[], options: QuorumOptions = {}): Backend {
  if (!Array.isArray(members)) throw new TypeError('Expected `members` to be an array of connections')
  if (members.length === 0 || members.length > MOST_MEMBERS)
    throw new RangeError(`Expected 1 to ${MOST_MEMBERS} members, got ${members.length}`)
  members.forEach((member: Connectable, index) => {
    const first = members.indexOf(member)
    if (first < index)
      throw new TypeError(`Expected different members, got the same as number ${first + 1} and ${index + 1}`)
  })
  const { restartDelay, random = Math.random } = options
  if (restartDelay !== undefined) checkInteger('restartDelay', restartDelay, 0)
  if (typeof random !== 'function') throw new TypeError('Expected `random` to be a function')
  const list = members.map((member: Connectable, index) => {
    const backend = createBackend(member)
    if (backend.raiseFences) return new QuorumMember(backend, index, members.length)
    throw new TypeError(`Expected member ${index + 1} to be a backend with \`raiseFences\`, which a quorum needs`)
  })
  return new QuorumBackend(list, { restartDelay, random })
}
