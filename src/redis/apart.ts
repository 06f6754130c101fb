/** Plain locks and joint leases are different structures: each has scripts of its own. Most requests have plain locks only. */
import type { LockEntry } from '../backend.ts'

interface Split {
  readonly plain: readonly LockEntry[]
  readonly joints: readonly LockEntry[]
  /** For each entry whether it is a joint lease. */
  readonly isJoint: readonly boolean[]
}

/** The same leases are renewed together again and again: an array that comes again is divided into the same parts. */
const SPLITS = new WeakMap<readonly LockEntry[], Split | 'plain' | 'joints'>()

/** Asks for plain locks and for joint leases, each in one request. @returns the outcomes in the order of the entries. */
export async function apart<E extends LockEntry, O>(
  entries: readonly E[],
  askPlain: (some: readonly E[]) => Promise<readonly O[]>,
  askJoints: (some: readonly E[]) => Promise<readonly O[]>,
): Promise<readonly O[]> {
  const split = splitOf(entries)
  if (split === 'plain') return askPlain(entries)
  if (split === 'joints') return askJoints(entries)
  const [plain, joints] = await Promise.all([
    askPlain(split.plain as readonly E[]),
    askJoints(split.joints as readonly E[]),
  ])
  let [nextPlain, nextJoint] = [0, 0]
  return split.isJoint.map((isJoint) => (isJoint ? joints[nextJoint++] : plain[nextPlain++]) as O)
}

function splitOf(entries: readonly LockEntry[]): Split | 'plain' | 'joints' {
  const known = SPLITS.get(entries)
  if (known) return known
  const isJoint = entries.map(({ joint }) => joint !== undefined)
  const made = isJoint.includes(true)
    ? isJoint.includes(false)
      ? {
          plain: entries.filter((_, index) => !isJoint[index]),
          joints: entries.filter((_, index) => isJoint[index]),
          isJoint,
        }
      : 'joints'
    : 'plain'
  SPLITS.set(entries, made)
  return made
}
