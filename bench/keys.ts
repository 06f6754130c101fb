/** Promises keys such as an application has: 20 characters, each a flat string. */
import type { Redis } from 'ioredis'

/** Eight characters; with the number that follows, 20. */
export type KeyKind = 'benched:' | 'warm-up:'

/** Through a Buffer, as from a socket: V8 would keep a concatenation as a tree, which costs more, or flatten it later. */
export function makeKeys(kind: KeyKind, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(kind + String(index).padStart(12, '0')).toString('latin1'),
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

/** What the library was asked for. */
export function withoutPrefix(name: string, kind: KeyKind): string {
  return name.slice(name.indexOf(kind))
}
