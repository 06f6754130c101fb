/** What operators ask a quorum about one key. */
import type { LockView } from '../backend.ts'
import type { Council } from './council.ts'
import { poll } from './poll.ts'
import { viewOf } from './votes.ts'

/** @throws UnavailableError if no majority answers. */
export async function inspectAll(council: Council, key: string): Promise<LockView | null> {
  const { members } = council
  const views = await poll(council, ({ backend }) => backend.inspect(key))
  const view = viewOf(members.map((member) => views.get(member)))
  if (view === null) return null
  const all = members.map((member) => {
    const own = views.get(member)
    return {
      name: member.name,
      token: own === undefined ? undefined : (own?.token ?? null),
      remaining: own?.remaining ?? 0,
    }
  })
  return { ...view, members: all }
}

/** @throws UnavailableError if no majority answers. The others may have deleted the key all the same. */
export async function releaseByForce(council: Council, key: string): Promise<boolean> {
  const existed = await poll(council, ({ backend }) => backend.forceRelease(key))
  return [...existed.values()].includes(true)
}
