/** Promises the facts without which a figure means nothing: versions and machine. */
import { cpus, release, totalmem, type } from 'node:os'
import { BARE, type LibraryName, OBSERVED, PIPELINED, UNWATCHED, KEPT } from './library-name.ts'
import { packageVersion } from './runtime.ts'

/** Names that are not those of a package. */
const NO_PACKAGES: readonly LibraryName[] = [BARE, PIPELINED, OBSERVED, UNWATCHED, KEPT]

export interface Environment {
  readonly node: string
  /** Where there was a server. */
  readonly redis?: string
  readonly ioredis?: string
  readonly libraries: Readonly<Partial<Record<LibraryName, string>>>
  readonly cpu: string
  readonly cores: number
  /** In GiB. */
  readonly memory: number
  readonly system: string
  /** ISO 8601. */
  readonly date: string
}

/** @param redis the server's own word, `redis_version` of INFO; undefined where there was none */
export function readEnvironment(redis: string | undefined, libraries: readonly LibraryName[]): Environment {
  const cores = cpus()
  return {
    node: process.versions.node,
    ...(redis === undefined ? {} : { redis, ioredis: packageVersion('ioredis') }),
    libraries: Object.fromEntries(
      libraries.filter((name) => !NO_PACKAGES.includes(name)).map((name) => [name, packageVersion(name)]),
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
  const server = redis === undefined ? [] : [`ioredis ${ioredis}`, `Redis ${redis}`]
  return [
    [`Node ${node}`, ...server, ...versions].join(', '),
    `${cpu}, ${cores} cores, ${memory} GiB, ${system}, ${date}`,
  ].join('\n')
}
