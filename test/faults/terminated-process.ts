/**
 * What a worker does to its locks when it gets SIGTERM, seen from outside: by another process that wants the same
 * locks, and by a store that refuses stale fences.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { LeaseManager } from 'leasewheel'
import { FencedStore } from '../soak/fenced-store.ts'
import { machineTime } from '../soak/machine-clock.ts'
import { withRedis } from '../support/redis-server.ts'
import { keyOf, type MessageFromWorker, type WorkerTask } from './terminated-messages.ts'

const WORKER = fileURLToPath(new URL('terminated-worker.ts', import.meta.url))

/** What a worker may take to end, in ms. It is killed then, and has no exit code. */
const PATIENCE = 30_000

export interface Termination {
  /** How many jobs ended by themselves, and how many because their signal was aborted. */
  readonly done: number
  readonly aborted: number
  /** Of these, how many `using` were fulfilled: those that were aborted must not be. */
  readonly fulfilled: { readonly done: number; readonly aborted: number }
  /** Locks that changed hands while the work under them went on, its signal not aborted, and for how long at most, in ms. */
  readonly early: number
  readonly longest: number
  /** Writes of the worker that the store refused as stale while their signal was not aborted. */
  readonly refused: number
  /** From the end of a job to the moment at which the next has its lock, at most, in ms. */
  readonly slowest: number
  /** From SIGTERM to the end of the process, in ms, and its exit code. */
  readonly duration: number
  readonly exitCode: number | null
}

/** Lets a worker work, sends it SIGTERM, and waits until it is gone and its successor has all locks. */
export function terminate(options: Omit<WorkerTask, 'url'>): Promise<Termination> {
  return withRedis(async ({ url }) => {
    const successor = new LeaseManager(url)
    const worker = fork(WORKER, [JSON.stringify({ ...options, url })], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const closed = once(worker, 'close') as Promise<[number | null]>
    try {
      const store = new FencedStore()
      /** By job: when its work ended or its signal was aborted, whichever came first. */
      const ends = new Map<number, { readonly how: 'done' | 'aborted'; readonly at: number }>()
      const fulfilled = new Set<number>()
      let refused = 0
      const ready = new Promise<void>((resolve) => {
        worker.on('message', (message: MessageFromWorker) => {
          switch (message.type) {
            case 'ready':
              resolve()
              break
            case 'write': {
              const { write, job, fence } = message
              worker.send({ write, isAccepted: store.write('worker', keyOf(job), fence) }, () => undefined)
              break
            }
            case 'refused':
              refused += 1
              break
            case 'ended':
              if (!ends.has(message.job)) ends.set(message.job, message)
              break
            case 'settled':
              if (message.isFulfilled) fulfilled.add(message.job)
              break
            default:
              message satisfies never
          }
        })
      })
      const early = closed.then(() => {
        throw new Error('The worker ended before all its jobs had begun')
      })
      early.catch(() => undefined)
      await Promise.race([ready, early])

      const jobs = Array.from({ length: options.jobs }, (_, job) => job)
      const takeOver = jobs.map(async (job) => {
        const { fence } = await successor.acquire(keyOf(job), { wait: Number.POSITIVE_INFINITY })
        const at = machineTime()
        store.write('successor', keyOf(job), fence)
        return at
      })
      const terminatedAt = machineTime()
      worker.kill('SIGTERM')
      // A worker whose jobs are never told has no end.
      const late = setTimeout(() => worker.kill('SIGKILL'), PATIENCE)
      const [exitCode] = await closed
      clearTimeout(late)
      const duration = machineTime() - terminatedAt
      const takenAt = await Promise.all(takeOver)

      // A job that never ended did so with its process.
      const end = (job: number) => ends.get(job) ?? { how: undefined, at: Number.POSITIVE_INFINITY }
      const gaps = jobs.map((job) => (takenAt[job] as number) - end(job).at)
      const that = (how: 'done' | 'aborted'): number[] => jobs.filter((job) => end(job).how === how)
      const countFulfilled = (how: 'done' | 'aborted'): number => that(how).filter((job) => fulfilled.has(job)).length
      return {
        done: that('done').length,
        aborted: that('aborted').length,
        fulfilled: { done: countFulfilled('done'), aborted: countFulfilled('aborted') },
        early: gaps.filter((gap) => gap < 0).length,
        longest: Math.max(0, ...gaps.map((gap) => -gap)),
        refused,
        slowest: Math.max(...gaps),
        duration,
        exitCode,
      }
    } finally {
      worker.kill('SIGKILL')
      await closed
      await successor.close()
    }
  })
}
