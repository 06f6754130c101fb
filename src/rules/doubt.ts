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

/** Adds a granted request whose key must be deleted again. Without an earlier doubt, one answer to the deletion is enough. */
export function grantedAfter(doubt: Doubt | undefined, sentAt: number, ttl: number): Doubt {
  return doubt ? doubtAfter(doubt, sentAt, ttl) : { unanswered: 0, until: sentAt + ttl }
}
