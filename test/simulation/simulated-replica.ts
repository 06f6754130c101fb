/** The replica of a server, as those see it who wait for it: it is behind by a moment, or stands still. */
import type { Timeline } from './timeline.ts'

/** From one look to the next while somebody waits, in ms. */
const PACE = 1

export class SimulatedReplica {
  readonly #timeline: Timeline
  /** How far it is behind, in ms. */
  readonly #lag: number
  /** In true time. */
  #frozenAt: number | undefined

  constructor(timeline: Timeline, lag: number) {
    this.#timeline = timeline
    this.#lag = lag
  }

  /** It has all that its server wrote until then, and nothing that came later; in true time. */
  get has(): number {
    return (this.#frozenAt ?? this.#timeline.now) - this.#lag
  }

  freeze(): void {
    this.#frozenAt ??= this.#timeline.now
  }

  thaw(): void {
    this.#frozenAt = undefined
  }

  /** Calls back once it has all until that time, or after `limit` ms, and says whether it has. */
  whenHas(time: number, limit: number, onOver: (acknowledged: boolean) => void): void {
    const until = this.#timeline.now + limit
    const look = (): void => {
      if (this.has >= time) onOver(true)
      else if (this.#timeline.now >= until) onOver(false)
      else this.#timeline.after(PACE, look)
    }
    look()
  }
}
