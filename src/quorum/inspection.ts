/** What operators ask a quorum about one key. */
import type { LockView } from '../backend.ts'
import type { Council } from './council.ts'
import { viewOf } from './votes.ts'

interface Look {
  readonly type: 'done'
  readonly view: LockView | null
}

interface Deletion {
  readonly type: 'done'
  readonly existed: boolean
}

/** @throws UnavailableError if no majority answers. */
export async function inspectAll(council: Council, key: string): Promise<LockView | null> {
  const { members, majority } = council
  const views = new Map<number, LockView | null>()
  let fault: Error | undefined
  const round = council.ask<Look>({
    ask: (member) =>
      member.backend.inspect(key).then(
        (view) => [{ type: 'done', view } as const],
        (error: Error) => {
          fault ??= error
          throw error
        },
      ),
    onAnswer: ({ index }, answer) => {
      if (answer?.[0]) views.set(index, answer[0].view)
    },
    // Operators want to see what each member has.
    isDecided: () => false,
  })
  await round.decided
  if (views.size < majority) throw council.why('answered', views.size, fault)
  const view = viewOf(members.map(({ index }) => views.get(index)))
  if (view === null) return null
  const all = members.map(({ index, name }) => {
    const own = views.get(index)
    return { name, token: own === undefined ? undefined : (own?.token ?? null), remaining: own?.remaining ?? 0 }
  })
  return { ...view, members: all }
}

/** @throws UnavailableError if no majority answers. The others may have deleted the key all the same. */
export async function releaseByForce(council: Council, key: string): Promise<boolean> {
  const { majority } = council
  let answered = 0
  let existed = false
  let fault: Error | undefined
  const round = council.ask<Deletion>({
    ask: (member) =>
      member.backend.forceRelease(key).then(
        (deleted) => [{ type: 'done', existed: deleted } as const],
        (error: Error) => {
          fault ??= error
          throw error
        },
      ),
    onAnswer: (_, answer) => {
      if (answer === undefined) return
      answered += 1
      existed ||= answer[0]?.existed ?? false
    },
    isDecided: () => false,
  })
  await round.decided
  if (answered < majority) throw council.why('answered', answered, fault)
  return existed
}
