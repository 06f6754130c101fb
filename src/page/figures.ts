/** Makes the point of each second from what was counted before and what is counted now. */
import type { LeaseManagerStats } from '../stats.ts'
import type { Member } from '../member.ts'
import type { LossRow, MemberRow, OwnFacts, Point } from './wire.ts'

/** The point of a manager. @param before undefined after a pause. */
export function pointOf(at: number, now: LeaseManagerStats, before: LeaseManagerStats | undefined): Point {
  const { held, waiting, jeopardy, load } = now
  const answers = before ? now.roundTrip.count - before.roundTrip.count : 0
  return {
    at,
    gap: before === undefined,
    held,
    waiting,
    jeopardy,
    lag: load.lag,
    lost: before ? lostOf(now) - lostOf(before) : 0,
    roundTrip: before && answers > 0 ? (now.roundTrip.sum - before.roundTrip.sum) / answers : null,
  }
}

export function lostOf({ lost }: LeaseManagerStats): number {
  return Object.values(lost).reduce((sum, count) => sum + count, 0)
}

export function ownFacts(stats: LeaseManagerStats, reasons: readonly string[]): OwnFacts {
  const { connection, watching, acquired, released, renewals, failures, roundTrip, renewalLag, routes } = stats
  const minute = ({ p50, p99 }: { p50: number; p99: number }) => ({ p50, p99 })
  return {
    connection,
    reasons,
    watching,
    acquired,
    released,
    renewals,
    failures,
    roundTrip: minute(roundTrip.minute),
    renewalLag: minute(renewalLag.minute),
    routes: routes.map((route) => ({
      name: route.name,
      leases: route.leases,
      usable: route.usable,
      watching: route.watching,
      lag: route.lag,
      p99: route.roundTrip.minute.p99,
    })),
  }
}

/** What all managers are known to be. */
export interface Known {
  readonly members: readonly Member[]
  /** ms that the question took. */
  readonly asked: number
}

/** The point of all managers together. @param known undefined if they could not be asked for. @param lost leases that they lost meanwhile. */
export function pointOfAll(at: number, known: Known | undefined, lost: number): Point {
  const gap = false
  if (known === undefined)
    return { at, gap, held: null, waiting: null, jeopardy: null, lag: null, lost, roundTrip: null }
  const { members, asked } = known
  const sum = (name: 'held' | 'waiting' | 'jeopardy'): number =>
    members.reduce((total, { stats }) => total + stats[name], 0)
  const lag = members.reduce((most, { stats }) => Math.max(most, stats.lag), 0)
  const levels = { held: sum('held'), waiting: sum('waiting'), jeopardy: sum('jeopardy') }
  return { at, gap, ...levels, lag, lost, roundTrip: asked }
}

/** What managers have lost since they were last seen: the announcements say how many, and no more. */
export function lossesBetween(before: ReadonlyMap<string, Member>, now: readonly Member[], at: number): LossRow[] {
  return now.flatMap(({ id, owner, stats }) => {
    const last = before.get(id)
    const count = last ? stats.lost - last.stats.lost : 0
    return count > 0 ? [{ at, key: null, owner, reason: null, fence: null, since: null, cause: null, count }] : []
  })
}

export function rowOfMember({ owner, host, pid, version, startedAt, stats }: Member): MemberRow {
  const { held, waiting, jeopardy, lost, lag } = stats
  return { owner, host, pid, version, startedAt: startedAt.getTime(), held, waiting, jeopardy, lost, lag }
}
