/**
 * Installs what package-lock.json asks for when node_modules does not hold it; silent otherwise. npm runs it before
 * `demo`, `test` and the other scripts, so that one command is enough on a fresh clone. Node only: nothing is installed yet.
 * `node scripts/setup.mjs FOLDER` does the same in a folder with a lockfile of its own.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [name = '.'] = process.argv.slice(2)
const folder = join(dirname(fileURLToPath(import.meta.url)), '..', name)

function packagesIn(lockfile) {
  return JSON.parse(readFileSync(join(folder, lockfile), 'utf8')).packages
}

/** Contents, not modification times: those change with every checkout, and npm may write the two files in either order. */
function isInstalled() {
  let installed
  try {
    installed = packagesIn('node_modules/.package-lock.json')
  } catch {
    return false
  }
  return Object.entries(packagesIn('package-lock.json')).every(([path, wanted]) => {
    // The folder itself, and what is linked from outside of it.
    if (path === '' || path.startsWith('..')) return true
    const found = installed[path]
    // Binaries for other platforms are listed as optional and rightly absent.
    if (found === undefined) return wanted.optional === true
    return found.version === wanted.version && found.integrity === wanted.integrity
  })
}

if (!isInstalled()) {
  console.error(`Installing dependencies (npm ci${name === '.' ? '' : ` in ${name}`}) ...`)
  // `--include=dev`: NODE_ENV=production would leave out the tools that every script here needs.
  const { status, error } = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (error) console.error(`Could not start npm: ${error.message}`)
  process.exit(status ?? 1)
}
