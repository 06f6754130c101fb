/** Plain locks and shares are different structures: each has scripts of its own. Most requests have plain locks only. */
import type { LockEntry } from '../backend.ts'

interface Split {
  readonly plain: readonly LockEntry[]
  readonly shares: readonly LockEntry[]
  /** For each entry whether it is a share. */
  readonly isShare: readonly boolean[]
}

/** The same leases are renewed together again and again: an array that comes again is divided into the same parts. */
const SPLITS = new WeakMap<readonly LockEntry[], Split | 'plain' | 'shares'>()

/** Asks for plain locks and for shares, each in one request. @returns the outcomes in the order of the entries. */
export async function apart<E extends LockEntry, O>(
  entries: readonly E[],
  askPlain: (some: readonly E[]) => Promise<readonly O[]>,
  askShares: (some: readonly E[]) => Promise<readonly O[]>,
): Promise<readonly O[]> {
  const split = splitOf(entries)
  if (split === 'plain') return askPlain(entries)
  if (split === 'shares') return askShares(entries)
  const [plain, shares] = await Promise.all([
    askPlain(split.plain as readonly E[]),
    askShares(split.shares as readonly E[]),
  ])
  let [nextPlain, nextShare] = [0, 0]
  return split.isShare.map((isShare) => (isShare ? shares[nextShare++] : plain[nextPlain++]) as O)
}

function splitOf(entries: readonly LockEntry[]): Split | 'plain' | 'shares' {
  const known = SPLITS.get(entries)
  if (known) return known
  const isShare = entries.map(({ share }) => share !== undefined)
  const made = isShare.includes(true)
    ? isShare.includes(false)
      ? {
          plain: entries.filter((_, index) => !isShare[index]),
          shares: entries.filter((_, index) => isShare[index]),
          isShare,
        }
      : 'shares'
    : 'plain'
  SPLITS.set(entries, made)
  return made
}
