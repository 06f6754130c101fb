/**
 * One direction of one connection through a proxy: what comes out of one socket goes into another, in order, but
 * later, in drops, or not at all.
 */
import type { Socket } from 'node:net'

/** What holds for one direction of all connections. */
export interface Conditions {
  /** What each byte takes, in ms. */
  readonly delay: number
  readonly bytesPerSecond: number
}

/** How often a slow lane lets a drop pass, in ms. */
const BEAT = 10

interface Item {
  /** Bytes; that no more will come (FIN); or that the connection broke. */
  readonly content: Buffer | 'end' | 'break'
  /** ms, as below. */
  readonly enteredAt: number
}

export class Lane {
  readonly #sink: Socket
  readonly #conditions: Conditions
  readonly #queue: Item[] = []
  #held: boolean
  /** What comes in is of no interest any more. */
  #over = false
  #freeAt = 0
  #timer: NodeJS.Timeout | undefined
  /** Bytes that still pass before the connection breaks. */
  #left = Number.POSITIVE_INFINITY
  #onCut: () => void = () => undefined

  /** @param held whether it is a black hole from the beginning. */
  constructor(source: Socket, sink: Socket, conditions: Conditions, held: boolean) {
    this.#sink = sink
    this.#conditions = conditions
    this.#held = held
    let hasEnded = false
    source.on('data', (chunk: Buffer) => this.#enter(chunk))
    source.on('end', () => {
      hasEnded = true
      this.#enter('end')
    })
    source.on('close', (hadError) => {
      if (hadError || !hasEnded) this.#enter('break')
    })
    sink.on('close', () => this.#stop())
  }

  /** Nothing passes any more, not even that an end has closed. It is kept, as by a sender that transmits it again and again. */
  hold(): void {
    this.#held = true
  }

  resume(): void {
    this.#held = false
    this.pump()
  }

  /** Nothing more will come, says this end of it; whatever does come is dropped. */
  halfClose(): void {
    this.#stop()
    this.#sink.end()
  }

  /** Lets so many more bytes pass, at least one; then calls back, once they are under way. */
  cutAfter(bytes: number, onCut: () => void): void {
    this.#left = bytes
    this.#onCut = onCut
  }

  /** Lets pass what may pass now. To be called when the conditions have changed. */
  pump(): void {
    clearTimeout(this.#timer)
    for (let item = this.#queue[0]; item && !this.#held; item = this.#queue[0]) {
      const now = performance.now()
      const wait = Math.max(item.enteredAt + this.#conditions.delay, this.#freeAt) - now
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait)
        return
      }
      this.#queue.shift()
      if (item.content === 'end') this.#sink.end()
      else if (item.content === 'break') this.#sink.destroy()
      else this.#pass(item.content, item.enteredAt, now)
    }
  }

  #enter(content: Item['content']): void {
    if (this.#over) return
    this.#queue.push({ content, enteredAt: performance.now() })
    this.pump()
  }

  #pass(bytes: Buffer, enteredAt: number, now: number): void {
    const { bytesPerSecond } = this.#conditions
    const drop = Math.max(Math.floor((bytesPerSecond * BEAT) / 1_000), 1)
    const size = Math.min(bytes.length, drop, this.#left)
    this.#freeAt = now + (1_000 * size) / bytesPerSecond
    if (size < bytes.length) this.#queue.unshift({ content: bytes.subarray(size), enteredAt })
    this.#left -= size
    if (this.#left > 0) {
      this.#sink.write(bytes.subarray(0, size))
    } else {
      this.#stop()
      this.#sink.write(bytes.subarray(0, size), this.#onCut)
    }
  }

  #stop(): void {
    this.#over = true
    this.#queue.length = 0
    clearTimeout(this.#timer)
  }
}
