/** A process of the program, as the program sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Command, type Message, now, type Role } from './messages.ts'
import type { Record } from './record.ts'

const PROGRAM = fileURLToPath(new URL('member-process.ts', import.meta.url))

export class MemberHandle {
  readonly name: string
  readonly ready: Promise<unknown>
  settled: Extract<Message, { type: 'settled' }> | undefined
  readonly #process: ChildProcess
  readonly #record: Record
  readonly #gone: Promise<unknown>

  constructor(role: Role, record: Record) {
    this.name = role.name
    this.#record = record
    this.#process = fork(PROGRAM, [JSON.stringify(role)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#gone = once(this.#process, 'close')
    this.ready = new Promise((resolve) => {
      this.#process.on('message', (message: Message) => {
        if (message.type === 'ready') resolve(undefined)
        if (message.type === 'settled') this.settled = message
        record.take(this.name, message)
      })
    })
  }

  /** @returns when, in ns. */
  tell(command: Command): number {
    this.#process.send(command)
    return now()
  }

  /** Ends by `close` of its manager. */
  async close(): Promise<void> {
    this.#process.send('close')
    await this.#gone
  }

  async kill(): Promise<number> {
    const at = now()
    this.#process.kill('SIGKILL')
    await this.#gone
    this.#record.onDeath(this.name, at)
    return at
  }

  stop(): number {
    this.#process.kill('SIGSTOP')
    return now()
  }

  goOn(): void {
    this.#process.kill('SIGCONT')
  }
}
