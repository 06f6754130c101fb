/**
 * `npm run test:servers`: the tests that talk to a server, on each server of another version. Fetches what is not there yet. Prints a
 * line for each version and all the output of those that failed.
 */
import { spawnSync } from 'node:child_process'
import { FetchError, fetchServer, SERVER_VERSIONS } from './server-versions.ts'

const HELP = `npm run test:servers -- [name ...]      default: ${SERVER_VERSIONS.join(' ')}

Exit code: 0 when all tests passed on all versions, 1 otherwise.`

const MOCHA = ['node_modules/mocha/bin/mocha.js', '--config', '.mocharc.servers.json']

/** @returns whether all tests passed. */
function runTests(name: string): boolean {
  const startedAt = performance.now()
  const { status, stdout } = spawnSync(process.execPath, MOCHA, {
    env: { ...process.env, REDIS_SERVER: fetchServer(name) },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const passed = /(\d+) passing/.exec(stdout)?.[1] ?? '0'
  const failed = /(\d+) failing/.exec(stdout)?.[1] ?? '0'
  const seconds = Math.round((performance.now() - startedAt) / 1_000)
  console.log(`${name.padEnd(12)}  ${status === 0 ? 'ok' : 'FAILED'}  ${passed} passed, ${failed} failed, ${seconds} s`)
  if (status !== 0) console.log(stdout.replaceAll(/^/gm, '    '))
  return status === 0
}

const names = process.argv.slice(2)
if (names.includes('--help')) {
  console.log(HELP)
} else {
  try {
    let isAllWell = true
    for (const name of names.length > 0 ? names : SERVER_VERSIONS) isAllWell = runTests(name) && isAllWell
    process.exitCode = isAllWell ? 0 : 1
  } catch (error) {
    if (!(error instanceof FetchError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
