/**
 * Several keys, all or none, without deadlock and without livelock: every caller takes them in the same order. (Havender,
 * "Avoiding deadlock in multitasking systems", 1968: ordered resource allocation.)
 *
 * One attempt takes all free keys at once. It keeps only the keys before the first refused one: while the call waits for a
 * key, it holds none that comes later in the order. It repeats an unanswered attempt in the same way.
 */
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'

export interface AcquireAllParts {
  /** Each of them once. */
  readonly keys: readonly string[]
  /** ms since the call. */
  readonly waited: () => number
  readonly wait: number
  /** Makes one attempt for each key, independently. If the backend does not answer one, the call holds none of them. */
  readonly tryEach: (keys: readonly string[]) => Promise<(Lease | null)[]>
  /** Waits for one key, at most `wait` ms. */
  readonly waitFor: (key: string, wait: number) => Promise<Lease>
  /** Waits for leases to be released. Rejects as soon as the caller cancels. */
  readonly unlessCancelled: (released: Promise<void>) => Promise<void>
}

/**
 * @returns the leases in the order of the keys.
 * @throws LockNotAcquiredError, UnavailableError, LockNotHeldError if a listener of `acquired` ended one of the leases, or the reason of an abort.
 * The call then holds nothing.
 */
export async function acquireAll({
  keys,
  waited,
  wait,
  tryEach,
  waitFor,
  unlessCancelled,
}: AcquireAllParts): Promise<Lease[]> {
  const order = [...new Set(keys)].sort()
  /** The leases of the first keys of the order, without a gap. */
  let held: Lease[] = []
  try {
    for (let attempts = 1; ; attempts += 1) {
      let failure: UnavailableError | undefined
      const others = await tryEach(order.slice(held.length)).catch((error: unknown) => {
        if (!(error instanceof UnavailableError)) throw error
        failure = error
        return [null]
      })
      const tried = [...held, ...others]
      // A lease may have ended while the call waited for others: it leaves a gap like a refused key.
      const gap = tried.findIndex((lease) => lease === null || !lease.held)
      if (gap === -1) {
        const byKey = new Map(tried.map((lease) => [lease?.key, lease]))
        return keys.map((key) => byKey.get(key) as Lease)
      }
      held = tried.slice(0, gap) as Lease[]
      await unlessCancelled(releaseAll(tried.slice(gap)))
      const left = wait - waited()
      const missing = order[gap] as string
      if (left <= 0 || failure?.final)
        throw failure ?? new LockNotAcquiredError(missing, { attempts, waited: waited(), remaining: undefined })
      held.push(await waitFor(missing, left))
    }
  } catch (error) {
    // An abort that comes during this ends the wait for it, and does not replace the error.
    await unlessCancelled(releaseAll(held)).catch(() => undefined)
    throw error
  }
}

async function releaseAll(leases: readonly (Lease | null)[]): Promise<void> {
  await Promise.all(leases.map(async (lease) => lease?.release()))
}
