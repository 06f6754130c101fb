/**
 * The servers of a world, and who of them serves which place. This is the truth; a process has a map of its own, which may be older. A world with one
 * server is one node with all places.
 *
 *     a place moves at once:        its keys and the growth of its fences go along; its old node answers MOVED
 *     a place is half moved:        each of its keys is on one of two nodes; nothing can be acquired, everything else works, by ASK if need be
 */
import { UnavailableError } from 'leasewheel'
import { Health } from './health.ts'
import type { Asked } from './simulated-backend.ts'
import type { SimulatedRedis } from './simulated-redis.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Timeline } from './timeline.ts'

/** Few enough that neighbours meet, and more than keys. */
export const PLACES = 64

/** A node does not serve the place of a key, or not alone: nothing was done. */
export class Redirection extends UnavailableError {
  /** MOVED: another node serves the place. ASK: another one has the key by now. TRYAGAIN: nobody can do that before the move is over. */
  readonly type: 'MOVED' | 'ASK' | 'TRYAGAIN'
  /** The other node. */
  readonly route: number

  constructor(type: Redirection['type'], route: number, key: string) {
    super(`${type} to node ${route}`, key)
    this.type = type
    this.route = route
  }
}

/** A node, what is wrong with it, and whether it is being replaced by its replica. */
export interface SimulatedNode {
  readonly server: SimulatedServer
  readonly health: Health
}

export class SimulatedNodes {
  readonly all: readonly SimulatedNode[]
  readonly #timeline: Timeline
  readonly #owners: number[]
  /** By place: the node to which its keys are on their way. */
  readonly #moving = new Map<number, number>()
  /** By place, in true time: when something about it changed last, and when its server was last replaced. */
  readonly #movedAt: number[] = Array.from({ length: PLACES }, () => Number.NEGATIVE_INFINITY)
  readonly #replacedAt: number[] = Array.from({ length: PLACES }, () => Number.NEGATIVE_INFINITY)

  constructor(timeline: Timeline, servers: readonly SimulatedServer[]) {
    this.#timeline = timeline
    this.all = servers.map((server) => ({ server, health: new Health() }))
    this.#owners = Array.from({ length: PLACES }, (_, place) => Math.floor((place / PLACES) * servers.length))
  }

  placeOf(key: string): number {
    let hash = 0x811c9dc5
    for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
    return ((hash ^ (hash >>> 15)) >>> 0) % PLACES
  }

  ownerOf(place: number): number {
    return this.#owners[place] as number
  }

  /** The nodes that may have a key now: one, or two while it moves. */
  routesOf(key: string): readonly number[] {
    const place = this.placeOf(key)
    const target = this.#moving.get(place)
    return target === undefined ? [this.ownerOf(place)] : [this.ownerOf(place), target]
  }

  serverOf(key: string): SimulatedServer {
    const [owner, target] = this.routesOf(key).map((route) => this.#nodeAt(route).server)
    return target?.redis.peek(key) ? target : (owner as SimulatedServer)
  }

  /** Where a key is, or would be. */
  redisOf(key: string): SimulatedRedis {
    return this.serverOf(key).redis
  }

  keys(): string[] {
    return this.all.flatMap(({ server: { redis } }) => redis.keys().filter((key) => this.redisOf(key) === redis))
  }

  /** When the place of a key was moved last, in true time. */
  movedAt(key: string): number {
    return this.#movedAt[this.placeOf(key)] as number
  }

  /** Since when a free key can be acquired, as far as moves are concerned, in true time; Infinity while it cannot. */
  acquirableSince(key: string): number {
    return this.#moving.has(this.placeOf(key)) ? Number.POSITIVE_INFINITY : this.movedAt(key)
  }

  /** When the server of a key was replaced last, in true time. */
  replacedAt(key: string): number {
    return this.#replacedAt[this.placeOf(key)] as number
  }

  onReplaced(route: number): void {
    for (const [place, owner] of this.#owners.entries()) {
      if (owner === route) this.#replacedAt[place] = this.#timeline.now
    }
  }

  /** Whether a place is on its way from this node, or to it. */
  isMoving(route: number): boolean {
    for (const [place, target] of this.#moving) if (target === route || this.ownerOf(place) === route) return true
    return false
  }

  /** All that a place has goes to another node at once. */
  move(place: number, to: number): void {
    if (this.#moving.has(place) || this.ownerOf(place) === to) return
    this.#begin(place, to)
    this.#finish(place, to)
  }

  /** The keys of a place go to another node one by one, from now on until `endMove`. @returns those that are there now. */
  beginMove(place: number, to: number): readonly string[] {
    if (this.#moving.has(place) || this.ownerOf(place) === to) return []
    this.#begin(place, to)
    this.#moving.set(place, to)
    this.#movedAt[place] = this.#timeline.now
    return this.#keysAt(this.ownerOf(place), place)
  }

  /** One key is at the other node from now on, if it is there to be moved. */
  moveKey(key: string): void {
    const place = this.placeOf(key)
    const to = this.#moving.get(place)
    if (to === undefined) return
    const [source, target] = [this.#redisAt(this.ownerOf(place)), this.#redisAt(to)]
    source.moveTo(key, target)
  }

  endMove(place: number): void {
    const to = this.#moving.get(place)
    if (to === undefined) return
    this.#moving.delete(place)
    this.#finish(place, to)
  }

  /** What a node says about a key instead of doing something with it. @param asking whether it comes by ASK. */
  redirect(route: number, key: string, operation: Asked | 'inspect', asking: boolean): Redirection | undefined {
    const place = this.placeOf(key)
    const owner = this.ownerOf(place)
    const target = this.#moving.get(place)
    if (owner !== route) {
      return target === route && asking ? undefined : new Redirection('MOVED', owner, key)
    }
    if (target === undefined) return undefined
    if (operation === 'acquire' || operation === 'handOver') return new Redirection('TRYAGAIN', route, key)
    return this.#redisAt(route).peek(key) ? undefined : new Redirection('ASK', target, key)
  }

  /** What the node had of this place from former times is gone. */
  #begin(place: number, to: number): void {
    const redis = this.#redisAt(to)
    for (const key of this.#keysAt(to, place)) redis.write(key, undefined)
  }

  #finish(place: number, to: number): void {
    const from = this.ownerOf(place)
    const [source, target] = [this.#redisAt(from), this.#redisAt(to)]
    for (const key of this.#keysAt(from, place)) source.moveTo(key, target)
    target.raiseFence(source)
    this.#owners[place] = to
    this.#movedAt[place] = this.#timeline.now
  }

  #keysAt(route: number, place: number): string[] {
    return this.#redisAt(route)
      .keys()
      .filter((key) => this.placeOf(key) === place)
  }

  #redisAt(route: number): SimulatedRedis {
    const { redis } = this.#nodeAt(route).server
    redis.time = this.#timeline.now
    return redis
  }

  #nodeAt(route: number): SimulatedNode {
    return this.all[route] as SimulatedNode
  }
}
