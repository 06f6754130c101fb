/** Calls of the scripts of `scripts.ts` for some entries. */
import type { HandOverEntry, LockEntry, ReleaseEntry } from '../backend.ts'
import type { Heads } from './encoded-command.ts'
import { type Call, Script } from './script.ts'
import { HAND_OVER, HAND_OVER_AND_WATCH } from './hand-over-scripts.ts'
import * as lua from './scripts.ts'

type LockScript =
  | 'handOver'
  | 'handOverAndWatch'
  | 'raise'
  | 'renew'
  | 'renewAndWatch'
  | 'release'
  | 'releaseLater'
  | 'verify'
  | 'inspect'

/** The scripts that every backend over Redis runs. */
export const SCRIPTS: Readonly<Record<LockScript, Script>> = {
  handOver: new Script(HAND_OVER),
  handOverAndWatch: new Script(HAND_OVER_AND_WATCH),
  raise: new Script(lua.RAISE),
  renew: new Script(lua.RENEW),
  renewAndWatch: new Script(lua.RENEW_AND_WATCH),
  release: new Script(lua.RELEASE),
  releaseLater: new Script(lua.RELEASE_LATER),
  verify: new Script(lua.VERIFY),
  inspect: new Script(lua.INSPECT),
}

const ACQUIRES = {
  plain: [new Script(lua.ACQUIRE), new Script(lua.ACQUIRE_AND_WATCH)],
  withFloor: [new Script(lua.ACQUIRE_WITH_FLOOR), new Script(lua.ACQUIRE_AND_WATCH_WITH_FLOOR)],
} as const

/** @param watches whether the server should watch granted keys. @param withFloor whether the last argument is what fences must be larger than. */
export function acquireScriptOf(watches: boolean, withFloor: boolean): Script {
  return ACQUIRES[withFloor ? 'withFloor' : 'plain'][watches ? 1 : 0]
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

/** @param fence what all later fences must be larger than. */
export function raiseCall(counter: string, fence: number): Call {
  return SCRIPTS.raise.prepare([{ texts: [counter] }], [{ texts: [String(fence)] }])
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

/** Whether any of these keys stays for a while: `RELEASE_LATER` releases them. */
export function mayStay(entries: readonly ReleaseEntry[]): boolean {
  return entries.some(({ stay }) => stay)
}

/** The arguments of a releasing script after the tokens. @param watched see `watchedIndices`. */
export function releaseArguments(
  script: Script,
  entries: readonly ReleaseEntry[],
  watched: readonly number[],
): readonly number[] {
  if (script === SCRIPTS.release) return watched
  const times = entries.map(({ stay }) => stay?.since ?? 0)
  const durations = entries.map(({ stay }) => stay?.duration ?? 0)
  return [...times, ...durations, ...watched]
}

/** The indices (from 1) of the entries to watch. */
export function watchedIndices(entries: readonly ReleaseEntry[]): number[] {
  const watched: number[] = []
  entries.forEach(({ watch }, index) => {
    if (watch) watched.push(index + 1)
  })
  return watched
}
