/** Keys with a time to live, in this process. A `MemoryBackend` uses it as a `RedisBackend` uses a server. */
import type { Stay } from '../backend.ts'
import { endOfSharing, type Sharing, sharingAt } from '../rules/sharing.ts'
import { type Clock, SystemClock } from '../time/clock.ts'

interface Value {
  readonly token: string
  /** Keys have ascending numbers in the order in which they are stored. */
  readonly serial: number
  expiresAt: number
  /** Given if several may hold the key; then the token is empty. */
  readonly sharing?: Sharing | undefined
}

/** What a manager announced. */
interface Announced {
  readonly prefix: string
  readonly text: string
  readonly expiresAt: number
}

export interface MemoryStoreOptions {
  /** The clock of the store. Default: the machine's clock. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

/** Gets notified of the next change of a key. */
export interface StoreWatcher {
  /** @param key the changed key; without it, any key may have changed. */
  onChange(key?: string): void
}

/** Locks in memory. Several backends may share one store. Tests call its methods to play another client. */
export class MemoryStore {
  readonly #clock: Pick<Clock, 'now'>
  readonly #values = new Map<string, Value>()
  readonly #watchers = new Map<string, Set<StoreWatcher>>()
  readonly #announced = new Map<string, Announced>()
  #fence = 0
  #serial = 0

  constructor(options: MemoryStoreOptions = {}) {
    this.#clock = options.clock ?? new SystemClock()
  }

  /** The token on a key; `undefined` if the key is free. */
  get(key: string): string | undefined {
    return this.#live(key)?.token
  }

  /** What is left of a key's ttl, in ms; `undefined` if the key is free. */
  remaining(key: string): number | undefined {
    const value = this.#live(key)
    return value && value.expiresAt - this.#clock.now()
  }

  /** Writes a key, whoever holds it. @param ttl ms. @param by the watcher that makes the change, which is not notified. */
  set(key: string, token: string, ttl: number, by?: StoreWatcher): void {
    this.#serial += 1
    // A key that is written again keeps its place in the map.
    const { serial } = this.#values.get(key) ?? { serial: this.#serial }
    this.#values.set(key, { token, serial, expiresAt: this.#clock.now() + ttl })
    this.#tell(key, by)
  }

  /** What is on a key that several may hold; `undefined` if the key is free or a plain lock. @internal */
  sharing(key: string): Sharing | undefined {
    const value = this.#live(key)
    return sharingAt(value?.sharing, this.#clock.now())
  }

  /** Writes what is on such a key. Nothing deletes it. @param by as for `set`. @internal */
  joint(key: string, sharing: Sharing | undefined, by?: StoreWatcher): void {
    if (sharing === undefined) {
      this.delete(key, by)
      return
    }
    this.#serial += 1
    const { serial } = this.#values.get(key) ?? { serial: this.#serial }
    this.#values.set(key, { token: '', serial, expiresAt: endOfSharing(sharing), sharing })
    this.#tell(key, by)
  }

  /** ms on the clock of the store. @internal */
  get now(): number {
    return this.#clock.now()
  }

  /** Gives a key a whole ttl again; does nothing if the key is free. @param ttl ms. @param by as for `set`. */
  extend(key: string, ttl: number, by?: StoreWatcher): void {
    const value = this.#live(key)
    if (value === undefined) return
    value.expiresAt = this.#clock.now() + ttl
    this.#tell(key, by)
  }

  /** Deletes a key, whoever holds it. @param by as for `set`. @returns whether the key existed. */
  delete(key: string, by?: StoreWatcher): boolean {
    const deleted = this.#live(key) !== undefined && this.#values.delete(key)
    if (deleted) this.#tell(key, by)
    return deleted
  }

  /** Notifies a watcher of the next change of a key, once. An expired key is reported at the next access to it. */
  watch(key: string, watcher: StoreWatcher): void {
    const watchers = this.#watchers.get(key)
    if (watchers) watchers.add(watcher)
    else this.#watchers.set(key, new Set([watcher]))
  }

  /** All keys that have not expired. */
  keys(): string[] {
    return [...this.#values.keys()].filter((key) => this.#live(key) !== undefined)
  }

  /** The number of the last key that was stored. @internal */
  get lastSerial(): number {
    return this.#serial
  }

  /** All keys with their numbers, in ascending order. It may go on while keys change. @internal */
  *serials(): Generator<readonly [key: string, serial: number], void> {
    for (const [key, { serial }] of this.#values) yield [key, serial]
  }

  /** Keeps what a manager says about itself. @param ttl ms. @internal */
  announce(prefix: string, id: string, text: string, ttl: number): void {
    this.#announced.set(id, { prefix, text, expiresAt: this.#clock.now() + ttl })
  }

  /** What managers with this prefix say about themselves, by id. @internal */
  announced(prefix: string): Map<string, string> {
    const texts = new Map<string, string>()
    for (const [id, announced] of this.#announced) {
      if (this.#clock.now() >= announced.expiresAt) this.#announced.delete(id)
      else if (announced.prefix === prefix) texts.set(id, announced.text)
    }
    return texts
  }

  /** @internal */
  withdraw(id: string): void {
    this.#announced.delete(id)
  }

  /** Forgets what managers say about themselves, as a server may after a failover. @internal */
  clearAnnouncements(): void {
    this.#announced.clear()
  }

  /** Deletes everything, including the fence counter: the time keeps fences growing. */
  clear(): void {
    this.#values.clear()
    this.#announced.clear()
    this.#fence = 0
    const watchers = new Set([...this.#watchers.values()].flatMap((some) => [...some]))
    this.#watchers.clear()
    for (const watcher of watchers) watcher.onChange()
  }

  /** The next fence: larger than all before and than the floor, and at least the time in µs. */
  nextFence(floor = 0): number {
    this.#fence = Math.max(this.#fence + 1, floor + 1, Math.floor(this.#clock.now() * 1_000))
    return this.#fence
  }

  /** All later fences are larger than this one. @internal */
  raiseFence(fence: number): void {
    this.#fence = Math.max(this.#fence, fence)
  }

  /** What is left of a time that began with a fence, in ms; 0 or less if it is over. @internal */
  leftOf({ since, duration }: Stay): number {
    return Math.min(duration, duration - (this.#clock.now() - since / 1_000))
  }

  #live(key: string): Value | undefined {
    const value = this.#values.get(key)
    if (value === undefined || this.#clock.now() < value.expiresAt) return value
    this.#values.delete(key)
    this.#tell(key)
    return undefined
  }

  #tell(key: string, by?: StoreWatcher): void {
    const watchers = this.#watchers.get(key)
    if (watchers === undefined) return
    this.#watchers.delete(key)
    for (const watcher of watchers) if (watcher !== by) watcher.onChange(key)
  }
}
