/**
 * The port over the simulated server: what `RedisBackend` does with its two connections, in virtual time.
 *
 *     the first connection carries requests; when it breaks, what was not answered is unknown, and another one is made
 *     the second one tells of changes, as long as both are there
 */
import {
  type AcquireOutcome,
  type Backend,
  type BackendListener,
  type BackendSettings,
  type Catalogue,
  type ChangeOutcome,
  type HandOverEntry,
  type HandOverOutcome,
  type LockEntry,
  type LockView,
  type ReleaseEntry,
  type ServerIdentity,
  UnavailableError,
} from 'leasewheel'
import { type Link, SimulatedConnection } from './simulated-network.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { SimulatedRedis, Subscriber } from './simulated-redis.ts'
import type { SimulatedServer } from './simulated-server.ts'
import type { Random } from './random.ts'
import { ReportedRequests } from './reported-requests.ts'
import type { Redirection, SimulatedNodes } from './simulated-nodes.ts'
import { isAnythingWritten, unacknowledged } from '#src/redis/unacknowledged.js'
import type { Timeline } from './timeline.ts'

export type Operation = 'acquire' | 'renew' | 'release' | 'verify'
/** What comes in one request; to those who look on a hand-over is a release and an acquire. */
export type Asked = Operation | 'handOver'

/** A request that was sent. */
export interface Sent {
  readonly operation: Operation
  /** On the clock of the process, in ms. */
  readonly at: number
  /** It was asked for by something that waits for the answer itself, not by the wheel. */
  readonly verifying: boolean
}

/** Who looks over its shoulder. */
export interface BackendObserver {
  onSent(operation: Operation, entries: readonly LockEntry[]): Sent
  onOutcome(sent: Sent, entry: LockEntry, outcome: AcquireOutcome | ChangeOutcome): void
  /** The manager is about to be told what was answered for these keys. */
  onAnswered(keys: readonly string[]): void
  /** Another server answers, and the manager is about to be told. @param route which one of several, if there are several. */
  onSuspect(route: number | undefined): void
  /** A node does not serve a key, or not alone, and has said so. */
  onRedirected(redirection: Redirection): void
  /** The manager was told something unasked. */
  onTold(): void
  /** The server does what was asked. */
  onArrived<T>(
    operation: Operation | 'forceRelease',
    entries: readonly LockEntry[],
    redis: SimulatedRedis,
    work: () => T,
    sent?: Sent,
  ): T
  /** A request will never be answered, not even with an error. */
  onNever(sent: Sent, entries: readonly LockEntry[]): void
}

export type RequestEntry = ReleaseEntry & Partial<Pick<HandOverEntry, 'from'>>

/** What a manager asks for, as it is known to those who look on. */
export interface LockRequest {
  readonly operation: Asked
  readonly entries: readonly RequestEntry[]
  readonly watch: boolean
  readonly sent: Sent
  /** The server answers an error instead of doing it. */
  readonly fails: boolean
  /** Another server has sent it here by ASK. */
  readonly asking: boolean
  /** What all fences are to be larger than. */
  readonly floor?: number
}

/** A backend, for those who look on. */
export interface ObservedBackend extends Backend {
  /** How many requests will never be answered, by nothing. */
  muted: number
  /** Since when the server of a key can be asked, and since when it tells of its changes, in true time; Infinity if not. */
  connectedSince(key?: string): number
  toldSince(key?: string): number
}

export interface BackendParts {
  readonly timeline: Timeline
  readonly random: Random
  readonly process: SimulatedProcess
  readonly server: SimulatedServer
  readonly link: Link
  readonly observer: BackendObserver
  /** How many requests fail by themselves: the server answers an error, and has done nothing. */
  readonly errors: number
  /** Whether it leaves a server that it hears has been replaced, and whether it takes care that both of its connections lead to the same one. */
  readonly follows: boolean
  /** All servers, and which of them this one is, if there are several. */
  readonly nodes?: SimulatedNodes
  readonly route?: number
}

export type Outcome = AcquireOutcome | ChangeOutcome | HandOverOutcome

/** A request that has not been answered. */
interface Pending {
  fail(error: Error): void
}

