/**
 * The whole screen of a terminal, drawn anew in place. It uses the terminal's second screen, so what was on the first one is back at the end,
 * however the program ends.
 */
import type { Io } from './session.ts'

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_REST = '\x1b[J'
const CTRL_C = '\x03'

export class Screen {
  readonly #io: Io
  readonly #onQuit: () => void
  readonly #onResize: () => void
  #isOpen = false

  /** @param onQuit somebody pressed `q` or Ctrl-C. @param onResize the terminal has another size. */
  constructor(io: Io, onQuit: () => void, onResize: () => void) {
    this.#io = io
    this.#onQuit = onQuit
    this.#onResize = onResize
  }

  get width(): number {
    return this.#io.stdout.columns || 80
  }

  get height(): number {
    return this.#io.stdout.rows || 24
  }

  open(): void {
    const { stdin, stdout } = this.#io
    this.#isOpen = true
    stdout.write(ENTER)
    stdout.on('resize', this.#onResize)
    process.on('exit', this.close)
    if (!stdin.isTTY) return
    // What is typed does not show, and Ctrl-C comes as a letter.
    stdin.setRawMode?.(true)
    stdin.on('data', this.#onKeys)
    stdin.resume()
  }

  draw(lines: readonly string[]): void {
    // Without a line end behind the last line, the terminal does not scroll.
    if (this.#isOpen) this.#io.stdout.write(HOME + lines.map((line) => line + CLEAR_LINE).join('\r\n') + CLEAR_REST)
  }

  readonly close = (): void => {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { stdin, stdout } = this.#io
    stdout.write(LEAVE)
    stdout.off('resize', this.#onResize)
    process.off('exit', this.close)
    if (!stdin.isTTY) return
    stdin.off('data', this.#onKeys)
    stdin.setRawMode?.(false)
    stdin.pause()
  }

  readonly #onKeys = (keys: Buffer | string): void => {
    const text = String(keys)
    if (text.includes(CTRL_C) || text.includes('q')) this.#onQuit()
  }
}
