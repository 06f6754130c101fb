/**
 * What a measurement runs on: Node and ioredis. Promises how a worker is started on each, and one sentence where that
 * is not possible.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * `here`: the Node that runs the bench, with ioredis 6. Of the others each differs from it in one thing; `before` in the
 * build of leasewheel, which is that of the folder in LEASEWHEEL_BEFORE.
 */
export const RUNTIME_NAMES = ['here', 'ioredis-5', 'node-24', 'before'] as const

export type RuntimeName = (typeof RUNTIME_NAMES)[number]

export interface Runtime {
  /** The program; that of this process where there is none. */
  readonly execPath?: string
  readonly execArgv: readonly string[]
}

/** npm's packages of Node, one for each platform, so that no script has to run when they are installed. */
const NODE_24 = `node-24-${process.platform}-${process.arch}`

export function runtimeOf(name: RuntimeName): Runtime {
  switch (name) {
    case 'here':
      return { execArgv: [] }
    case 'ioredis-5':
      return { execArgv: ['--import', new URL('../test/support/ioredis-5.mjs', import.meta.url).href] }
    case 'node-24':
      return { execPath: fileURLToPath(pathOfNode24()), execArgv: [] }
    case 'before':
      return { execArgv: ['--import', new URL('build-before.mjs', import.meta.url).href] }
    default:
      return name satisfies never
  }
}

/** What tells this runtime from the others: `ioredis 5.11.1`. */
export function describeRuntime(name: Exclude<RuntimeName, 'here'>): string {
  switch (name) {
    case 'ioredis-5':
      return `ioredis ${packageVersion('ioredis-5')}`
    case 'node-24':
      return `Node ${packageVersion(NODE_24)}`
    case 'before':
      return 'the build before'
    default:
      return name satisfies never
  }
}

/** One sentence, or `undefined` when there is such a runtime here. */
export function reasonToSkipRuntime(name: RuntimeName): string | undefined {
  if (name === 'before') return reasonToSkipBuild(process.env['LEASEWHEEL_BEFORE'])
  if (name !== 'node-24' || existsSync(pathOfNode24())) return undefined
  return `Node 24 is left out: no package brings it for ${process.platform} on ${process.arch}.`
}

function reasonToSkipBuild(folder: string | undefined): string | undefined {
  if (folder === undefined) return 'The build before is left out: LEASEWHEEL_BEFORE names no folder.'
  if (existsSync(join(folder, 'dist', 'index.js'))) return undefined
  return `The build before is left out: there is no dist/index.js in ${folder}.`
}

/** Read from the file: not every package lets its package.json be imported. */
export function packageVersion(name: string): string {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version.replace(/^v/, '')
}

function pathOfNode24(): URL {
  const program = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node'
  return new URL(`node_modules/${NODE_24}/${program}`, import.meta.url)
}
