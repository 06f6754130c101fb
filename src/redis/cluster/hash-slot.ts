/**
 * Hash slots of keys, as the servers compute them: CRC16 (XMODEM) of the key, or of its hash tag. Pure.
 *
 * (Redis, "Redis cluster specification": the tag is the text between the first `{` and the first `}` after it, unless that is empty.)
 */

export const SLOTS = 16_384

const POLYNOMIAL = 0x10_21
const REMAINDERS: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x80_00) === 0 ? crc << 1 : (crc << 1) ^ POLYNOMIAL
  return crc & 0xff_ff
})

/** @param crc of what precedes. */
function addByte(crc: number, byte: number): number {
  return ((crc << 8) & 0xff_ff) ^ (REMAINDERS[(crc >> 8) ^ byte] as number)
}

function addText(crc: number, text: string, from = 0, to: number = text.length): number {
  let sum = crc
  for (let i = from; i < to; i += 1) {
    const code = text.charCodeAt(i)
    if (code > 127) {
      let bytes = crc
      for (const byte of Buffer.from(text.slice(from, to))) bytes = addByte(bytes, byte)
      return bytes
    }
    sum = addByte(sum, code)
  }
  return sum
}

function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open + 1)
  return (close > open + 1 ? addText(0, key, open + 1, close) : addText(0, key)) % SLOTS
}

/** The slot of a whole key, which may be no text. */
export function slotOfBytes(key: Uint8Array): number {
  const open = key.indexOf(0x7b)
  const close = open === -1 ? -1 : key.indexOf(0x7d, open + 1)
  const hashed = close > open + 1 ? key.subarray(open + 1, close) : key
  return hashed.reduce(addByte, 0) % SLOTS
}

/** Finds the slots of keys with a common prefix. */
export class SlotFinder {
  readonly #prefix: string
  readonly #crc: number
  /** Whether the prefix has a `{`, so that a `{` of the key does not matter. */
  readonly #opened: boolean
  /** The slot of every key, if the prefix has a hash tag. */
  readonly #only: number | undefined

  constructor(prefix: string) {
    this.#prefix = prefix
    this.#crc = addText(0, prefix)
    const open = prefix.indexOf('{')
    this.#opened = open !== -1
    if (this.#opened && prefix.indexOf('}', open + 1) > open + 1) this.#only = slotOf(prefix)
  }

  /** @param key without the prefix. */
  of(key: string): number {
    if (this.#only !== undefined) return this.#only
    if (this.#opened || key.includes('{')) return slotOf(this.#prefix + key)
    return addText(this.#crc, key) % SLOTS
  }
}

/** The numbers with at most three digits in base 36. */
const SHORT = 36 ** 3

/** By slot, the smallest number whose text in base 36 belongs to it; made at the first use. */
let numbers: Uint32Array | undefined

/** A hash tag for the slot: always the same one, with at most four characters. */
export function tagOf(slot: number): string {
  numbers ??= findNumbers()
  return (numbers[slot] as number).toString(36)
}

function findNumbers(): Uint32Array {
  const found = new Uint32Array(SLOTS)
  const seen = new Uint8Array(SLOTS)
  const crcs = new Uint16Array(SHORT)
  const digits = Array.from({ length: 36 }, (_, digit) => digit.toString(36).charCodeAt(0))
  let left = SLOTS
  for (let number = 0; left > 0; number += 1) {
    const before = number < 36 ? 0 : (crcs[Math.floor(number / 36)] as number)
    const crc = addByte(before, digits[number % 36] as number)
    if (number < SHORT) crcs[number] = crc
    const slot = crc % SLOTS
    if (seen[slot] === 1) continue
    seen[slot] = 1
    found[slot] = number
    left -= 1
  }
  return found
}