interface Waiting {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const FIRST_RECONNECT_DELAY = 50
const LONGEST_RECONNECT_DELAY = 1_000

export class SimulatedBackend implements ObservedBackend {
  readonly joints = true
  readonly awaitsReplicas = true
  /** Announcements only: nobody lists keys here, looks at some, or removes one. */
  readonly catalogue: Catalogue = {
    list: () => Promise.resolve({ keys: [], cursor: undefined }),
    look: () => Promise.resolve([]),
    remove: () => Promise.resolve(false),
    announce: ({ id, text }, ttl) => this.#ask((redis) => redis.announce(id, text, ttl)),
    announced: (ids) => this.#ask((redis) => redis.announced(ids)),
    withdraw: (id) => this.#ask((redis) => redis.withdraw(id)),
  }
  readonly #requests: ReportedRequests
  readonly #parts: BackendParts
  #prefix = ''
  #timeout = 0
  #watch = false
  #replicas = 0
  #listener: BackendListener | undefined
  #commands: SimulatedConnection | undefined
  #pushes: SimulatedConnection | undefined
  /** Connections that are being made. */
  readonly #opening = new Set<SimulatedConnection>()
  readonly #pending = new Set<Pending>()
  /** The one whose silence is waited for. */
  #watched: SimulatedConnection | undefined
  #waiting: Waiting | undefined
  /** A number for as long as nothing that was read has been forgotten. */
  #period: number | undefined
  #periods = 0
  #failures = 0
  #wasUsable = false
  #heardAt = 0
  #closed = false
  /** Who has answered last, and on which connection changes were last switched on. */
  #known: number | undefined
  #tracked: SimulatedConnection | undefined
  #pushesSince = Number.POSITIVE_INFINITY
  #toldSince = Number.POSITIVE_INFINITY
  #connectedSince = Number.POSITIVE_INFINITY

  constructor(parts: BackendParts) {
    this.#parts = parts
    this.#requests = new ReportedRequests(parts)
  }

  get muted(): number {
    return this.#requests.muted
  }

  set muted(share: number) {
    this.#requests.muted = share
  }

  connectedSince(): number {
    return this.#commands ? this.#connectedSince : Number.POSITIVE_INFINITY
  }

  toldSince(): number {
    const { server } = this.#parts
    const atHome = this.#commands && server.identityOf(this.#commands) === server.identity
    return this.watching && atHome ? this.#toldSince : Number.POSITIVE_INFINITY
  }

  get watching(): boolean {
    return this.#period !== undefined
  }

  get connected(): boolean {
    return this.#commands !== undefined
  }

  /** As a server reports its run id and its uptime to whoever connects. */
  get servers(): readonly ServerIdentity[] {
    const { server, timeline, process, route = 0 } = this.#parts
    if (this.#commands === undefined) return []
    const startedAt = process.clock.now() - (timeline.now - server.startedAt)
    return [{ id: `${route}/${server.identityOf(this.#commands)}`, startedAt }]
  }

  open({ prefix, timeout, watch, replicas = 0 }: BackendSettings, listener: BackendListener): void {
    this.#prefix = prefix
    this.#timeout = timeout
    this.#watch = watch
    this.#replicas = replicas
    this.#listener = listener
    this.#connect()
    if (watch) this.#connectPushes()
    if (this.#parts.follows) this.#parts.server.switched.add(this.#onSwitched)
  }

  ready(): Promise<void> | undefined {
    if (this.#commands) return undefined
    if (this.#closed) return Promise.reject(new UnavailableError('The connection is closed'))
    if (this.#waiting === undefined) {
      let settle: Omit<Waiting, 'promise'> | undefined
      const promise = new Promise<void>((resolve, reject) => {
        settle = { resolve, reject }
      })
      promise.catch(() => undefined)
      this.#waiting = { promise, ...(settle as unknown as Omit<Waiting, 'promise'>) }
    }
    return this.#waiting.promise
  }

  acquire(entries: readonly LockEntry[], watch = false, floor = 0): Promise<readonly AcquireOutcome[]> {
    return this.#report('acquire', entries, watch, floor)
  }

  raiseFences(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]> {
    return this.#ask((redis) => {
      redis.raiseFenceTo(fence)
      return entries.map(() => ({ type: 'done' }) as const)
    })
  }

  handOver(entries: readonly HandOverEntry[], watch = false): Promise<readonly HandOverOutcome[]> {
    return this.#requests.handOver(
      entries,
      watch,
      (request) => this.send(request) as Promise<readonly HandOverOutcome[]>,
    )
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    return this.#report('renew', entries, watch)
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#report('release', entries)
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#report('verify', entries)
  }

  inspect(key: string, asking = false): Promise<LockView | null> {
    return this.#ask((redis, client) => {
      this.#throwIfRefused(key, asking)
      return redis.inspect(this.#prefix + key, client)
    })
  }

