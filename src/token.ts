/**
 * Tokens: 128 bits from the system's secure generator, as 22 characters. May import node:crypto.
 */
import { randomFillSync } from 'node:crypto'

const TOKEN_BYTES = 16
/** Asked for in bulk, because each call of the generator costs more than the bytes do. */
const pool = Buffer.alloc(TOKEN_BYTES * 256)
let offset = pool.length

/** A new token: unguessable, never given out before. */
export function createToken(): string {
  if (offset === pool.length) {
    randomFillSync(pool)
    offset = 0
  }
  offset += TOKEN_BYTES
  return pool.toString('base64url', offset - TOKEN_BYTES, offset)
}
