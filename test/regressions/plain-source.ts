/**
 * The source and its tests without types, in a folder of its own, under the same names: compiled once for all copies, which are links to it.
 * A process that runs a copy compiles nothing. `plain-files.mjs` has Node take the files as they are.
 */
import { cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

export const PROJECT: string = fileURLToPath(new URL('../../', import.meta.url))

/** What running the simulator and the tests takes, but for the packages. */
const NEEDED = ['src', 'test', 'package.json']

export class PlainSource {
  readonly #folder = mkdtempSync(join(tmpdir(), 'leasewheel-plain-'))
  readonly #files: readonly string[]

  constructor() {
    for (const name of NEEDED) cpSync(join(PROJECT, name), join(this.#folder, name), { recursive: true })
    const entries = readdirSync(this.#folder, { recursive: true, withFileTypes: true })
    this.#files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(this.#folder.length + 1))
    const compiled = this.#files.filter((file) => file.endsWith('.ts'))
    writePlain(this.#folder, PROJECT, compiled)
  }

  /** Puts a copy there. Its files are links: whoever changes one must replace it. */
  copyTo(folder: string): void {
    for (const parent of new Set(this.#files.map(dirname))) mkdirSync(join(folder, parent), { recursive: true })
    for (const file of this.#files) linkSync(join(this.#folder, file), join(folder, file))
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Writes files of one folder without their types into another. */
export function writePlain(to: string, from: string, files: readonly string[]): void {
  buildSync({
    entryPoints: files.map((file) => join(from, file)),
    outdir: to,
    outbase: from,
    outExtension: { '.js': '.ts' },
    format: 'esm',
    target: 'node20',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    logLevel: 'error',
    allowOverwrite: true,
  })
}
