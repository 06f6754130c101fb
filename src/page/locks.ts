/** What the page asks about locks: pages of the list, one lock, and its release. */
import type { ListedLock } from '../overview/listing.ts'
import { type Clock, wallTime } from '../time/clock.ts'
import type { LossBook } from './losses.ts'
import type { PageLeases } from './page-leases.ts'
import type { LockName, LockPage, LockRow, LockStory, ReleaseRequest } from './wire.ts'

/** Rows after which a page ends. */
const ROWS = 100
/** ms after which a page ends, also if it has few rows: a search through a million keys shows what it has found until then. */
const SPAN = 200

interface Search {
  /** What a person typed: a part of the key, or a pattern. */
  readonly text: string
  readonly owner: string | undefined
  readonly cursor: string | undefined
}

/** Somebody else holds the lock meanwhile. */
export class HolderChangedError extends Error {}

/** @param signal aborts if nobody wants the answer any more. */
export async function findLocks(
  leases: PageLeases,
  { text, owner, cursor }: Search,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<LockPage> {
  const startedAt = clock.now()
  const rows: LockRow[] = []
  const full = new AbortController()
  let next: string | undefined
  const onPage = (following: string | undefined): void => {
    next = following
    if (rows.length >= ROWS || clock.now() - startedAt >= SPAN) full.abort()
  }
  // A whole key is found at once, and stands first.
  if (text !== '' && cursor === undefined) {
    for await (const lock of leases.list({ keys: [text], owner, signal })) rows.push(rowOf(lock))
  }
  const found = rows.length > 0
  try {
    const both = AbortSignal.any([signal, full.signal])
    for await (const lock of leases.list({ match: patternOf(text), owner, cursor, onPage, signal: both })) {
      if (found && lock.key === text && lock.bytes === undefined) continue
      rows.push(rowOf(lock))
    }
  } catch (error) {
    if (!full.signal.aborted) throw error
  }
  return { rows, cursor: next ?? null, at: wallTime(), took: clock.now() - startedAt }
}

export async function tellStory(leases: PageLeases, name: LockName, losses: LossBook): Promise<LockStory> {
  const lock = await look(leases, name)
  const lease = lock?.lease
  return {
    at: wallTime(),
    lock: lock ? rowOf(lock) : null,
    lease: lease ? { state: lease.state, ttl: lease.ttl, remaining: lease.remaining } : null,
    losses: name.bytes === null ? losses.latest().filter(({ key }) => key === name.key) : [],
  }
}

/** @returns whether anybody held it. @throws HolderChangedError. */
export async function releaseLock(leases: PageLeases, request: ReleaseRequest): Promise<boolean> {
  const lock = await look(leases, request)
  if (lock === undefined) return false
  const { owner, since } = rowOf(lock)
  if (owner !== request.owner || since !== request.since) {
    throw new HolderChangedError('Somebody else holds the lock meanwhile')
  }
  return leases.forceRelease(addressOf(request))
}

async function look(leases: PageLeases, name: LockName): Promise<ListedLock | undefined> {
  for await (const lock of leases.list({ keys: [addressOf(name)] })) return lock
  return undefined
}

function addressOf({ key, bytes }: LockName): string | Uint8Array {
  return bytes === null ? key : Buffer.from(bytes, 'base64')
}

/** A part of a key, unless the text has letters that mean something in patterns. */
function patternOf(text: string): string {
  if (text === '') return '*'
  return /[*?[]/.test(text) ? text : `*${text.replaceAll('\\', '\\\\')}*`
}

function rowOf({ key, bytes, kind, owner, since, remaining, holders, fence, waiters }: ListedLock): LockRow {
  return {
    key,
    bytes: bytes ? Buffer.from(bytes).toString('base64') : null,
    kind,
    owner: owner ?? null,
    since: since?.getTime() ?? null,
    remaining: Number.isFinite(remaining) ? Math.round(remaining) : null,
    holders,
    fence: fence ?? null,
    waiters,
  }
}
