/** What `npm run build` writes, and so what is published. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { decode } from '@jridgewell/sourcemap-codec'
import { expect } from 'chai'
import { parseSync } from 'oxc-parser'
import { withRedis } from '../support/redis-server.ts'

const ENTRIES = ['index', 'memory', 'quorum', 'prometheus', 'opentelemetry', 'log', 'page']
const MODULES = [...ENTRIES, 'shared']
const FORMATS = ['js', 'cjs']

interface Declarations {
  /** What stands at the top level of the file. */
  readonly declared: readonly string[]
  readonly exported: readonly string[]
}

/** What a program prints, or its complaint. */
function run(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } })
  return `${stdout}${stderr}`.trim()
}

function readDeclarations(file: string): Declarations {
  const declared: string[] = []
  const exported: string[] = []
  for (const statement of parseSync(file, readFileSync(file, 'utf8')).program.body) {
    const isGlobal = statement.type === 'TSModuleDeclaration'
    if (!isGlobal && 'id' in statement && statement.id?.type === 'Identifier') declared.push(statement.id.name)
    if (statement.type !== 'ExportNamedDeclaration') continue
    for (const { exported: name } of statement.specifiers) if ('name' in name) exported.push(name.name)
  }
  return { declared, exported }
}

describe('the build', function () {
  this.timeout(60_000)
  let folder = ''
  let dist = ''
  const read = (file: string): string => readFileSync(join(dist, file), 'utf8')

  before(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'leasewheel-build-')))
    dist = join(folder, 'dist')
    execFileSync(process.execPath, ['--import', 'tsx', 'scripts/build.ts', dist])
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  it('has each entry in two formats, with declarations and source maps', () => {
    const extensions = ['js', 'js.map', 'd.ts', 'cjs', 'cjs.map', 'd.cts']
    const files = MODULES.flatMap((module) => extensions.map((extension) => `${module}.${extension}`))
    const others = ['cli.js', 'cli.js.map', 'keeper-worker.js', 'keeper-worker.js.map', 'licenses.txt', 'memory']
    expect(readdirSync(dist).sort()).to.deep.equal([...files, ...others].sort())
  })

  describe('the command line in it', () => {
    let alone = ''

    after(() => rmSync(alone, { recursive: true, force: true }))

    it('is the program that package.json names, and can be run', () => {
      const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly bin: Record<string, string> }
      expect(bin).to.deep.equal({ leasewheel: 'dist/cli.js' })
      expect(read('cli.js').split('\n')[0]).to.equal('#!/usr/bin/env node')
      expect(statSync(join(dist, 'cli.js')).mode & 0o111).to.equal(0o111)
    })

    it('has no copy of the library in it, and loads ioredis only if it needs it', () => {
      expect(read('cli.js')).to.not.match(/^import .*"(ioredis|leasewheel|eventemitter3)"/m)
      expect(read('cli.js')).to.not.include('class LeaseManager')
    })

    it('works without ioredis as far as it can, and says what is missing', () => {
      // Elsewhere: the folder above has this project's packages.
      alone = realpathSync(mkdtempSync(join(tmpdir(), 'leasewheel-alone-')))
      const place = join(alone, 'node_modules', 'leasewheel')
      cpSync(dist, join(place, 'dist'), { recursive: true })
      cpSync('package.json', join(place, 'package.json'))
      cpSync('node_modules/eventemitter3', join(place, 'node_modules', 'eventemitter3'), { recursive: true })
      const program = join(place, 'dist', 'cli.js')
      expect(run(program, '--help')).to.match(/^Usage: leasewheel COMMAND/)
      expect(run(program, 'ls')).to.equal(
        'leasewheel: the package ioredis is missing, which talks to the server: run `npm install ioredis`',
      )
      for (const option of ['--cluster', '--sentinel=mymaster']) {
        expect(run(program, 'ls', option)).to.match(/^leasewheel: the package ioredis is missing/)
      }
      expect(spawnSync(program, ['ls']).status).to.equal(3)
    })
  })

  for (const format of FORMATS) {
    it(`has every class once, whatever the entry it comes from: ${format}`, () => {
      const sources = MODULES.flatMap((module) => {
        const map = JSON.parse(read(`${module}.${format}.map`)) as { readonly sources: readonly string[] }
        return map.sources.map((source) => relative('.', join(dist, source)))
      })
      expect(sources).to.include.members(['src/lease-manager.ts', 'src/memory/memory-backend.ts', 'src/time/clock.ts'])
      expect(sources.filter((source, index) => sources.indexOf(source) !== index)).to.deep.equal([])
    })

    it(`asks for nothing but its peers, its dependency and Node.js: ${format}`, () => {
      const pattern = format === 'js' ? /^import .*from "(.+)";$/gm : /\brequire\("(.+?)"\)/g
      const asked = MODULES.flatMap((module) =>
        [...read(`${module}.${format}`).matchAll(pattern)].map(([, name = '']) => name),
      )
      const packages = new Set(asked.filter((name) => !name.startsWith('node:')))
      expect([...packages].sort()).to.deep.equal([
        `./shared.${format}`,
        '@opentelemetry/api',
        'eventemitter3',
        'ioredis',
      ])
    })

    it(`leaves ioredis alone where only locks in memory are used: ${format}`, () => {
      for (const module of MODULES.slice(1)) expect(read(`${module}.${format}`), module).to.not.match(/["']ioredis["']/)
    })

    it(`gives classes the names by which they are exported: ${format}`, () => {
      const program = `for (const entry of ['index', 'memory']) {
        for (const [name, value] of Object.entries(await import('${dist}/' + entry + '.${format}'))) {
          if (/^[A-Z]/.test(name) && name !== 'default') console.log(name, value.name)
        }
      }`
      const lines = run(process.execPath, '--input-type=module', '--eval', program).split('\n')
      expect(lines.length).to.be.at.least(11)
      for (const line of lines) expect(line).to.match(/^(\w+) \1$/)
    })

    it(`has a keeper whose thread connects: ${format}`, () =>
      withRedis(async ({ url }) => {
        const program = `const { LeaseManager } = await import('${dist}/index.${format}')
          const manager = new LeaseManager('${url}', { keeper: {} })
          manager.on('error', (error) => console.log(error.message))
          while (!manager.stats().keeper.connected) await new Promise((resolve) => setTimeout(resolve, 10))
          console.log('connected')
          await manager.close()`
        expect(run(process.execPath, '--input-type=module', '--eval', program)).to.equal('connected')
      }))

    it(`has a keeper whose thread loads nothing that the program preloads: ${format}`, () =>
      withRedis(async ({ url }) => {
        const preloaded = join(folder, 'preloaded.mjs')
        writeFileSync(
          preloaded,
          "import { isMainThread } from 'node:worker_threads'\nconsole.log(`main: ${isMainThread}`)",
        )
        const program = `const { LeaseManager } = await import('${dist}/index.${format}')
          const manager = new LeaseManager('${url}', { keeper: {} })
          while (!manager.stats().keeper.connected) await new Promise((resolve) => setTimeout(resolve, 10))
          await manager.close()`
        const env = { ...process.env, NODE_OPTIONS: `--import ${preloaded}` }
        const options = ['--import', preloaded, '--input-type=module', '--eval', program]
        const { stdout } = spawnSync(process.execPath, options, { encoding: 'utf8', env })
        expect(stdout.trim().split('\n')).to.deep.equal(['main: true'])
      }))

    it(`says which file a keeper misses if the code was moved elsewhere: ${format}`, () => {
      const place = join(folder, `moved-${format}`)
      for (const module of ['index', 'shared'])
        cpSync(join(dist, `${module}.${format}`), join(place, `${module}.${format}`))
      const program = `const { LeaseManager } = await import('${place}/index.${format}')
        new LeaseManager('redis://localhost:1', { keeper: {} })`
      const trace = run(process.execPath, '--input-type=module', '--eval', program)
      expect(trace).to.include('TypeError: Expected the file of the keeper beside the code of leasewheel')
      expect(trace).to.include(`file://${place}/keeper-worker.js`)
    })

    it(`has source maps that lead a stack trace to the source: ${format}`, () => {
      const program = `const { LeaseManager } = await import('${dist}/index.${format}')
        new LeaseManager(5)`
      const trace = run(process.execPath, '--enable-source-maps', '--input-type=module', '--eval', program)
      const [, line] = /\(.*\/src\/lease-manager\.ts:(\d+):\d+\)/.exec(trace) ?? []
      expect(line, trace).to.be.a('string')
      expect(readFileSync('src/lease-manager.ts', 'utf8').split('\n')[Number(line) - 1]).to.include('new Assembly(')
    })
  }

  it('has source maps that tell lines apart, and nothing else', () => {
    for (const format of FORMATS) {
      const { mappings } = JSON.parse(read(`index.${format}.map`)) as { readonly mappings: string }
      const lines = decode(mappings).map((line) => line.map(([, source, row]) => `${source}:${row}`))
      expect(lines.flatMap((line) => line.filter((place, index) => place === line[index - 1]))).to.deep.equal([])
      // Several lines of the source may have become one.
      expect(lines.some((line) => line.length > 1)).to.equal(true)
    }
  })

  it('names the licences of the packages that went into it', () => {
    const packages = [...read('licenses.txt').matchAll(/^These files contain (\S+) /gm)].map(([, name]) => name)
    expect(packages).to.deep.equal(['is-network-error', 'p-retry'])
    expect(read('licenses.txt').match(/Permission is hereby granted/g)).to.have.length(2)
  })

  it('exports every type that its declarations use', () => {
    const declarationsOf = (module: string): Declarations => readDeclarations(join(dist, `${module}.d.ts`))
    const declared = MODULES.flatMap((module) => declarationsOf(module).declared)
    const exported = new Set(ENTRIES.flatMap((entry) => declarationsOf(entry).exported))
    expect(declared).to.include.members(['LeaseManager', 'MemoryBackend', 'Granted', 'Operation', 'RefusalDetails'])
    expect(declared.filter((name) => !exported.has(name))).to.deep.equal([])
  })

  it('declares the same for both formats', () => {
    for (const module of MODULES) {
      expect(read(`${module}.d.cts`).replaceAll('shared.cjs', 'shared.js')).to.equal(read(`${module}.d.ts`))
    }
  })

  it('has types by which two copies of it fit each other', () => {
    cpSync(dist, join(folder, 'copy'), { recursive: true })
    const classes = ['LeaseManager', 'Lease', 'SystemClock', 'UnavailableError', 'ManualClock', 'MemoryStore']
    const program = [
      ...['dist', 'copy'].map((copy) =>
        ['index', 'memory'].map((entry) => `import type * as ${copy}_${entry} from './${copy}/${entry}.js'`),
      ),
      ...classes.map((name) => {
        const entry = name.startsWith('M') ? 'memory' : 'index'
        return `export const swap${name} = (value: dist_${entry}.${name}): copy_${entry}.${name} => value`
      }),
    ]
    writeFileSync(join(folder, 'swap.ts'), program.flat().join('\n'))
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
    ]
    expect(run(process.execPath, 'node_modules/typescript/bin/tsc', ...options, join(folder, 'swap.ts'))).to.equal('')
  })
})
