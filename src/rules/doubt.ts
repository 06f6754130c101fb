/**
 * What may be on a key without our knowing: requests for it that were never answered. Each may have been carried out,
 * or may still be, through whatever connection it was sent.
 */

export interface Doubt {
  /** How many such requests there are. */
  readonly unanswered: number
  /** When the key that the last of them may have created is sure to have expired, in ms on the clock. */
  readonly until: number
}

/** One more request, sent at `sentAt`, was not answered. @param ttl of the key, in ms. */
export function doubtAfter(doubt: Doubt | undefined, sentAt: number, ttl: number): Doubt {
  return { unanswered: (doubt?.unanswered ?? 0) + 1, until: Math.max(sentAt + ttl, doubt?.until ?? sentAt) }
}

/** A request was granted, and what it acquired is to be deleted. Without a doubt before it, one answer to that is enough. */
export function grantedAfter(doubt: Doubt | undefined, sentAt: number, ttl: number): Doubt {
  return doubt ? doubtAfter(doubt, sentAt, ttl) : { unanswered: 0, until: sentAt + ttl }
}
