/** Who took itself for the holder of what, and when; and what that says about two at once. */
import type { Message } from './messages.ts'

export interface Hold {
  readonly name: string
  readonly key: string
  readonly from: number
  /** Infinity while it goes on. */
  until: number
}

export class Record {
  readonly holds: Hold[] = []
  accepted = 0
  refused = 0
  readonly #open = new Map<string, Hold>()

  take(name: string, message: Message): void {
    switch (message.type) {
      case 'begun':
        this.#begin(name, message.key, message.at)
        break
      case 'over':
        this.#end(name, message.key, message.at)
        break
      case 'history':
        for (const [key, at] of message.over) this.#end(name, key, at)
        for (const [key, at] of message.begun) this.#begin(name, key, at)
        break
      case 'writes':
        this.accepted += message.accepted
        this.refused += message.refused
        break
      case 'ready':
      case 'settled':
        break
      default:
        message satisfies never
    }
  }

  /** A process was killed: what it had is over. */
  onDeath(name: string, at: number): void {
    for (const { key, name: holder } of this.#open.values()) if (holder === name) this.#end(name, key, at)
  }

  /** The holds that go on. */
  get open(): readonly Hold[] {
    return [...this.#open.values()]
  }

  /** Holds of one key that overlap. */
  overlaps(): string[] {
    const faults: string[] = []
    const byKey = new Map<string, Hold[]>()
    for (const hold of this.holds) byKey.set(hold.key, [...(byKey.get(hold.key) ?? []), hold])
    for (const [key, holds] of byKey) {
      holds.sort((one, other) => one.from - other.from)
      for (let index = 1; index < holds.length; index += 1) {
        const [before, after] = [holds[index - 1] as Hold, holds[index] as Hold]
        const overlap = (before.until - after.from) / 1_000_000
        if (overlap > 0) faults.push(`${key}: ${before.name} and ${after.name} for ${overlap} ms`)
      }
    }
    return faults
  }

  #begin(name: string, key: string, at: number): void {
    const hold = { name, key, from: at, until: Number.POSITIVE_INFINITY }
    this.holds.push(hold)
    this.#open.set(`${name} ${key}`, hold)
  }

  #end(name: string, key: string, at: number): void {
    const hold = this.#open.get(`${name} ${key}`)
    this.#open.delete(`${name} ${key}`)
    if (hold) hold.until = Math.max(at, hold.from)
  }
}
