/**
 * Connections between processes and the server: two pipes each, in which nothing overtakes and nothing is doubled, and
 * which may be slow, blocked, or cut with something still in them.
 */
import type { Random } from './random.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { Appointment, Timeline } from './timeline.ts'

type Direction = 'up' | 'down'

/** The way between one process and the server; all its connections share it. */
export class Link {
  /** What a message is on its way, in ms: at least, and at most while nothing is wrong. */
  readonly latency: readonly [least: number, most: number]
  /** By how much more than that, at most, in ms. */
  delay = 0
  readonly connections: Set<SimulatedConnection> = new Set()
  readonly #blocked = { up: false, down: false }

  constructor(latency: readonly [number, number]) {
    this.latency = latency
  }

  isBlocked(direction: Direction): boolean {
    return this.#blocked[direction]
  }

  /** Nothing passes any more, and nobody is told; what is on its way arrives when it is over. */
  block(direction: Direction): void {
    this.#blocked[direction] = true
  }

  unblock(): void {
    this.#blocked.up = false
    this.#blocked.down = false
    for (const connection of this.connections) connection.pump()
  }
}

interface Message {
  readonly arrival: number
  readonly deliver: () => void
}

class Pipe {
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #link: Link
  readonly #direction: Direction
  #messages: Message[] = []
  #next: Appointment | undefined
  #last = 0
  #held = false

  constructor(timeline: Timeline, random: Random, link: Link, direction: Direction) {
    this.#timeline = timeline
    this.#random = random
    this.#link = link
    this.#direction = direction
  }

  /** @param departure true time, now or later. */
  send(departure: number, deliver: () => void): void {
    const { latency, delay } = this.#link
    const arrival = departure + this.#random.between(latency[0], latency[1]) + this.#random.between(0, delay)
    this.#last = Math.max(this.#last, arrival)
    this.#messages.push({ arrival: this.#last, deliver })
    this.pump()
  }

  pump(): void {
    const [first] = this.#messages
    if (first === undefined || this.#next || this.#held || this.#link.isBlocked(this.#direction)) return
    this.#next = this.#timeline.at(first.arrival, () => {
      this.#next = undefined
      if (this.#held || this.#link.isBlocked(this.#direction)) return
      this.#messages.shift()?.deliver()
      this.pump()
    })
  }

  /** What is on its way stays there, even if the connection is broken meanwhile, and arrives when it is let go. */
  hold(held: boolean): void {
    this.#held = held
    this.pump()
  }

  /** The connection is broken: what is on its way is lost, but for some of what was sent up first. */
  cut(): void {
    if (this.#held && this.#random.chance(0.7)) return
    const lost = this.#direction === 'down' || this.#link.isBlocked('up')
    this.#messages = lost ? [] : this.#messages.slice(0, this.#random.integer(0, this.#messages.length))
  }
}

/** What a client knows of its connection. */
export interface ConnectionListener {
  onClosed(): void
}

export class SimulatedConnection {
  readonly process: SimulatedProcess
  readonly #link: Link
  readonly #up: Pipe
  readonly #down: Pipe
  readonly #listener: ConnectionListener
  #open = true

  constructor(timeline: Timeline, random: Random, link: Link, process: SimulatedProcess, listener: ConnectionListener) {
    this.process = process
    this.#link = link
    this.#listener = listener
    this.#up = new Pipe(timeline, random, link, 'up')
    this.#down = new Pipe(timeline, random, link, 'down')
    link.connections.add(this)
  }

  /** Whether either end can still send. */
  get open(): boolean {
    return this.#open
  }

  /** From the process to the server. */
  request(deliver: () => void): void {
    if (this.#open) this.#up.send(this.process.time, deliver)
  }

  /** From the server to the process, where it is a step of its own. */
  answer(departure: number, deliver: () => void): void {
    if (this.#open) this.#down.send(departure, () => this.process.post(this, deliver))
  }

  /** What is on its way to the server is held up somewhere; other connections are not. */
  hold(held: boolean): void {
    this.#up.hold(held)
  }

  pump(): void {
    this.#up.pump()
    this.#down.pump()
  }

  /** It breaks. @param known whether the process knows, since it did that itself. */
  close(known = false): void {
    if (!this.#open) return
    this.#open = false
    this.#link.connections.delete(this)
    this.#up.cut()
    this.#down.cut()
    if (!known) this.process.post(this, () => this.#listener.onClosed())
  }
}
