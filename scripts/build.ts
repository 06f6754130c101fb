/**
 * `npm run build`: writes what is published into dist/, or into the folder named. Each entry is one ES module, one CommonJS module and its
 * declarations for either; what two entries use stands once, in `shared`, so that a class is the same whichever entry it came from. p-retry is an
 * ES module only, so it goes into the files, and its licence beside them. The command line is an ES module of its own, and so is the thread of a
 * keeper.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decode, encode } from '@jridgewell/sourcemap-codec'
import { type BuildOptions, build, type OutputAsset, type OutputChunk } from 'rolldown'
import { dts } from 'rolldown-plugin-dts'
import { buildPage } from './page-bundle.ts'

type Output = readonly (OutputChunk | OutputAsset)[]

const root = resolve(import.meta.dirname, '..')
const folder = resolve(process.argv[2] ?? join(root, 'dist'))

/** What any two entries use goes into one file, which all of them share. */
const ONE_SHARED = { groups: [{ name: 'shared', minShareCount: 2 }] }

const entries: BuildOptions = {
  cwd: root,
  input: {
    index: 'src/index.ts',
    ...Object.fromEntries(
      ['memory', 'quorum', 'prometheus', 'opentelemetry', 'log', 'page'].map((name) => [name, `src/${name}/index.ts`]),
    ),
  },
  external: ['@opentelemetry/api', 'eventemitter3', 'ioredis', 'prom-client', /^node:/],
  platform: 'node',
  write: false,
}

const page = await buildPage()

/** The module of the page's files, with the files in it. */
const pageAssets = {
  name: 'page-assets',
  load: (id: string): string | undefined =>
    id === join(root, 'src/page/assets.ts')
      ? `const assets = ${JSON.stringify(page.assets)}\nexport const loadAssets = async () => assets`
      : undefined,
}

function code(format: 'esm' | 'cjs', extension: string): BuildOptions {
  return {
    ...entries,
    plugins: [pageAssets],
    output: {
      dir: folder,
      format,
      entryFileNames: `[name].${extension}`,
      chunkFileNames: `shared.${extension}`,
      codeSplitting: ONE_SHARED,
      // People read the documentation in the declarations; here they need short files and readable stack traces.
      comments: false,
      sourcemap: true,
      sourcemapExcludeSources: true,
    },
  }
}

/** The command line: one file, which loads the package by its name, as any user does. */
function program(): BuildOptions {
  return {
    ...code('esm', 'js'),
    input: { cli: 'src/cli/main.ts' },
    external: ['leasewheel', 'leasewheel/page', 'ioredis', /^node:/],
  }
}

/** The thread of a keeper: one file with all that it needs, so that it can be copied beside a bundle. */
function thread(): BuildOptions {
  return { ...code('esm', 'js'), input: { 'keeper-worker': 'src/redis/keeper-worker.ts' } }
}

function declarations(extension: string): BuildOptions {
  return {
    ...entries,
    plugins: [dts({ oxc: { stripInternal: true }, emitDtsOnly: true })],
    output: {
      dir: folder,
      format: 'esm',
      entryFileNames: `[name].${extension}`,
      chunkFileNames: `shared.d.${extension}`,
      codeSplitting: ONE_SHARED,
    },
  }
}

/** What a stack trace needs of a source map: which line. The sources are not published, so nobody can look at a column. */
function linesOnly(text: string): string {
  const map = JSON.parse(text) as { names: string[]; mappings: string }
  const lines = decode(map.mappings).map((line) =>
    line.filter(([, source, row], index) => source !== line[index - 1]?.[1] || row !== line[index - 1]?.[2]),
  )
  return JSON.stringify({ ...map, mappings: encode(lines) })
}

/**
 * A class with private fields is declared with the mark `#private`, and then only instances of that very class fit: two copies of this package
 * would not fit each other, and tests could not pass doubles.
 */
function structural(text: string): string {
  return text.replaceAll(/^ *#private;\n/gm, '')
}

function contentOf(file: OutputChunk | OutputAsset): string {
  const text = file.type === 'chunk' ? file.code : String(file.source)
  if (file.fileName.endsWith('.map')) return linesOnly(text)
  return /\.d\.c?ts$/.test(file.fileName) ? structural(text) : text
}

/** The licences of the packages that went into the files. */
function licencesOf(output: Output): string {
  const modules = [...page.modules, ...output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))]
  const packages = new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id) ?? []))
  return [...packages].sort().map(licenceOf).join('\n')
}

function licenceOf(directory: string): string {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Record<string, string>
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined)
    throw new Error(`${name} has no licence file: it may not be published as part of this package`)
  return `These files contain ${name} ${version}:\n\n${readFileSync(join(directory, file), 'utf8').trim()}\n`
}

const results = await build([
  code('esm', 'js'),
  program(),
  thread(),
  code('cjs', 'cjs'),
  declarations('ts'),
  declarations('cts'),
])
const output: Output = results.flatMap((result) => result.output)
if (existsSync(folder)) rmSync(folder, { recursive: true })
mkdirSync(folder, { recursive: true })
for (const file of output) writeFileSync(join(folder, file.fileName), contentOf(file))
chmodSync(join(folder, 'cli.js'), 0o755)
writeFileSync(join(folder, 'licenses.txt'), licencesOf(output))
// Programs that load the build by its path know the entry by this name.
mkdirSync(join(folder, 'memory'))
writeFileSync(join(folder, 'memory', 'index.js'), "export * from '../memory.js'\n")
