/**
 * The entry of `npm run bench -- <command> ...`: brings everything up to date (the tools of the root, the build of the
 * library, the packages of this folder), then runs main.ts with the same arguments and ends with its exit code. What it
 * does itself it says on stderr, so that stdout is the figures alone. Node only: nothing may be installed yet.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const bench = dirname(fileURLToPath(import.meta.url))
const root = join(bench, '..')
const stamp = join(bench, 'node_modules', '.installed-for')

/** Ends this process when the program fails, after saying which one it was. */
function run(directory, program, ...args) {
  const { status, error } = spawnSync(program, args, {
    cwd: directory,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  console.error(`${program} ${args.join(' ')} failed in ${directory}${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

/** The lockfile, and Node's major version: which of the optional packages are installed depends on it. */
function wantedPackages() {
  const lockfile = readFileSync(join(bench, 'package-lock.json'))
  return `${createHash('sha256').update(lockfile).digest('hex')} node ${process.versions.node.split('.')[0]}`
}

function isInstalled() {
  try {
    return readFileSync(stamp, 'utf8') === wantedPackages()
  } catch {
    return false
  }
}

run(root, 'node', join('scripts', 'setup.mjs'))
run(root, 'npm', 'run', '--silent', 'build')
if (!isInstalled()) {
  console.error('Installing the libraries to measure (npm ci in bench/) ...')
  run(bench, 'npm', 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error')
  writeFileSync(stamp, wantedPackages())
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const child = spawn(process.execPath, ['--import', tsx, join(bench, 'main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  // The nearest tsconfig.json would send `leasewheel` to the source.
  env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') },
})
// A terminal sends Ctrl-C to both; the child tidies up, and this process ends when it has.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
