/** Locks as lines. Pure. */
import type { ListedLock } from 'leasewheel'
import { duration, safe } from './text.ts'

/** What a lock is, if another library wrote it. */
export function whatIs({ kind, remaining, holders }: ListedLock): string {
  const times = holders === 1 ? '' : ` of ${holders}`
  switch (kind) {
    case 'lease':
      return 'lease'
    case 'permit':
    case 'read':
    case 'write':
      return `${kind}${times}`
    case 'waiting':
      return 'nobody, some wait'
    case 'string':
      return remaining === Number.POSITIVE_INFINITY ? 'string without a ttl' : 'string'
    case 'hash':
      return `hash${times} (Redisson)`
    case 'zset':
      return `sorted set${times} (Symfony, redis-semaphore)`
    default:
      return safe(kind)
  }
}

/** A lock as plain data: a time is text, and what is infinite or unknown is null. */
export function asData(lock: ListedLock): Record<string, unknown> {
  const { key, bytes, kind, owner, since, remaining, holders } = lock
  return {
    key,
    ...(bytes && { bytes: Buffer.from(bytes).toString('base64') }),
    kind,
    owner: owner ?? null,
    since: since?.toISOString() ?? null,
    remaining: Number.isFinite(remaining) ? remaining : null,
    holders,
  }
}

/** The cells of a lock for a terminal. @param now ms since 1970. */
export function cellsOf(lock: ListedLock, now: number): string[] {
  const { key, owner, since, remaining, kind } = lock
  const held = since ? duration(now - since.getTime()) : '-'
  return [held, duration(remaining), kind === 'lease' ? safe(owner ?? '-') : whatIs(lock), safe(key)]
}

/** The fields of a lock for a pipe. */
export function fieldsOf(lock: ListedLock): string[] {
  const { key, owner, since, remaining } = lock
  return [
    since?.toISOString() ?? '-',
    Number.isFinite(remaining) ? String(remaining) : '-',
    whatIs(lock),
    safe(owner ?? '-'),
    safe(key),
  ]
}