  forceRelease(key: string, asking = false): Promise<boolean> {
    const { observer } = this.#parts
    return this.#ask((redis, client) => {
      this.#throwIfRefused(key, asking)
      return observer.onArrived('forceRelease', [], redis, () => redis.delete(this.#prefix + key, client))
    })
  }

  /** Asks this server, and nobody else. What another one is to do is unknown, because of a redirection. @throws UnavailableError */
  async send({ operation, entries, watch, sent, fails, asking, floor }: LockRequest): Promise<readonly Outcome[]> {
    const { observer } = this.#parts
    const { watching } = this
    const period = this.#period
    const copies = entries.map(({ key, token, ttl, joint, turn, from = '', watch: wanted }) => {
      return { key: this.#prefix + key, token, ttl, joint, turn, from, watch: watching && wanted === true && !asking }
    })
    const work = (
      redis: SimulatedRedis,
      client: Subscriber | undefined,
      some: readonly (ReleaseEntry & HandOverEntry)[],
    ): Outcome[] => {
      const reader = period === undefined ? undefined : client
      if (operation === 'handOver') {
        return redis.handOver(some, reader, watch, (half, halves, task) =>
          observer.onArrived(half, halves, redis, task, sent),
        )
      }
      return observer.onArrived(
        operation,
        some,
        redis,
        () => {
          if (operation === 'acquire') return redis.acquire(some, reader, watch, floor)
          if (operation === 'renew') return redis.renew(some, client, watch && watching && !asking)
          return redis[operation](some, client)
        },
        sent,
      )
    }
    const connection = this.#commands
    let at = 0
    const answered = await this.#ask((redis, client) => {
      at = this.#parts.timeline.now
      if (fails) throw new Error('ERR on purpose')
      return this.#carryOutEach(copies, operation, asking, (some) => work(redis, client, some))
    })
    const confirmed =
      this.#replicas > 0 && (operation === 'acquire' || operation === 'renew' || operation === 'handOver')
    const outcomes = confirmed && connection ? await this.#confirm(answered, at, connection) : answered
    return period === this.#period ? outcomes : outcomes.map(unwatched)
  }

