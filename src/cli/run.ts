/** Runs one command of the command line. */
import { SystemClock } from '../time/clock.ts'
import { VERSION } from '../version.ts'
import { type Arguments, type CommandArguments, EXIT, readArguments, UsageError } from './arguments.ts'
import { connect } from './connect.ts'
import { inspect, ls, members, release } from './list-commands.ts'
import { Output } from './output.ts'
import { page } from './page.ts'
import type { Io, Session } from './session.ts'
import { safe } from './text.ts'
import { top } from './top.ts'
import { type CommandName, helpOf } from './usage.ts'
import { watch } from './watch.ts'

const RUNS: Readonly<Record<CommandName, (session: Session) => Promise<number>>> = {
  ls,
  top,
  inspect,
  release,
  members,
  watch,
  page,
}

/** Commands that go on until somebody ends them. */
const ENDLESS: ReadonlySet<CommandName> = new Set(['top', 'watch', 'page'])

/** @returns the exit code. */
export async function run(words: readonly string[], io: Io): Promise<number> {
  const out = new Output(io.stdout)
  try {
    const code = await dispatch(readArguments(words, io.env), io, out)
    await out.flush()
    return code
  } catch (error) {
    const { message } = error as Error
    const isUsage = error instanceof UsageError
    io.stderr.write(`leasewheel: ${safe(message)}${isUsage ? '. `leasewheel --help` has the commands.' : ''}\n`)
    return isUsage ? EXIT.usage : EXIT.unavailable
  }
}

async function dispatch(args: Arguments, io: Io, out: Output): Promise<number> {
  if (!('key' in args)) {
    await out.write(args.command === 'help' ? helpOf(args.of) : `${VERSION}\n`)
    return EXIT.done
  }
  return work(args, io, out)
}

async function work(args: CommandArguments, io: Io, out: Output): Promise<number> {
  const leases = await connect(args)
  // What fails is reported by the call that it concerns.
  leases.on('error', () => undefined)
  const ending = new AbortController()
  const end = (): void => ending.abort()
  const signal = AbortSignal.any([ending.signal, io.ending, out.gone])
  try {
    return await RUNS[args.command]({ args, leases, io, out, clock: new SystemClock(), signal, end })
  } catch (error) {
    // The list ended because the command should. If it had not shown everything, that is no success.
    if (signal.aborted) return io.ending.aborted && !ENDLESS.has(args.command) ? EXIT.interrupted : EXIT.done
    throw error
  } finally {
    await leases.close()
  }
}
