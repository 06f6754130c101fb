/** A worker process: takes jobs from the queue, and works for a customer under a lease. bullmq.ts watches it. */
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
// #region worker
import { DelayedError, type Job, Worker, type WorkerOptions } from 'bullmq'
import { type Lease, LeaseManager, LockNotAcquiredError } from 'leasewheel'

type ImportFor = (customer: string, lease: Lease) => Promise<void>

/** ms until a job whose customer is busy comes up again. */
const PAUSE = 250

function startWorker(leases: LeaseManager, importFor: ImportFor, options: WorkerOptions): Worker<{ customer: string }> {
  const run = async (job: Job<{ customer: string }>, token?: string): Promise<void> => {
    const { customer } = job.data
    try {
      await leases.using(`customer:${customer}`, (lease) => importFor(customer, lease), { wait: 0 })
    } catch (error) {
      if (!(error instanceof LockNotAcquiredError)) throw error
      await job.moveToDelayed(Date.now() + PAUSE, token)
      throw new DelayedError() // BullMQ's word for: it is not done, and not failed either
    }
  }
  return new Worker('imports', run, options)
}
// #endregion worker

/** Customers whose imports may end: each line of stdin names one. */
const finishing = new Set<string>()
const finished = new EventEmitter()
const input = createInterface({ input: process.stdin }).on('line', (customer) => {
  finishing.add(customer)
  finished.emit(customer)
})

async function importFor(customer: string, { fence, signal }: Lease): Promise<void> {
  console.log(`begin ${customer}`)
  signal.addEventListener('abort', () => console.log(`stopped ${customer}`))
  const from = Date.now()
  if (!finishing.has(customer)) await once(finished, customer, { signal })
  console.log(`done ${JSON.stringify({ customer, fence, from, to: Date.now() })}`)
}

const url = process.env.REDIS_URL ?? 'redis://localhost:6379'
const leases = new LeaseManager(url)
const worker = startWorker(leases, importFor, {
  connection: { url },
  concurrency: 10,
  // Much shorter than the defaults, so that the example need not wait half a minute for a job to stall.
  lockDuration: 5_000,
  stalledInterval: 1_000,
  drainDelay: 1,
})
worker.on('error', (error) => console.error(`error ${error.message}`))

// #region shutdown
process.once('SIGTERM', () => void stop())

async function stop(): Promise<void> {
  await worker.close()
  await leases.close()
}
// #endregion shutdown

// Nothing else keeps the process alive then.
worker.once('closed', () => input.close())
