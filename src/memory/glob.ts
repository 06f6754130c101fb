/**
 * Patterns as the command `KEYS` of Redis has them. They match bytes, so `?` matches one byte of a character that has several.
 *
 * `*` any bytes, `?` one byte, `[abc]`, `[a-z]` and `[^abc]` one byte of a set, `\` takes the next byte as it is.
 */

const STAR = 42
const QUESTION = 63
const OPEN = 91
const CLOSE = 93
const BACKSLASH = 92
const CARET = 94
const DASH = 45

/** Whether the whole text matches. */
export function matchesGlob(pattern: Uint8Array, text: Uint8Array): boolean {
  // Where to go on if the rest does not match: the last star takes one byte more.
  let starAt = -1
  let takenUpTo = 0
  let at = 0
  let place = 0
  while (place < text.length) {
    const end = at < pattern.length ? matchOne(pattern, at, text[place] as number) : -1
    if (pattern[at] === STAR) {
      starAt = at
      takenUpTo = place
      at += 1
    } else if (end >= 0) {
      at = end
      place += 1
    } else if (starAt >= 0) {
      takenUpTo += 1
      place = takenUpTo
      at = starAt + 1
    } else {
      return false
    }
  }
  while (pattern[at] === STAR) at += 1
  return at >= pattern.length
}

/** @returns where the pattern goes on behind the part that matches one byte; -1 if that does not match. */
function matchOne(pattern: Uint8Array, at: number, byte: number): number {
  const first = pattern[at]
  if (first === QUESTION) return at + 1
  if (first === OPEN) return matchSet(pattern, at + 1, byte)
  const escaped = first === BACKSLASH && at + 1 < pattern.length ? 1 : 0
  return pattern[at + escaped] === byte ? at + escaped + 1 : -1
}

function matchSet(pattern: Uint8Array, start: number, byte: number): number {
  const negated = pattern[start] === CARET
  let at = negated ? start + 1 : start
  let found = false
  while (at < pattern.length && pattern[at] !== CLOSE) {
    if (pattern[at] === BACKSLASH && at + 1 < pattern.length) {
      at += 1
      found ||= pattern[at] === byte
    } else if (pattern[at + 1] === DASH && at + 2 < pattern.length) {
      const [one, other] = [pattern[at] as number, pattern[at + 2] as number]
      found ||= byte >= Math.min(one, other) && byte <= Math.max(one, other)
      at += 2
    } else {
      found ||= pattern[at] === byte
    }
    at += 1
  }
  // A set without its end takes the rest of the pattern.
  return found === negated ? -1 : Math.min(at + 1, pattern.length)
}
