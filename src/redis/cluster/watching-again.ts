/**
 * Keys that should be watched, and are not, because they were asked for behind ASKING. Once their slot has an owner that serves it, that one is made
 * to watch them, a batch at a time. Then they count as changed, so that the manager notices what happened meanwhile.
 */
import type { BackendListener, LockEntry } from '../../backend.ts'
import { Unwatched } from './unwatched.ts'

/** Keys that are made to be watched together. */
const AT_ONCE = 256

export interface WatchingAgainParts {
  readonly listener: Pick<BackendListener, 'onChange'>
  /** Makes the owners of the keys watch them, as far as they can. Never rejects. */
  readonly watch: (entries: readonly LockEntry[]) => Promise<unknown>
  /** There are such keys from now on, so the end of their slot's move is of interest. */
  readonly onUnsettled: () => void
}

export class WatchingAgain {
  readonly #parts: WatchingAgainParts
  readonly #unwatched = new Unwatched()
  #underWay = Promise.resolve()

  constructor(parts: WatchingAgainParts) {
    this.#parts = parts
  }

  /** Whether any key waits for its slot. */
  get pending(): boolean {
    return this.#unwatched.size > 0
  }

  /** The keys were asked for behind ASKING. What was refused is nobody's. */
  add(slot: number, entries: readonly LockEntry[], outcomes: readonly { readonly type: string }[]): void {
    const isFirst = !this.pending
    const ours = entries.filter((_, index) => outcomes[index]?.type !== 'refused')
    if (ours.length === 0) return
    this.#unwatched.add(slot, ours)
    if (isFirst) this.#parts.onUnsettled()
  }

  /** The node that serves the slot watches the keys now, or nobody holds them any more. */
  remove(slot: number, entries: readonly LockEntry[]): void {
    this.#unwatched.remove(slot, entries)
  }

  /** The slots have another owner. */
  onMoved(slots: readonly number[], route: number): void {
    const keys = slots.flatMap((slot) => this.#unwatched.take(slot))
    for (let start = 0; start < keys.length; start += AT_ONCE) {
      const some = keys.slice(start, start + AT_ONCE)
      this.#underWay = this.#underWay.then(async () => {
        await this.#parts.watch(some.map((key) => ({ key, token: '', ttl: 0 })))
        this.#parts.listener.onChange(some, route)
      })
    }
  }
}
