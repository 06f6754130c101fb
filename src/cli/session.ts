/** What a command works with. */
import type { Readable, Writable } from 'node:stream'
import type { LeaseManager } from 'leasewheel'
import type { Clock } from '../time/clock.ts'
import type { CommandArguments } from './arguments.ts'
import type { Output } from './output.ts'

/** A terminal, or a pipe. */
interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

export interface Io {
  readonly stdin: Readable & Stream & { setRawMode?(raw: boolean): unknown }
  readonly stdout: Writable & Stream
  readonly stderr: Writable & Stream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when somebody asks the program to end. */
  readonly ending: AbortSignal
}

export interface Session {
  readonly args: CommandArguments
  readonly leases: LeaseManager
  readonly io: Io
  readonly out: Output
  readonly clock: Clock
  /** Aborts when the command should end: somebody asks for it, or the reader of its output has gone. */
  readonly signal: AbortSignal
  /** Ends the command. */
  readonly end: () => void
}

/** Resolves after some ms, or when the signal aborts. */
export function pause({ clock, signal }: Pick<Session, 'clock' | 'signal'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.setTimer(done, ms)
    if (signal.aborted) done()
    else signal.addEventListener('abort', done)
  })
}
