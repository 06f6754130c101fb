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
  return changeCall(JOINT_SCRIPTS.renew, heads, entries, watch, ({ joint }) => codeOf((joint as Joint).mode))
}

export function releaseJointsCall(heads: Heads, entries: readonly ReleaseEntry[]): Call {
  return changeCall(JOINT_SCRIPTS.release, heads, entries, false, ({ watch }) => (watch ? '1' : '0'))
}

export function verifyJointsCall(heads: Heads, entries: readonly LockEntry[]): Call {
  return changeCall(JOINT_SCRIPTS.verify, heads, entries, false, () => '0')
}

/** The entries of a key stand together, each with its index. */
function changeCall<E extends LockEntry>(
  script: Script,
  heads: Heads,
  entries: readonly E[],
  watch: boolean,
  extraOf: (entry: E) => string,
): Call {
  const byKey = new Map<string, string[]>()
  for (const [index, entry] of entries.entries()) {
    const { key, token, ttl, joint } = entry
    const values = [String(index + 1), memberOf(token, (joint as Joint).weight), String(ttl), extraOf(entry)]
    const others = byKey.get(key)
    if (others) others.push(...values)
    else byKey.set(key, values)
  }
  const values = [watch ? '1' : '0']
  for (const some of byKey.values()) values.push(String(some.length / 4), ...some)
  return script.prepare([{ heads, texts: [...byKey.keys()] }], [{ texts: values }])
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
