/** A program that runs in a process of its own: what it prints, line by line, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../', import.meta.url))

/** ms. A program that has not printed what it should by then has failed. */
const LIMIT = 100_000

export class Program {
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #output = ''
  #hasEnded = false

  /** @param file in the folder of the recipes. It inherits the environment, `REDIS_URL` included. */
  constructor(file: string, ...args: readonly string[]) {
    const child = spawn(process.execPath, [...process.execArgv, folder + file, ...args], {
      cwd: folder,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#closed = once(child, 'close').then(() => (this.#hasEnded = true))
    process.once('exit', () => child.kill('SIGKILL'))
  }

  get lines(): readonly string[] {
    return this.#output.split('\n').slice(0, -1)
  }

  /** What follows `start` on the first line that begins with it. @throws when the program ends without it, or takes too long. */
  async line(start: string): Promise<string> {
    for (const limit = performance.now() + LIMIT; ; await sleep(5)) {
      const line = this.lines.find((text) => text.startsWith(start))
      if (line !== undefined) return line.slice(start.length)
      if (this.#hasEnded || performance.now() > limit) throw new Error(`No line "${start}" in:\n${this.#output}`)
    }
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The exit code, or the signal that ended the process. */
  async end(): Promise<number | NodeJS.Signals | null> {
    await this.#closed
    return this.#child.exitCode ?? this.#child.signalCode
  }
}
