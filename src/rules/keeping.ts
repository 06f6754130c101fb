/**
 * When a keeper renews for a manager whose event loop is blocked. Pure. Times and durations are in ms; a beat is a sign of life of that event loop.
 *
 *     a beat ──▶ free ──no beat for a sixth of the ttl──▶ silent: the keeper renews what is due ──`maxBlocked` after the beat──▶ given up
 *                  ▲                                          │                                                      │
 *                  └──────────────── a beat ──────────────────┴──────────────────────────────────────────────────────┘
 */

/** The shortest silence that counts: a busy event loop is late by some ms in every turn. */
const SHORTEST_SILENCE = 30
const LONGEST_BEAT = 500
const LONGEST_LOOK = 1_000
/** Shorter periods would cost more than they save. */
const SHORTEST_PERIOD = 10

/** How often an event loop shows that it is free. @param ttl the shortest of its leases. */
export function beatEvery(ttl: number): number {
  return Math.min(Math.max(ttl / 24, SHORTEST_PERIOD), LONGEST_BEAT)
}

/** How often a keeper looks for a beat. @param ttl the shortest of the leases. */
export function lookEvery(ttl: number): number {
  return Math.min(Math.max(ttl / 12, SHORTEST_PERIOD), LONGEST_LOOK)
}

/**
 * Whether a beat counts that came so much too late. An event loop that has just been blocked is late, and has much to renew: until it is in time
 * again, the keeper goes on.
 */
export function isBeat(late: number, ttl: number): boolean {
  return late < Math.max(ttl / 12, SHORTEST_SILENCE)
}

/** What a keeper knows of the event loop. */
export interface Silence {
  /** The last beat. */
  readonly beat: number
  readonly maxBlocked: number
}

/** Whether a keeper renews leases of this ttl at all: the event loop is silent, and not yet given up. */
export function isKeeping(now: number, { beat, maxBlocked }: Silence, ttl: number): boolean {
  return now - beat >= Math.max(ttl / 6, SHORTEST_SILENCE) && now < beat + maxBlocked
}

/**
 * Whether a lease is due for the keeper. Its manager renews at the same age or earlier, unless its event loop is blocked.
 *
 * @param confirmedAt when the last confirmed request for it was sent.
 */
export function isDueForKeeper(now: number, confirmedAt: number, ttl: number): boolean {
  return now >= confirmedAt + ttl / 3
}
