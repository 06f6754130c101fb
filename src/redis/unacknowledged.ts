/** What outcomes are worth that the replicas have not acknowledged. Pure. */
import type { AcquireOutcome, ChangeOutcome, HandOverOutcome, Unknown } from '../backend.ts'

/** The outcome of an acquire, a renewal or a hand-over. */
export type Outcome = AcquireOutcome | ChangeOutcome | HandOverOutcome

/** The kinds of requests whose outcomes prove that a lock is held. */
export const CONFIRMED: ReadonlySet<string> = new Set(['acquire', 'renew', 'handOver'])

/** Whether any outcome depends on a write. A refusal does not. */
export function isAnythingWritten(outcomes: readonly Outcome[]): boolean {
  return outcomes.some(isWritten)
}

/** The outcome without the replicas: what a write has proved is unknown. Of a hand-over the acquire counts, and the release stays. */
export function unacknowledged<O extends Outcome>(outcome: O, error: Error): O {
  if (!isWritten(outcome)) return outcome
  const unknown: Unknown = { type: 'unknown', error, landed: true }
  return (outcome.type === 'exchanged' ? { ...outcome, acquired: unknown } : unknown) as O
}

function isWritten(outcome: Outcome): boolean {
  if (outcome.type === 'exchanged') return isWritten(outcome.acquired)
  return outcome.type === 'granted' || outcome.type === 'done'
}
