/**
 * `npm run examples`: builds the package, and runs every example, and the demo, on the build, as users would. First in memory and then on a
 * Redis server of its own, each in a process of its own with a time limit; and beside that on a cluster of its own; the one about quorums on
 * three servers, and the one about replicas on a server that has one, too. Beside them the recipes, which have packages of their own: first
 * those are installed, and the recipes type-checked. Writes one line for each, and all the output of one that failed.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { withRedisCluster } from '../test/support/redis-cluster.ts'
import { withRedis } from '../test/support/redis-server.ts'
import { withReplicas } from '../test/support/replicated-server.ts'
import { type Outcome, outcomeOf, report } from './outcome.ts'

/** Recipes that run at the same time, each on a server of its own: they wait more than they compute. */
const LANES = 2
/** Nodes that hang for so long are not replaced: no example is about failovers. ms. */
const NODE_TIMEOUT = 15_000

type Where = 'memory' | 'redis' | 'cluster' | 'quorum' | 'replica'

interface Example {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
}

const root = fileURLToPath(new URL('../', import.meta.url))
const folder = `${root}examples/`
const recipeFolder = `${folder}recipes/`

/** Few leases, with a ttl that leaves time for their renewals on a busy machine, and held no longer than the story takes. */
const DEMO = ['--leases', '2000', '--ttl', '12000', '--seconds', '1', '--page']

/** Every file of the folder itself is an example; so is the demo. */
function findExamples(): readonly Example[] {
  return [...filesOf(folder), { name: 'demo', file: 'demo/main.ts', args: DEMO }]
}

function filesOf(directory: string): readonly Example[] {
  const files = readdirSync(directory).filter((file) => file.endsWith('.ts'))
  return files.sort().map((file) => ({ name: file.slice(0, -3), file, args: [] }))
}

function run({ name, file, args }: Example, where: Where, url: string): Promise<Outcome> {
  const own = where === 'cluster' && name === 'demo' ? ['--redis', url, '--cluster'] : []
  return outcomeOf(process.execPath, ['--import', 'tsx', folder + file, ...args, ...own], {
    env: {
      ...process.env,
      REDIS_URL: where === 'redis' || where === 'replica' ? url : '',
      REDIS_CLUSTER_URL: where === 'cluster' ? url : '',
      ...(where === 'quorum' && { REDIS_QUORUM_URLS: url }),
      ...(where === 'replica' && { REDIS_REPLICAS: '1' }),
    },
  })
}

/** @returns how many failed. */
async function runAll(examples: readonly Example[], where: Where, url = ''): Promise<number> {
  let failures = 0
  for (const example of examples) failures += tell(example.name, where, await run(example, where, url))
  return failures
}

/** @returns how many failed: 0 or 1. */
function tell(name: string, backend: Where, outcome: Outcome): number {
  report(`${name.padEnd(20)}  ${backend.padEnd(7)}`, outcome)
  return outcome.failure === undefined ? 0 : 1
}

/** On three servers. @returns how many failed. */
function runOnQuorum(some: readonly Example[]): Promise<number> {
  return withRedis((one) =>
    withRedis((two) => withRedis((three) => runAll(some, 'quorum', [one, two, three].map(({ url }) => url).join()))),
  )
}

/** @throws Error that says what went wrong. */
async function execute(program: string, ...args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(program, args, { cwd: root, shell: process.platform === 'win32' })
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${message}\n${stdout ?? ''}${stderr ?? ''}`, { cause: error })
  }
}

/** A recipe is a program of its own: no name for the source, and its own tsconfig.json. */
function runRecipe({ file }: Example): Promise<Outcome> {
  return withRedis(({ url }) =>
    outcomeOf(process.execPath, ['--import', 'tsx', file], {
      cwd: recipeFolder,
      env: { ...process.env, REDIS_URL: url },
    }),
  )
}

/** @returns how many failed. */
async function runRecipes(recipes: readonly Example[]): Promise<number> {
  try {
    await execute('node', 'scripts/setup.mjs', 'examples/recipes')
    await execute('npx', 'tsc', '-p', 'examples/recipes')
  } catch (error) {
    console.log(`The recipes could not be prepared: ${(error as Error).message}`)
    return recipes.length
  }
  const left = [...recipes]
  let failures = 0
  const lane = async (): Promise<void> => {
    for (let recipe = left.shift(); recipe !== undefined; recipe = left.shift()) {
      const outcome = await runRecipe(recipe)
      failures += tell(`recipes/${recipe.name}`, 'redis', outcome)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return failures
}

const examples = findExamples()
const recipes = filesOf(recipeFolder)
await execute('npm', 'run', '--silent', 'build')
const inRecipes = runRecipes(recipes)
const inCluster = withRedisCluster(({ nodes }) => runAll(examples, 'cluster', nodes[0]?.url), {
  replicas: 0,
  nodeTimeout: NODE_TIMEOUT,
})
const inMemory = await runAll(examples, 'memory')
const onRedis = await withRedis(({ url }) => runAll(examples, 'redis', url))
const onQuorum = await runOnQuorum(examples.filter(({ name }) => name === 'quorum'))
const onReplicated = await withReplicas(1, ({ master: { url } }) =>
  runAll(
    examples.filter(({ name }) => name === 'replicas'),
    'replica',
    url,
  ),
)
const failures = inMemory + onRedis + onQuorum + onReplicated + (await inCluster) + (await inRecipes)
const total = 3 * examples.length + 2 + recipes.length
console.log(failures === 0 ? `All ${total} runs are ok` : `${failures} of ${total} runs FAILED`)
process.exitCode = failures === 0 ? 0 : 1
