/** One question of a quorum to its members for locks, and what the answers mean. */
import type { AcquireOutcome, LockEntry } from '../backend.ts'
import { isFinal, UnavailableError } from '../errors.ts'
import type { Council } from './council.ts'
import type { QuorumMember } from './quorum-member.ts'
import type { AcquireVotes, Answer } from './votes.ts'

/** The answers to one attempt. */
export interface Attempt {
  readonly entries: readonly LockEntry[]
  readonly votes: AcquireVotes
  readonly answers: Map<QuorumMember, Answer<AcquireOutcome>>
  readonly asked: readonly QuorumMember[]
  readonly sentAt: number
  readonly over: Promise<void>
  readonly question: number
}

/** What members have answered to one attempt. */
export type Votes = Pick<Attempt, 'entries' | 'answers' | 'asked'>

/** The outcome of an entry without a majority. @param givenBack see `NotDone`. */
export function refusalOf(
  council: Council,
  { votes, answers }: Pick<Attempt, 'votes' | 'answers'>,
  position: number,
  givenBack: boolean,
): AcquireOutcome {
  const refusal = votes.refusal(position, true)
  if (refusal) return { ...refusal, givenBack }
  let cause: Error | undefined
  for (const answer of answers.values()) {
    const outcome = answer?.[position]
    if (outcome?.type === 'unknown') cause ??= outcome.error
  }
  // An error that is final for every member is final for all.
  const faults = [...answers.values()].map((answer) => answer?.[position])
  const error = council.why('granted the lock', votes.ballot(position).granted, cause)
  if (faults.length === 0 || !faults.every(isFinalFault)) return { type: 'unknown', error, givenBack }
  return { type: 'unknown', error: new UnavailableError(error.message, undefined, { cause, final: true }), givenBack }
}

/** Whether a member has the token that counts on a key, and reports its next change. @param granted whether it is that of the caller. */
export function hasToken(outcome: AcquireOutcome | undefined, granted: boolean): boolean {
  return granted ? outcome?.type === 'granted' : outcome?.type === 'refused' && outcome.watched
}

export function isOpen(outcome: AcquireOutcome | undefined): boolean {
  return outcome === undefined || outcome.type === 'unknown'
}

/**
 * Deletes entries from all members that may have them: those included that have not answered, or that voted for an earlier attempt and cannot be
 * asked any more.
 *
 * @param everAsked the members that were asked with these tokens in this attempt or before, as a mask.
 */
export function undo(
  { undoing, members }: Council,
  { entries, answers, asked }: Votes,
  everAsked: number,
  positions: readonly number[],
): void {
  for (const member of members) {
    const answer = answers.get(member)
    // An earlier attempt may still land, also where this one was refused.
    const mayLand = (position: number): boolean => undoing.mayLand(member, (entries[position] as LockEntry).token)
    const left = positions.filter(
      (position) => mayLand(position) || ((everAsked & member.bit) !== 0 && answer?.[position]?.type !== 'refused'),
    )
    void undoing.giveBack(
      member,
      left.map((position) => entries[position] as LockEntry),
      (index) => {
        const position = left[index] as number
        // One that has not answered yet carries out the deletion after the request, unless the connection breaks.
        return asked.includes(member) ? answer?.[position]?.type !== 'granted' : mayLand(position)
      },
    )
  }
}

function isFinalFault(outcome: AcquireOutcome | undefined): boolean {
  return outcome?.type === 'unknown' && isFinal(outcome.error)
}
