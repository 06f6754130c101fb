/**
 * Which queued cohorts of one server travel together, so that each place comes in few batches: a backend needs one call for each place of a batch.
 *
 * Cohorts that are due at one phase form a sheaf, in the order of their places. Cohorts that share places form a cluster. A cluster that fits into
 * a batch stays together, and its cohorts merge once they are confirmed. A larger one is cut anew, between two places. So the cohorts of a phase
 * soon have places of their own, and a lease that was acquired later ends up beside its neighbours.
 *
 * A place with more leases than a batch would be a burst of batches at one moment. All but the first of them leave for a phase that the hash of a
 * key draws. A cohort that has shrunk to a quarter of a batch there returns.
 */
import type { Spread } from '../lease/cohort.ts'
import type { LeaseCohort, LeaseRecord } from '../lease/lease-record.ts'
import { phaseOf, phaseOfPlace, shareOf } from '../rules/timing.ts'
import { endsOfRuns } from '../structures/ranks.ts'

/** The cohorts whose phase follows from their places. */
export const AT_HOME: Spread = { crowd: -1 }

export interface BundlingParts {
  readonly places: number
  /** The largest number of leases in a batch. */
  readonly batchSize: number
  /** Moves some members of a queued cohort to a new one, which is queued like it. */
  readonly split: (cohort: LeaseCohort, records: readonly LeaseRecord[]) => LeaseCohort
}

/** Cohorts that are sent together, and what a queue needs to know of them. */
export class Bundle {
  readonly cohorts: LeaseCohort[]
  readonly deadline: number
  readonly apart: boolean

  constructor(cohorts: LeaseCohort[]) {
    this.cohorts = cohorts
    this.deadline = Math.min(...cohorts.map(({ deadline }) => deadline))
    this.apart = cohorts[0]?.apart ?? false
  }

  get size(): number {
    return sizeOf(this.cohorts.filter(isWaiting))
  }
}

/** A queued cohort may have been withdrawn, or sent, or may have lost its last member. */
export function isWaiting(cohort: LeaseCohort): boolean {
  return cohort.renewal === 'queued' && cohort.size > 0
}

/** @param cohorts queued, ordered, with members, and all for one server. */
export function bundlesOf(cohorts: readonly LeaseCohort[], parts: BundlingParts): Bundle[] {
  const sorted = [...cohorts].sort(compare)
  const bundles: LeaseCohort[][] = []
  let room = 0
  let start = 0
  for (let end = 1; end <= sorted.length; end += 1) {
    const first = sorted[start] as LeaseCohort
    const isSheafOver = end === sorted.length || !isSameSheaf(first, sorted[end] as LeaseCohort)
    if (!isSheafOver) continue
    room = 0
    for (const unit of unitsOf(sorted.slice(start, end), parts)) {
      const size = sizeOf(unit)
      if (size <= room) bundles.at(-1)?.push(...unit)
      else bundles.push(unit)
      room = (size <= room ? room : parts.batchSize) - size
    }
    start = end
  }
  return bundles.map((bundle) => new Bundle(bundle))
}

/** Groups of cohorts that share no place with others, and fit into a batch. @param sheaf in the order of places. */
function unitsOf(sheaf: readonly LeaseCohort[], parts: BundlingParts): LeaseCohort[][] {
  const units: LeaseCohort[][] = []
  let cluster: LeaseCohort[] = []
  let reach = -1
  const close = (): void => {
    if (cluster.length === 0) return
    returnHome(cluster, parts)
    if (sizeOf(cluster) <= parts.batchSize) units.push(cluster)
    else units.push(...cutAnew(cluster, parts))
    cluster = []
  }
  for (const cohort of sheaf) {
    if (cohort.low > reach) close()
    cluster.push(cohort)
    reach = Math.max(reach, cohort.high)
  }
  close()
  return units
}

function cutAnew(cluster: readonly LeaseCohort[], { batchSize, split }: BundlingParts): LeaseCohort[][] {
  // Of equal places the largest cohort comes first, so that it stays whole.
  const bySize = [...cluster].sort((a, b) => b.size - a.size)
  const records = bySize.flatMap(({ members }) => members).sort((a, b) => a.rank - b.rank)
  const target = Math.ceil(records.length / Math.ceil(records.length / batchSize))
  const units: LeaseCohort[][] = []
  let start = 0
  const cut = (end: number): LeaseCohort[] => {
    const unit = gather(records.slice(start, end), split)
    if (unit.length > 0) units.push(unit)
    start = end
    return unit
  }
  let runStart = 0
  for (const end of endsOfRuns(records)) {
    if (end - start > batchSize) cut(runStart)
    if (end - runStart > batchSize) {
      const share = Math.ceil((end - runStart) / Math.ceil((end - runStart) / batchSize))
      cut(runStart + share)
      while (start < end) sendAway(cut(Math.min(start + share, end)))
    } else if (end - start >= target) {
      cut(end)
    }
    runStart = end
  }
  cut(records.length)
  return units
}

/** Cohorts with just these members. */
function gather(records: readonly LeaseRecord[], split: BundlingParts['split']): LeaseCohort[] {
  const byCohort = new Map<LeaseCohort, LeaseRecord[]>()
  for (const record of records) {
    const cohort = record.cohort as LeaseCohort
    const some = byCohort.get(cohort)
    if (some) some.push(record)
    else byCohort.set(cohort, [record])
  }
  return [...byCohort].map(([cohort, some]) => (some.length === cohort.size ? cohort : split(cohort, some)))
}

/** Gives cohorts of one crowded place a phase of their own, from their next renewal on. */
function sendAway(cohorts: readonly LeaseCohort[]): void {
  const [first] = cohorts as [LeaseCohort]
  const { key, rank } = first.members[0] as LeaseRecord
  const spread = { crowd: rank }
  for (const cohort of cohorts) {
    cohort.spread = spread
    cohort.phase = phaseOf(shareOf(key), cohort.terms.ttl)
  }
}

/** Ends the exile of cohorts that are no crowd any more. */
function returnHome(cluster: readonly LeaseCohort[], { places, batchSize }: BundlingParts): void {
  if (sizeOf(cluster) > batchSize / 4) return
  for (const cohort of cluster) {
    if (cohort.spread === AT_HOME) continue
    cohort.spread = AT_HOME
    cohort.phase = phaseOfPlace(cohort.low, places, cohort.terms.ttl)
  }
}

function isSameSheaf(a: LeaseCohort, b: LeaseCohort): boolean {
  return a.apart === b.apart && a.matches(b)
}

/** Sheaf after sheaf, each in the order of places. */
function compare(a: LeaseCohort, b: LeaseCohort): number {
  return (
    a.phase - b.phase ||
    a.terms.ttl - b.terms.ttl ||
    a.terms.timeout - b.terms.timeout ||
    Number(a.apart) - Number(b.apart) ||
    Number(a.terms.autoRenew) - Number(b.terms.autoRenew) ||
    crowdOf(a) - crowdOf(b) ||
    a.low - b.low ||
    a.high - b.high
  )
}

function crowdOf({ spread }: LeaseCohort): number {
  return spread?.crowd ?? -1
}

function sizeOf(cohorts: readonly LeaseCohort[]): number {
  return cohorts.reduce((sum, { size }) => sum + size, 0)
}
