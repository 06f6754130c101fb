/** Tokens: a readable owner label, and 128 bits from the system's secure generator as 22 characters. */
import { randomFillSync } from 'node:crypto'

/** base64url (RFC 4648, section 5). */
const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
/** 21 characters of 6 bits and one of 2. */
const LENGTH = 22
/** Tokens per call of the generator, because a call costs more than its bytes. */
const BATCH = 256

const OWNED = /^(.+):[\w-]{22}$/s

/** Makes unguessable, unique tokens that carry the owner's label, unless it is empty. */
export function tokensOf(owner: string): () => string {
  const label = owner === '' ? '' : `${owner}:`
  // Each token is made from bytes: a flat string takes less memory than a concatenation.
  const text = Buffer.from(label + ALPHABET.toString('latin1', 0, LENGTH))
  const random = Buffer.alloc(LENGTH * BATCH)
  let made = BATCH
  return () => {
    if (made === BATCH) {
      randomFillSync(random)
      made = 0
    }
    writeRandom(text, text.length - LENGTH, random, made * LENGTH)
    made += 1
    return text.toString()
  }
}

/** The owner's label in a token; undefined if there is none, as in tokens of other libraries. */
export function ownerOf(token: string): string | undefined {
  return OWNED.exec(token)?.[1]
}

/** Writes 128 random bits as 22 characters. It uses one random byte per character. */
function writeRandom(text: Buffer, start: number, random: Buffer, from: number): void {
  const last = LENGTH - 1
  for (let index = 0; index < last; index += 1) {
    text[start + index] = ALPHABET[(random[from + index] as number) & 0b111111] as number
  }
  text[start + last] = ALPHABET[(random[from + last] as number) & 0b110000] as number
}
