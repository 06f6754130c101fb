/** Calls of the scripts of `joint-scripts.ts` for some entries, and what their answers mean. Pure. */
import type { AcquireOutcome, LockEntry, ReleaseEntry } from '../backend.ts'
import type { Joint, JointMode } from '../rules/sharing.ts'
import type { Heads } from './encoded-command.ts'
import { type Call, Script } from './script.ts'
import * as lua from './joint-scripts.ts'

export const JOINT_SCRIPTS: Readonly<Record<'acquire' | 'renew' | 'release' | 'verify', Script>> = {
  acquire: new Script(lua.ACQUIRE_JOINTS),
  renew: new Script(lua.RENEW_JOINTS),
  release: new Script(lua.RELEASE_JOINTS),
  verify: new Script(lua.VERIFY_JOINTS),
}

const MODES: readonly JointMode[] = ['permit', 'read', 'write']
const WEIGHT = /\*(\d+)$/

/** The name of a holder in the sorted set. */
function memberOf(token: string, weight: number): string {
  return weight === 1 ? token : `${token}*${weight}`
}

export function readMember(member: string): { readonly token: string; readonly weight: number } {
  const { 1: weight } = WEIGHT.exec(member) ?? []
  if (weight === undefined) return { token: member, weight: 1 }
  return { token: member.slice(0, -weight.length - 1), weight: Number(weight) }
}

/** @param code as the scripts write it. */
export function modeOf(code: number): JointMode | undefined {
  return MODES[code - 1]
}

/** @param floor what the fences must be larger than. @param fenceKey the whole key of the fence counter. */
export function acquireJointsCall(
  heads: Heads,
  entries: readonly LockEntry[],
  watch: boolean,
  floor: number,
  fenceKey: string,
): Call {
  const indices = new Map<string, number>()
  const values = [watch ? '1' : '0', String(floor)]
  for (const { key, token, ttl, joint, turn = -1 } of entries) {
    // The fence counter is the first key.
    if (!indices.has(key)) indices.set(key, indices.size + 2)
    const { mode, permits, weight, announce = 0 } = joint as Joint
    values.push(String(indices.get(key)), memberOf(token, weight), String(ttl), codeOf(mode))
    values.push(String(permits), String(weight), String(turn), String(announce))
  }
  const keys = [{ texts: [fenceKey] }, { heads, texts: [...indices.keys()] }]
  return JOINT_SCRIPTS.acquire.prepare(keys, [{ texts: values }])
}

export function renewJointsCall(heads: Heads, entries: readonly LockEntry[], watch: boolean): Call {
  return changeCall(JOINT_SCRIPTS.renew, heads, entries, watch, ({ ttl, joint }) => [
    String(ttl),
    codeOf((joint as Joint).mode),
  ])
}

export function releaseJointsCall(heads: Heads, entries: readonly ReleaseEntry[]): Call {
  // The script watches a key after its last change of it, so all entries of the key are one group.
  const watched = new Set(entries.filter(({ watch }) => watch).map(({ key }) => key))
  return changeCall(JOINT_SCRIPTS.release, heads, entries, false, ({ key }) => ['0', watched.has(key) ? '1' : '0'])
}

export function verifyJointsCall(heads: Heads, entries: readonly LockEntry[]): Call {
  return changeCall(JOINT_SCRIPTS.verify, heads, entries, false, () => ['0', '0'])
}

/** The entries of a call that have one key and one ttl. */
interface Group {
  readonly key: string
  readonly ttl: string
  readonly word: string
  readonly indices: number[]
  readonly members: string[]
}

/** @param termsOf the ttl and the word of an entry, which all entries of its group have. */
function changeCall<E extends LockEntry>(
  script: Script,
  heads: Heads,
  entries: readonly E[],
  watch: boolean,
  termsOf: (entry: E) => readonly [ttl: string, word: string],
): Call {
  const groups = new Map<string, Group>()
  for (const [index, entry] of entries.entries()) {
    const { key, token, joint } = entry
    const [ttl, word] = termsOf(entry)
    const name = `${ttl} ${word} ${key}`
    const group = groups.get(name) ?? { key, ttl, word, indices: [], members: [] }
    groups.set(name, group)
    group.indices.push(index + 1)
    group.members.push(memberOf(token, (joint as Joint).weight))
  }
  const values = [watch ? '1' : '0']
  for (const { ttl, word, indices, members } of groups.values()) {
    values.push(String(members.length), indices.join(' '), ttl, word, ...members)
  }
  const keys = Array.from(groups.values(), ({ key }) => key)
  return script.prepare([{ heads, texts: keys }], [{ texts: values }])
}

/** @param watched whether the server watches the refused keys. */
export function jointOutcomes(reply: unknown, watched: boolean): readonly AcquireOutcome[] {
  const answers = reply as readonly (number | string)[]
  const outcomes: AcquireOutcome[] = []
  for (let i = 0; i < answers.length; i += 1) {
    const fence = answers[i] as number
    if (fence > 0) {
      outcomes.push({ type: 'granted', fence })
      continue
    }
    const [left, member, version, turn] = answers.slice(i + 1, i + 5) as [number, string, number, number]
    const remaining = left === -1 ? Number.POSITIVE_INFINITY : left
    outcomes.push({ type: 'refused', remaining, holder: readMember(member).token, watched, version, turn })
    i += 4
  }
  return outcomes
}

function codeOf(mode: JointMode): string {
  return String(MODES.indexOf(mode) + 1)
}
