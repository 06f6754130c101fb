/** Reads the arguments of the command line. */
import { parseArgs } from 'node:util'
import { COMMANDS, type CommandName, isCommand, parserOf } from './usage.ts'

/** The exit codes of the program. */
export const EXIT = { done: 0, no: 1, usage: 2, unavailable: 3, interrupted: 130 } as const

/** The arguments are wrong: the message says how. */
export class UsageError extends Error {}

/** Where the locks are. */
export interface Target {
  readonly url: string
  readonly prefix: string
  /** The name of the group, if the URL is that of a Sentinel. */
  readonly sentinel: string | undefined
  readonly cluster: boolean
  /** ms. */
  readonly timeout: number
}

export interface CommandArguments extends Target {
  readonly command: CommandName
  readonly json: boolean
  /** For `inspect` and `release`. */
  readonly key: string
  readonly match: string | undefined
  readonly owner: string | undefined
  /** ms between two looks. */
  readonly every: number
  /** After how many looks to end. */
  readonly count: number
  readonly yes: boolean
  /** For `page`; undefined: any, preferably the usual one. */
  readonly port: number | undefined
  readonly host: string
  readonly readWrite: boolean
}

/** Somebody asks for the help of a command, or of the program; or for the version. */
interface TextArguments {
  readonly command: 'help' | 'version'
  readonly of: CommandName | undefined
}

export type Arguments = CommandArguments | TextArguments

/** @throws UsageError. */
export function readArguments(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Arguments {
  const [first] = args
  if (first === undefined || first.startsWith('-')) return readBare(args)
  if (first === 'help') return { command: 'help', of: isCommand(args[1] ?? '') ? (args[1] as CommandName) : undefined }
  if (!isCommand(first)) {
    throw new UsageError(`\`${first}\` is no command: expected one of ${Object.keys(COMMANDS).join(', ')}`)
  }
  const { values, positionals } = parse(args.slice(1), first)
  if (values['help']) return { command: 'help', of: first }
  if (values['cluster'] && values['sentinel']) throw new UsageError('--cluster and --sentinel exclude each other')
  const text = (name: string): string | undefined => values[name] as string | undefined
  return {
    command: first,
    key: readKey(first, positionals),
    url: text('redis') ?? (env['REDIS_URL'] || 'redis://localhost:6379'),
    prefix: text('prefix') ?? 'lease:',
    sentinel: text('sentinel'),
    cluster: values['cluster'] === true,
    timeout: readNumber('timeout', text('timeout') ?? '5', 0.01) * 1_000,
    json: values['json'] === true,
    match: text('match'),
    owner: text('owner'),
    every: readNumber('every', text('every') ?? '1', 0.05) * 1_000,
    count: readNumber('count', text('count') ?? 'Infinity', 1),
    yes: values['yes'] === true,
    port: readPort(text('port')),
    host: text('host') ?? '127.0.0.1',
    readWrite: values['read-write'] === true,
  }
}

function readBare(args: readonly string[]): Arguments {
  const { values } = parse(args, undefined)
  if (values['version']) return { command: 'version', of: undefined }
  if (values['help']) return { command: 'help', of: undefined }
  throw new UsageError('a command is missing')
}

function parse(
  args: readonly string[],
  name: CommandName | undefined,
): { values: Readonly<Record<string, unknown>>; positionals: readonly string[] } {
  try {
    return parseArgs({ args: [...args], options: parserOf(name) ?? {}, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function readKey(name: CommandName, positionals: readonly string[]): string {
  const { argument } = COMMANDS[name]
  const expected = argument === undefined ? 0 : 1
  if (positionals.length > expected) throw new UsageError(`\`${positionals[expected]}\` is one argument too many`)
  if (positionals.length < expected) throw new UsageError(`\`${name}\` needs a ${argument}`)
  return positionals[0] ?? ''
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new UsageError(`--port needs a number from 0 to 65535, got \`${text}\``)
}

function readNumber(name: string, text: string, least: number): number {
  const number = Number(text)
  if (text.trim() !== '' && number >= least) return number
  throw new UsageError(`--${name} needs a number of at least ${least}, got \`${text}\``)
}
