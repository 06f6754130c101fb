/** Checks keys, alone and in lists. */
import { describe } from './check.ts'

const LONGEST_KEY = 4_096

/** A key: a string of 1 to 4,096 characters, well-formed. */
export function checkKey(key: unknown): string {
  if (typeof key !== 'string') throw new TypeError(`Expected \`key\` to be a string, got ${describe(key)}`)
  if (key.length === 0) throw new RangeError('Expected `key` to be a string that is not empty')
  if (key.length > LONGEST_KEY) {
    throw new RangeError(`Expected \`key\` to be a string of at most ${LONGEST_KEY} characters, got ${key.length}`)
  }
  return checkWellFormed('key', key)
}

/**
 * Half of a surrogate pair is no character. UTF-8 replaces it on the way to the server, which would then notify us of changes under another name.
 */
export function checkWellFormed(name: string, text: string): string {
  if (text.isWellFormed()) return text
  throw new RangeError(`Expected \`${name}\` to be well-formed Unicode, got a string with half of a surrogate pair`)
}

/** A key as bytes. Bytes may name any key, also one that no manager can acquire. */
export function bytesOfKey(key: unknown): Uint8Array {
  return key instanceof Uint8Array ? key : Buffer.from(checkKey(key))
}

/** Copies an iterable into a list. Each key in it is still unchecked. */
export function listOfKeys(keys: unknown): readonly unknown[] {
  if (typeof keys !== 'object' || keys === null || !(Symbol.iterator in keys)) {
    throw new TypeError(`Expected \`keys\` to be an array of strings, got ${describe(keys)}`)
  }
  return Array.from(keys as Iterable<unknown>)
}

/** A list of valid keys without duplicates. */
export function checkDistinctKeys(keys: unknown): readonly string[] {
  const list = listOfKeys(keys).map(checkKey)
  const seen = new Set<string>()
  for (const key of list) {
    if (seen.has(key)) throw new RangeError(`Expected \`keys\` to name each key once, got ${describe(key)} twice`)
    seen.add(key)
  }
  return list
}
