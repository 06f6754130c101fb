/** The commands of the command line, their options, and the text of `--help`. */
import type { ParseArgsConfig } from 'node:util'

type OptionName =
  | 'redis'
  | 'prefix'
  | 'sentinel'
  | 'cluster'
  | 'json'
  | 'match'
  | 'owner'
  | 'every'
  | 'count'
  | 'yes'
  | 'port'
  | 'host'
  | 'read-write'
  | 'timeout'
  | 'help'
  | 'version'

interface OptionUsage {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** The name of its value. */
  readonly value?: string
  readonly what: string
}

export const OPTIONS: Readonly<Record<OptionName, OptionUsage>> = {
  redis: {
    type: 'string',
    short: 'r',
    value: 'URL',
    what: 'the server; default $REDIS_URL, otherwise redis://localhost:6379',
  },
  prefix: { type: 'string', value: 'TEXT', what: 'what precedes every key; default lease:' },
  sentinel: {
    type: 'string',
    value: 'NAME',
    what: 'the URL is that of a Sentinel: asks it for the group of this name',
  },
  cluster: { type: 'boolean', what: 'the URL is that of a node of a cluster' },
  json: { type: 'boolean', what: 'prints JSON, one object a line' },
  match: { type: 'string', value: 'GLOB', what: 'only these keys, as the command KEYS of Redis matches them' },
  owner: { type: 'string', value: 'NAME', what: 'only locks of this owner' },
  every: { type: 'string', value: 'SECONDS', what: 'the time between two looks; default 1' },
  count: { type: 'string', short: 'n', value: 'N', what: 'ends after this many looks' },
  yes: { type: 'boolean', short: 'y', what: 'does not ask' },
  port: { type: 'string', value: 'N', what: 'where the page is; default 7390, or a free one if that is taken' },
  host: { type: 'string', value: 'NAME', what: 'from where it can be reached; default 127.0.0.1, this machine only' },
  'read-write': { type: 'boolean', what: 'the page can release locks; it then has a token in its address' },
  timeout: { type: 'string', value: 'SECONDS', what: 'how long the server may take to answer; default 5' },
  help: { type: 'boolean', short: 'h', what: 'prints this' },
  version: { type: 'boolean', short: 'V', what: 'prints the version' },
}

/** Options that every command has. */
const COMMON: readonly OptionName[] = ['redis', 'prefix', 'sentinel', 'cluster', 'json', 'timeout', 'help']

export interface CommandUsage {
  readonly what: string
  /** The name of its argument, if it takes one. */
  readonly argument?: string
  readonly options: readonly OptionName[]
  readonly examples: readonly string[]
}

export type CommandName = 'ls' | 'top' | 'inspect' | 'release' | 'members' | 'watch' | 'page'

export const COMMANDS: Readonly<Record<CommandName, CommandUsage>> = {
  ls: {
    what: 'lists the locks, whoever holds them',
    options: ['match', 'owner'],
    examples: ["leasewheel ls --match 'order:*'", 'leasewheel ls --owner web-1:4711 --json | head'],
  },
  top: {
    what: 'shows locks, owners and managers, and goes on until Ctrl-C',
    options: ['match', 'owner', 'every', 'count'],
    examples: ['leasewheel top -r redis://redis-1:6379', 'leasewheel top --json -n 1'],
  },
  inspect: {
    what: 'says who holds one lock; exits with 1 if nobody does',
    argument: 'KEY',
    options: [],
    examples: ['leasewheel inspect order:42'],
  },
  release: {
    what: 'deletes one lock, whoever holds it; exits with 1 if nobody does',
    argument: 'KEY',
    options: ['yes'],
    examples: ['leasewheel release order:42', 'leasewheel release order:42 --yes'],
  },
  members: {
    what: 'lists the managers that announce themselves',
    options: [],
    examples: ['leasewheel members', 'leasewheel members --json'],
  },
  watch: {
    what: 'prints what changes: locks that are acquired, change hands or are gone, and managers',
    options: ['match', 'owner', 'every', 'count'],
    examples: ["leasewheel watch --match 'order:*'", 'leasewheel watch --every 0.2 --json'],
  },
  page: {
    what: 'serves a live page about locks and managers, until Ctrl-C',
    options: ['port', 'host', 'read-write'],
    examples: ['leasewheel page', 'leasewheel page --port 8080 --read-write'],
  },
}

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name)
}

/** What `parseArgs` needs to know of a command; without one, of the bare program. */
export function parserOf(name: CommandName | undefined): ParseArgsConfig['options'] {
  const names: readonly OptionName[] = name ? [...COMMON, ...COMMANDS[name].options] : ['help', 'version']
  return Object.fromEntries(
    names.map((option) => {
      const { type, short } = OPTIONS[option]
      return [option, short === undefined ? { type } : { type, short }]
    }),
  )
}

export function helpOf(name: CommandName | undefined): string {
  if (name === undefined) return overview()
  const { what, argument, options, examples } = COMMANDS[name]
  const synopsis = ['leasewheel', name, argument, '[options]'].filter((word) => word !== undefined).join(' ')
  return [
    `Usage: ${synopsis}\n\n${capital(what)}.\n`,
    section('Options', [...options, ...COMMON].map(rowOf)),
    section(
      'Examples',
      examples.map((example) => [example]),
    ),
  ].join('\n')
}

function overview(): string {
  const names = Object.keys(COMMANDS) as CommandName[]
  return [
    'Usage: leasewheel COMMAND [options]\n\nShows who holds the locks of leasewheel on a Redis or Valkey server.\n',
    section(
      'Commands',
      names.map((name) => [[name, COMMANDS[name].argument].filter(Boolean).join(' '), COMMANDS[name].what]),
    ),
    section('Options of every command', COMMON.map(rowOf)),
    section(
      'Examples',
      names.map((name) => [COMMANDS[name].examples[0] as string]),
    ),
    'Only `release` and `page --read-write` change anything, and they ask before.',
    '`leasewheel COMMAND --help` has the options of one command.\n',
    'Exit codes: 0 done, 1 nobody holds the lock or the answer was no, 2 wrong arguments, 3 the server cannot be asked.\n',
  ].join('\n')
}

function rowOf(name: OptionName): readonly string[] {
  const { short, value, what } = OPTIONS[name]
  return [`${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`, what]
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([first = '']) => first.length))
  const lines = rows.map(
    ([first = '', what]) => `  ${what === undefined ? first : `${first.padEnd(width)}  ${what}`}\n`,
  )
  return `${title}:\n${lines.join('')}`
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
