/**
 * `npm run architecture`: the rooms of `src/`, floor by floor, with what each imports, type-only imports included. Fails if an import runs
 * upwards, goes somewhere else than the plan says, or is part of a circle of files.
 *
 * `node ... scripts/architecture.ts FOLDER` looks at another folder with the same rooms.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { parseSync } from 'oxc-parser'

/** From the top floor down: what a room is for, and which rooms below it may import. The plan, and the only place where it stands. */
const PLAN: readonly Room[] = [
  {
    name: 'browser',
    files: /^page\/browser\//,
    what: 'the page itself, which runs in browsers',
    imports: ['cli', 'page'],
  },
  { name: 'cli', what: 'the command line, a user of the package like any other', imports: ['redis', 'time', 'port'] },
  {
    name: 'prometheus',
    what: 'leasewheel/prometheus: figures for prom-client',
    imports: ['figures', 'structures'],
  },
  {
    name: 'opentelemetry',
    what: 'leasewheel/opentelemetry: metrics and spans',
    imports: ['figures', 'tracing', 'port', 'structures'],
  },
  {
    name: 'page',
    files: /^page\/(?!browser\/)/,
    what: 'leasewheel/page: a live page for people',
    imports: ['figures', 'overview', 'options', 'lease', 'time', 'port'],
  },
  { name: 'log', what: 'leasewheel/log: events for loggers', imports: ['figures', 'lease', 'time', 'port'] },
  {
    name: 'face',
    files: /^(index|lease-manager)\.ts$/,
    what: 'what users meet: LeaseManager, and all public names',
    imports: 'manager claims overview acquire requests redis options lease tracing time port rules structures'.split(
      ' ',
    ),
  },
  {
    name: 'manager',
    what: 'how the parts are put together, told of changes, and closed',
    imports: [
      'claims',
      'overview',
      'acquire',
      'release',
      'renewal',
      'waiting',
      'requests',
      'lease',
      'options',
      'redis',
      'keeper',
      'tracing',
      'time',
      'port',
      'rules',
    ],
  },
  {
    name: 'claims',
    what: 'what holds locks for as long as it stands: elections, claims, shares',
    imports: ['waiting', 'requests', 'lease', 'options', 'time', 'port', 'rules'],
  },
  {
    name: 'overview',
    what: 'what operators see: all locks, and all managers',
    imports: ['acquire', 'waiting', 'requests', 'lease', 'options', 'time', 'port', 'rules'],
  },
  {
    name: 'acquire',
    what: 'ways to a lease: one key or many, at once or after a wait, or by adoption',
    imports: ['release', 'renewal', 'waiting', 'requests', 'lease', 'options', 'tracing', 'time', 'port', 'rules'],
  },
  {
    name: 'renewal',
    what: 'keeping leases, and telling whether that keeps up',
    imports: ['requests', 'lease', 'time', 'port', 'rules', 'structures'],
  },
  {
    name: 'release',
    what: 'giving locks back, and deleting what nobody wants',
    imports: ['requests', 'lease', 'time', 'port', 'rules'],
  },
  { name: 'waiting', what: 'callers that want the same key', imports: ['time', 'port', 'rules'] },
  { name: 'requests', what: 'what is asked travels in batches', imports: ['time', 'port'] },
  {
    name: 'quorum',
    what: 'leasewheel/quorum: the port over a majority of others',
    imports: ['redis', 'options', 'time', 'port', 'structures'],
  },
  { name: 'redis', what: 'the port over ioredis', imports: ['options', 'keeper', 'time', 'port', 'rules'] },
  { name: 'options', what: 'what users may say, and its defaults', imports: ['lease', 'time', 'port', 'rules'] },
  { name: 'figures', what: 'what exporters share: names, units, labels', imports: ['lease', 'port', 'rules'] },
  {
    name: 'keeper',
    what: 'another thread that renews while the event loop is blocked, and what it shares with the manager',
    imports: ['lease', 'time', 'port', 'rules'],
  },
  {
    name: 'lease',
    what: 'the leases that a manager has, and their events',
    imports: ['time', 'port', 'rules', 'structures'],
  },
  { name: 'tracing', what: 'what subscribers of diagnostics channels are told', imports: ['port'] },
  {
    name: 'memory',
    what: 'leasewheel/memory: the port in memory, and a clock for tests',
    imports: ['time', 'port', 'rules'],
  },
  {
    name: 'port',
    files: /^(backend|keeper-port|catalogue|errors|member|stats|as-error|show-in-logs|version)\.ts$/,
    what: 'what all agree on: the backend, errors, what is counted',
    imports: ['time', 'rules', 'structures'],
  },
  { name: 'time', what: 'the clock, and one timer for everything', imports: ['structures'] },
  { name: 'rules', what: 'pure: what follows from what', imports: [] },
  { name: 'structures', what: 'pure: how it is kept', imports: [] },
]

