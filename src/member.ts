/** What a manager announces about itself, as others read it. */
import type { LeaseManagerStats } from './stats.ts'
import { dateOf } from './time/clock.ts'

/** Some of the `stats()` of a manager, as of its last announcement. Counts start at its creation. */
export interface MemberStats {
  readonly held: number
  readonly jeopardy: number
  readonly waiting: number
  readonly acquired: number
  readonly released: number
  /** Leases lost, for any reason. */
  readonly lost: number
  readonly renewals: number
  readonly failures: number
  /** The longest time within the last second that a renewal waited to be sent, as a fraction of its ttl. */
  readonly lag: number
}

/** What a manager stands for. */
export interface MemberRoles {
  /** The keys of the elections in which it leads. */
  readonly leads: readonly string[]
  /** The groups in which it has a share, and how many keys it holds of each. */
  readonly shares: readonly { readonly group: string; readonly held: number }[]
}

/** A manager that announces itself: see the option `announce`. */
export interface Member extends MemberRoles {
  /** Unique, one for each manager. */
  readonly id: string
  /** Its option `owner`. */
  readonly owner: string
  readonly host: string
  /** The id of its process. */
  readonly pid: number
  /** The version of this library there. */
  readonly version: string
  /** When it was created, by its own clock. */
  readonly startedAt: Date
  /** When it last announced itself, by its own clock. */
  readonly announcedAt: Date
  readonly stats: MemberStats
}

const COUNTS = ['held', 'jeopardy', 'waiting', 'acquired', 'released', 'lost', 'renewals', 'failures', 'lag'] as const

export function statsOf(stats: LeaseManagerStats): MemberStats {
  const { held, jeopardy, waiting, acquired, released, lost, renewals, failures, load } = stats
  const sum = Object.values(lost).reduce((one, other) => one + other, 0)
  return { held, jeopardy, waiting, acquired, released, lost: sum, renewals, failures, lag: load.lag }
}

/** A member as text. Times are in ms since 1970. */
export function writeMember(member: Member): string {
  const { startedAt, announcedAt } = member
  return JSON.stringify({ ...member, startedAt: startedAt.getTime(), announcedAt: announcedAt.getTime() })
}

/** @returns undefined if the text is no announcement: another program, or a later version, may have written it. */
export function readMember(text: string): Member | undefined {
  const fields = parse(text)
  const { id, owner, host, pid, version, startedAt, announcedAt } = fields
  if (!areStrings(id, owner, host, version) || !areNumbers(pid, startedAt, announcedAt)) return undefined
  const counts = Object(fields['stats']) as Record<string, unknown>
  if (!areNumbers(...COUNTS.map((name) => counts[name]))) return undefined
  const stats = Object.fromEntries(COUNTS.map((name) => [name, counts[name]])) as unknown as MemberStats
  const roles = { leads: listOf(fields['leads'], isText), shares: listOf(fields['shares'], isShare) }
  const times = { startedAt: dateOf(startedAt as number), announcedAt: dateOf(announcedAt as number) }
  return { id, owner, host, pid, version, ...times, ...roles, stats } as Member
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** Those elements of a list that are as they should be. */
function listOf(value: unknown, isValid: (element: unknown) => boolean): readonly unknown[] {
  return Array.isArray(value) ? value.filter(isValid) : []
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isShare(value: unknown): boolean {
  const { group, held } = Object(value) as Record<string, unknown>
  return areStrings(group) && areNumbers(held)
}

function areStrings(...values: unknown[]): boolean {
  return values.every((value) => typeof value === 'string')
}

function areNumbers(...values: unknown[]): boolean {
  return values.every((value) => Number.isFinite(value))
}
