/**
 * Judges the history of a soak from outside: it knows nothing of managers or servers, only who held what when, and
 * what the store accepted.
 *
 * Each key's holds are intervals, and their two ends are known: a sweep over the ends in the order of time (Michael Shamos and Dan Hoey,
 * "Geometric intersection problems", 1976; on a line it is a sort) finds an overlap whenever there is one. A search for a linearization (Jeannette Wing and
 * Chun Gong, "Testing and verifying concurrent objects", 1993; Gavin Lowe, "Testing for linearizability", 2017) is for operations that took effect
 * at some unknown moment between their call and their return. Here nothing is left to be searched for: a hold is proven to have been in force at
 * all moments of its interval, so the order of disjoint holds is given, and is that of a lock; and two that share a moment are no lock's, in whatever
 * order. What is not proven, before the first and after the last reading of `held`, cannot raise a false alarm.
 */
import { Violation } from '../simulation/violation.ts'
import { type Failover, isNamedLoss } from './failovers.ts'
import type { AcceptedWrite } from './fenced-store.ts'
import type { Hold } from './history.ts'

export interface History {
  /** The failovers there were; default: none. */
  readonly failovers?: readonly Failover[]
  /** In whatever order. */
  readonly holds: readonly Hold[]
  /** In the order of the store. */
  readonly writes: readonly AcceptedWrite[]
}

export interface Findings {
  /** Each with the records that show it. */
  readonly violations: readonly Violation[]
  /** What would be violations if docs/guarantees.md did not name them as what a failover may cost. */
  readonly named: readonly NamedLoss[]
}

export interface NamedLoss {
  readonly violation: Violation
  /** How long two held one lock, in ms; 0 for what followed from that. */
  readonly overlap: number
  /** What it was lost by. */
  readonly failover: Failover
}

/** What was found, and which holds explain it if one of them was lost by a failover before `at`. */
interface Finding {
  readonly violation: Violation
  readonly overlap: number
  readonly suspects: readonly Hold[]
  readonly at: number
}

/**
 * @param tolerance ms for which two holds may overlap. 0 for processes on one machine: their clocks are one, and their managers have taken the margin
 * for the server's off already.
 */
export function judge({ holds, writes, failovers = [] }: History, tolerance = 0): Findings {
  const byKey = groupByKey(holds)
  const writesByKey = groupByKey(writes)
  const violations: Violation[] = []
  const named: NamedLoss[] = []
  for (const key of new Set([...byKey.keys(), ...writesByKey.keys()])) {
    const inOrder = (byKey.get(key) ?? []).toSorted((one, other) => one.begin - other.begin)
    for (const { violation, overlap, suspects, at } of [
      ...findOverlaps(inOrder, tolerance),
      ...findRefusedHolders(inOrder),
      ...findShrunkFences(inOrder),
      ...findStaleWrites(inOrder, writesByKey.get(key) ?? []),
    ]) {
      const cause = failovers.find((failover) => suspects.some((hold) => isNamedLoss(hold, at, failover)))
      if (cause === undefined) violations.push(violation)
      else named.push({ violation, overlap, failover: cause })
    }
  }
  return { violations, named }
}

/** Each hold that began while one that had begun before it was still in force. */
function findOverlaps(holds: readonly Hold[], tolerance: number): Finding[] {
  const findings: Finding[] = []
  let last: Hold | undefined
  for (const hold of holds) {
    if (last !== undefined && hold.begin < last.end - tolerance) {
      const overlap = Math.min(hold.end, last.end) - hold.begin
      findings.push({
        violation: violation('P7', `two hold one key at once, for ${overlap.toFixed(3)} ms`, last, hold),
        overlap,
        suspects: [last, hold],
        at: hold.begin,
      })
    }
    if (last === undefined || hold.end > last.end) last = hold
  }
  return findings
}

/** Each acquisition whose fence is not larger than that of one before it. A lease that was adopted is the same acquisition, and has the same fence. */
function findShrunkFences(holds: readonly Hold[]): Finding[] {
  const findings: Finding[] = []
  let highest: Hold | undefined
  for (const hold of holds) {
    if (highest !== undefined && !isGrown(highest, hold)) {
      findings.push({
        violation: violation('P6', 'a fence does not grow from one holder to the next', highest, hold),
        overlap: 0,
        suspects: [highest, hold],
        at: hold.begin,
      })
    }
    if (highest === undefined || hold.fence >= highest.fence) highest = hold
  }
  return findings
}

function isGrown(before: Hold, hold: Hold): boolean {
  return hold.token === before.token ? hold.fence === before.fence : hold.fence > before.fence
}

/** Each hold in which a write was refused: the store had a larger fence although nobody came later. */
function findRefusedHolders(holds: readonly Hold[]): Finding[] {
  return holds.flatMap((hold) => {
    if (hold.refusedAt === undefined) return []
    return [
      {
        violation: violation('P6', 'a holder was refused as stale', hold),
        overlap: 0,
        suspects: [hold],
        at: hold.refusedAt,
      },
    ]
  })
}

/** Each write that was accepted although somebody who acquired the lock later had written before. */
function findStaleWrites(holds: readonly Hold[], writes: readonly AcceptedWrite[]): Finding[] {
  const byId = new Map(holds.map((hold) => [hold.id, hold]))
  /** Which acquisition of the key it is, the first or a later one. */
  const turns = new Map<string, number>()
  for (const { token } of holds) if (!turns.has(token)) turns.set(token, turns.size)
  const findings: Finding[] = []
  let latest = { turn: -1, fence: 0, write: undefined as AcceptedWrite | undefined, by: [] as readonly Hold[] }
  for (const write of writes) {
    const hold = byId.get(write.hold)
    if (hold === undefined) {
      const found = violation('P6', 'a write was accepted of somebody who never held the lock', write)
      findings.push({ violation: found, overlap: 0, suspects: [], at: write.at })
      continue
    }
    const turn = turns.get(hold.token) as number
    if (turn < latest.turn || write.fence < latest.fence) {
      const found = violation('P6', 'a write of a stale holder was accepted', latest.write, write, hold)
      findings.push({ violation: found, overlap: 0, suspects: [...latest.by, hold], at: write.at })
    } else {
      latest = { turn, fence: write.fence, write, by: [hold] }
    }
  }
  return findings
}

function groupByKey<T extends { readonly key: string }>(list: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of list) {
    const group = groups.get(item.key)
    if (group === undefined) groups.set(item.key, [item])
    else group.push(item)
  }
  return groups
}

function violation(property: string, what: string, ...records: readonly unknown[]): Violation {
  return new Violation(property, [what, ...records.map((record) => `  ${JSON.stringify(record)}`)].join('\n'))
}
