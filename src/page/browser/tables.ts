/** The tables of losses, managers and nodes. */
import { count, duration, safe } from '../../cli/text.ts'
import type { Facts, Hello, LossRow, MemberRow, RouteRow, Tick } from '../wire.ts'
import { type Cell, element, showRows, write } from './elements.ts'

/** Losses that the page shows. */
const MOST_LOSSES = 50

export const REASONS: Readonly<Record<string, string>> = {
  expired: 'expired: no renewal was confirmed in time',
  taken: 'taken: another holds the lock',
  missing: 'missing: somebody deleted the key',
  maxHold: 'maxHold: held for as long as its option allows',
}

function percent(lag: number): string {
  return `${(lag * 100).toFixed(lag < 0.1 ? 1 : 0)} %`
}

export class Tables {
  readonly #losses = element('losses')
  #rows: readonly LossRow[] = []
  #announced: Hello['view'] = 'process'

  restart({ losses, facts, view }: Hello): void {
    this.#announced = view
    this.#rows = losses
    this.#showLosses(facts)
    this.#showOthers(facts)
  }

  add({ losses, facts }: Tick): void {
    if (losses.length > 0) this.#rows = [...losses, ...this.#rows]
    this.#showLosses(facts)
    this.#showOthers(facts)
  }

  #showLosses({ lost }: Facts): void {
    this.#rows = this.#rows.slice(0, MOST_LOSSES)
    showRows(this.#losses, this.#rows.map(cellsOfLoss))
    const whose = this.#announced === 'members' ? 'The managers' : 'This manager'
    const text =
      this.#rows.length === 0 ? 'Nothing was lost since this page is served.' : `${whose} lost ${count(lost)} in all.`
    write(element('losses-note'), text)
  }

  #showOthers({ members, memberCount, own }: Facts): void {
    const now = Date.now()
    showRows(
      element('members'),
      (members ?? []).map((member) => cellsOfMember(member, now)),
    )
    write(element('members-note'), noteOf(members, memberCount))
    const routes = own?.routes ?? []
    element('routes-section').hidden = routes.length === 0
    showRows(element('routes'), routes.map(cellsOfRoute))
  }
}

function noteOf(members: Facts['members'], memberCount: number): string {
  if (members === null) return 'The managers could not be asked for.'
  if (memberCount === 0) return 'No manager announces itself: see the option announce.'
  return memberCount > members.length ? `${count(memberCount - members.length)} more are not shown.` : ''
}

function cellsOfLoss({ at, key, owner, reason, since, fence, cause, count: times }: LossRow): Cell[] {
  const why = reason === null ? 'its manager knows' : (REASONS[reason] ?? reason)
  return [
    { text: new Date(at).toLocaleTimeString(), name: 'When' },
    { text: key === null ? `${count(times)} of ${safe(owner ?? '')}` : safe(key), name: 'Key', className: 'key' },
    { text: cause === null ? why : `${why} (${safe(cause)})`, name: 'Why' },
    { text: since === null ? '' : duration(at - since), name: 'held for', className: 'number' },
    { text: fence === null ? '' : String(fence), name: 'fence', className: 'number' },
  ]
}

function cellsOfMember(member: MemberRow, now: number): Cell[] {
  const { owner, host, pid, version, startedAt, held, waiting, lost, lag } = member
  return [
    { text: owner === '' ? '(no owner)' : safe(owner), name: 'owner' },
    { text: `${safe(host)}, pid ${pid}, ${safe(version)}`, name: 'host' },
    { text: duration(Math.max(now - startedAt, 0)), name: 'up', className: 'number' },
    { text: count(held), name: 'held', className: 'number' },
    { text: count(waiting), name: 'waiting', className: 'number' },
    { text: count(lost), name: 'lost', className: lost > 0 ? 'number bad' : 'number' },
    { text: percent(lag), name: 'lag', className: 'number' },
  ]
}

function cellsOfRoute({ name, leases, usable, watching, lag, p99 }: RouteRow): Cell[] {
  const state = usable ? (watching ? 'connected' : 'connected, without notifications') : 'cannot be asked'
  return [
    { text: safe(name), name: 'node' },
    { text: state, name: '', className: usable ? '' : 'bad' },
    { text: count(leases), name: 'leases', className: 'number' },
    { text: percent(lag), name: 'lag', className: 'number' },
    { text: `${p99.toPrecision(2)} ms`, name: 'p99', className: 'number' },
  ]
}
