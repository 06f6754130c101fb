/**
 * `npm run examples`: runs every example, and the demo, first in memory and then on a Redis server of its own, each in a
 * process of its own with a time limit. Writes one line for each, and all the output of one that failed.
 */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { withRedis } from '../test/support/redis-server.ts'
import { type Outcome, outcomeOf, report } from './outcome.ts'

interface Example {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
}

const folder = fileURLToPath(new URL('../examples/', import.meta.url))

/** Every file of the folder itself is an example; so is the demo, held no longer than its story takes. */
function findExamples(): readonly Example[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'))
  return [
    ...files.sort().map((file) => ({ name: file.slice(0, -3), file, args: [] })),
    { name: 'demo', file: 'demo/main.ts', args: ['--seconds', '1'] },
  ]
}

function run({ file, args }: Example, url: string | undefined): Promise<Outcome> {
  // What this process runs under is what an example needs too: tsx, and the package's own name for its source.
  return outcomeOf(process.execPath, [...process.execArgv, folder + file, ...args], {
    env: { ...process.env, REDIS_URL: url ?? '' },
  })
}

/** @returns how many failed. */
async function runAll(examples: readonly Example[], backend: string, url?: string): Promise<number> {
  let failures = 0
  for (const example of examples) {
    const outcome = await run(example, url)
    report(`${example.name.padEnd(20)}  ${backend.padEnd(6)}`, outcome)
    if (outcome.failure !== undefined) failures += 1
  }
  return failures
}

const examples = findExamples()
const inMemory = await runAll(examples, 'memory')
const onRedis = await withRedis(({ url }) => runAll(examples, 'redis', url))
const failures = inMemory + onRedis
console.log(
  failures === 0 ? `All ${2 * examples.length} runs are ok` : `${failures} of ${2 * examples.length} runs FAILED`,
)
process.exitCode = failures === 0 ? 0 : 1
