/**
 * Looks once a second while anybody watches, once for all viewers:
 *
 *     (asleep) ──the first viewer comes──▶ looks each second ──the last one leaves──▶ (asleep)
 *
 * The managers are asked for beside that. A server that does not answer must not stop the curves, because then they matter most.
 */
import type { Member } from '../member.ts'
import type { LeaseManagerStats } from '../stats.ts'
import { type Timer, wallTime } from '../time/clock.ts'
import { VERSION } from '../version.ts'
import { type Known, lossesBetween, lostOf, ownFacts, pointOf, pointOfAll, rowOfMember } from './figures.ts'
import { LossBook } from './losses.ts'
import type { PageSettings } from './options.ts'
import type { PageLeases } from './page-leases.ts'
import type { Facts, Hello, Point, Tick } from './wire.ts'

/** ms. */
const INTERVAL = 1_000
/** Points that are kept: ten minutes. */
const KEPT = 600
/** Managers that the page shows. */
const MOST_MEMBERS = 100

export class Sampler {
  readonly losses: LossBook = new LossBook()
  readonly #leases: PageLeases
  readonly #settings: PageSettings
  readonly #onTick: (tick: Tick) => void
  readonly #points: Point[] = []
  #timer: Timer | undefined
  /** What the last point was made of; undefined after a pause. */
  #stats: LeaseManagerStats | undefined
  #told = 0
  #asking = false
  /** Undefined if the last question failed. */
  #known: Known | undefined
  /** The members at the last answer, by id, for their losses. */
  #before = new Map<string, Member>()
  #lostByMembers = 0
  constructor(leases: PageLeases, settings: PageSettings, onTick: (tick: Tick) => void) {
    this.#leases = leases
    this.#settings = settings
    this.#onTick = onTick
  }

  get running(): boolean {
    return this.#timer !== undefined
  }

  start(): void {
    if (this.running) return
    this.#stats = undefined
    this.#before.clear()
    this.#known = undefined
    this.#told = this.losses.added
    this.#ask()
    this.#points.push(this.#look())
    this.#plan()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  hello(): Hello {
    const { title, readOnly, view } = this.#settings
    const points = this.#points
    return { version: VERSION, title, readOnly, view, points, facts: this.#facts(), losses: this.losses.latest() }
  }

  #plan(): void {
    this.#timer = this.#settings.clock.setTimer(() => {
      this.#plan()
      this.#tick()
    }, INTERVAL)
    this.#timer.unref?.()
  }

  #tick(): void {
    this.#ask()
    const point = this.#look()
    this.#points.push(point)
    if (this.#points.length > KEPT) this.#points.shift()
    const losses = this.losses.latest(this.#told)
    this.#told = this.losses.added
    this.#onTick({ point, facts: this.#facts(), losses })
  }

  #look(): Point {
    const at = wallTime()
    if (this.#settings.view === 'members') {
      const lost = this.#lostByMembers
      this.#lostByMembers = 0
      return pointOfAll(at, this.#known, lost)
    }
    const now = this.#leases.stats()
    const point = pointOf(at, now, this.#stats)
    this.#stats = now
    return point
  }

  #facts(): Facts {
    const { view } = this.#settings
    const { members } = this.#known ?? {}
    const most = members?.toSorted((one, other) => other.stats.held - one.stats.held).slice(0, MOST_MEMBERS)
    const isOwn = view === 'process'
    const stats = this.#stats ?? this.#leases.stats()
    return {
      own: isOwn ? ownFacts(stats, this.#leases.health().reasons) : null,
      lost: isOwn ? lostOf(stats) : (members ?? []).reduce((sum, member) => sum + member.stats.lost, 0),
      members: most?.map(rowOfMember) ?? null,
      memberCount: members?.length ?? 0,
    }
  }

  /** Asks for the managers, unless the last question is still open. */
  #ask(): void {
    if (this.#asking) return
    this.#asking = true
    void this.#askNow().finally(() => {
      this.#asking = false
    })
  }

  async #askNow(): Promise<void> {
    const { clock, view } = this.#settings
    const startedAt = clock.now()
    try {
      const members = await this.#leases.members()
      this.#known = { members, asked: clock.now() - startedAt }
    } catch {
      // The page says that they could not be asked for. What is wrong with the server is told by the manager.
      this.#known = undefined
      return
    }
    const { members } = this.#known
    if (view === 'members') {
      for (const loss of lossesBetween(this.#before, members, wallTime())) {
        this.losses.add(loss)
        this.#lostByMembers += loss.count
      }
    }
    this.#before = new Map(members.map((member) => [member.id, member]))
  }
}
