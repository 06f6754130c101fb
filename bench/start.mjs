/**
 * The entry of `npm run bench -- <command> ...`: brings everything up to date (the tools of the root, the build of the
 * library, the packages of this folder), then runs main.ts with the same arguments and ends with its exit code. What it
 * does itself it says on stderr, so that stdout is the figures alone. Node only: nothing may be installed yet.
 */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { installIn, run } from '../scripts/packages.mjs'

const bench = dirname(fileURLToPath(import.meta.url))
const root = join(bench, '..')

run(root, 'node', join('scripts', 'setup.mjs'))
run(root, 'npm', 'run', '--silent', 'build')
installIn(bench, 'the libraries to measure')

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const child = spawn(process.execPath, ['--import', tsx, join(bench, 'main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  // The nearest tsconfig.json would send `leasewheel` to the source.
  env: { ...process.env, TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') },
})
// A terminal sends Ctrl-C to both; the child tidies up, and this process ends when it has.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
