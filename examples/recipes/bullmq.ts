/**
 * BullMQ: jobs of one customer never run at the same time, in whatever processes they are. BullMQ decides which worker has
 * a job; a lease decides who works for the customer (docs/recipes/bullmq.md).
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Job, Queue, QueueEvents } from 'bullmq'
import { LeaseManager } from 'leasewheel'
import { Program } from './support/program.ts'

/** One import: who it was for, and when it ran (ms). */
interface Run {
  readonly customer: string
  readonly fence: number
  readonly from: number
  readonly to: number
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379'
const connection = { url }
const other = new LeaseManager(url)
const queue = new Queue<{ customer: string }>('imports', { connection })
const events = new QueueEvents('imports', { connection })
await events.waitUntilReady()

const add = (customer: string): Promise<Job> => queue.add('import', { customer }, { attempts: 2 })
const programs: Program[] = []

function startWorker(): Program {
  const program = new Program('bullmq/worker.ts')
  programs.push(program)
  return program
}

/** Lets the work for a customer come to its end, now and later. */
function finish(customer: string): void {
  for (const program of programs) program.write(customer)
}

/** Until a worker says that of its work for the customer. */
async function told(what: 'begin' | 'stopped', customer: string): Promise<void> {
  await Promise.race(programs.map((program) => program.line(`${what} ${customer}`)))
}

/** What has run for a customer, once so many runs have ended. */
async function runsFor(customer: string, count: number): Promise<readonly Run[]> {
  while (endedFor(customer).length < count) await sleep(5)
  return endedFor(customer)
}

/** What has run for a customer, the earliest first. No two of these overlap, and later ones have larger fences. */
function endedFor(customer: string): readonly Run[] {
  const lines = programs.flatMap((program) => program.lines.filter((line) => line.startsWith('done ')))
  const runs = lines.map((line) => JSON.parse(line.slice('done '.length)) as Run)
  const own = runs.filter((run) => run.customer === customer).sort((a, b) => a.from - b.from)
  for (const [index, run] of own.entries()) {
    const before = own[index - 1]
    if (before === undefined) continue
    assert.ok(run.from >= before.to, `two imports for ${customer} at the same time`)
    assert.ok(run.fence > before.fence)
  }
  return own
}

// A worker stands still in the middle of a job, for longer than BullMQ's lock on the job lasts. BullMQ gives the job to another
// worker. The lease still stands: the other one is refused, and tries again later.
const first = startWorker()
const stalled = await add('Initech')
await first.line('begin Initech')
first.kill('SIGSTOP')
const refused = new Promise<string>((resolve) => events.once('delayed', ({ jobId }) => resolve(jobId)))
const second = startWorker()
assert.equal(await refused, stalled.id)
assert.ok(!second.lines.includes('begin Initech'))
first.kill('SIGCONT')
finish('Initech')
await stalled.waitUntilFinished(events)
assert.equal((await runsFor('Initech', 2)).length, 2, 'the job is done twice, one time after the other')
console.log('a job that stalled was done twice, and not at the same time')

// Three jobs of one customer and one of another.
const jobs = await Promise.all(['ACME', 'ACME', 'ACME', 'Globex'].map(add))
// Neither ends before the other has begun: customers do not wait for each other.
await told('begin', 'ACME')
await told('begin', 'Globex')
finish('Globex')
finish('ACME')
await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))
assert.equal((await runsFor('Globex', 1)).length, 1)
assert.equal((await runsFor('ACME', 3)).length, 3)
for (const { id } of jobs) {
  const job = await queue.getJob(id ?? '')
  assert.equal(job?.attemptsMade, 1, 'a refusal does not count as an attempt')
}
console.log('three jobs of one customer ran one after the other, beside one of another customer')

// An operator takes a customer's lock away. The work stops, and BullMQ has the job tried again.
const robbed = await add('Umbrella')
await told('begin', 'Umbrella')
await other.forceRelease('customer:Umbrella')
await told('stopped', 'Umbrella')
finish('Umbrella')
await robbed.waitUntilFinished(events)
assert.equal((await queue.getJob(robbed.id ?? ''))?.attemptsMade, 2)
assert.equal((await runsFor('Umbrella', 1)).length, 1)
console.log('a job whose lease was lost was stopped, and done at the second attempt')

// Both processes are told to stop while one of them has a job.
await add('Hooli')
await told('begin', 'Hooli')
const next = other.acquire('customer:Hooli', { wait: Number.POSITIVE_INFINITY })
for (const program of programs) program.kill('SIGTERM')
const hasEnded = await Promise.race([next, sleep(200, false)])
assert.equal(hasEnded, false, 'no lock changes hands before the work has ended')
finish('Hooli')
const lease = await next
assert.equal((await runsFor('Hooli', 1)).length, 1)
for (const program of programs) assert.equal(await program.end(), 0)
assert.equal(await queue.getActiveCount(), 0)
console.log('SIGTERM: the job was finished, and its lock was free then')

await lease.release()
await other.close()
await events.close()
await queue.close()
