/** `watch`: prints what has changed between two looks. A lock that is acquired and released between them is not seen. */
import type { Member } from 'leasewheel'
import { dateOf, wallTime } from '../time/clock.ts'
import { EXIT } from './arguments.ts'
import { pause, type Session } from './session.ts'
import { safe } from './text.ts'

interface Seen {
  readonly owner: string | undefined
  /** Differs for each acquisition. */
  readonly mark: string
}

interface Look {
  readonly locks: ReadonlyMap<string, Seen>
  readonly members: ReadonlyMap<string, Member>
}

export interface Change {
  readonly event: 'acquired' | 'changed hands' | 'gone' | 'joined' | 'left'
  readonly key?: string
  readonly owner: string | undefined
}

export async function watch(session: Session): Promise<number> {
  const { args, out, signal } = session
  let before = await look(session)
  for (let looks = 0; looks < args.count && !signal.aborted; looks += 1) {
    await pause(session, args.every)
    if (signal.aborted) break
    const now = await look(session)
    const at = dateOf(wallTime()).toISOString()
    for (const change of changesBetween(before, now)) {
      const { event, key, owner } = change
      const line = [at, event, safe(owner ?? '-'), key === undefined ? '' : safe(key)].join('\t').trimEnd()
      await out.line(args.json ? JSON.stringify({ at, ...change, owner: owner ?? null }) : line)
    }
    before = now
  }
  return EXIT.done
}

async function look({ leases, args, signal }: Session): Promise<Look> {
  const locks = new Map<string, Seen>()
  for await (const { key, kind, owner, since } of leases.list({ match: args.match, owner: args.owner, signal })) {
    locks.set(key, { owner, mark: [kind, owner, since?.getTime()].join(' ') })
  }
  const members = await leases.members()
  return { locks, members: new Map(members.map((member) => [member.id, member])) }
}

/** What differs between two looks. */
export function* changesBetween(before: Look, now: Look): Generator<Change, void> {
  for (const [key, { owner, mark }] of now.locks) {
    const then = before.locks.get(key)
    if (then === undefined) yield { event: 'acquired', key, owner }
    else if (then.mark !== mark) yield { event: 'changed hands', key, owner }
  }
  for (const [key, { owner }] of before.locks) if (!now.locks.has(key)) yield { event: 'gone', key, owner }
  for (const [id, { owner }] of now.members) if (!before.members.has(id)) yield { event: 'joined', owner }
  for (const [id, { owner }] of before.members) if (!now.members.has(id)) yield { event: 'left', owner }
}
