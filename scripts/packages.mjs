/**
 * What the folders with a package.json of their own (bench/, site/) need before they can run: their packages, and programs that fail loudly.
 * What is said goes to stderr, so that stdout is left to the results. Node only: nothing may be installed yet.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Ends this process when the program fails, after saying which one it was. */
export function run(folder, program, ...args) {
  const { status, error } = spawnSync(program, args, {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  console.error(`${program} ${args.join(' ')} failed in ${folder}${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

/** Installs what the folder's package-lock.json asks for, unless that has been done. */
export function installIn(folder, what) {
  const stamp = join(folder, 'node_modules', '.installed-for')
  const wanted = wantedIn(folder)
  if (readOrNone(stamp) === wanted) return
  console.error(`Installing ${what} (npm ci in ${folder}) ...`)
  run(folder, 'npm', 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error')
  writeFileSync(stamp, wanted)
}

/** The lockfile, and Node's major version: which of the optional packages are installed depends on it. */
function wantedIn(folder) {
  const lockfile = readFileSync(join(folder, 'package-lock.json'))
  return `${createHash('sha256').update(lockfile).digest('hex')} node ${process.versions.node.split('.')[0]}`
}

function readOrNone(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
