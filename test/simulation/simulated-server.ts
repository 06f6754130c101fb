/**
 * The server as a process: it answers requests in the order in which they arrive, hangs, dies, comes back with its
 * data or without, and is replaced by a replica that is behind. Its clock is its own.
 */
import type { Random } from './random.ts'
import type { SimulatedConnection } from './simulated-network.ts'
import { SimulatedRedis, type Subscriber } from './simulated-redis.ts'
import type { SimulatedReplica } from './simulated-replica.ts'
import type { Timeline } from './timeline.ts'

/** How often expired keys are looked for, in ms. */
const EXPIRY_CYCLE = 100
/** The oldest write that a crash may take back, in ms. */
const LONGEST_LAG = 2_000

/** What a client asks: does it, and says what the answer is. A replica does nothing that writes. */
type Request<T> = (redis: SimulatedRedis, client: Subscriber | undefined, isReplica: boolean) => T

/** Done by whichever server it is that the request waits at by then. */
type Work = (
  redis: SimulatedRedis,
  server: { readonly subscribers: ReadonlyMap<SimulatedConnection, Subscriber>; readonly isReplica: boolean },
) => void

/** A client's two connections: what is read on one is told of on the other. */
class Tracking implements Subscriber {
  pushes: SimulatedConnection
  /** Whether both lead to the same server: it cannot tell anything to a connection of another one. */
  paired = true
  readonly #tell: (pushes: SimulatedConnection, name?: string) => void

  constructor(pushes: SimulatedConnection, tell: (pushes: SimulatedConnection, name?: string) => void) {
    this.pushes = pushes
    this.#tell = tell
  }

  onChange(name?: string): void {
    if (this.paired) this.#tell(this.pushes, name)
  }
}

export interface ServerTraits {
  /** How fast its clock runs: 1 is right. */
  readonly rate: number
  /** How many of the names of changed keys are lost, without a word: the server had no room to remember who wanted to know. */
  readonly forgets: number
}

export class SimulatedServer {
  redis: SimulatedRedis
  /** Another one after each start, and another for each server. */
  identity = 1
  /** When it was started, in true time. */
  startedAt = -86_400_000
  /** The one that takes over from it by `failOver`, if somebody waits for it. */
  replica: SimulatedReplica | undefined
  /** It does not take writes. */
  isReplica = false
  condition: 'up' | 'hanging' | 'down' = 'up'
  /** Keys that the server refuses to do anything with: what it says then, and whether it will always say so. */
  readonly forbidden: Map<string, { readonly final: boolean }> = new Map()
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #traits: ServerTraits
  /** By connection: who is told of what was read on it. */
  #subscribers = new Map<SimulatedConnection, Tracking>()
  #connections = new Set<SimulatedConnection>()
  /** Connections to servers that this one has replaced. */
  readonly #elsewhere = new Map<SimulatedConnection, SimulatedServer>()
  /** The one to which new connections still lead, where that is not this one yet. */
  #entrance: SimulatedServer | undefined
  /** Those who are told that this one has replaced another. */
  readonly switched: Set<() => void> = new Set()
  #retired = false
  #waiting: Work[] = []
  #stepped = 0

  /** @param redis what it has; nothing unless told otherwise. */
  constructor(timeline: Timeline, random: Random, traits: ServerTraits, redis?: SimulatedRedis) {
    this.#timeline = timeline
    this.#random = random
    this.#traits = traits
    this.redis = redis ?? new SimulatedRedis(() => this.wall)
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
    const entrance = this.#entrance
    if (entrance) {
      if (!entrance.accept(connection)) return false
      this.#elsewhere.set(connection, entrance)
      return true
    }
    if (this.condition === 'down') return false
    this.#connections.add(connection)
    return true
  }

  /** Which server answers on a connection. */
  identityOf(connection: SimulatedConnection): number {
    return this.#answering(connection).identity
  }

