/**
 * Programs that search for a bug, each in one file: the harness and the source, as patches make it. Node loads one file in a tenth of the time
 * that it needs for hundreds.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BuildOptions, build, buildSync } from 'esbuild'
import { PROJECT, patched } from './patches.ts'
import type { Harness, Patch } from './regression.ts'

/** Packages that most programs load. Each is one file as well, which all programs share. */
const PACKAGES = [
  { name: 'chai', file: 'chai' },
  { name: 'fast-check', file: 'fast-check' },
  { name: 'ioredis', file: 'ioredis' },
  // What its entry exports by default: `require` would give an object that has it.
  { name: 'mocha', file: 'mocha/lib/mocha.cjs' },
  { name: 'sinon', file: 'sinon' },
] as const

const OPTIONS = {
  absWorkingDir: PROJECT,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  logLevel: 'error',
} as const satisfies BuildOptions

/** What a browser gets is built by a package that a program cannot load. The searches look at what the server answers and refuses. */
const ASSETS = 'src/page/assets.ts'
const NO_ASSETS = `export const loadAssets = async () => ({ html: '', style: '', script: '', icon: '' })`

const TESTS = new RegExp(`^${escaped(join(PROJECT, 'test'))}.*[.]ts$`)

export class Bundles {
  readonly #folder = mkdtempSync(join(tmpdir(), 'leasewheel-bugs-'))
  #count = 0

  constructor() {
    for (const { name, file } of PACKAGES) {
      buildSync({
        ...OPTIONS,
        stdin: { contents: `module.exports = require('${file}')`, resolveDir: PROJECT },
        outfile: join(this.#folder, 'node_modules', name, 'index.js'),
      })
    }
  }

  /**
   * Makes a program.
   * @returns the path of its file.
   * @throws Error naming the patch that does not fit.
   */
  async make(patches: readonly Patch[], harness: Harness): Promise<string> {
    const texts = [...patched(patches)]
    this.#count += 1
    const outfile = join(this.#folder, `${this.#count}.js`)
    await build({
      ...OPTIONS,
      stdin: { contents: programOf(harness), resolveDir: PROJECT, loader: 'ts' },
      conditions: ['leasewheel:source'],
      // esbuild runs a binary that it finds from its own place.
      external: ['esbuild', ...PACKAGES.map(({ name }) => name)],
      // So that they are found beside the program.
      supported: { 'dynamic-import': false },
      plugins: [
        {
          name: 'patches',
          setup: (bundler) => {
            for (const [file, contents] of [...texts, [ASSETS, NO_ASSETS] as const])
              bundler.onLoad({ filter: exactly(join(PROJECT, file)) }, () => ({ contents, loader: 'ts' }))
            bundler.onLoad({ filter: TESTS }, ({ path }) => ({ contents: placed(path), loader: 'ts' }))
          },
        },
      ],
      outfile,
    })
    return outfile
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function programOf(harness: Harness): string {
  if (harness.type === 'simulation') {
    return `import { runSimulations } from './test/regressions/run-simulations.ts'
void runSimulations(${JSON.stringify(harness)})`
  }
  const imports = harness.files.map((file) => `await import(${JSON.stringify(`./${file}`)})`)
  return `import { runTests } from './test/regressions/run-tests.ts'
void runTests(${JSON.stringify(harness.titles)}, async () => { ${imports.join('; ')} })`
}

/** The text of a file that knows its place, as if it were still there. */
function placed(path: string): string {
  return readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
}

function exactly(path: string): RegExp {
  return new RegExp(`^${escaped(path)}$`)
}

function escaped(path: string): string {
  return path.replaceAll(/[^\w/]/g, String.raw`\$&`)
}
