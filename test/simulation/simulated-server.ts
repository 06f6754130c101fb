/**
 * The server as a process: it answers requests in the order in which they arrive, hangs, dies, comes back with its data or without,
 * and is replaced by a replica that is behind. Its clock is its own. May import the network, the simulated Redis and chance.
 */
import type { Random } from './random.ts'
import type { SimulatedConnection } from './simulated-network.ts'
import { SimulatedRedis, type Subscriber } from './simulated-redis.ts'
import type { Timeline } from './timeline.ts'

/** How often expired keys are looked for, in ms. */
const EXPIRY_CYCLE = 100
/** The oldest write that a crash may take back, in ms. */
const LONGEST_LAG = 2_000

/** What a client asks: does it, and says what the answer is. */
type Request<T> = (redis: SimulatedRedis, client: Subscriber | undefined) => T

export interface ServerTraits {
  /** How fast its clock runs: 1 is right. */
  readonly rate: number
  /** How many of the names of changed keys are lost, without a word: the server had no room to remember who wanted to know. */
  readonly forgets: number
}

export class SimulatedServer {
  readonly redis: SimulatedRedis
  condition: 'up' | 'hanging' | 'down' = 'up'
  /** Keys that the server refuses to do anything with: what it says then, and whether it will always say so. */
  readonly forbidden: Map<string, { readonly final: boolean }> = new Map()
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #traits: ServerTraits
  /** By connection: who is told of what was read on it. */
  readonly #subscribers = new Map<SimulatedConnection, Subscriber>()
  readonly #connections = new Set<SimulatedConnection>()
  #waiting: (() => void)[] = []
  #stepped = 0

  constructor(timeline: Timeline, random: Random, traits: ServerTraits) {
    this.#timeline = timeline
    this.#random = random
    this.#traits = traits
    this.redis = new SimulatedRedis(() => this.wall)
    this.#keepHouse()
  }

  /** Its wall clock, in ms: ttls end and fences grow by it. */
  get wall(): number {
    return 1.7e12 + this.#traits.rate * this.#timeline.now + this.#stepped
  }

  stepWallClock(by: number): void {
    this.#stepped += by
  }

  /** A connection has been made. @returns whether there is anybody to make it to. */
  accept(connection: SimulatedConnection): boolean {
    if (this.condition === 'down') return false
    this.#connections.add(connection)
    return true
  }

  /** A request has arrived. `onAnswer` is called in the process that asked, with a connection that lasts. */
  receive<T>(connection: SimulatedConnection, request: Request<T>, onAnswer: (answer: T) => void): void {
    if (!this.#connections.has(connection)) return
    this.#work(() => {
      this.redis.time = this.#timeline.now
      const answer = request(this.redis, this.#subscribers.get(connection))
      connection.answer(this.#timeline.now, () => onAnswer(answer))
    })
  }

  /** What is read on `connection` from now on is told of on `pushes`. */
  track(connection: SimulatedConnection, pushes: SimulatedConnection, onChange: (name?: string) => void): void {
    this.#subscribers.set(connection, {
      onChange: (name) => {
        if (this.#random.chance(this.#traits.forgets)) return
        pushes.answer(this.#timeline.now, () => onChange(name))
      },
    })
  }

  /** Somebody else's hands, on a connection of their own. */
  act(work: (redis: SimulatedRedis) => void): void {
    if (this.condition !== 'up') return
    this.redis.time = this.#timeline.now
    work(this.redis)
  }

  hang(): void {
    if (this.condition === 'up') this.condition = 'hanging'
  }

  /** It dies. What had arrived and was not answered is lost; everything else is on its disk, or not. */
  crash(): void {
    this.condition = 'down'
    this.#waiting = []
    this.#forgetClients()
  }

  /** It goes on, or comes back. */
  start(): void {
    this.condition = 'up'
    const waiting = this.#waiting
    this.#waiting = []
    for (const work of waiting) work()
  }

  /** A replica that was `lag` ms behind takes over. */
  failOver(lag: number): void {
    this.crash()
    this.redis.revertTo(this.#timeline.now - lag)
    this.start()
  }

  /** The oldest state that is still known: a crash may go back as far as that, in ms. */
  get longestLag(): number {
    return LONGEST_LAG
  }

  #work(work: () => void): void {
    if (this.condition === 'up') work()
    else if (this.condition === 'hanging') this.#waiting.push(work)
  }

  #forgetClients(): void {
    const connections = [...this.#connections]
    this.#connections.clear()
    this.#subscribers.clear()
    for (const connection of connections) connection.close()
  }

  #keepHouse(): void {
    for (const [connection, subscriber] of this.#subscribers) {
      if (connection.open) continue
      this.#subscribers.delete(connection)
      this.redis.unsubscribe(subscriber)
    }
    this.act((redis) => redis.expire())
    this.redis.keepAll(this.#timeline.now - LONGEST_LAG)
    this.#timeline.after(EXPIRY_CYCLE, () => this.#keepHouse())
  }
}
