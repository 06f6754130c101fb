/**
 * Tokens: a readable owner label, and 22 characters. 8 of them say when the token was made (ms since 1970 by the wall clock, 48 bits), and 14 are 84
 * bits from the system's secure generator (docs/adr/0042).
 */
import { randomFillSync } from 'node:crypto'
import { wallTime } from '../time/clock.ts'

/** base64url (RFC 4648, section 5): 6 bits a character. */
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ALPHABET = Buffer.from(LETTERS)
const TIME_LENGTH = 8
const RANDOM_LENGTH = 14
const LENGTH = TIME_LENGTH + RANDOM_LENGTH
/** Tokens per call of the generator, because a call costs more than its bytes. */
const BATCH = 256

const OWNED = /^(.+):[\w-]{22}$/s
const DATED = /(?:^|:)([\w-]{8})[\w-]{14}$/

/** No token is older: 2025 began. It tells our tokens from random text, of which one in thousands looks like a time since then. */
const EARLIEST = 1_735_689_600_000
/** ms by which the wall clock of another machine may be ahead. */
const AHEAD = 86_400_000

/** Makes unguessable, unique tokens that carry the owner's label, unless it is empty. @param now ms since 1970. */
export function tokensOf(owner: string, now: () => number = wallTime): () => string {
  const label = owner === '' ? '' : `${owner}:`
  // Each token is made from bytes: a flat string takes less memory than a concatenation.
  const text = Buffer.from(label + LETTERS.slice(0, LENGTH))
  const start = text.length - LENGTH
  const random = Buffer.alloc(RANDOM_LENGTH * BATCH)
  let made = BATCH
  let written = Number.NaN
  return () => {
    if (made === BATCH) {
      randomFillSync(random)
      made = 0
    }
    const time = now()
    if (time !== written) {
      writeTime(text, start, time)
      written = time
    }
    writeRandom(text, start + TIME_LENGTH, random, made * RANDOM_LENGTH)
    made += 1
    return text.toString()
  }
}

/** The owner's label in a token; undefined if there is none, as in tokens of other libraries. */
export function ownerOf(token: string): string | undefined {
  return OWNED.exec(token)?.[1]
}

/** When a token was made, in ms since 1970; undefined if it does not say, as tokens of other libraries. @param now ms since 1970. */
export function sinceOf(token: string, now: number): number | undefined {
  const written = DATED.exec(token)?.[1]
  if (written === undefined) return undefined
  let time = 0
  for (const letter of written) time = time * 64 + LETTERS.indexOf(letter)
  return time >= EARLIEST && time <= now + AHEAD ? time : undefined
}

/** Writes a time as 8 characters, the highest bits first. */
function writeTime(text: Buffer, start: number, time: number): void {
  let rest = Math.max(Math.floor(time), 0)
  for (let index = start + TIME_LENGTH - 1; index >= start; index -= 1) {
    text[index] = ALPHABET[rest % 64] as number
    rest = Math.floor(rest / 64)
  }
}

/** Writes 84 random bits as 14 characters. It uses one random byte per character. */
function writeRandom(text: Buffer, start: number, random: Buffer, from: number): void {
  for (let index = 0; index < RANDOM_LENGTH; index += 1) {
    text[start + index] = ALPHABET[(random[from + index] as number) & 0b111111] as number
  }
}
