/** Promises keys such as an application has: 20 characters, each a flat string. */
import type { Redis } from 'ioredis'

/** Eight characters; with the number that follows, 20. */
export type KeyKind = 'benched:' | 'warm-up:'

const DIGITS = 12

/** Through a Buffer, as from a socket: V8 would keep a concatenation as a tree, which costs more, or flatten it later. */
export function makeKeys(kind: KeyKind, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(kind + String(index).padStart(DIGITS, '0')).toString('latin1'),
  )
}

/** Their names on the server, as far as it has not let them expire: libraries may put a prefix of their own before a key. */
export async function findKeys(client: Redis, kind: KeyKind): Promise<ReadonlySet<string>> {
  // A set, because SCAN may tell a key twice.
  const found = new Set<string>()
  for await (const keys of client.scanStream({ match: `*${kind}*`, count: 1_000 })) {
    for (const key of keys as string[]) found.add(key)
  }
  return found
}

/**
 * Counts them, and picks some at even distances. Ten million names would take a gigabyte of the process that is measured.
 *
 * @param count how many were made
 * @param picked how many are wanted, about
 */
export async function countKeys(
  client: Redis,
  kind: KeyKind,
  count: number,
  picked: number,
): Promise<{ readonly alive: number; readonly some: readonly string[] }> {
  // SCAN may tell a key twice.
  const seen = new Uint8Array(count)
  const step = Math.max(1, Math.floor(count / picked))
  const some: string[] = []
  let alive = 0
  for await (const keys of client.scanStream({ match: `*${kind}*`, count: 1_000 })) {
    for (const key of keys as string[]) {
      const index = Number(key.slice(-DIGITS))
      if (seen[index] === 1) continue
      seen[index] = 1
      alive += 1
      if (index % step === 0) some.push(key)
    }
  }
  return { alive, some }
}

/** What the library was asked for. */
export function withoutPrefix(name: string, kind: KeyKind): string {
  return name.slice(name.indexOf(kind))
}
