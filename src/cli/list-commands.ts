/** `ls`, `inspect`, `release` and `members`: commands that look once. */
import { createInterface } from 'node:readline/promises'
import type { LockInspection, Member } from 'leasewheel'
import { wallTime } from '../time/clock.ts'
import { EXIT, UsageError } from './arguments.ts'
import { asData, cellsOf, fieldsOf } from './lock-text.ts'
import type { Session } from './session.ts'
import { columns, count, duration, safe } from './text.ts'

/** Lines of a table whose columns have the same widths. */
const LINES_AT_ONCE = 200

export async function ls({ args, leases, io, out, signal }: Session): Promise<number> {
  const locks = leases.list({ match: args.match, owner: args.owner, signal })
  if (args.json) {
    for await (const lock of locks) await out.line(JSON.stringify(asData(lock)))
  } else if (io.stdout.isTTY) {
    let rows = [['HELD FOR', 'TTL LEFT', 'OWNER', 'KEY']]
    for await (const lock of locks) {
      rows.push(cellsOf(lock, wallTime()))
      if (rows.length < LINES_AT_ONCE) continue
      await out.write(tableOf(rows))
      rows = []
    }
    await out.write(tableOf(rows))
  } else {
    for await (const lock of locks) await out.line(fieldsOf(lock).join('\t'))
  }
  return EXIT.done
}

function tableOf(rows: readonly (readonly string[])[]): string {
  return columns(rows)
    .map((line) => `${line}\n`)
    .join('')
}

export async function inspect({ args, leases, out }: Session): Promise<number> {
  const view = await leases.inspect(args.key)
  if (view === null) {
    await out.line(args.json ? 'null' : `${safe(args.key)} is free`)
    return EXIT.no
  }
  const { joint } = view
  const data = {
    key: args.key,
    ...dataOf(view),
    ...(joint && {
      mode: joint.mode ?? null,
      holders: joint.holders.map((one) => ({ ...dataOf(one), weight: one.weight })),
    }),
  }
  await out.line(args.json ? JSON.stringify(data) : `${safe(args.key)} is held by ${holdersOf(view)}`)
  return EXIT.done
}

type Holder = Pick<LockInspection, 'owner' | 'since' | 'remaining'>

function dataOf({ owner, since, remaining }: Holder): Record<string, unknown> {
  return {
    owner: owner ?? null,
    since: since?.toISOString() ?? null,
    remaining: Number.isFinite(remaining) ? remaining : null,
  }
}

/** Of a permit or of readers and writers, each holder has a line. */
function holdersOf(view: LockInspection): string {
  const { joint } = view
  if (joint === undefined) return holderOf(view)
  if (joint.holders.length === 0) return 'nobody, and some wait'
  const lines = joint.holders.map((one) => {
    const weight = one.weight === 1 ? '' : `, weight ${one.weight}`
    return `\n  ${joint.mode ?? 'waiting'}${weight}: ${holderOf(one)}`
  })
  return `${joint.holders.length}:${lines.join('')}`
}

function holderOf({ owner, since, remaining }: Holder): string {
  const parts = [
    owner === undefined ? 'somebody who gives no name' : safe(owner),
    since && `for ${duration(wallTime() - since.getTime())}`,
    remaining === Number.POSITIVE_INFINITY ? 'without a ttl' : `with ${duration(remaining)} of its ttl left`,
  ]
  return parts.filter(Boolean).join(', ')
}

export async function release(session: Session): Promise<number> {
  const { args, leases, io, out } = session
  const view = await leases.inspect(args.key)
  if (view !== null && !args.yes) {
    if (!io.stdin.isTTY)
      throw new UsageError('release asks before it deletes a key: --yes says so if nobody can be asked')
    const answer = await ask(
      session,
      `${safe(args.key)} is held by ${holdersOf(view)}.\nRelease it all the same? [y/N] `,
    )
    if (!/^y(es)?$/i.test(answer.trim())) return EXIT.no
  }
  const released = view !== null && (await leases.forceRelease(args.key))
  const text = released ? `${safe(args.key)} is released` : `${safe(args.key)} is free`
  await out.line(args.json ? JSON.stringify({ key: args.key, released }) : text)
  return released ? EXIT.done : EXIT.no
}

/** @returns what was answered; nothing if the program ends meanwhile. */
async function ask({ io, signal }: Session, question: string): Promise<string> {
  const lines = createInterface({ input: io.stdin, output: io.stderr })
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
  try {
    return await Promise.race([lines.question(question, { signal }).catch(() => ''), closed])
  } finally {
    lines.close()
  }
}

export async function members({ args, leases, io, out }: Session): Promise<number> {
  const all = (await leases.members()).toSorted((one, other) => (one.owner < other.owner ? -1 : 1))
  if (args.json) {
    for (const member of all) await out.line(JSON.stringify(member))
    return EXIT.done
  }
  const rows = all.map((member) => memberCells(member, wallTime()))
  if (!io.stdout.isTTY) {
    for (const row of rows) await out.line(row.join('\t'))
  } else if (rows.length === 0) {
    await out.line('No manager announces itself: see the option `announce`.')
  } else {
    await out.write(
      tableOf([['OWNER', 'HOST', 'PID', 'VERSION', 'UP', 'HELD', 'WAITING', 'LOST', 'LEADS', 'SHARES'], ...rows]),
    )
  }
  return EXIT.done
}

function memberCells(member: Member, now: number): string[] {
  const { owner, host, pid, version, startedAt, stats, leads, shares } = member
  const { held, waiting, lost } = stats
  const up = duration(now - startedAt.getTime())
  const roles = [
    leads.map(safe).join(', ') || '-',
    shares.map((share) => `${safe(share.group)} ${count(share.held)}`).join(', ') || '-',
  ]
  return [safe(owner), safe(host), String(pid), safe(version), up, count(held), count(waiting), count(lost), ...roles]
}
