/**
 * Tokens: who holds a lock, for people to read, and 128 bits from the system's secure generator, as 22 characters. May import node:crypto.
 */
import { randomFillSync } from 'node:crypto'

const RANDOM_BYTES = 16
/** Asked for in bulk, because each call of the generator costs more than the bytes do. */
const pool = Buffer.alloc(RANDOM_BYTES * 256)
let offset = pool.length

const OWNED = /^(.+):[\w-]{22}$/s

/** Makes tokens that carry an owner's label, if it is not empty: unguessable, never given out before. */
export function tokensOf(owner: string): () => string {
  const label = owner === '' ? '' : `${owner}:`
  return () => label + randomPart()
}

/** The owner's label that a token carries; undefined where it carries none, as those of other libraries. */
export function ownerOf(token: string): string | undefined {
  return OWNED.exec(token)?.[1]
}

function randomPart(): string {
  if (offset === pool.length) {
    randomFillSync(pool)
    offset = 0
  }
  offset += RANDOM_BYTES
  return pool.toString('base64url', offset - RANDOM_BYTES, offset)
}
