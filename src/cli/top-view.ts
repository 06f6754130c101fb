/** What `top` shows, as data and as lines. Pure. */
import type { ListedLock, Member } from 'leasewheel'
import { columns, count, cut, duration, safe } from './text.ts'

/** The locks of one owner. */
export interface OwnerLocks {
  locks: number
  /** When the oldest of them was acquired, in ms since 1970. */
  oldest: number
}

/** One look at the server. */
export interface TopLook {
  /** ms since 1970. */
  readonly at: number
  /** By owner; '' for locks that name none. */
  readonly owners: ReadonlyMap<string, OwnerLocks>
  readonly members: readonly Member[]
}

interface TopRow {
  /** '' for locks that name no owner. */
  readonly owner: string
  readonly locks: number
  /** ms; undefined if no lock says when it was acquired. */
  readonly oldest: number | undefined
  /** What follows is known of managers that announce themselves. */
  readonly waiting: number | undefined
  readonly renewals: number | undefined
  readonly jeopardy: number | undefined
  readonly lag: number | undefined
  readonly lost: number | undefined
}

export interface TopView {
  readonly at: number
  readonly members: number
  readonly rows: readonly TopRow[]
}

/** Adds up locks by owner. */
export class OwnerTally {
  readonly owners: Map<string, OwnerLocks> = new Map()

  add({ owner = '', since }: Pick<ListedLock, 'owner' | 'since'>): void {
    let entry = this.owners.get(owner)
    if (entry === undefined) {
      entry = { locks: 0, oldest: Number.POSITIVE_INFINITY }
      this.owners.set(owner, entry)
    }
    entry.locks += 1
    entry.oldest = Math.min(entry.oldest, since?.getTime() ?? Number.POSITIVE_INFINITY)
  }
}

/** Renewals per second of each manager, from two of its announcements. */
export class Rates {
  readonly #last = new Map<string, { readonly member: Member; readonly rate: number | undefined }>()

  /** @returns by the ids of members; undefined after the first announcement. */
  update(members: readonly Member[]): ReadonlyMap<string, number | undefined> {
    const rates = new Map(members.map((member) => [member.id, this.#rateOf(member)]))
    this.#last.clear()
    for (const member of members) this.#last.set(member.id, { member, rate: rates.get(member.id) })
    return rates
  }

  #rateOf(member: Member): number | undefined {
    const last = this.#last.get(member.id)
    if (last === undefined) return undefined
    const elapsed = member.announcedAt.getTime() - last.member.announcedAt.getTime()
    if (elapsed <= 0) return last.rate
    return ((member.stats.renewals - last.member.stats.renewals) * 1_000) / elapsed
  }
}

export function viewOf({ at, owners, members }: TopLook, rates: ReadonlyMap<string, number | undefined>): TopView {
  const names = new Set([...owners.keys(), ...members.map(({ owner }) => owner)])
  const rows = [...names].map((owner): TopRow => {
    const { locks = 0, oldest = Number.POSITIVE_INFINITY } = owners.get(owner) ?? {}
    const own = members.filter((member) => member.owner === owner)
    const sum = (pick: (member: Member) => number | undefined): number | undefined =>
      own.reduce<number | undefined>((total, member) => {
        const value = pick(member)
        return value === undefined ? total : (total ?? 0) + value
      }, undefined)
    return {
      owner,
      locks,
      oldest: Number.isFinite(oldest) ? at - oldest : undefined,
      waiting: sum(({ stats }) => stats.waiting),
      renewals: sum(({ id }) => rates.get(id)),
      jeopardy: sum(({ stats }) => stats.jeopardy),
      lag: own.length === 0 ? undefined : Math.max(...own.map(({ stats }) => stats.lag)),
      lost: sum(({ stats }) => stats.lost),
    }
  })
  return { at, members: members.length, rows: rows.sort((one, other) => other.locks - one.locks) }
}

/** @param address what the view is about. @param time when, for people. */
export function linesOf({ rows, members }: TopView, address: string, time: string): string[] {
  const sum = (pick: (row: TopRow) => number | undefined): number =>
    rows.reduce((total, row) => total + (pick(row) ?? 0), 0)
  const lag = Math.max(0, ...rows.map((row) => row.lag ?? 0))
  const facts = [
    plural(
      sum(({ locks }) => locks),
      'lock',
    ),
    plural(rows.filter(({ owner }) => owner !== '').length, 'owner'),
    `${plural(members, 'manager')} announced`,
    `${count(sum(({ waiting }) => waiting))} waiting`,
    `${count(sum(({ renewals }) => renewals))} renewals/s`,
    `lag ${percent(lag)}`,
    `${count(sum(({ lost }) => lost))} lost`,
  ]
  const table = [['LOCKS', 'OLDEST', 'WAITING', 'RENEWALS/S', 'JEOPARDY', 'LAG', 'LOST', 'OWNER'], ...rows.map(cellsOf)]
  return [`leasewheel  ${safe(address)}  ${time}`, facts.join(', '), '', ...columns(table, [0, 1, 2, 3, 4, 5, 6])]
}

function cellsOf(row: TopRow): string[] {
  const number = (value: number | undefined): string => (value === undefined ? '-' : count(value))
  return [
    count(row.locks),
    row.oldest === undefined ? '-' : duration(row.oldest),
    number(row.waiting),
    number(row.renewals),
    number(row.jeopardy),
    row.lag === undefined ? '-' : percent(row.lag),
    number(row.lost),
    row.owner === '' ? '(no owner)' : safe(row.owner),
  ]
}

function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`
}

/** Of the ttl. */
function percent(lag: number): string {
  return `${(lag * 100).toFixed(lag < 0.1 ? 1 : 0)} %`
}

/** The lines that fit a screen: the last one says how many do not. */
export function fit(lines: readonly string[], width: number, height: number): string[] {
  const shown = lines.length <= height ? lines : lines.slice(0, Math.max(height - 1, 0))
  const more = lines.length - shown.length
  return [...shown, ...(more > 0 ? [`… ${count(more)} more`] : [])].slice(0, height).map((line) => cut(line, width))
}
