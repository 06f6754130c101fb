/**
 * Where the demo writes: lines that stay, and one line at the bottom that is redrawn in place on a terminal and is a
 * plain line each time anywhere else.
 */

/** Back to the first column, and erase the line. */
const ERASE = '\r\u001b[2K'

export class Screen {
  readonly #stream: NodeJS.WriteStream
  /** What stands at the bottom now; always empty where nothing can be redrawn. */
  #live = ''

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  /** Writes a line that stays, above the one that is redrawn. */
  line(text = ''): void {
    this.#stream.write(this.#live === '' ? `${text}\n` : `${ERASE}${text}\n${this.#live}`)
  }

  /** Redraws the line at the bottom. */
  live(text: string): void {
    if (!this.#stream.isTTY) {
      this.line(text)
      return
    }
    // A line that wraps could not be redrawn.
    this.#live = text.slice(0, this.#stream.columns - 1)
    this.#stream.write(ERASE + this.#live)
  }

  /** Lets the line at the bottom stay as it is now. */
  settle(): void {
    if (this.#live !== '') this.#stream.write('\n')
    this.#live = ''
  }
}
