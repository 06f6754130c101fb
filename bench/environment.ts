/** Promises the facts without which a figure means nothing: versions and machine. May import library-name.ts and runtime.ts. */
import { cpus, release, totalmem, type } from 'node:os'
import { BARE, type LibraryName } from './library-name.ts'
import { packageVersion } from './runtime.ts'

export interface Environment {
  readonly node: string
  readonly redis: string
  readonly ioredis: string
  readonly libraries: Readonly<Partial<Record<LibraryName, string>>>
  readonly cpu: string
  readonly cores: number
  /** In GiB. */
  readonly memory: number
  readonly system: string
  /** ISO 8601. */
  readonly date: string
}

/** @param redis the server's own word, `redis_version` of INFO */
export function readEnvironment(redis: string, libraries: readonly LibraryName[]): Environment {
  const cores = cpus()
  return {
    node: process.versions.node,
    redis,
    ioredis: packageVersion('ioredis'),
    libraries: Object.fromEntries(
      libraries.filter((name) => name !== BARE).map((name) => [name, packageVersion(name)]),
    ),
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memory: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    date: new Date().toISOString(),
  }
}

export function formatEnvironment(environment: Environment): string {
  const { node, ioredis, redis, libraries, cpu, cores, memory, system, date } = environment
  const versions = Object.entries(libraries).map(([name, version]) => `${name} ${version}`)
  return [
    `Node ${node}, ioredis ${ioredis}, Redis ${redis}, ${versions.join(', ')}`,
    `${cpu}, ${cores} cores, ${memory} GiB, ${system}, ${date}`,
  ].join('\n')
}
