/**
 * `npm run consumers`: packs this package, installs it into a project outside of this folder, and uses it there in each of the ways in which
 * people load packages. Writes one line for each, and all the output of one that failed. `-- --node 22,24,26` runs them on other versions of
 * Node.js too. `--built` packs `dist/` as it is.
 *
 * The project has nothing but the package, its peer and the types of Node.js: a dependency that is not declared is missing there. The compilers
 * and test runners are in consumers/node_modules.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { withRedis } from '../test/support/redis-server.ts'
import { type Consumer, consumersIn } from './consumer-list.ts'
import { type Outcome, outcomeOf, report } from './outcome.ts'

const NODE_VERSIONS: Readonly<Record<string, string>> = { 22: '22.23.3', 24: '24.21.0', 26: '26.9.0' }

const root = resolve(import.meta.dirname, '..')

/** A version of Node.js. */
interface Runtime {
  readonly name: string
  readonly program: string
}

async function npm(folder: string, ...args: readonly string[]): Promise<void> {
  const options = { cwd: folder, shell: process.platform === 'win32' }
  const { failure, output } = await outcomeOf('npm', [...args, '--loglevel=error'], options)
  if (failure !== undefined) throw new Error(`npm ${args.join(' ')}: ${failure}\n${output}`)
}

/** Installs what a folder's lockfile asks for, and packages besides. */
function install(folder: string, ...packages: readonly string[]): Promise<void> {
  return npm(folder, 'install', '--no-save', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund', ...packages)
}

/** Installs the tarball that would be published into a project with the files of consumers/. */
async function makeProject(folder: string): Promise<void> {
  await npm(root, 'pack', '--pack-destination', folder)
  const [tarball = ''] = readdirSync(folder)
  const sources = join(root, 'consumers')
  cpSync(sources, folder, { recursive: true, filter: (file) => file !== join(sources, 'node_modules') })
  await install(folder, `./${tarball}`)
}

/** Fetches a version of Node.js from npm, which has a package of it for each platform. */
async function fetchNode(folder: string, name: string): Promise<Runtime> {
  const version = NODE_VERSIONS[name]
  if (version === undefined) throw new Error(`--node ${name}: expected some of ${Object.keys(NODE_VERSIONS).join(',')}`)
  const packageName = `node-${process.platform}-${process.arch}`
  mkdirSync(folder)
  await install(folder, `${packageName}@${version}`)
  return { name: `node ${version}`, program: join(folder, 'node_modules', packageName, 'bin/node') }
}

/** @returns how many failed. */
async function runAll(consumers: readonly Consumer[], project: string, runtimes: readonly Runtime[]): Promise<number> {
  return withRedis(async ({ url }) => {
    const env = { ...process.env, REDIS_URL: url, NODE_OPTIONS: '' }
    let failures = 0
    const run = ({ program }: Runtime, args: readonly string[]): Promise<Outcome> =>
      outcomeOf(program, args, { cwd: project, env })
    const tell = (runtime: Runtime, consumer: Consumer, outcome: Outcome): void => {
      report(`${runtime.name.padEnd(12)}  ${consumer.name.padEnd(34)}`, outcome)
      if (outcome.failure !== undefined) failures += 1
    }
    const queue = consumers.values()
    const work = async (): Promise<void> => {
      for (const consumer of queue) {
        const built = consumer.build && (await run(here, consumer.build))
        const isAll = consumer.run === undefined || built?.failure !== undefined
        if (built && isAll) tell(here, consumer, built)
        if (isAll) continue
        for (const runtime of runtimes) tell(runtime, consumer, await run(runtime, consumer.run))
      }
    }
    // Two at a time: each uses one core, most of the time.
    await Promise.all([work(), work()])
    return failures
  })
}

const { values } = parseArgs({ options: { node: { type: 'string' }, built: { type: 'boolean' } } })
const here: Runtime = { name: `node ${process.versions.node}`, program: process.execPath }
// Its real path: tools compare paths, and the folder for temporary files may be a link.
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'leasewheel-consumers-')))
try {
  const [project, elsewhere] = [join(folder, 'project'), join(folder, 'elsewhere')]
  mkdirSync(project)
  mkdirSync(elsewhere)
  if (!values.built) await npm(root, 'run', 'build')
  await makeProject(project)
  const runtimes = [here]
  for (const name of values.node?.split(',') ?? []) runtimes.push(await fetchNode(join(folder, `node-${name}`), name))
  const failures = await runAll(consumersIn(project, elsewhere), project, runtimes)
  console.log(failures === 0 ? 'All consumers are ok' : `${failures} FAILED`)
  process.exitCode = failures === 0 ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
