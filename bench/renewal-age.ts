/** Promises how long ago locks were renewed, by the server's word and whatever the library. */
import type { Redis } from 'ioredis'

/** Keys to look at: with so many the oldest of them is as old as the oldest of all, or nearly. */
export const SAMPLE = 10_000
/** Asked in one go: less than a millisecond of the server's time. */
const CHUNK = 500

/**
 * @param names keys on the server, a sample of them
 * @param ttl that each was given at its last renewal, in ms
 * @returns ms since the last renewal of the one that waits for the longest; a key that is gone does not count
 */
export async function oldestRenewal(client: Redis, names: readonly string[], ttl: number): Promise<number> {
  let oldest = 0
  for (let from = 0; from < names.length; from += CHUNK) {
    const answers = await Promise.all(names.slice(from, from + CHUNK).map((name) => client.pttl(name)))
    for (const left of answers) if (left >= 0) oldest = Math.max(oldest, ttl - left)
  }
  return oldest
}
