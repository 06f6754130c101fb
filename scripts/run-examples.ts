/**
 * `npm run examples`: runs every example, and the demo, first in memory and then on a Redis server of its own, each in a
 * process of its own with a time limit. Writes one line for each, and all the output of one that failed.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { withRedis } from '../test/support/redis-server.ts'

/** ms after which an example is killed. */
const LIMIT = 60_000

interface Example {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
}

interface Outcome {
  readonly failure: string | undefined
  readonly output: string
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
  return new Promise((resolve) => {
    // What this process runs under is what an example needs too: tsx, and the package's own name for its source.
    const child = spawn(process.execPath, [...process.execArgv, folder + file, ...args], {
      env: { ...process.env, REDIS_URL: url ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      kill()
    }, LIMIT)
    let output = ''
    const keep = (text: string): void => {
      output += text
    }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    child.once('error', (error) => keep(error.message))
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', kill)
      const end = isLate ? `not done after ${LIMIT} ms` : signal === null ? `exit code ${code}` : signal
      resolve({ failure: code === 0 ? undefined : end, output })
    })
  })
}

/** @returns how many failed. */
async function runAll(examples: readonly Example[], backend: string, url?: string): Promise<number> {
  let failures = 0
  for (const example of examples) {
    const startedAt = performance.now()
    const { failure, output } = await run(example, url)
    const duration = Math.round(performance.now() - startedAt)
    const verdict = failure === undefined ? 'ok' : 'FAILED'
    console.log(
      `${verdict.padEnd(6)}  ${example.name.padEnd(20)}  ${backend.padEnd(6)}  ${String(duration).padStart(6)} ms`,
    )
    if (failure === undefined) continue
    failures += 1
    console.log(`${output.trimEnd().replaceAll(/^/gm, '        ')}\n        (${failure})`)
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
