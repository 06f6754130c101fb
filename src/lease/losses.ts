/**
 * Losses whose event was not emitted yet. A listener may read, release or acquire anything. The losses that it causes wait here for their turn,
 * so the stack never grows with their number.
 */
import type { LeaseLostError } from '../errors.ts'
import type { LossReason } from '../rules/lease-state.ts'
import type { Clock } from '../time/clock.ts'
import type { LeaseRecord } from './lease-record.ts'

export interface Loss {
  readonly record: LeaseRecord
  readonly reason: LossReason
  readonly error: LeaseLostError
}

export class Losses {
  readonly #clock: Clock
  readonly #tellOne: (loss: Loss) => void
  #untold: Loss[] = []
  #telling = false
  #tellingSoon = false

  constructor(clock: Clock, tellOne: (loss: Loss) => void) {
    this.#clock = clock
    this.#tellOne = tellOne
  }

  add(loss: Loss): void {
    this.#untold.push(loss)
  }

  /** Emits all losses, unless a caller further up already does. @returns whether there were any. */
  tell(): boolean {
    if (this.#telling || this.#untold.length === 0) return false
    this.#telling = true
    let told = 0
    try {
      // A listener may cause more losses.
      for (const loss of this.#untold) {
        told += 1
        this.#tellOne(loss)
      }
    } finally {
      this.#telling = false
      this.#untold = this.#untold.slice(told)
      // Something was thrown that no guard has caught.
      if (this.#untold.length > 0) this.tellSoon()
    }
    return true
  }

  /** Emits all losses in a turn of its own. */
  tellSoon(): void {
    if (this.#tellingSoon) return
    this.#tellingSoon = true
    this.#clock.soon(() => {
      this.#tellingSoon = false
      this.tell()
    })
  }
}
