/** `top`: looks at the server again and again, and draws what it sees in place. A pipe gets each look as plain lines. */
import { dateOf, wallTime } from '../time/clock.ts'
import { EXIT } from './arguments.ts'
import { addressOf } from './connect.ts'
import { Screen } from './screen.ts'
import { pause, type Session } from './session.ts'
import { fit, linesOf, OwnerTally, Rates, type TopLook, type TopView, viewOf } from './top-view.ts'

export async function top(session: Session): Promise<number> {
  const { args, io, out, signal, end } = session
  const rates = new Rates()
  let lines: readonly string[] = ['looking …']
  const draw = (): void => screen.draw(fit(lines, screen.width, screen.height))
  const screen = new Screen(io, end, draw)
  const isDrawn = io.stdout.isTTY === true && !args.json
  if (isDrawn) screen.open()
  try {
    if (isDrawn) draw()
    for (let looks = 0; looks < args.count && !signal.aborted; looks += 1) {
      if (looks > 0) await pause(session, args.every)
      if (signal.aborted) break
      const seen = await look(session)
      const view = viewOf(seen, rates.update(seen.members))
      lines = linesOf(view, addressOf(args), dateOf(view.at).toISOString())
      if (isDrawn) draw()
      else if (args.json) await out.line(JSON.stringify(asData(view)))
      else for (const line of [...lines, '']) await out.line(line)
    }
  } finally {
    screen.close()
  }
  return EXIT.done
}

async function look({ leases, args, signal }: Session): Promise<TopLook> {
  const tally = new OwnerTally()
  for await (const lock of leases.list({ match: args.match, owner: args.owner, signal })) tally.add(lock)
  const members = await leases.members()
  return { at: wallTime(), owners: tally.owners, members }
}

function asData({ at, members, rows }: TopView): object {
  return {
    at: dateOf(at).toISOString(),
    members,
    owners: rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]: [string, unknown]) => [name, value ?? null])),
    ),
  }
}
