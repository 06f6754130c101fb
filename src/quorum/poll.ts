/** A question of operators: it has no ballot, and the answers of a majority are enough. */
import type { Council } from './council.ts'
import type { QuorumMember } from './quorum-member.ts'

interface Reply<V> {
  readonly type: 'done'
  readonly value: V
}

/**
 * Asks all members. A member that is away or hangs is waited for a little longer than the others.
 *
 * @param ask rejects if the member cannot be asked. @param needed members whose answers are waited for. @returns the answers, by member, in the order
 * of the members.
 * @throws UnavailableError if no majority answers, and what a member rejects with that is needed.
 */
export async function poll<V>(
  council: Council,
  ask: (member: QuorumMember) => Promise<V>,
  needed: readonly QuorumMember[] = [],
): Promise<ReadonlyMap<QuorumMember, V>> {
  const { members, majority } = council
  const replies = new Map<QuorumMember, Promise<readonly Reply<V>[]>>()
  const answers = new Map<QuorumMember, V>()
  let fault: Error | undefined
  const round = council.ask<Reply<V>>({
    ask: (member) => {
      const reply = ask(member).then(
        (value) => {
          answers.set(member, value)
          return [{ type: 'done', value } as const]
        },
        (error: Error) => {
          fault ??= error
          throw error
        },
      )
      replies.set(member, reply)
      return reply
    },
    onAnswer: () => undefined,
    isDecided: () => false,
  })
  await round.decided
  await Promise.all(needed.map(async (member) => replies.get(member)))
  const known = members.flatMap((member) => (answers.has(member) ? [[member, answers.get(member) as V] as const] : []))
  if (known.length < majority) throw council.why('answered', known.length, fault)
  return new Map(known)
}
