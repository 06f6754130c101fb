/**
 * Writes lost keys of leases again. Only under a lease that stands: a majority has just confirmed it, without the members that are healed. Otherwise the
 * healed members could make a majority for a holder that had lost it to another.
 */
import type { LockEntry } from '../backend.ts'
import type { Council } from './council.ts'
import type { QuorumMember } from './quorum-member.ts'

/** The part of its ttl within which a confirmation is good for this. */
const FRESH = 1 / 2

export interface Standing {
  readonly entries: readonly LockEntry[]
  /** Whether to watch the keys. */
  readonly watch: boolean
  /** When the question was sent that confirmed them, in ms on the clock. */
  readonly sentAt: number
  /** Whether a majority has confirmed an entry, in this very question. */
  readonly isConfirmed: (index: number) => boolean
}

/** @param lacks whether the member lacks the key of an entry. */
export async function heal(
  { clock, ended, undoing }: Council,
  member: QuorumMember,
  { entries, watch, sentAt, isConfirmed }: Standing,
  lacks: (index: number) => boolean,
): Promise<void> {
  const age = clock.now() - sentAt
  const lost = entries.filter(
    ({ token, ttl }, index) => lacks(index) && isConfirmed(index) && age < ttl * FRESH && !ended.has(token),
  )
  if (lost.length === 0 || !member.usable) return
  try {
    const outcomes = await member.backend.acquire(lost, watch)
    for (const { type } of outcomes) if (type === 'granted') member.healed += 1
    undoing.onUnanswered(
      member,
      lost.filter((_, index) => (outcomes[index]?.type ?? 'unknown') === 'unknown'),
    )
  } catch {
    undoing.onUnanswered(member, lost)
  }
}
