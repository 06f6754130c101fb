/** `npm run soak:quorum -- --minutes 5`: runs a soak on a quorum of five servers, and shows what came of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runQuorumSoak } from './quorum-soak.ts'

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: { minutes: text, members: text, processes: text, keys: text, ttl: text, seed: text },
})
const number = (name: keyof typeof values, initial: number): number => {
  const value = Number(values[name] ?? initial)
  if (value > 0) return value
  throw new RangeError(`Expected --${name} to be a number > 0`)
}
const directory = mkdtempSync(join(tmpdir(), 'leasewheel-quorum-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const { faults, holds, accepted, refused, violations } = await runQuorumSoak({
  duration: number('minutes', 1) * 60_000,
  members: number('members', 5),
  processes: number('processes', 4),
  keys: number('keys', 200),
  ttl: number('ttl', 1_000),
  seed: number('seed', Math.floor(Math.random() * 1e6) + 1),
  directory,
  onProgress: (line) => console.log(`  ${line}`),
})
console.log(`${holds.length} holds, ${accepted} writes, ${refused} refused as stale; ${JSON.stringify(faults)}`)
console.log(`${violations.length} violations`)
for (const { message } of violations.slice(0, 10)) console.error(message)
process.exit(violations.length > 0 ? 1 : 0)
