/**
 * Unanswered requests for a key. The server may have carried out each of them, or may still do so, whatever connection it
 * was sent on.
 */

export interface Doubt {
  /** The number of these requests. */
  readonly unanswered: number
  /** When a key that they may have created is sure to have expired, in ms on the clock. */
  readonly until: number
}

/** Adds an unanswered request that was sent at `sentAt`. @param ttl the ttl of the key, in ms. */
export function doubtAfter(doubt: Doubt | undefined, sentAt: number, ttl: number): Doubt {
  return { unanswered: (doubt?.unanswered ?? 0) + 1, until: Math.max(sentAt + ttl, doubt?.until ?? sentAt) }
}

/**
 * Adds a request that was carried out, and whose key must be deleted again. If no request is unanswered, one answer to the deletion is enough,
 * however many were carried out: they had one token.
 */
export function grantedAfter(doubt: Doubt | undefined, sentAt: number, ttl: number): Doubt {
  const after = doubtAfter(doubt, sentAt, ttl)
  return after.unanswered > 1 ? after : { ...after, unanswered: 0 }
}

/** The part of an answer that counts here. See `AcquireOutcome`. */
interface Answered {
  readonly type: 'granted' | 'refused' | 'unknown'
  readonly landed?: boolean
  readonly givenBack?: boolean
}

/** What is left in doubt if nobody takes what an answer grants. @param sentAt undefined if the request was never sent. */
export function doubtLeft(
  doubt: Doubt | undefined,
  { type, landed, givenBack }: Answered,
  sentAt: number | undefined,
  ttl: number,
): Doubt | undefined {
  if (givenBack) return undefined
  if (type === 'refused' || sentAt === undefined) return doubt
  return type === 'granted' || landed ? grantedAfter(doubt, sentAt, ttl) : doubtAfter(doubt, sentAt, ttl)
}
