/**
 * Several keys, all or none, without deadlock: nobody waits for a key while holding another.
 *
 * After Howard Hinnant's "smart & polite" algorithm behind C++'s `std::lock`: try all; on the first refusal give everything
 * back, wait for the refused key alone, then, holding that one, try the others. May import errors and types.
 */
import { LockNotAcquiredError } from './errors.ts'
import type { Lease } from './lease.ts'

export interface AcquireAllParts {
  readonly keys: readonly string[]
  /** ms since the call. */
  readonly waited: () => number
  readonly wait: number
  /** One attempt for each key, each on its own. */
  readonly tryEach: (keys: readonly string[]) => Promise<(Lease | null)[]>
  /** Waits for one key, at most that many ms. */
  readonly waitFor: (key: string, wait: number) => Promise<Lease>
}

/**
 * @returns the leases in the order of the keys.
 * @throws LockNotAcquiredError, UnavailableError, or the reason of an abort; nothing is held then.
 */
export async function acquireAll({ keys, waited, wait, tryEach, waitFor }: AcquireAllParts): Promise<Lease[]> {
  let first: Lease | undefined
  for (let attempts = 1; ; attempts += 1) {
    const others = first ? keys.filter((key) => key !== first?.key) : keys
    const tried = await giveBackOnFailure(first, () => tryEach(others))
    const granted = tried.filter((lease) => lease !== null)
    if (first) granted.push(first)
    const refused = others.find((_key, index) => tried[index] === null)
    // A lease may have ended while the others were being acquired.
    const obstacle = refused ?? granted.find((lease) => !lease.held)?.key
    if (obstacle === undefined) return inOrder(keys, granted)

    await Promise.all(granted.map((lease) => lease.release()))
    const left = wait - waited()
    if (left <= 0) throw new LockNotAcquiredError(obstacle, { attempts, waited: waited(), remaining: undefined })
    first = await waitFor(obstacle, left)
  }
}

async function giveBackOnFailure<T>(lease: Lease | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await lease?.release()
    throw error
  }
}

function inOrder(keys: readonly string[], leases: readonly Lease[]): Lease[] {
  const byKey = new Map(leases.map((lease) => [lease.key, lease]))
  return keys.map((key) => byKey.get(key) as Lease)
}
