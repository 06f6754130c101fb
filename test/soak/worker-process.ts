/**
 * A worker as its soak sees it: a process that can be stopped, killed and told to finish. Promises that it is gone when this process ends. May
 * import node: modules and types.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { MessageFromWorker, MessageToWorker, WorkerTask } from './messages.ts'

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url))
/** Characters of what a worker wrote on stderr, from the end. */
const ERRORS_LENGTH = 4_000

export class WorkerProcess {
  static readonly #running = new Set<WorkerProcess>()
  static #isWatchingExit = false

  /** Resolves when it works, or is gone. */
  readonly started: Promise<unknown>
  /** Resolves when it is gone, and all it said has been heard: with what went wrong, unless it was killed from here or did what it was told. */
  readonly gone: Promise<string | undefined>
  readonly number: number
  isReady = false
  isStopped = false
  readonly #child: ChildProcess
  #isKilled = false

  constructor(task: WorkerTask, onMessage: (message: MessageFromWorker) => void) {
    this.number = task.worker
    this.#child = fork(WORKER, [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    WorkerProcess.#running.add(this)
    if (!WorkerProcess.#isWatchingExit) {
      WorkerProcess.#isWatchingExit = true
      // First of all: a folder that a worker writes to can be removed only then.
      process.prependListener('exit', () => {
        for (const worker of WorkerProcess.#running) worker.#child.kill('SIGKILL')
      })
    }
    let errors = ''
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-ERRORS_LENGTH)
    })
    const ready = new Promise<void>((resolve) => {
      this.#child.on('message', (message: MessageFromWorker) => {
        if (message.type === 'ready') {
          this.isReady = true
          resolve()
        }
        onMessage(message)
      })
    })
    this.gone = once(this.#child, 'close').then(() => {
      const { exitCode, signalCode } = this.#child
      WorkerProcess.#running.delete(this)
      this.isReady = false
      if (this.#isKilled || exitCode === 0) return undefined
      return `Worker ${this.number} ended by itself, with ${signalCode ?? `code ${exitCode}`}\n${errors}`.trim()
    })
    this.started = Promise.race([ready, this.gone])
  }

  tell(message: MessageToWorker): void {
    // One that is gone hears nothing, and need not.
    if (this.#child.connected) this.#child.send(message, () => undefined)
  }

  stop(): void {
    this.isStopped = true
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.isStopped = false
    this.#child.kill('SIGCONT')
  }

  /** Works on a stopped one too. */
  async kill(): Promise<void> {
    this.#isKilled = true
    this.isReady = false
    this.#child.kill('SIGKILL')
    await this.gone
  }
}
