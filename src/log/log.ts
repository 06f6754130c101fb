/**
 * Logs what an operator wants to know of a manager: losses and faults as errors, what may come to that as warnings, and its end as information.
 *
 * Ten thousand leases may be lost at once. So each kind is logged at most once a second: the first at once, and those that follow within the second
 * as one line with their count.
 */
import type { ObservableLeases } from '../figures/observable-leases.ts'
import type { LeaseEvents } from '../lease/events.ts'
import type { Lease } from '../lease/lease.ts'
import { type Clock, SystemClock } from '../time/clock.ts'
import { Digest, type Line } from './digest.ts'

/** pino's interface: the facts first, then the message. */
export interface Logger {
  error(facts: object, message: string): void
  warn(facts: object, message: string): void
  info(facts: object, message: string): void
}

/** The interface of `console`: the message first, then the facts. */
export type ConsoleLogger = Pick<Console, 'error' | 'warn' | 'info'>

export interface LogOptions {
  /** The source of time. Default: the machine's clock. */
  readonly clock?: Clock | undefined
}

/**
 * Logs the events of a manager.
 *
 * @param logger a pino logger, another with the same interface, or `console`.
 * @returns a function that ends that, and logs at once what is still to be logged.
 */
export function log(
  leases: ObservableLeases,
  logger: Logger | ConsoleLogger,
  { clock = new SystemClock() }: LogOptions = {},
): () => void {
  const digest = new Digest(clock, writerOf(logger))
  const stops = [
    listen('lost', ({ lease, reason, error }) =>
      digest.add(`lost: ${reason}`, {
        level: 'error',
        message: 'a lease was lost',
        facts: { event: 'lost', reason, ...factsOf(lease) },
        error,
      }),
    ),
    listen('error', (error) =>
      digest.add('error', { level: 'error', message: 'a fault', facts: { event: 'error' }, error }),
    ),
    listen('jeopardy', ({ lease, error, remaining }) =>
      digest.add('jeopardy', {
        level: 'warn',
        message: 'a lease may be lost soon: its renewal failed',
        facts: { event: 'jeopardy', ...factsOf(lease), remaining: Math.round(remaining) },
        error,
      }),
    ),
    listen('safe', ({ lease }) =>
      digest.add('safe', {
        level: 'info',
        message: 'a lease is safe again',
        facts: { event: 'safe', ...factsOf(lease) },
      }),
    ),
    listen('overload', (load) =>
      digest.add(`overload: ${load.overloaded}`, {
        level: load.overloaded ? 'warn' : 'info',
        message: load.overloaded ? 'renewals do not keep up' : 'renewals keep up again',
        facts: { event: 'overload', ...load },
      }),
    ),
    listen('disconnected', ({ error }) =>
      digest.add('disconnected', {
        level: 'warn',
        message: 'the connection was lost',
        facts: { event: 'disconnected' },
        error,
      }),
    ),
    listen('connected', ({ after }) =>
      digest.add('connected', {
        level: 'info',
        message: 'there is a connection',
        facts: { event: 'connected', after: Math.round(after) },
      }),
    ),
  ]
  return () => {
    for (const stop of stops) stop()
    digest.close()
  }

  function listen<E extends keyof LeaseEvents>(event: E, listener: (...values: LeaseEvents[E]) => void): () => void {
    leases.on(event, listener)
    return () => leases.off(event, listener)
  }
}

function factsOf({ key, fence }: Lease): object {
  return { key, fence }
}

/** A message contains nothing that a user chose: a key with a line break would forge a line. The facts are escaped by whoever prints them. */
function writerOf(logger: Logger | ConsoleLogger): (line: Line, count: number) => void {
  return isConsole(logger) ? consoleWriter(logger) : structuredWriter(logger)
}

function consoleWriter(logger: ConsoleLogger): (line: Line, count: number) => void {
  return ({ level, message, facts, error }, count) =>
    logger[level](`leasewheel: ${message}`, { ...facts, count, ...(error && { error: error.message }) })
}

function structuredWriter(logger: Logger): (line: Line, count: number) => void {
  return ({ level, message, facts, error }, count) =>
    logger[level]({ ...facts, count, ...(error && { err: error }) }, `leasewheel: ${message}`)
}

function isConsole(logger: unknown): boolean {
  // Some test runners replace the console by one without this class.
  return logger === console || (typeof console.Console === 'function' && logger instanceof console.Console)
}