  /** What was written counts once the replica has it, if the same server still answers on the same connection. @param at true time. */
  async #confirm(
    outcomes: readonly Outcome[],
    at: number,
    connection: SimulatedConnection,
  ): Promise<readonly Outcome[]> {
    const { server, process } = this.#parts
    const { replica } = server
    if (replica === undefined || !isAnythingWritten(outcomes)) return outcomes
    const has = await new Promise<boolean>((resolve) =>
      replica.whenHas(at, this.#timeout / 4, (acknowledged) => {
        const known = acknowledged && server.answersOn(connection)
        process.post(this, () => resolve(known))
      }),
    )
    if (has) return outcomes
    const error = new UnavailableError('The replica did not acknowledge it')
    return outcomes.map((outcome) => unacknowledged(outcome, error))
  }

  async close(): Promise<void> {
    this.#parts.server.switched.delete(this.#onSwitched)
    this.#closed = true
    this.#period = undefined
    for (const connection of [this.#commands, this.#pushes, ...this.#opening]) connection?.close(true)
    this.#commands = undefined
    this.#pushes = undefined
    this.#failPending('The connection is closed')
    this.#waiting?.reject(new UnavailableError('The connection is closed'))
  }

  #report<O extends AcquireOutcome | ChangeOutcome>(
    operation: Operation,
    entries: readonly ReleaseEntry[],
    watch = false,
    floor = 0,
  ): Promise<readonly O[]> {
    return this.#requests.carryOut<O>(
      operation,
      entries,
      watch,
      (request) => this.send({ ...request, floor }) as Promise<readonly O[]>,
    )
  }

  /** What is refused is refused for itself: the others of its batch are carried out. */
  #carryOutEach<E extends ReleaseEntry>(
    copies: readonly E[],
    operation: Asked,
    asking: boolean,
    work: (some: readonly E[]) => Outcome[],
  ): readonly Outcome[] {
    const { server, nodes } = this.#parts
    if (server.forbidden.size === 0 && nodes === undefined) return work(copies)
    const refusals = copies.map(({ key }) => this.#refusalOf(key, operation, asking))
    const outcomes = work(copies.filter((_, index) => refusals[index] === undefined))
    let next = 0
    return refusals.map((error) => (error ? { type: 'unknown', error } : (outcomes[next++] as Outcome)))
  }

  /** @param name with its prefix. */
  #refusalOf(name: string, operation: Asked | 'inspect', asking: boolean): UnavailableError | undefined {
    const { server, nodes, route = 0 } = this.#parts
    const redirection = nodes?.redirect(route, name, operation, asking)
    if (redirection) return redirection
    const refusal = server.forbidden.get(name)
    return refusal && noPermission(name, refusal.final)
  }

  #throwIfRefused(key: string, asking: boolean): void {
    const refusal = this.#refusalOf(this.#prefix + key, 'inspect', asking)
    if (refusal) throw refusal
  }

  /** @throws what the server answers instead, or UnavailableError. */
  #ask<T>(request: (redis: SimulatedRedis, client: Subscriber | undefined) => T): Promise<T> {
    const { server, process } = this.#parts
    const connection = this.#commands
    if (connection === undefined) return Promise.reject(new UnavailableError('No connection'))
    return new Promise<T>((resolve, reject) => {
      const pending: Pending = { fail: reject }
      if (this.#pending.size === 0) this.#heardAt = process.clock.now()
      this.#pending.add(pending)
      const attempt = (redis: SimulatedRedis, client: Subscriber | undefined, isReplica: boolean): (() => void) => {
        if (isReplica) {
          return () => {
            reject(new UnavailableError("READONLY You can't write against a read only replica"))
            // Another one may have its place by now.
            if (this.#commands === connection) connection.close()
          }
        }
        try {
          const answer = request(redis, client)
          return () => resolve(answer)
        } catch (thrown) {
          if (thrown instanceof UnavailableError) return () => reject(thrown)
          const error = new UnavailableError('The server answers an error', undefined, { cause: thrown })
          return () => reject(error)
        }
      }
      connection.request(() =>
        server.receive(connection, attempt, (settle) => {
          if (!this.#pending.delete(pending)) return
          this.#heardAt = process.clock.now()
          this.#failures = 0
          settle()
        }),
      )
      this.#watchSilence(connection)
    })
  }

  /** A connection on which nothing is answered for long is given up for another. */
  #watchSilence(connection: SimulatedConnection): void {
    if (this.#watched === connection) return
    this.#watched = connection
    this.#lookAfterSilence(connection, Math.max(2 * this.#timeout, 500))
  }

  #lookAfterSilence(connection: SimulatedConnection, patience: number, delay = patience): void {
    const { process } = this.#parts
    process.sleep(() => {
      if (this.#watched !== connection) return
      const left = this.#heardAt + patience - process.clock.now()
      if (this.#commands !== connection || this.#pending.size === 0) this.#watched = undefined
      else if (left > 0) this.#lookAfterSilence(connection, patience, left)
      else connection.close()
    }, delay)
  }

  #connect(): void {
    this.#open(
      () => this.#onClosed(),
      (connection) => {
        this.#commands = connection
        this.#connectedSince = this.#parts.timeline.now
        const identity = this.#parts.server.identityOf(connection)
        const replaced = this.#known !== undefined && this.#known !== identity
        this.#known = identity
        const recovered = this.#wasUsable
        this.#wasUsable = true
        this.#waiting?.resolve()
        this.#waiting = undefined
        if (recovered) this.#tell((listener) => listener.onRecovered(this.#parts.route))
        if (replaced) {
          this.#parts.observer.onSuspect(this.#parts.route)
          this.#tell((listener) => listener.onSuspect(this.#parts.route))
        }
        this.#track()
      },
    )
  }

  #connectPushes(): void {
    this.#open(
      () => this.#onPushesClosed(),
      (connection) => {
        this.#pushes = connection
        this.#pushesSince = this.#parts.timeline.now
        this.#track()
      },
    )
  }

  /** A connection is there once its first answer is; until then it may break as well, or take too long. */
  #open(onClosed: () => void, onOpen: (connection: SimulatedConnection) => void): void {
    const { timeline, random, link, process, server } = this.#parts
    let gone = false
    const onGone = (): void => {
      if (gone || this.#closed) return
      gone = true
      this.#opening.delete(connection)
      onClosed()
    }
    const connection = new SimulatedConnection(timeline, random, link, process, { onClosed: onGone })
    this.#opening.add(connection)
    const opened = (): void => {
      this.#opening.delete(connection)
      if (connection.open) onOpen(connection)
    }
    connection.request(() => {
      if (server.accept(connection)) server.receive(connection, () => undefined, opened)
      else connection.close()
    })
    const giveUp = (): void => {
      if (!this.#opening.has(connection)) return
      connection.close(true)
      onGone()
    }
    process.sleep(giveUp, Math.max(2 * this.#timeout, 1_000))
  }

  /** Changes are told from now on, if both connections are there. */
  #track(): void {
    const { server, route } = this.#parts
    const [commands, pushes] = [this.#commands, this.#pushes]
    if (!this.#watch || commands === undefined) return
    if (pushes === undefined) return
    if (this.#parts.follows && server.identityOf(commands) !== server.identityOf(pushes)) {
      // The older one is with a server that has been replaced.
      const older = this.#pushesSince < this.#connectedSince ? pushes : commands
      older.close()
      return
    }
    const period = ++this.#periods
    const switchOn = (): void => server.track(commands, pushes, (name) => this.#onChange(name))
    commands.request(() =>
      server.receive(commands, switchOn, () => {
        if (period !== this.#periods || this.#closed) return
        this.#period = period
        this.#toldSince = this.#parts.timeline.now
        const sameAsBefore = this.#tracked === commands
        this.#tracked = commands
        this.#tell((listener) => (sameAsBefore ? listener.onMissed(route) : listener.onChange(undefined, route)))
      }),
    )
  }

  #onChange(name: string | undefined): void {
    if (this.#closed) return
    const { route } = this.#parts
    this.#tell((listener) =>
      listener.onChange(name === undefined ? undefined : [name.slice(this.#prefix.length)], route),
    )
  }

  #tell(what: (listener: BackendListener) => void): void {
    this.#parts.observer.onTold()
    if (this.#listener) what(this.#listener)
  }

  /** Another server has taken the place of that to which the connections lead, or are being made. */
  readonly #onSwitched = (): void => {
    const { process, server } = this.#parts
    process.post(this, () => {
      this.#failures = 0
      for (const connection of [this.#commands, this.#pushes, ...this.#opening]) {
        if (connection && server.identityOf(connection) !== server.identity) connection.close()
      }
    })
  }

  #onClosed(): void {
    this.#commands = undefined
    this.#periods += 1
    this.#period = undefined
    this.#failPending('The connection broke')
    this.#waiting?.reject(new UnavailableError('No connection'))
    this.#waiting = undefined
    this.#again(() => this.#connect())
  }

  #onPushesClosed(): void {
    this.#pushes = undefined
    this.#periods += 1
    const watched = this.#period !== undefined
    this.#period = undefined
    if (watched && this.#commands) this.#tell((listener) => listener.onUnwatched(this.#parts.route))
    this.#again(() => this.#connectPushes())
  }

  #again(connect: () => void): void {
    const longest = Math.max(Math.min(LONGEST_RECONNECT_DELAY, this.#timeout / 2), FIRST_RECONNECT_DELAY)
    const delay = Math.min(FIRST_RECONNECT_DELAY * 2 ** Math.min(this.#failures, 10), longest)
    this.#failures += 1
    this.#parts.process.sleep(() => {
      if (!this.#closed) connect()
    }, delay)
  }

  #failPending(message: string): void {
    const pending = [...this.#pending]
    this.#pending.clear()
    for (const request of pending) request.fail(new UnavailableError(message))
  }
}

/** Nobody knows whether the server still watches what it refused. */
function unwatched(outcome: Outcome): Outcome {
  if (outcome.type === 'exchanged') {
    const { acquired } = outcome
    return { ...outcome, acquired: acquired.type === 'refused' ? { ...acquired, watched: false } : acquired }
  }
  return outcome.type === 'refused' && 'watched' in outcome ? { ...outcome, watched: false } : outcome
}

function noPermission(key: string, final: boolean): UnavailableError {
  const message = 'NOPERM this user has no permissions to access one of the keys used as arguments'
  return new UnavailableError(message, key, { final })
}