interface Room {
  readonly name: string
  /** Its files; default: those of the folder of that name. */
  readonly files?: RegExp
  readonly what: string
  readonly imports: readonly string[]
}

/** What each file imports, by paths within the folder. */
type Imports = ReadonlyMap<string, readonly string[]>

function readImports(folder: string): Imports {
  const imports = new Map<string, readonly string[]>()
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('.ts')) continue
    const { module, errors } = parseSync(file, readFileSync(join(folder, file), 'utf8'))
    if (errors.length > 0) throw new Error(`${file} cannot be read: ${errors[0]?.message}`)
    const named = [
      ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
      ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest }) => moduleRequest?.value)),
    ]
    const own = named.filter((name) => name !== undefined).filter((name) => name.startsWith('.'))
    imports.set(file, [...new Set(own.map((name) => normalize(join(dirname(file), name))))])
  }
  return imports
}

function roomOf(file: string): Room {
  const room = PLAN.find(({ name, files }) => (files ? files.test(file) : file.startsWith(`${name}/`)))
  if (room === undefined) throw new Error(`${file} is in no room: add it to the plan in scripts/architecture.ts`)
  return room
}

/** Arrows that the plan does not have. */
function findStrays(imports: Imports): string[] {
  const faults: string[] = []
  for (const [file, targets] of imports) {
    const from = roomOf(file)
    for (const target of targets) {
      const to = roomOf(target)
      if (from === to || from.imports.includes(to.name)) continue
      const how = PLAN.indexOf(to) < PLAN.indexOf(from) ? 'upwards' : 'where the plan has no arrow'
      faults.push(`${file} imports ${target}: from ${from.name} to ${to.name}, ${how}`)
    }
  }
  return faults
}

/** Circles of files: each by the path around it, once. */
function findCircles(imports: Imports): string[] {
  const circles: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    const start = path.indexOf(file)
    if (start >= 0) circles.push(`a circle: ${[...path.slice(start), file].join(' → ')}`)
    if (start >= 0 || done.has(file)) return
    path.push(file)
    for (const target of imports.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of imports.keys()) visit(file)
  return circles
}

/** Arrows of the plan that run upwards. */
function findBadPlans(): string[] {
  return PLAN.flatMap(({ name, imports }, index) =>
    imports
      .filter((other) => PLAN.findIndex((room) => room.name === other) <= index)
      .map((other) => `the plan lets ${name} import ${other}, which is not below it`),
  )
}

function draw(imports: Imports): string {
  const lines = PLAN.map((room) => {
    const counts = new Map<string, number>()
    let files = 0
    for (const [file, targets] of imports) {
      if (roomOf(file) !== room) continue
      files += 1
      for (const target of targets) {
        const { name } = roomOf(target)
        if (name !== room.name) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    }
    const arrows = PLAN.filter(({ name }) => counts.has(name)).map(({ name }) => `${name} ${counts.get(name)}`)
    return [
      room.name.padEnd(11),
      String(files).padStart(2),
      ` ${room.what}`,
      `\n${' '.repeat(14)}→ ${arrows.join(', ') || '–'}`,
    ].join(' ')
  })
  return lines.join('\n')
}

const folder = process.argv[2] ?? 'src'
const imports = readImports(folder)
console.log(draw(imports))
const faults = [...findBadPlans(), ...findStrays(imports), ...findCircles(imports)]
for (const fault of faults) console.error(fault)
console.log(faults.length === 0 ? '\nNo arrow runs upwards, and there is no circle.' : '')
if (faults.length > 0) process.exitCode = 1
