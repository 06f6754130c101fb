/** Where the program writes. A reader that goes away, as `head` does, ends the program quietly. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export class Output {
  readonly #stream: Writable
  readonly #gone = new AbortController()

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A terminal that was closed answers EIO.
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
      this.#gone.abort()
    })
  }

  /** Aborts when the reader has gone. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** Writes one line, and waits if the reader is slow. */
  async line(text: string): Promise<void> {
    await this.write(`${text}\n`)
  }

  async write(text: string): Promise<void> {
    if (this.gone.aborted || this.#stream.write(text)) return
    await once(this.#stream, 'drain', { signal: this.gone }).catch(() => undefined)
  }

  /** Resolves once everything is written. */
  async flush(): Promise<void> {
    if (this.gone.aborted) return
    await new Promise<void>((resolve) => {
      this.gone.addEventListener('abort', () => resolve())
      this.#stream.write('', () => resolve())
    })
  }
}
