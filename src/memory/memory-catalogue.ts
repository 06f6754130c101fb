/** What operators ask of a `MemoryStore`. */
import type { Announcement, Catalogue, KeyPage, KeyView } from '../catalogue.ts'
import { matchesGlob } from './glob.ts'
import type { MemoryStore, StoreWatcher } from './memory-store.ts'

/** Keys that are looked at for one page. */
const PAGE = 1_024
/** Lists whose places are remembered. Any other goes on as well, and begins by skipping what it had. */
const REMEMBERED = 8

/** Matches every key. */
const ANY = Buffer.from('*')

type Serials = Generator<readonly [key: string, serial: number], void>

export interface MemoryCatalogueParts {
  readonly store: MemoryStore
  /** Precedes every key. */
  readonly prefix: string
  /** Resolves once the request has arrived, and rejects if it cannot. */
  readonly arrive: (operation: 'list' | 'announce' | 'forceRelease') => Promise<void>
  /** The backend, which is not notified of its own changes. */
  readonly watcher: StoreWatcher
}

/** A cursor is the number of the last key that was looked at, and the number at which the list ends: keys stored later are not on it. */
export class MemoryCatalogue implements Catalogue {
  readonly #parts: MemoryCatalogueParts
  readonly #places = new Map<string, Serials>()

  constructor(parts: MemoryCatalogueParts) {
    this.#parts = parts
  }

  async list(match: string, cursor?: string): Promise<KeyPage> {
    const { store, arrive } = this.#parts
    await arrive('list')
    const [start = 0, end = store.lastSerial] = cursor?.split('-').map(Number) ?? []
    const serials = (cursor && this.#places.get(cursor)) || store.serials()
    if (cursor) this.#places.delete(cursor)
    const pattern = Buffer.from(match)
    const keys: KeyView[] = []
    let [last, looked] = [start, 0]
    for (let next = serials.next(); !next.done; next = serials.next()) {
      const [name, serial] = next.value
      if (serial > end) break
      if (serial <= start) continue
      last = serial
      keys.push(...this.#view(name, pattern))
      looked += 1
      if (looked < PAGE) continue
      return { keys, cursor: this.#remember(`${last}-${end}`, serials) }
    }
    return { keys, cursor: undefined }
  }

  async look(keys: readonly Uint8Array[]): Promise<readonly KeyView[]> {
    const { prefix, arrive } = this.#parts
    await arrive('list')
    return keys.flatMap((key) => this.#view(`${prefix}${Buffer.from(key).toString()}`, ANY))
  }

  async remove(key: Uint8Array): Promise<boolean> {
    const { prefix, store, arrive, watcher } = this.#parts
    await arrive('forceRelease')
    return store.delete(`${prefix}${Buffer.from(key).toString()}`, watcher)
  }

  async announce({ id, text }: Announcement, ttl: number): Promise<readonly string[]> {
    const { store, prefix, arrive } = this.#parts
    await arrive('announce')
    store.announce(prefix, id, text, ttl)
    return [...store.announced(prefix).keys()]
  }

  async announced(ids?: readonly string[]): Promise<readonly string[]> {
    const { store, prefix, arrive } = this.#parts
    await arrive('announce')
    const texts = store.announced(prefix)
    return (ids ?? [...texts.keys()]).flatMap((id) => texts.get(id) ?? [])
  }

  async withdraw(id: string): Promise<void> {
    await this.#parts.arrive('announce')
    this.#parts.store.withdraw(id)
  }

  #view(name: string, pattern: Uint8Array): KeyView[] {
    const { store, prefix } = this.#parts
    const [token, remaining] = [store.get(name), store.remaining(name)]
    if (!name.startsWith(prefix) || token === undefined || remaining === undefined) return []
    const key = Buffer.from(name.slice(prefix.length))
    if (!matchesGlob(pattern, key)) return []
    const sharing = store.sharing(name)
    if (sharing === undefined) return [{ key, type: 'string', token, remaining, holders: 1 }]
    return [{ key, type: 'zset', token, remaining, holders: sharing.holders.size, joint: sharing.mode ?? 'nobody' }]
  }

  #remember(cursor: string, serials: Serials): string {
    this.#places.set(cursor, serials)
    const [oldest] = this.#places.keys()
    if (this.#places.size > REMEMBERED && oldest !== undefined) this.#places.delete(oldest)
    return cursor
  }
}
