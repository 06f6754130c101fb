/**
 * Keys that several may hold: permits, and locks for readers and writers. This is the structure of a key, and what each request does to it. Pure.
 *
 *     permits  a holder has a weight; all weights together are at most the `permits` of whoever asks
 *     read     any number, beside no writer
 *     write    one, beside nobody
 *
 * Who waits says so, and that keeps for a while (Björn Brandenburg and James Anderson, "Spin-based reader-writer synchronization", 2010: phase-fair
 * locks). While a writer waits, readers that ask for the first time wait, too. When a writer ends, the readers that were refused before that end go
 * first, and no writer before them.
 */

export type JointMode = 'permit' | 'read' | 'write'

/** How a caller wants to hold a key that others may hold as well. */
export interface Joint {
  readonly mode: JointMode
  /** How many permits the caller knows of; 0 for readers and writers. */
  readonly permits: number
  /** How many of the permits the caller takes; 1 for readers and writers. */
  readonly weight: number
  /** For how many ms a refused reader or writer counts as waiting. Default: it does not. */
  readonly announce?: number | undefined
}

/** ms for which a reader or writer that was refused counts as waiting. It asks again before that. */
export const ANNOUNCED_FOR = 2_000
/** ms after which a waiting reader or writer asks again: its announcement lasts, even if one answer is late. */
export const ANNOUNCE_EVERY = 600

interface Holder {
  readonly weight: number
  /** On the store's clock, in ms. */
  readonly until: number
}

/** What is on a key. It never changes: each request makes another one. All times are ms on the store's clock. */
export interface Sharing {
  /** Undefined if nobody holds the key. */
  readonly mode: JointMode | undefined
  /** By token, in the order of the grants. */
  readonly holders: ReadonlyMap<string, Holder>
  /** Another number after each change. */
  readonly version: number
  /** Another number after the end of each writer. */
  readonly turn: number
  /** Until when readers, and writers, count as waiting. */
  readonly readersWait: number
  readonly writersWait: number
  /** Until when no writer is granted: a writer has ended, and the readers that were refused before go first. */
  readonly readersFirst: number
}

/** A request for a key. */
export interface JointRequest {
  readonly token: string
  /** ms. */
  readonly ttl: number
  readonly joint: Joint
  /** What the first refusal of this caller said; undefined if it was not refused yet. */
  readonly turn?: number | undefined
}

export interface JointRefusal {
  /** ms until the first of the holders ends. */
  readonly remaining: number
  /** The token of that holder. */
  readonly holder: string
  readonly version: number
  readonly turn: number
}

const NEVER = Number.NEGATIVE_INFINITY

const EMPTY: Sharing = {
  mode: undefined,
  holders: new Map(),
  version: 0,
  turn: 0,
  readersWait: NEVER,
  writersWait: NEVER,
  readersFirst: NEVER,
}

/** Without holders and announcements that are over. @returns undefined if nothing is left. */
export function sharingAt(sharing: Sharing | undefined, now: number): Sharing | undefined {
  if (sharing === undefined) return undefined
  const over = [...sharing.holders].filter(([, { until }]) => until <= now)
  // A writer has ended at its own time, whoever looks, and whenever.
  const tokens = over.map(([token]) => token)
  const rest = over.length === 0 ? sharing : without(sharing, tokens, (over[0] as [string, Holder])[1].until)
  return rest.holders.size > 0 || endOfSharing(rest) > now ? rest : undefined
}

/** When nothing of it is left, unless it changes. */
export function endOfSharing({ holders, readersWait, writersWait, readersFirst }: Sharing): number {
  return Math.max(readersWait, writersWait, readersFirst, ...Array.from(holders.values(), ({ until }) => until))
}

/** How much of the permits is taken. */
export function weightOf({ holders }: Sharing): number {
  let sum = 0
  for (const { weight } of holders.values()) sum += weight
  return sum
}

