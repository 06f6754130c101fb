/** A process that simulates run after run: it takes every n-th seed, and tells its parent of each. */
import { makeWorld, type WorldOptions, type WorldReport } from './world.ts'

export interface WorkerTask extends Omit<WorldOptions, 'careful' | 'onEvent'> {
  /** To the next seed that is this worker's. */
  readonly stride: number
  readonly runs: number
}

/** What crosses the border between processes. */
export type WorkerReport = Omit<WorldReport, 'violation'> & { readonly violation: string | undefined }

// Where an error was made is of no interest here, and takes time.
Error.stackTraceLimit = 0

process.on('message', (task: WorkerTask) => void work(task))

async function work({ seed, stride, runs, ...options }: WorkerTask): Promise<void> {
  for (let run = 0; run < runs; run += 1) {
    const { violation, ...report } = await makeWorld({ ...options, seed: seed + run * stride }).run()
    process.send?.({ ...report, violation: violation?.message } satisfies WorkerReport)
    if (violation) break
  }
  process.disconnect()
}
