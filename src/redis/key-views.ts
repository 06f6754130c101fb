/**
 * Pages of keys, as SCAN and the script VIEW answer.
 *
 * Keys travel as bytes, because other programs may write keys that are no text. A string of one character per byte ("latin1") has them.
 */
import { FENCE_KEY } from '../backend.ts'
import { type KeyView, MEMBERS_KEY } from '../catalogue.ts'
import { VIEW } from './catalogue-scripts.ts'
import { Script } from './script.ts'
import { modeOf } from './joint-call.ts'

/** Keys that one SCAN goes through: about a quarter of a millisecond of the server's time. A search needs few round trips. */
const PAGE = 128

/** Keys that one script looks at: about as long. */
export const VIEWED = 64

export const VIEW_KEYS: Script = new Script(VIEW)

/** A client that can be asked for keys. */
interface Scanning {
  scanBuffer(cursor: string, ...args: ['MATCH', string, 'COUNT', number]): Promise<[Buffer, Buffer[]]>
}

interface Page {
  /** '0' after the last page. */
  readonly cursor: string
  /** Each once, as bytes. */
  readonly names: readonly string[]
}

/** The names of one page. @param prefix precedes every key. @param match a pattern for what follows it. */
export async function scan(client: Scanning, cursor: string, prefix: string, match: string): Promise<Page> {
  const [next, names] = await client.scanBuffer(cursor, 'MATCH', `${literally(prefix)}${match}`, 'COUNT', PAGE)
  // One page may have a key twice.
  const distinct = new Set(names.map((name) => name.toString('latin1')))
  return { cursor: next.toString(), names: [...distinct].filter(isNotOurs) }
}

/** The names of these keys, as bytes, without those that are no locks. @param prefix precedes every key. */
export function namesOf(keys: readonly Uint8Array[], prefix: string): string[] {
  const start = Buffer.from(prefix)
  return keys.map((key) => Buffer.concat([start, key]).toString('latin1')).filter(isNotOurs)
}

/** What is on the keys of a page; those that are gone are left out. @param reply that of `VIEW_KEYS` for these names. */
export function viewsOf(names: readonly string[], reply: unknown, prefix: string): KeyView[] {
  const elements = reply as readonly (string | number)[]
  const start = Buffer.byteLength(prefix)
  return names.flatMap((name, index) => {
    const [remaining, type, token, holders, mode] = elements.slice(5 * index, 5 * index + 5) as [
      number,
      string,
      string,
      number,
      number,
    ]
    if (remaining === -2) return []
    const key = Buffer.from(name, 'latin1').subarray(start)
    const left = remaining === -1 ? Number.POSITIVE_INFINITY : remaining
    return [{ key, type, token, holders, remaining: left, ...(mode >= 0 && { joint: modeOf(mode) ?? 'nobody' }) }]
  })
}

/** Keys that belong to all managers are no locks. */
function isNotOurs(name: string): boolean {
  return name !== FENCE_KEY && !name.startsWith(MEMBERS_KEY)
}

/** A pattern that matches the text itself. */
function literally(text: string): string {
  return text.replaceAll(/[*?[\]\\^-]/g, String.raw`\$&`)
}
