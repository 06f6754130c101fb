/**
 * Tokens: who holds a lock, for people to read, and 128 bits from the system's secure generator, as 22 characters. May import node:crypto.
 */
import { randomFillSync } from 'node:crypto'

const RANDOM_BYTES = 16
const LENGTH = 22
/** Tokens that are made at once, because each call of the generator costs more than the bytes do. */
const BATCH = 256
/** What is encoded at once: base64 turns three bytes into four characters, so each token is followed by two zeros, and two characters for them. */
const STRIDE = { bytes: 18, characters: 24 }

const OWNED = /^(.+):[\w-]{22}$/s

/** Makes tokens that carry an owner's label, if it is not empty: unguessable, never given out before. */
export function tokensOf(owner: string): () => string {
  const label = Buffer.from(owner === '' ? '' : `${owner}:`)
  const length = label.length + LENGTH
  // Each is cut out of one text: strings of one piece are smaller than two that were put together.
  const text = Buffer.alloc(length * BATCH)
  for (let token = 0; token < BATCH; token += 1) label.copy(text, token * length)
  let offset = text.length
  return () => {
    if (offset === text.length) {
      fill(text, label.length, length)
      offset = 0
    }
    offset += length
    return text.toString('utf8', offset - length, offset)
  }
}

/** The owner's label that a token carries; undefined where it carries none, as those of other libraries. */
export function ownerOf(token: string): string | undefined {
  return OWNED.exec(token)?.[1]
}

/** Writes a batch of random parts, the first of them at `start`, one each `distance` bytes. */
function fill(text: Buffer, start: number, distance: number): void {
  const random = Buffer.alloc(STRIDE.bytes * BATCH)
  randomFillSync(random)
  for (let token = 0; token < BATCH; token += 1)
    random.fill(0, token * STRIDE.bytes + RANDOM_BYTES, (token + 1) * STRIDE.bytes)
  const characters = Buffer.from(random.toString('base64url'), 'latin1')
  for (let token = 0; token < BATCH; token += 1) {
    const from = token * STRIDE.characters
    characters.copy(text, start + token * distance, from, from + LENGTH)
  }
}
