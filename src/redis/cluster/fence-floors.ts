/**
 * The largest fences that this manager was given, by slot. The counter of a slot is a key of that slot and moves with it. But a failover may lose
 * its last changes, so the first acquisition at a new owner says what the fence must be larger than. Pure.
 */
import { FENCE_KEY, type Unknown } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { SLOTS, tagOf } from './hash-slot.ts'

export class FenceFloors {
  readonly #largest = new Float64Array(SLOTS)
  /** 1: the slot has another owner since its last fence. */
  readonly #doubtful = new Uint8Array(SLOTS)

  /** The server of the slot may lack the last fences. */
  doubt(slot: number): void {
    this.#doubtful[slot] = 1
  }

  /** What the next fence must be larger than; 0 if the server knows. */
  floorOf(slot: number): number {
    return this.#doubtful[slot] === 1 ? (this.#largest[slot] as number) : 0
  }

  onGranted(slot: number, fence: number): void {
    if (fence <= (this.#largest[slot] as number)) return
    this.#largest[slot] = fence
    this.#doubtful[slot] = 0
  }
}

/** The key of a slot's counter. It depends on the slot alone, so that clients with different prefixes share it. */
export function fenceKeyOf(slot: number): string {
  return `${FENCE_KEY}:{${tagOf(slot)}}`
}

/** Whether a whole key is the counter of its slot. */
export function isFenceKey(key: string, slot: number): boolean {
  return key.startsWith(FENCE_KEY) && key === fenceKeyOf(slot)
}

/** The outcome for a key that cannot be a lock. */
export function reserved(key: string): Unknown {
  const message = `The key \`${key}\` is the fence counter of its slot, so it cannot be a lock`
  return { type: 'unknown', error: new UnavailableError(message, key, { final: true }) }
}
