/**
 * A worker that is told to end: it has many `using` under way, and closes its manager on SIGTERM in the way that the
 * docs show. Each job writes to the store all the time, and waits for its answer.
 */
import { setTimeout } from 'node:timers/promises'
import { type Lease, LeaseManager } from 'leasewheel'
import { machineTime } from '../soak/machine-clock.ts'
import { keyOf, type MessageFromWorker, type MessageToWorker, type WorkerTask } from './terminated-messages.ts'

/** From one write of a job to the next, in ms. */
const PACE = 20

const { url, jobs, longest, stubborn, drain } = JSON.parse(process.argv[2] ?? '') as WorkerTask
const manager = new LeaseManager(url)
const answers = new Map<number, (isAccepted: boolean) => void>()
let written = 0
/** Jobs that have begun. */
let begun = 0

function send(message: MessageFromWorker): void {
  process.send?.(message)
}

function write(job: number, fence: number): Promise<boolean> {
  written += 1
  send({ type: 'write', write: written, job, fence })
  return new Promise((resolve) => answers.set(written, resolve))
}

process.on('message', ({ write: number, isAccepted }: MessageToWorker) => {
  answers.get(number)?.(isAccepted)
  answers.delete(number)
})

let terminatedAt = Number.POSITIVE_INFINITY

/** How long after SIGTERM a job goes on, in ms. A stubborn one goes on until its signal. */
function rest(job: number): number {
  return job < stubborn ? Number.POSITIVE_INFINITY : (longest * (job + 1)) / jobs
}

async function work(job: number, { signal, fence }: Lease): Promise<void> {
  signal.addEventListener('abort', () => send({ type: 'ended', job, how: 'aborted', at: machineTime() }), {
    once: true,
  })
  begun += 1
  if (begun === jobs) send({ type: 'ready' })
  while (!signal.aborted && machineTime() - terminatedAt < rest(job)) {
    const isAccepted = await write(job, fence)
    if (!isAccepted && !signal.aborted) send({ type: 'refused', job })
    await setTimeout(PACE)
  }
  if (!signal.aborted) send({ type: 'ended', job, how: 'done', at: machineTime() })
}

process.once('SIGTERM', () => {
  terminatedAt = machineTime()
  void manager.close(drain === undefined ? undefined : { drain })
})
await Promise.all(
  Array.from({ length: jobs }, async (_, job) => {
    const isFulfilled = await manager
      .using(keyOf(job), (lease) => work(job, lease))
      .then(
        () => true,
        () => false,
      )
    send({ type: 'settled', job, isFulfilled })
  }),
)
process.disconnect()
