/**
 * Finds the Redis (or Valkey) server that the tests run, and installs one where there is none. The tests need a real
 * server: without one they fail, they are never skipped.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

const SERVER_NAMES = ['redis-server', 'valkey-server']

/** How one package manager installs a server. The packages are tried in order; which of them exist depends on the distribution's age. */
interface PackageManager {
  readonly program: string
  readonly refresh?: readonly string[]
  readonly install: readonly string[]
  readonly packages: readonly string[]
  readonly needsRoot: boolean
}

const PACKAGE_MANAGERS: readonly PackageManager[] = [
  {
    program: 'apt-get',
    refresh: ['update'],
    install: ['install', '-y', '--no-install-recommends'],
    packages: ['redis-server', 'valkey-server'],
    needsRoot: true,
  },
  { program: 'dnf', install: ['install', '-y'], packages: ['redis', 'valkey'], needsRoot: true },
  { program: 'apk', install: ['add', '--no-cache'], packages: ['redis', 'valkey'], needsRoot: true },
  { program: 'brew', install: ['install'], packages: ['redis', 'valkey'], needsRoot: false },
]

let found: string | undefined

/**
 * The path of the server: `$REDIS_SERVER`, else `redis-server` or `valkey-server` on the PATH, else one installed now
 * with the system's package manager. The answer is kept for the life of the process.
 * @throws Error when there is none and none could be installed; the message says what to do.
 */
export function findServerBinary(): string {
  found ??= fromEnvironment() ?? onPath(SERVER_NAMES) ?? installed()
  return found
}

function fromEnvironment(): string | undefined {
  const value = process.env['REDIS_SERVER']
  if (value === undefined || value === '') return undefined
  const path = value.includes('/') ? resolve(value) : onPath([value])
  if (path === undefined || !isExecutable(path)) {
    throw new Error(`Expected $REDIS_SERVER to name a Redis or Valkey server that can be executed, got \`${value}\``)
  }
  return path
}

function onPath(names: readonly string[]): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter).filter((directory) => directory !== '')
  return names
    .flatMap((name) => directories.map((directory) => join(directory, name)))
    .find((candidate) => isExecutable(candidate))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function installed(): string {
  const manager = PACKAGE_MANAGERS.find(({ program }) => onPath([program]) !== undefined)
  const reason = manager === undefined ? 'no known package manager was found' : install(manager)
  const path = reason === undefined ? onPath(SERVER_NAMES) : undefined
  if (path !== undefined) return path
  throw new Error(
    'The tests need a Redis or Valkey server: none is on the PATH, and none could be installed ' +
      `(${reason ?? 'the package brought no server'}); install one, or name it in $REDIS_SERVER.`,
  )
}

/** Says why not, or nothing when a package was installed. */
function install(manager: PackageManager): string | undefined {
  const isRoot = process.getuid?.() === 0
  const mayInstall = isRoot || !manager.needsRoot
  if (!mayInstall && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) {
    return `${manager.program} needs root, and sudo asks for a password`
  }
  const prefix = mayInstall ? [] : ['sudo', '-n']

  /** On stderr, so that stdout stays mocha's. */
  const run = (...args: readonly string[]): boolean => {
    const [program = '', ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', manager.program, ...args]
    return spawnSync(program, rest, { stdio: ['ignore', 2, 2] }).status === 0
  }

  console.error(`No Redis server on the PATH: installing one with ${[...prefix, manager.program].join(' ')}`)
  // A failed refresh decides nothing: the lists at hand may do.
  if (manager.refresh) run(...manager.refresh)
  const services = manager.packages.filter((name) => hasService(name))
  const installedPackage = manager.packages.find((name) => run(...manager.install, name))
  if (installedPackage === undefined) return `${manager.program} could not install ${manager.packages.join(' or ')}`
  if (hasService(installedPackage) && !services.includes(installedPackage)) stopService(prefix, installedPackage)
  return undefined
}

function hasService(name: string): boolean {
  return existsSync(`/etc/init.d/${name}`) || existsSync(`/usr/lib/systemd/system/${name}.service`)
}

/** Debian's packages start a service on port 6379, now and at every boot. Nobody asked for that one, so it goes again. */
function stopService(prefix: readonly string[], service: string): void {
  const command = existsSync('/run/systemd/system')
    ? ['systemctl', 'disable', '--now', service]
    : ['service', service, 'stop']
  const [program = '', ...args] = [...prefix, ...command]
  spawnSync(program, args, { stdio: 'ignore' })
}
