/**
 * Foresees which fences the members would give, so that all of them can be asked for the same one. Pure.
 *
 * A member gives the larger of its counter plus 1 and its time in µs. Their times differ, so their fences would, and a fence is of use only once a
 * majority knows it. So each request names a floor a little above the time of the fastest member: then all give the floor plus 1. A wrong guess costs
 * one more request, and never a wrong fence.
 *
 * The time of a member is not sent anywhere, so it is taken from its fences. A fence is never below it, so the lowest offset to our clock counts.
 * Fences that follow from our own floor say nothing: with those, each floor would be above the last one, and the counters would run away from
 * the time that is to replace them if they are lost.
 */

/** µs that a request may take longer than the fastest one of the last minutes. */
const LEAD = 2_000
/** ms. The clocks drift apart, so an offset counts for one to two of these. */
const WINDOW = 60_000

interface Offset {
  /** µs from our clock to that of the member, at most. */
  low: number
  previous: number
  begunAt: number
}

export class FenceClock {
  readonly #offsets = new Map<number, Offset>()

  /** What all fences of a request sent now should be larger than; 0 while nothing is known. @param now ms. */
  floor(now: number): number {
    let ahead = Number.NEGATIVE_INFINITY
    for (const { low, previous } of this.#offsets.values()) ahead = Math.max(ahead, Math.min(low, previous))
    return ahead === Number.NEGATIVE_INFINITY ? 0 : Math.max(Math.floor(now * 1_000 + ahead) + LEAD, 0)
  }

  /** @param floor that of the request. @param sentAt when it was sent, in ms. */
  onFence(member: number, fence: number, floor: number, sentAt: number): void {
    if (fence <= floor + 1) return
    const low = fence - sentAt * 1_000
    const offset = this.#offsets.get(member)
    if (offset === undefined) {
      this.#offsets.set(member, { low, previous: low, begunAt: sentAt })
    } else if (sentAt < offset.begunAt + WINDOW) {
      offset.low = Math.min(offset.low, low)
    } else {
      offset.previous = offset.low
      offset.low = low
      offset.begunAt = sentAt
    }
  }

  /** Another server answers for the member, with another time. */
  forget(member: number): void {
    this.#offsets.delete(member)
  }
}
