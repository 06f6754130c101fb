/** A process that simulates run after run: it takes every n-th seed, and tells its parent of each. */
import { type RunReport, Simulation } from './simulation.ts'

export interface WorkerTask {
  readonly seed: number
  /** To the next seed that is this worker's. */
  readonly stride: number
  readonly runs: number
  /** Simulated ms. */
  readonly duration: number
  /** See `RunOptions`. */
  readonly keepers: boolean
  /** See `RunOptions.ignore`. */
  readonly ignore: string | undefined
}

/** What crosses the border between processes. */
export type WorkerReport = Omit<RunReport, 'violation'> & { readonly violation: string | undefined }

// Where an error was made is of no interest here, and takes time.
Error.stackTraceLimit = 0

process.on('message', (task: WorkerTask) => void work(task))

async function work({ seed, stride, runs, duration, keepers, ignore: pattern }: WorkerTask): Promise<void> {
  const ignore = pattern === undefined ? undefined : new RegExp(pattern)
  for (let run = 0; run < runs; run += 1) {
    const { violation, ...report } = await new Simulation({
      seed: seed + run * stride,
      duration,
      keepers,
      ignore,
    }).run()
    process.send?.({ ...report, violation: violation?.message } satisfies WorkerReport)
    if (violation) break
  }
  process.disconnect()
}
