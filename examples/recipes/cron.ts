/** A job that cron starts on several machines: one does it, the others skip their turn (docs/recipes/cron.md). */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseLostError, LeaseManager } from 'leasewheel'
import { Program } from './support/program.ts'

const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379')

/** Runs the job on so many machines at once, and counts those that do it. */
async function run(file: string, machines: number): Promise<number> {
  const programs = Array.from({ length: machines }, () => new Program(file))
  await Promise.all(programs.map((program) => Promise.race([program.line('writing'), program.line('another machine')])))
  // Now each of them has asked.
  const busy = programs.filter(({ lines }) => lines.includes('writing'))
  for (const program of busy) program.write('go on')
  for (const program of programs) assert.equal(await program.end(), 0)
  for (const { lines } of busy) assert.ok(lines.includes('written'))
  return busy.length
}

assert.equal(await run('cron/job.ts', 2), 1)
assert.equal(await leases.inspect('job:report'), null)
console.log('two machines at once: one does the job')

// A job that hangs is told when its time is over.
const hang = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
  await sleep(60_000, undefined, { signal }).catch(() => signal.throwIfAborted())
}
await assert.rejects(
  leases.using('job:report', hang, { wait: 0, maxHold: 300 }),
  (error) => error instanceof LeaseLostError && error.reason === 'maxHold',
)
const next = await leases.acquire('job:report', { wait: 10_000 })
await next.release()
console.log('a job that hangs: stopped by maxHold, and the lock is free')

// One after the other, as machines do whose clocks differ: the lock is still there when the second one asks.
assert.equal(await run('cron/job-once.ts', 1), 1)
assert.equal(await run('cron/job-once.ts', 1), 0)
const left = (await leases.inspect('job:report'))?.remaining ?? 0
assert.ok(left > 0 && left < 60_000)
console.log(`a machine that comes late skips its turn; the lock is free in ${Math.round(left / 1_000)} s`)

await leases.forceRelease('job:report')
await leases.close()
