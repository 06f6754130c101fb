/** Calls of the scripts of `scripts.ts` for some entries. */
import type { HandOverEntry, LockEntry } from '../backend.ts'
import type { Heads } from './encoded-command.ts'
import { type Call, Script } from './script.ts'
import { HAND_OVER, HAND_OVER_AND_WATCH } from './hand-over-scripts.ts'
import * as lua from './scripts.ts'

type LockScript =
  | 'acquire'
  | 'acquireAndWatch'
  | 'handOver'
  | 'handOverAndWatch'
  | 'renew'
  | 'renewAndWatch'
  | 'release'
  | 'verify'
  | 'inspect'

/** The scripts that every backend over Redis runs. */
export const SCRIPTS: Readonly<Record<LockScript, Script>> = {
  acquire: new Script(lua.ACQUIRE),
  acquireAndWatch: new Script(lua.ACQUIRE_AND_WATCH),
  handOver: new Script(HAND_OVER),
  handOverAndWatch: new Script(HAND_OVER_AND_WATCH),
  renew: new Script(lua.RENEW),
  renewAndWatch: new Script(lua.RENEW_AND_WATCH),
  release: new Script(lua.RELEASE),
  verify: new Script(lua.VERIFY),
  inspect: new Script(lua.INSPECT),
}

/** @param heads contain the prefix of the keys. @param more the arguments after the tokens. @param first a key before those of the entries. */
export function callOf(
  script: Script,
  heads: Heads,
  entries: readonly LockEntry[],
  more: readonly number[],
  first?: string,
): Call {
  const keys = { heads, texts: entries.map(({ key }) => key) }
  const tokens = { texts: entries.map(({ token }) => token) }
  return script.prepare(first === undefined ? [keys] : [{ texts: [first] }, keys], [
    tokens,
    { texts: more.map(String) },
  ])
}

/** A call of one of the scripts that hand locks over. @param counter the key of the fence counter. @param floor see `HAND_OVER_IN_CLUSTER`. */
export function handOverCallOf(
  script: Script,
  heads: Heads,
  entries: readonly HandOverEntry[],
  counter: string,
  floor?: number,
): Call {
  const numbers = [...ttlsOf(entries), ...(floor === undefined ? [] : [floor])]
  return script.prepare(
    [{ texts: [counter] }, { heads, texts: entries.map(({ key }) => key) }],
    [
      { texts: entries.map(({ token }) => token) },
      { texts: entries.map(({ from }) => from) },
      { texts: numbers.map(String) },
    ],
  )
}

/** One ttl if all entries have the same, otherwise one for each. */
export function ttlsOf(entries: readonly LockEntry[]): number[] {
  const { ttl } = entries[0] as LockEntry
  return entries.every((entry) => entry.ttl === ttl) ? [ttl] : entries.map((entry) => entry.ttl)
}

/** The indices (from 1) of the entries to watch. */
export function watchedIndices(entries: readonly (LockEntry & { readonly watch?: boolean })[]): number[] {
  const watched: number[] = []
  entries.forEach(({ watch }, index) => {
    if (watch) watched.push(index + 1)
  })
  return watched
}
