/**
 * Fetches Redis and Valkey in versions that the system's own release of Debian does not have: from its newer suites,
 * together with the libraries they need. Nothing is installed: the packages are unpacked into the user's cache folder,
 * and a wrapper starts the server there with its own libraries. The mirror is the one that the machine's package
 * sources name.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** The versions that everything is tried on, besides the installed one. */
export const SERVER_VERSIONS = ['redis-8.0', 'redis-8.6', 'valkey-8.1', 'valkey-9.1'] as const

/** Why a version cannot be had, in one sentence. */
export class FetchError extends Error {}

/** From the oldest to the newest. What a version is in moves on with time, so all are searched. */
const SUITES = ['trixie', 'sid', 'experimental']
/** Packages in `experimental` are few, and meant to be used with the libraries of the suite before. */
const INCOMPLETE = 'experimental'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

interface Candidate {
  readonly version: string
  readonly suite: string
}

/**
 * @param name `redis-8.6`, `valkey-9.1`: the beginning of a version, as long as one likes.
 * @returns the path of a program that can be `$REDIS_SERVER`. Fetched at the first call, found at later ones.
 * @throws FetchError
 */
export function fetchServer(name: string): string {
  const [, program, version] = /^(redis|valkey)-(\d+(?:\.\d+)*)$/.exec(name) ?? []
  if (program === undefined || version === undefined) {
    throw new FetchError(`Expected the name of a server such as redis-8.6 or valkey-9.1, got \`${name}\``)
  }
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'leasewheel', 'servers')
  const folder = join(cache, name)
  const wrapper = join(folder, `${program}-server`)
  if (existsSync(wrapper)) return wrapper
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'unfinished-'))
  try {
    const apt = new Apt(work)
    apt.update()
    const { version: exact, suite } = choose(apt.candidates(`${program}-server`), program, version)
    const packages = apt.download([`${program}-server=${exact}`, `${program}-tools=${exact}`], suite)
    const root = join(work, 'root')
    mkdirSync(root)
    for (const file of packages) run('dpkg', ['-x', file, root])
    apt.clean()
    writeFileSync(join(work, `${program}-server`), wrapperScript(root, folder, program), { mode: 0o755 })
    rmSync(folder, { recursive: true, force: true })
    // In one step: a folder with this name is complete.
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  run(wrapper, ['--version'])
  return wrapper
}

/** apt with lists, archives and sources of its own, to which no package is installed. It needs no root. */
class Apt {
  readonly #folder: string
  readonly #options: readonly string[]

  constructor(work: string) {
    const mirror = findMirror()
    this.#folder = join(work, 'apt')
    mkdirSync(join(this.#folder, 'lists/partial'), { recursive: true })
    mkdirSync(join(this.#folder, 'archives/partial'), { recursive: true })
    const sources = join(this.#folder, 'sources.list')
    const status = join(this.#folder, 'status')
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : ''
    writeFileSync(sources, SUITES.map((suite) => `deb ${signed}${mirror} ${suite} main\n`).join(''))
    writeFileSync(status, '')
    const settings: Readonly<Record<string, string>> = {
      'Dir::State': this.#folder,
      'Dir::State::status': status,
      'Dir::Cache': this.#folder,
      'Dir::Etc::SourceList': sources,
      'Dir::Etc::SourceParts': '-',
      'Dir::Etc::Preferences': '-',
      'Dir::Etc::PreferencesParts': '-',
      'Debug::NoLocking': 'true',
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    }
    this.#options = Object.entries(settings).map(([key, value]) => `-o${key}=${value}`)
  }

  update(): void {
    run('apt-get', [...this.#options, 'update', '--error-on=any'])
  }

  /** Which versions of a package there are, from the newest suite to the oldest. */
  candidates(name: string): readonly Candidate[] {
    return run('apt-cache', [...this.#options, 'madison', name])
      .split('\n')
      .map((line) => /\| +(\S+) \| \S+ ([^/]+)\//.exec(line))
      .flatMap((match) => (match === null ? [] : [{ version: match[1] as string, suite: match[2] as string }]))
  }

  /** @returns the files of these packages and of everything that they need. */
  download(packages: readonly string[], suite: string): readonly string[] {
    const target = suite === INCOMPLETE ? [] : ['--target-release', suite]
    const flags = ['install', '--download-only', '--yes', '--no-install-recommends']
    run('apt-get', [...this.#options, ...target, ...flags, ...packages])
    const archives = join(this.#folder, 'archives')
    return readdirSync(archives)
      .filter((file) => file.endsWith('.deb'))
      .map((file) => join(archives, file))
  }

  clean(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Where this system's own packages come from. */
function findMirror(): string {
  const release = new Map(
    (existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '')
      .split('\n')
      .map((line) => line.split('=').map((part) => part.replaceAll('"', '')) as [string, string]),
  )
  if (release.get('ID') !== 'debian') {
    throw new FetchError(
      'Other versions of a server can be fetched on Debian only: name one that you have in $REDIS_SERVER',
    )
  }
  const own = [release.get('VERSION_CODENAME'), 'stable', 'testing', 'unstable', 'sid']
  const targets = run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  ])
    .split('\n')
    .map((line) => line.split(' '))
  const mirror = targets.find(([, suite, component]) => own.includes(suite) && component === 'main')?.[0]
  if (mirror === undefined)
    throw new FetchError("The machine's package sources name no mirror of Debian's main packages")
  return mirror
}

function choose(candidates: readonly Candidate[], program: string, wanted: string): Candidate {
  const plain = ({ version }: Candidate): string => version.replace(/^\d+:/, '').replace(/[-+~].*$/, '')
  const found = candidates.find((candidate) => `${plain(candidate)}.`.startsWith(`${wanted}.`))
  if (found !== undefined) return found
  const there = candidates.map((candidate) => `${program}-${plain(candidate)}`).join(', ') || 'none'
  throw new FetchError(`No suite of ${SUITES.join(', ')} has ${program}-${wanted}; there are: ${there}`)
}

/** The unpacked libraries belong to the unpacked loader, and neither goes with the system's. */
function wrapperScript(root: string, folder: string, program: string): string {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  const loader = files.find((file) => /\/ld-linux[^/]*\.so\.\d+$/.test(file) && file.includes('-linux-gnu'))
  const server = files.find((file) => file.endsWith(`/bin/${program}-server`))
  if (loader === undefined || server === undefined)
    throw new FetchError(`The packages bring no ${program}-server and loader`)
  const at = (file: string): string => `'${join(folder, 'root', file).replaceAll("'", String.raw`'\''`)}'`
  return `#!/bin/sh\nexec ${at(loader)} --library-path ${at(dirname(loader))} ${at(server)} "$@"\n`
}

/** @throws FetchError with the last line that the program wrote on stderr. */
function run(program: string, args: readonly string[]): string {
  const environment = { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', env: environment })
  if (status === 0) return stdout
  const reason = error?.message ?? stderr.trim().split('\n').at(-1) ?? ''
  const words = args.filter((arg) => !arg.startsWith('-o')).join(' ')
  throw new FetchError(`\`${program} ${words}\` failed: ${reason || `exit code ${status}`}`)
}
