/** What becomes of a program that must end by itself: for scripts that run many, and say which failed. */
import { type SpawnOptions, spawn } from 'node:child_process'

/** ms after which a program is killed. */
const LIMIT = 240_000

export interface Outcome {
  /** How it ended; `undefined` if it did what it should. */
  readonly failure: string | undefined
  /** What it wrote, on either stream. */
  readonly output: string
  /** How long it took, in ms. */
  readonly duration: number
}

/** Runs a program with a time limit. It does not outlive this process. */
export function outcomeOf(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const startedAt = performance.now()
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      kill()
    }, LIMIT)
    let output = ''
    const keep = (text: string): void => {
      output += text
    }
    child.stdout?.setEncoding('utf8').on('data', keep)
    child.stderr?.setEncoding('utf8').on('data', keep)
    child.once('error', (error) => keep(error.message))
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', kill)
      const end = isLate ? `not done after ${LIMIT} ms` : signal === null ? `exit code ${code}` : signal
      resolve({ failure: code === 0 ? undefined : end, output, duration: Math.round(performance.now() - startedAt) })
    })
  })
}

/** Writes one line, and all the output of what failed. */
export function report(name: string, { failure, output, duration }: Outcome): void {
  console.log(`${(failure === undefined ? 'ok' : 'FAILED').padEnd(6)}  ${name}  ${String(duration).padStart(6)} ms`)
  if (failure !== undefined) console.log(`${output.trimEnd().replaceAll(/^/gm, '        ')}\n        (${failure})`)
}
