/** What a worker that is told to end and its observer say to each other. */

export interface WorkerTask {
  /** Of the server. */
  readonly url: string
  /** How many `using` are under way. */
  readonly jobs: number
  /** How long after SIGTERM the last of them ends, in ms; the others end before, spread evenly. */
  readonly longest: number
  /** How many of them end only when their signal says so. */
  readonly stubborn: number
  /** What `close` is told, in ms; undefined: nothing. */
  readonly drain: number | undefined
}

/** Times are those of `machineTime`. */
export type MessageFromWorker =
  /** All jobs have begun. */
  | { readonly type: 'ready' }
  | { readonly type: 'write'; readonly write: number; readonly job: number; readonly fence: number }
  /** A write was refused although the job's signal was not aborted. */
  | { readonly type: 'refused'; readonly job: number }
  | { readonly type: 'ended'; readonly job: number; readonly how: 'done' | 'aborted'; readonly at: number }
  /** What the job's `using` came to. */
  | { readonly type: 'settled'; readonly job: number; readonly isFulfilled: boolean }

export interface MessageToWorker {
  readonly write: number
  readonly isAccepted: boolean
}

export function keyOf(job: number): string {
  return `job ${job}`
}