/** @param before as `sharingAt` returned it. @returns what is on the key afterwards, and why it was refused. */
export function acquireJoint(
  before: Sharing | undefined,
  request: JointRequest,
  now: number,
): { readonly sharing: Sharing; readonly refusal: JointRefusal | undefined } {
  const sharing = before ?? EMPTY
  const { token, ttl, joint } = request
  const isHeld = sharing.holders.has(token)
  if (!isHeld && !isFree(sharing, request, now)) {
    const announced = announce(sharing, joint, now)
    return { sharing: announced, refusal: refusalOf(announced, now) }
  }
  const holders = new Map(sharing.holders)
  holders.set(token, { weight: joint.weight, until: now + ttl })
  const granted = { ...changed(sharing), holders }
  if (isHeld) return { sharing: granted, refusal: undefined }
  const readers = joint.mode === 'read' ? { readersWait: NEVER, readersFirst: NEVER } : {}
  const writer = joint.mode === 'write' ? { writersWait: NEVER } : {}
  return { sharing: { ...granted, mode: joint.mode, ...readers, ...writer }, refusal: undefined }
}

/** Extends a holder; a writer that renews as a reader becomes one. @returns undefined if the token is no holder. */
export function renewJoint(before: Sharing | undefined, request: JointRequest, now: number): Sharing | undefined {
  const holder = before?.holders.get(request.token)
  if (before === undefined || holder === undefined) return undefined
  const holders = new Map(before.holders)
  holders.set(request.token, { weight: holder.weight, until: now + request.ttl })
  const renewed = { ...changed(before), holders }
  return before.mode === 'write' && request.joint.mode === 'read' ? endWriter(renewed, 'read', now) : renewed
}

/** @returns what is left, which may be nothing; undefined if the token is no holder. */
export function releaseJoint(
  before: Sharing | undefined,
  token: string,
  now: number,
): { readonly sharing: Sharing | undefined } | undefined {
  if (before?.holders.has(token) !== true) return undefined
  return { sharing: sharingAt(without(before, [token], now), now) }
}

function isFree(sharing: Sharing, { joint, turn }: JointRequest, now: number): boolean {
  const { mode, holders, writersWait, readersFirst } = sharing
  switch (joint.mode) {
    case 'permit':
      return (mode === undefined || mode === 'permit') && weightOf(sharing) + joint.weight <= joint.permits
    case 'read': {
      const wasAhead = turn !== undefined && turn !== sharing.turn
      return (mode === undefined || mode === 'read') && (writersWait <= now || wasAhead)
    }
    case 'write':
      return holders.size === 0 && readersFirst <= now
  }
}

/** An announcement that still lasts for long is left alone: each change wakes all waiters. */
function announce(sharing: Sharing, { mode, announce: duration = 0 }: Joint, now: number): Sharing {
  if (mode === 'permit' || duration === 0) return sharing
  const name = mode === 'read' ? 'readersWait' : 'writersWait'
  if (sharing[name] >= now + duration / 2) return sharing
  return { ...changed(sharing), [name]: now + duration }
}

function refusalOf({ holders, version, turn, writersWait, readersFirst }: Sharing, now: number): JointRefusal {
  let [holder, until] = ['', Number.POSITIVE_INFINITY]
  for (const [token, held] of holders) if (held.until < until) [holder, until] = [token, held.until]
  if (holder === '') until = Math.max(writersWait, readersFirst)
  return { remaining: until - now, holder, version, turn }
}

function without(sharing: Sharing, tokens: readonly string[], now: number): Sharing {
  const holders = new Map(sharing.holders)
  for (const token of tokens) holders.delete(token)
  const rest = { ...changed(sharing), holders }
  if (holders.size > 0) return rest
  return sharing.mode === 'write' ? endWriter(rest, undefined, now) : { ...rest, mode: undefined }
}

function endWriter(sharing: Sharing, mode: 'read' | undefined, now: number): Sharing {
  const turn = Math.max(sharing.turn + 1, Math.floor(now))
  // A writer that became a reader keeps writers out by itself.
  return { ...sharing, mode, turn, readersFirst: sharing.readersWait, readersWait: NEVER }
}

function changed(sharing: Sharing): Sharing {
  return { ...sharing, version: sharing.version + 1 }
}
