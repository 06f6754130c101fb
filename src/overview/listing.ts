/** Lists the locks under a prefix, whoever holds them, page by page. */
import type { Catalogue, KeyPage, KeyView } from '../catalogue.ts'
import type { Lease } from '../lease/lease.ts'
import { ownerOf, sinceOf } from '../lease/token.ts'
import type { ListSettings } from '../options/settings.ts'
import { type Clock, dateOf, nextTurn, wallTime } from '../time/clock.ts'
import { keyText } from './key-text.ts'

/** A lock as `list` finds it, whatever wrote it. */
export interface ListedLock {
  /** The key without the prefix. If it is no valid UTF-8, each byte above 127 is shown as `\xNN` and a backslash as two. */
  readonly key: string
  /** The key itself if it is no valid UTF-8; otherwise undefined. No manager can acquire such a key. */
  readonly bytes: Uint8Array | undefined
  /**
   * `lease` if a manager of this library wrote it for one holder; `permit`, `read` or `write` if for several, and `waiting` if some of these wait and
   * nobody holds the key; otherwise what Redis calls the type: `string`, `hash`, `zset` and so on.
   */
  readonly kind: string
  /** The `owner` of the manager that acquired it; undefined if the key does not say. */
  readonly owner: string | undefined
  /** When it was acquired, by the clock of the machine that acquired it; undefined if the key does not say. */
  readonly since: Date | undefined
  /** What is left of its ttl, in ms; Infinity if it has none. */
  readonly remaining: number
  /** Its fence, if this manager holds the lock. The key of another's does not say. */
  readonly fence: number | undefined
  /** How many hold it; for locks of other libraries that can have several holders, how many fields a hash has, or how many members a sorted set. */
  readonly holders: number
  /** The lease of this manager, if this manager holds the lock. */
  readonly lease: Lease | undefined
  /** How many members have it, if the backend is a quorum. */
  readonly votes?: number
  /** Callers of this manager that wait for it. */
  readonly waiters: number
}

export interface ListingParts {
  readonly clock: Clock
  readonly aborts: { race<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> }
  /** The lease of this manager with this token, if there is one. */
  readonly leaseOf: (key: string, token: string) => Lease | undefined
  /** How many callers of this manager wait for a key. */
  readonly waitersFor: (key: string) => number
  /** Asks the backend, within the timeout. */
  readonly ask: <T>(work: (catalogue: Catalogue) => Promise<T>) => Promise<T>
  /** @throws once the manager is closed. */
  readonly throwIfClosed: () => void
}

/** Keys that are asked for by name at a time. */
const PAGE = 64

export async function* listLocks(parts: ListingParts, settings: ListSettings): AsyncGenerator<ListedLock, void> {
  const { owner, signal, onPage } = settings
  let { cursor } = settings
  do {
    parts.throwIfClosed()
    signal?.throwIfAborted()
    const page = await parts.aborts.race(
      signal,
      parts.ask((catalogue) => pageOf(catalogue, settings, cursor)),
    )
    for (const view of page.keys) {
      const lock = readLock(view, parts)
      if (owner !== undefined && lock.owner !== owner) continue
      yield lock
      signal?.throwIfAborted()
    }
    cursor = page.cursor
    onPage?.(cursor)
    // A store in memory answers without a turn of the event loop.
    await nextTurn(parts.clock)
  } while (cursor !== undefined)
}

async function pageOf(catalogue: Catalogue, { match, keys }: ListSettings, cursor?: string): Promise<KeyPage> {
  if (keys === undefined) return catalogue.list(match, cursor)
  const start = Number(cursor ?? 0)
  const end = start + PAGE
  const views = await catalogue.look(keys.slice(start, end))
  return { keys: views, cursor: end < keys.length ? String(end) : undefined }
}

function readLock(view: KeyView, { leaseOf, waitersFor }: ListingParts): ListedLock {
  const { key: name, type, token, remaining, holders, joint, votes } = view
  const { key, bytes } = keyText(name)
  const isText = type === 'string'
  const owner = isText ? ownerOf(token) : undefined
  const time = isText ? sinceOf(token, wallTime()) : undefined
  const lease = bytes === undefined && isText ? leaseOf(key, token) : undefined
  const ours = owner !== undefined || time !== undefined || lease !== undefined
  return {
    key,
    bytes,
    kind: joint === undefined ? (ours ? 'lease' : type) : joint === 'nobody' ? 'waiting' : joint,
    owner,
    since: dateOf(time),
    remaining,
    fence: lease?.fence,
    holders,
    lease,
    ...(votes !== undefined && { votes }),
    waiters: bytes === undefined ? waitersFor(key) : 0,
  }
}
