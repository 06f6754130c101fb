/**
 * Several keys, all or none, without deadlock and without livelock: everybody takes them in the same order. (Havender,
 * "Avoiding deadlock in multitasking systems", 1968: ordered resource allocation.)
 *
 * What is free is taken in one go. Of what was granted only the keys before the first refused one are kept: while one
 * is waited for, nothing is held that comes after it in the order. An attempt that was not answered is repeated in the
 * same way.
 */
import { LockNotAcquiredError, UnavailableError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'

export interface AcquireAllParts {
  /** Each of them once. */
  readonly keys: readonly string[]
  /** ms since the call. */
  readonly waited: () => number
  readonly wait: number
  /** One attempt for each key, each on its own; where one is not answered, none of them is held. */
  readonly tryEach: (keys: readonly string[]) => Promise<(Lease | null)[]>
  /** Waits for one key, at most that many ms. */
  readonly waitFor: (key: string, wait: number) => Promise<Lease>
  /** Waits for leases to be released. Rejects as soon as the caller cancels. */
  readonly unlessCancelled: (released: Promise<void>) => Promise<void>
}

/**
 * @returns the leases in the order of the keys.
 * @throws LockNotAcquiredError, UnavailableError, LockNotHeldError when a listener of `acquired` ended one of the leases, or the reason of an abort.
 * Nothing is held then.
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
      // A lease may have ended while others were waited for: it leaves a gap like a key that was refused.
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
    await unlessCancelled(releaseAll(held))
    throw error
  }
}

async function releaseAll(leases: readonly (Lease | null)[]): Promise<void> {
  await Promise.all(leases.map(async (lease) => lease?.release()))
}
