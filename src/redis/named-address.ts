/**
 * The address of the server, as the Sentinels name it. Sentinels that do not know of a switch yet still name the old one.
 */
import type { Clock } from '../time/clock.ts'

/** ms for which we believe an announcement more than the Sentinels' answers: they inform each other every two seconds. */
const BELIEVED_FOR = 3_000

export class NamedAddress {
  readonly #clock: Clock
  /** `host:port` of the connection, or of the attempt to make one; undefined without Sentinels. */
  current: string | undefined = undefined
  #announced: { readonly address: string; readonly until: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A Sentinel has announced a switch to this address. */
  announce(address: string): void {
    this.#announced = { address, until: this.#clock.now() + BELIEVED_FOR }
  }

  /** Whether the connection leads to another server than the announced one. */
  get outdated(): boolean {
    if (this.#announced === undefined) return false
    if (this.#clock.now() >= this.#announced.until) this.#announced = undefined
    return this.#announced !== undefined && this.#announced.address !== this.current
  }
}
