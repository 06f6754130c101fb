/** The ways in which people load a package. Each works in a project that has it installed. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Programs for Node.js, each with its arguments, to be run in the folder of the project. */
export interface Consumer {
  readonly name: string
  /** What has to be done first, on any version of Node.js. */
  readonly build?: readonly string[]
  /** Holds a lease in memory and one on the server that `$REDIS_URL` names. Without it the build is all there is to see. */
  readonly run?: readonly string[]
}

interface Compilation {
  readonly name: string
  readonly compiler: 'typescript' | 'typescript-7'
  readonly source: 'main.ts' | 'alone.ts'
  /** With `mts` and `cts` the file says itself what kind of module it is; with `ts`, `type` says it. */
  readonly extension: 'ts' | 'mts' | 'cts'
  readonly type?: 'module' | 'commonjs'
  readonly options: object
}

const sources = resolve(import.meta.dirname, '../consumers')
const tools = join(sources, 'node_modules')

const compilations: readonly Compilation[] = [
  ...(['nodenext', 'node16'] as const).flatMap((module) =>
    (['mts', 'cts'] as const).map(
      (extension) =>
        ({
          name: `typescript 7, ${module}, ${extension}`,
          compiler: 'typescript-7',
          source: 'main.ts',
          extension,
          options: { module },
        }) as const,
    ),
  ),
  {
    name: 'typescript 7, bundler',
    compiler: 'typescript-7',
    source: 'main.ts',
    extension: 'ts',
    type: 'module',
    options: { module: 'esnext', moduleResolution: 'bundler' },
  },
  {
    // TypeScript 7 has no such resolution any more.
    name: 'typescript 5.9, node10',
    compiler: 'typescript',
    source: 'main.ts',
    extension: 'ts',
    type: 'commonjs',
    options: { module: 'commonjs', moduleResolution: 'node10' },
  },
  {
    // The types of Node.js bring newer libs with them, so they hide what an old one lacks.
    name: 'typescript 7, without @types/node',
    compiler: 'typescript-7',
    source: 'alone.ts',
    extension: 'mts',
    options: { module: 'nodenext', lib: ['es2020', 'dom'], types: [], noEmit: true },
  },
]

/** @param project has copies of the files of consumers/. @param elsewhere a folder from which no package is found. */
export function consumersIn(project: string, elsewhere: string): readonly Consumer[] {
  return [
    { name: 'esm', run: ['esm/main.mjs'] },
    { name: 'commonjs', run: ['cjs/main.cjs'] },
    { name: 'both in one program', run: ['esm/both.mjs'] },
    ...compilations.map((compilation) => compiled(project, compilation)),
    { name: 'jest', run: [join(tools, 'jest/bin/jest.js'), '--rootDir', 'jest'] },
    { name: 'vitest', run: [join(tools, 'vitest/vitest.mjs'), 'run', '--globals', '--root', 'vitest'] },
    bundled('esm', 'esm/main.mjs', elsewhere),
    bundled('cjs', 'cjs/main.cjs', elsewhere),
  ]
}

/** Gives the source a folder of its own, with the configuration. */
function compiled(project: string, { name, compiler, source, extension, type, options }: Compilation): Consumer {
  const folder = join(project, name.replaceAll(/\W+/g, '-'))
  const file = `main.${extension}`
  const compilerOptions = {
    strict: true,
    skipLibCheck: false,
    target: 'es2020',
    lib: ['es2020'],
    types: ['node'],
    ...options,
  }
  mkdirSync(folder)
  cpSync(join(project, 'typescript', source), join(folder, file))
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
  const build = [join(tools, compiler, 'bin/tsc'), '--project', folder]
  return 'noEmit' in options ? { name, build } : { name, build, run: [join(folder, file.replace('ts', 'js'))] }
}

function bundled(format: 'esm' | 'cjs', entry: string, folder: string): Consumer {
  const file = join(folder, entry)
  return { name: `esbuild, ${format}`, build: [join(sources, 'bundle.mjs'), format, entry, file], run: [file] }
}
