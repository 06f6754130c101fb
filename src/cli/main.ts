#!/usr/bin/env node
/** The program `leasewheel`. */
import { run } from './run.ts'

const ending = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => ending.abort())

const { stdin, stdout, stderr, env } = process
// Set the code instead of leaving: what is written to a pipe must get there.
process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, ending: ending.signal })
