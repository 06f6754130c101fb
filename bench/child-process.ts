/**
 * Runs one measurement in a Node process of its own, so that no library inherits another's heap, timers or compiled
 * code. Promises that the child is gone when its result or its error is known, when its time is up, and when this
 * process ends.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type RuntimeName, runtimeOf } from './runtime.ts'

/** Workers collect when they are told to, and count the timers in their heap, which Node calls an experiment. */
const FLAGS = ['--expose-gc', '--disable-warning=ExperimentalWarning']
/** Characters of what a child wrote on stderr, from the end. */
const ERRORS_LENGTH = 10_000

export interface ChildOptions {
  /** `here` where nothing is said. */
  readonly runtime?: RuntimeName
  /** More arguments for Node. */
  readonly execArgv?: readonly string[]
}

/**
 * @param file the worker, which calls `answerWith`
 * @param limit ms after which the child is killed
 * @throws Error with what the child wrote on stderr, when it ends without a result
 */
export function runInChild<Result>(
  file: URL,
  job: unknown,
  limit: number,
  { runtime = 'here', execArgv = [] }: ChildOptions = {},
): Promise<Result> {
  const { execPath, execArgv: argvOfRuntime } = runtimeOf(runtime)
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(file), [JSON.stringify(job)], {
      // What this process runs under includes tsx, which the worker needs as well.
      execArgv: [...process.execArgv, ...argvOfRuntime, ...FLAGS, ...execArgv],
      ...(execPath === undefined ? {} : { execPath }),
      stdio: ['ignore', 2, 'pipe', 'ipc'],
      serialization: 'advanced',
    })
    const kill = (): void => void child.kill('SIGKILL')
    let errors = ''
    let result: { readonly value: Result } | undefined
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      kill()
    }, limit)
    process.once('exit', kill)

    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-ERRORS_LENGTH)
    })
    child.on('message', (value: Result) => {
      result = { value }
    })
    child.once('error', reject)
    // `close`, not `exit`: all of stderr has come only then.
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', kill)
      if (result !== undefined && code === 0) {
        process.stderr.write(errors)
        return resolve(result.value)
      }
      const how = isLate ? `was not done after ${limit} ms` : `ended with ${signal ?? `exit code ${code}`}`
      reject(new Error(`The process ${how}\n${errors.trim()}`.trim()))
    })
  })
}

/**
 * To be called once by a worker: does the job, sends the result to the parent, and ends the process.
 * @param abandon is called when the parent was killed and so could not tidy up; the process ends after it
 */
export async function answerWith<Job, Result>(
  work: (job: Job) => Promise<Result>,
  abandon: (job: Job) => Promise<void>,
): Promise<void> {
  const job = JSON.parse(process.argv[2] ?? '') as Job
  process.once('disconnect', () => void abandon(job).finally(() => process.exit(1)))
  const result = await work(job)
  process.send?.(result, () => process.exit(0))
}
