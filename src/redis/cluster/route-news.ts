/**
 * What the manager has to be told about nodes, once they can be asked: that one has returned, or that one has taken over from another.
 *
 * After a failover all leases of the node are renewed. They should be watched from then on, or they would have to be renewed once more. So the news
 * waits until the node reports changes, but not for long.
 */
import type { BackendListener } from '../../backend.ts'
import type { Clock, Timer } from '../../time/clock.ts'
import type { Tracking } from '../tracking.ts'

/** ms that the news of a failover waits for the node to report changes. */
const SOON = 50

/** A node that the news is about. */
interface Subject {
  readonly route: number
  readonly tracking: Pick<Tracking, 'active'> | undefined
}

export interface RouteNewsParts {
  readonly clock: Clock
  readonly listener: Pick<BackendListener, 'onRecovered' | 'onSuspect' | 'onChange'>
  /** Another server answers for all slots of the route: it may lack what the last one confirmed. */
  readonly onOtherServer: (route: number) => void
}

export class RouteNews {
  readonly #parts: RouteNewsParts
  readonly #news = new Map<number, 'recovered' | 'promoted'>()
  readonly #timers = new Map<number, Timer>()
  #referenced = true

  constructor(parts: RouteNewsParts) {
    this.#parts = parts
  }

  /** The node serves slots again that nobody served. If it has taken over as well, that is what counts. */
  onRecovered(route: number): void {
    if (!this.#news.has(route)) this.#news.set(route, 'recovered')
  }

  /** The node has taken slots over from a node that it had copied. */
  onPromoted(route: number): void {
    this.#news.set(route, 'promoted')
  }

  /** The node can be asked. */
  onUsable(node: Subject): void {
    const { route, tracking } = node
    const news = this.#news.get(route)
    if (news === undefined) return
    if (news === 'recovered') {
      this.#news.delete(route)
      this.#parts.listener.onRecovered(route)
    } else if (tracking === undefined || tracking.active) {
      this.#tellPromotion(node)
    } else if (!this.#timers.has(route)) {
      const timer = this.#parts.clock.setTimer(() => this.#tellPromotion(node), SOON)
      if (!this.#referenced) timer.unref?.()
      this.#timers.set(route, timer)
    }
  }

  /** The node reports changes from now on. @returns whether that is told with other news. */
  onWatching(node: Subject): boolean {
    if (this.#news.get(node.route) !== 'promoted') return false
    this.#tellPromotion(node)
    return true
  }

  /** The node serves nothing any more. */
  forget(route: number): void {
    this.#news.delete(route)
    this.#timers.get(route)?.cancel()
    this.#timers.delete(route)
  }

  unref(): void {
    this.#referenced = false
    for (const timer of this.#timers.values()) timer.unref?.()
  }

  close(): void {
    for (const route of this.#timers.keys()) this.forget(route)
  }

  #tellPromotion({ route, tracking }: Subject): void {
    this.forget(route)
    const { listener, onOtherServer } = this.#parts
    // It may lack the last writes, and watches nothing for us.
    onOtherServer(route)
    listener.onSuspect(route)
    if (tracking?.active) listener.onChange(undefined, route)
  }
}
