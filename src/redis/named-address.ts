/**
 * Which address the Sentinels name as that of the server. Those that have not heard of a switch still name the old
 * one.
 */
import type { Clock } from '../time/clock.ts'

/** For how long an announcement is believed more than what Sentinels answer, in ms: they tell each other every two seconds. */
const BELIEVED_FOR = 3_000

export class NamedAddress {
  readonly #clock: Clock
  /** `host:port` of the connection, or of the attempt to make one; none without Sentinels. */
  current: string | undefined = undefined
  #announced: { readonly address: string; readonly until: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A switch to this address is known. */
  announce(address: string): void {
    this.#announced = { address, until: this.#clock.now() + BELIEVED_FOR }
  }

  /** Whether the connection leads to another server than the one that has just been announced. */
  get outdated(): boolean {
    if (this.#announced === undefined) return false
    if (this.#clock.now() >= this.#announced.until) this.#announced = undefined
    return this.#announced !== undefined && this.#announced.address !== this.current
  }
}