  /** Whether this server answers on a connection, and not one that it has replaced. */
  answersOn(connection: SimulatedConnection): boolean {
    return this.#connections.has(connection)
  }

  /** A request has arrived. `onAnswer` is called in the process that asked, with a connection that lasts. */
  receive<T>(connection: SimulatedConnection, request: Request<T>, onAnswer: (answer: T) => void): void {
    const server = this.#answering(connection)
    if (server !== this) {
      server.receive(connection, request, onAnswer)
      return
    }
    if (!this.#connections.has(connection)) return
    this.#work((redis, { subscribers, isReplica }) => {
      const answer = request(redis, subscribers.get(connection), isReplica)
      connection.answer(this.#timeline.now, () => onAnswer(answer))
    })
  }

  /** What is read on `connection`, and was read on it before, is told of on `pushes` from now on. */
  track(connection: SimulatedConnection, pushes: SimulatedConnection, onChange: (name?: string) => void): void {
    const subscribers = this.#answering(connection).#subscribers
    let tracking = subscribers.get(connection)
    if (tracking === undefined) {
      tracking = new Tracking(pushes, (to, name) => {
        if (this.#random.chance(this.#traits.forgets)) return
        to.answer(this.#timeline.now, () => onChange(name))
      })
      subscribers.set(connection, tracking)
    }
    tracking.pushes = pushes
    tracking.paired = this.identityOf(connection) === this.identityOf(pushes)
  }

  /** Somebody else's hands, on a connection of their own. */
  act(work: (redis: SimulatedRedis) => void): void {
    if (this.condition !== 'up') return
    this.redis.time = this.#timeline.now
    work(this.redis)
  }

  /**
   * A replica that has everything takes over, and is what this object stands for from now on. Whoever was connected goes on with the server before, and
   * new connections lead there, too, until `announce`.
   *
   * @returns the server before: it takes writes, which are lost.
   */
  promote(): SimulatedServer {
    const before = new SimulatedServer(this.#timeline, this.#random, this.#traits, this.redis)
    before.condition = this.condition
    before.identity = this.identity
    before.#waiting = this.#waiting
    before.#connections = this.#connections
    before.#subscribers = this.#subscribers
    for (const connection of this.#connections) this.#elsewhere.set(connection, before)
    this.redis = this.redis.copy()
    this.condition = 'up'
    this.identity += 1
    this.#waiting = []
    this.#connections = new Set()
    this.#subscribers = new Map()
    this.#entrance = before
    return before
  }

  /** New connections lead here. @param told whether whoever wants to know is told. */
  announce(told: boolean): void {
    this.#entrance = undefined
    if (told) for (const onSwitched of this.switched) onSwitched()
  }

  /** It is gone for good. */
  retire(): void {
    this.#retired = true
    this.crash()
  }

  hang(): void {
    if (this.condition === 'up') this.condition = 'hanging'
  }

  /** It dies. What had arrived and was not answered is lost; everything else is on its disk, or not. */
  crash(): void {
    this.condition = 'down'
    this.identity += 1_000
    this.#waiting = []
    this.#forgetClients()
  }

  /** It goes on, or comes back. */
  start(): void {
    if (this.condition === 'down') this.startedAt = this.#timeline.now
    this.condition = 'up'
    const waiting = this.#waiting
    this.#waiting = []
    for (const work of waiting) this.#work(work)
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

  #answering(connection: SimulatedConnection): SimulatedServer {
    return this.#elsewhere.get(connection) ?? this
  }

  #work(work: Work): void {
    this.redis.time = this.#timeline.now
    if (this.condition === 'up') work(this.redis, { subscribers: this.#subscribers, isReplica: this.isReplica })
    else if (this.condition === 'hanging') this.#waiting.push(work)
  }

  #forgetClients(): void {
    const connections = [...this.#connections]
    this.#connections.clear()
    this.#subscribers.clear()
    for (const connection of connections) connection.close()
  }

  #keepHouse(): void {
    if (this.#retired) return
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
