/**
 * The lint rules that keep the rings apart, tried on files that break them: a rule that is misspelt, or whose folder
 * pattern matches nothing, passes every clean tree.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { expect } from 'chai'

interface Diagnostic {
  readonly code: string
  readonly filename: string
}

interface Sample {
  readonly path: string
  readonly code: string
  /** The only rule that this file breaks, or `null` where it breaks none. */
  readonly breaks: string | null
}

const GLOBALS = 'eslint(no-restricted-globals)'
const IMPORTS = 'eslint(no-restricted-imports)'

const timers = ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate']
const clocks = ['Date', 'performance']
const timeModules = ['node:timers', 'node:timers/promises', 'node:perf_hooks']

function usesGlobal(folder: string, name: string, breaks: string | null): Sample {
  return { path: `${folder}/uses-${name.toLowerCase()}.ts`, code: `export const used: unknown = ${name}\n`, breaks }
}

function importsModule(path: string, module: string, breaks: string | null): Sample {
  return { path, code: `import * as used from '${module}'\nexport const kept: unknown = used\n`, breaks }
}

const samples: readonly Sample[] = [
  ...['src/rules', 'src/structures'].flatMap((folder) => [
    ...[...timers, ...clocks, 'queueMicrotask', 'process', 'crypto', 'globalThis'].map((name) =>
      usesGlobal(folder, name, GLOBALS),
    ),
    {
      path: `${folder}/draws-lots.ts`,
      code: 'export const drawn: number = Math.random()\n',
      breaks: 'eslint(no-restricted-properties)',
    },
    ...['../time/clock.ts', '../redis/scripts.ts', 'ioredis', 'eventemitter3', 'node:os', 'node:timers'].map(
      (module, index) => importsModule(`${folder}/imports-${index}.ts`, module, IMPORTS),
    ),
    importsModule(`${folder}/imports-its-neighbour.ts`, './draws-lots.ts', null),
  ]),

  ...[...timers, ...clocks].flatMap((name) => [
    usesGlobal('src', name, GLOBALS),
    usesGlobal('src/redis', name, GLOBALS),
    usesGlobal('src/memory', name, GLOBALS),
  ]),
  ...timeModules.flatMap((module, index) => [
    importsModule(`src/imports-time-${index}.ts`, module, IMPORTS),
    importsModule(`src/redis/imports-time-${index}.ts`, module, IMPORTS),
    importsModule(`src/memory/imports-time-${index}.ts`, module, IMPORTS),
  ]),
  importsModule('src/imports-ioredis.ts', 'ioredis', IMPORTS),
  importsModule('src/memory/imports-ioredis.ts', 'ioredis', IMPORTS),
  importsModule('src/redis/imports-ioredis.ts', 'ioredis', null),
  {
    path: 'src/time/clock.ts',
    code: "import { performance } from 'node:perf_hooks'\nexport const timer: unknown = setTimeout(() => {}, performance.now() - Date.now())\n",
    breaks: null,
  },
  usesGlobal('src', 'process', null),
  usesGlobal('test', 'setTimeout', null),

  { path: 'src/any.ts', code: 'export const value: any = 1\n', breaks: 'typescript(no-explicit-any)' },
  { path: 'src/default.ts', code: 'export default 1\n', breaks: 'import(no-default-export)' },
  {
    path: 'src/parameter-property.ts',
    code: 'export class Point {\n  constructor(readonly x: number) {}\n}\n',
    breaks: 'typescript(parameter-properties)',
  },
  { path: 'src/unused.ts', code: 'const forgotten = 1\nexport {}\n', breaks: 'eslint(no-unused-vars)' },
  {
    path: 'src/cycle-a.ts',
    code: "import { b } from './cycle-b.ts'\nexport const a = (): unknown => b\n",
    breaks: 'import(no-cycle)',
  },
  {
    path: 'src/cycle-b.ts',
    code: "import { a } from './cycle-a.ts'\nexport const b = (): unknown => a\n",
    breaks: 'import(no-cycle)',
  },
  {
    path: 'src/floating.ts',
    code: 'export function start(work: () => Promise<void>): void {\n  work()\n}\n',
    breaks: 'typescript(no-floating-promises)',
  },
  {
    path: 'src/misused.ts',
    code: 'export function each(list: number[], work: () => Promise<void>): void {\n  list.forEach(work)\n}\n',
    breaks: 'typescript(no-misused-promises)',
  },
]

describe('the lint rules', () => {
  let folder = ''
  let broken: ReadonlyMap<string, readonly string[]> = new Map()

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'leasewheel-lint-'))
    broken = lint(folder, samples)
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const { path, code, breaks } of samples) {
    const line = code.split('\n')[0]
    it(breaks === null ? `let pass ${path}: ${line}` : `reject ${path} by ${breaks}: ${line}`, () => {
      expect(broken.get(path) ?? []).to.deep.equal(breaks === null ? [] : [breaks])
    })
  }
})

/** Lints the samples in a project of their own, under this project's configuration; the rules broken, each once, by path. */
function lint(root: string, files: readonly Sample[]): ReadonlyMap<string, readonly string[]> {
  copyFileSync('.oxlintrc.json', join(root, '.oxlintrc.json'))
  copyFileSync('tsconfig.json', join(root, 'tsconfig.json'))
  symlinkSync(resolve('node_modules'), join(root, 'node_modules'))
  for (const { path, code } of files) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    writeFileSync(join(root, path), code)
  }
  const { stdout, stderr } = spawnSync(
    resolve('node_modules/.bin/oxlint'),
    ['--type-aware', '--format=json', 'src', 'test'],
    { cwd: root, encoding: 'utf8' },
  )
  if (!stdout.startsWith('{')) throw new Error(`oxlint failed: ${stdout}${stderr}`)
  const { diagnostics } = JSON.parse(stdout) as { readonly diagnostics: readonly Diagnostic[] }
  const rules = new Map<string, string[]>()
  for (const { code, filename } of diagnostics) {
    const known = rules.get(filename) ?? []
    if (!known.includes(code)) rules.set(filename, [...known, code])
  }
  return rules
}
