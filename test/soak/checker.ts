/**
 * Judges the history of a soak from outside: it knows nothing of managers or servers, only who held what when, and
 * what the store accepted. Holds may share a key: permits, as many as there are, and readers.
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

/** Each hold that began while others were in force beside which it must not be. */
function findOverlaps(holds: readonly Hold[], tolerance: number): Finding[] {
  const findings: Finding[] = []
  let present: Hold[] = []
  for (const hold of holds) {
    present = present.filter(({ end }) => hold.begin < end - tolerance)
    const found = conflictOf(present, hold)
    if (found !== undefined) findings.push(found)
    present.push(hold)
  }
  return findings
}

/** @param present those in force when the hold began. */
function conflictOf(present: readonly Hold[], hold: Hold): Finding | undefined {
  const others = present.filter((other) => !mayBeBeside(other, hold))
  if (others.length > 0) {
    const last = others.reduce((one, other) => (other.end > one.end ? other : one))
    const overlap = Math.min(hold.end, last.end) - hold.begin
    const kinds = [kindOf(last), kindOf(hold)]
    const [property, who] = kinds.every((kind) => kind === 'lock') ? ['P7', 'two'] : ['P33', kinds.join(' and ')]
    const found = violation(property, `${who} hold one key at once, for ${overlap.toFixed(3)} ms`, last, hold)
    return { violation: found, overlap, suspects: [last, hold], at: hold.begin }
  }
  if (hold.joint?.mode !== 'permit') return undefined
  const all = [...present, hold]
  const held = all.reduce((sum, { joint }) => sum + (joint?.weight ?? 0), 0)
  // Each caller keeps to its own number of permits, so the largest counts.
  const permits = Math.max(...all.map(({ joint }) => joint?.permits ?? 0))
  if (held <= permits) return undefined
  const overlap = Math.min(...all.map(({ end }) => end)) - hold.begin
  const found = violation('P33', `${held} of ${permits} permits are held at once, for ${overlap.toFixed(3)} ms`, ...all)
  return { violation: found, overlap, suspects: all, at: hold.begin }
}

function kindOf({ joint }: Hold): string {
  switch (joint?.mode) {
    case undefined:
      return 'lock'
    case 'permit':
      return 'permit'
    case 'read':
      return 'reader'
    case 'write':
      return 'writer'
  }
}

/** Whether two may hold a key at once, if there are permits enough. A lease is in one process at a time. */
function mayBeBeside(one: Hold, other: Hold): boolean {
  return one.token !== other.token && areShared(one, other)
}

function areShared(one: Hold, other: Hold): boolean {
  const mode = one.joint?.mode
  return mode === other.joint?.mode && (mode === 'permit' || mode === 'read')
}

/**
 * Each acquisition whose fence is not larger than that of one before it. A lease that was adopted is the same acquisition, and has the same fence.
 *
 * Holds that exclude each other are in the order of their times. Others may have been granted in another order than they were seen; one is later for
 * certain if it was asked for when the other was held already.
 */
function findShrunkFences(holds: readonly Hold[]): Finding[] {
  const findings: Finding[] = []
  const leaders = new Map<string, Leaders>()
  const fences = new Map<string, Hold>()
  for (const hold of holds) {
    const former = fences.get(hold.token)
    const highest = former && areShared(former, hold) ? former : highestBefore(leaders, hold)
    if (highest !== undefined && !isGrown(highest, hold)) {
      findings.push({
        violation: violation('P6', 'a fence does not grow from one holder to the next', highest, hold),
        overlap: 0,
        suspects: [highest, hold],
        at: hold.begin,
      })
    }
    fences.set(hold.token, hold)
    const kind = kindOf(hold)
    const own = leaders.get(kind) ?? []
    leaders.set(kind, own)
    const last = own.at(-1)?.highest
    own.push({ begin: hold.begin, highest: last === undefined || hold.fence >= last.fence ? hold : last })
  }
  return findings
}

/** For each hold of one kind, in order: when it began, and the hold with the highest fence until then. */
type Leaders = { readonly begin: number; readonly highest: Hold }[]

function highestBefore(leaders: ReadonlyMap<string, Leaders>, hold: Hold): Hold | undefined {
  let found: Hold | undefined
  for (const list of leaders.values()) {
    const { highest: some } = list[0] as Leaders[number]
    const until = areShared(some, hold) ? (hold.askedAt ?? Number.NEGATIVE_INFINITY) : Number.POSITIVE_INFINITY
    const highest = list.findLast(({ begin }) => begin < until)?.highest
    if (highest !== undefined && (found === undefined || highest.fence >= found.fence)) found = highest
  }
  return found
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
