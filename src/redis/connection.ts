/**
 * A connection of the manager's own, made from the caller's client or URL. It never queues and never resends. It reconnects
 * as long as it is open, and knows whether it is usable and which server it leads to.
 *
 *     connecting ──the server has said by INFO what it is──▶ usable
 *         ▲ ▲            └─it is none that could be used─┐      │
 *         │ └──a pause, longer each time─────────────────┴──────┤ closed, silent, or READONLY
 *         └──at once: the Sentinels have named another server───┘
 */
import { EventEmitter } from 'eventemitter3'
import { type Command, Redis, type RedisOptions } from 'ioredis'
import { asError } from '../as-error.ts'
import type { ServerIdentity } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import type { ConnectionEvents } from './connection-events.ts'
import { CLOSED, ConnectionAttempt, LOADING, NO_MASTER } from './connection-attempt.ts'
import { FaultLog, isBrokenUnder, isEcho, noConnection, tellingError } from './fault-log.ts'
import { refreshLogin } from './login.ts'
import { NamedAddress } from './named-address.ts'
import { type ConnectionParts, ownOptions } from './connection-options.ts'
import { OwnClient } from './own-client.ts'
import { Readiness } from './readiness.ts'
import { HURRIED_DELAY, ReconnectDelay, TOLD_AFTER } from './reconnect-delay.ts'
import { isReply } from './reply-fault.ts'
import {
  identityOf,
  isSameServer,
  readServerInfo,
  type ServerInfo,
  UNKNOWN_SERVER,
  whatIsWrongWith,
} from './server-info.ts'

const NO_SENTINEL = 'All sentinels are unreachable'

export class Connection extends EventEmitter<ConnectionEvents> {
  readonly client: OwnClient
  /** The caller's own key prefix, which precedes ours. */
  readonly keyPrefix: string
  readonly #parts: ConnectionParts
  /** The client whose options we use. */
  readonly #model: Redis
  readonly #delay: ReconnectDelay
  readonly #faults = new FaultLog()
  readonly #named: NamedAddress
  #usable = false
  #stopped = false
  #closed = false
  #referenced = true
  readonly #readiness = new Readiness()
  /** What the server reports about itself. */
  #greeting = UNKNOWN_SERVER
  /** The server that this connection leads to, or led to last. */
  #server: ServerInfo | undefined
  #identity: ServerIdentity | undefined
  /** The selection of the database failed: on this connection every command would go to another one. */
  #wrongDatabase: Error | undefined
  /** Why the last Sentinel did not help; undefined once one did. */
  #sentinelFault: Error | undefined
  /** The current attempt, until its connection ends. */
  #attempt = new ConnectionAttempt()
  #underWay = false

  constructor(parts: ConnectionParts) {
    super()
    const { source, timeout } = parts
    this.#parts = parts
    this.#named = new NamedAddress(parts.clock)
    this.#delay = new ReconnectDelay(timeout)
    // A URL would override the options passed with it, so this client only parses it.
    this.#model = typeof source === 'string' ? new Redis(source, { lazyConnect: true }) : source
    // Like `model.duplicate()`, but with our own copy of ioredis: the application may have another one.
    const { replyMapping: _replyMapping, ...options }: RedisOptions = this.#model.options
    this.keyPrefix = options.keyPrefix ?? ''
    const client = new OwnClient({
      ...options,
      ...ownOptions(this.#model, {
        timeout,
        role: parts.role,
        owner: parts.owner,
        longestDelay: this.#delay.longest,
        reconnectDelay: () => this.#reconnectDelay(),
        onReadOnly: (error) => {
          this.#faults.last = error
          this.leave()
        },
        onAddress: (address) => {
          this.#named.current = address
        },
      }),
      ...parts.options,
    })
    this.client = client
    client.beforeConnect = () => this.#beforeConnect()
    client.on('connecting', () => {
      this.#underWay = true
      this.#attempt = new ConnectionAttempt()
    })
    client.on('reconnecting', () => {
      if (!this.#referenced) client.unrefReconnection()
    })
    client.on('connect', () => this.#onConnect())
    client.onGreeting = (info) => this.#onGreeting(info)
    client.on('ready', () => this.#onReady())
    client.on('error', (error: Error) => this.#onError(error))
    client.on('sentinelError', (error: Error) => {
      this.#sentinelFault = error
    })
    client.on('close', () => this.#onClose())
    client.on('end', () => this.#onClose())
  }

  /** Whether requests can be sent now. */
  get usable(): boolean {
    return this.#usable
  }

  /** Why it is not usable, if that is known. */
  get fault(): Error | undefined {
    return this.#usable ? undefined : this.#faults.last
  }

  /** The run id of the server, if that reports one. */
  get runId(): string | undefined {
    return this.#usable ? this.#server?.runId : undefined
  }

  /** The server, if it reports a run id. */
  get identity(): ServerIdentity | undefined {
    return this.#usable ? this.#identity : undefined
  }

  /** Connects, and reconnects until `stop` or `close`. */
  start(): void {
    const { status } = this.client
    const resumes = this.#stopped && status === 'reconnecting'
    this.#stopped = false
    if (!this.#closed && (resumes || status === 'wait' || status === 'end')) {
      // Events report failures as well.
      this.client.connect().catch(() => undefined)
    }
  }

  /** Gives the connection up until `start`. */
  stop(): void {
    this.#stopped = true
    this.#attempt.explained = true
    this.client.stream?.destroy()
  }

  /** See `Backend.ready`. */
  ready(): Promise<void> | undefined {
    if (this.#usable) return undefined
    if (this.#closed) return Promise.reject(new UnavailableError('The connection to Redis is closed'))
    // ioredis gives up if no Sentinel answers. The next request starts the client again.
    this.start()
    return this.#readiness.next
  }

  /** See `OwnClient.sendTogether`. */
  send(command: Command): Promise<unknown> {
    return this.client.sendTogether(command)
  }

  flush(): void {
    this.client.flush()
  }

  /** The server has answered properly: the next reconnection need not be slow. */
  onAnswered(): void {
    this.#delay.failures = 0
    this.#faults.forget()
  }

  /** Leaves the server: gives up all requests under way, and makes a new connection. */
  leave(): void {
    if (this.#closed) return
    this.#attempt.explained = true
    this.#setUnusable()
    this.client.leave()
  }

  /** The Sentinels have named a server, as `host:port`. */
  follow(address: string): void {
    this.#named.announce(address)
    if (this.#named.outdated) this.leave()
  }

  /** From now on the connection does not keep the process alive. */
  unref(): void {
    this.#referenced = false
    this.client.stream?.unref?.()
    this.client.unrefReconnection()
  }

  /** This fault was not reported: report it if it comes again. */
  forgetFault(fault: Error): void {
    this.#faults.forget(fault)
  }

  /** The user's error for a failed request: it says why there is no connection, not only that there is none. */
  explain(thrown: unknown): Error {
    if (isReply(thrown)) return thrown
    const error = asError(thrown)
    const isBroken = isBrokenUnder(error)
    // A failed request may be the first sign of a broken connection. The next request then waits for another one.
    if (!this.client.stream?.writable) this.#setUnusable()
    if (isBroken) {
      const cause = this.#faults.last ?? error
      return new UnavailableError('The connection to Redis broke before the answer came', undefined, { cause })
    }
    return this.#usable ? error : this.#unusableError(error)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { status } = this.client
    const ended = new Promise<void>((resolve) => {
      this.client.once('end', resolve)
    })
    this.client.disconnect()
    // Between two attempts to connect ioredis emits no `end`.
    if (status !== 'reconnecting' && status !== 'end' && status !== 'wait') await ended
    this.#readiness.settle(new UnavailableError('The connection to Redis is closed'))
  }

  async #beforeConnect(): Promise<void> {
    this.#throwIfOver()
    await refreshLogin(this.client, this.#parts, (fault) => this.#tell(fault))
    this.#throwIfOver()
  }

  #throwIfOver(): void {
    if (this.#closed || this.#stopped) throw new UnavailableError('The connection to Redis is closed')
  }

  #reconnectDelay(): number | null {
    if (this.#stopped) return null
    if (this.#named.outdated) return HURRIED_DELAY
    return this.#delay.next()
  }

  #onConnect(): void {
    this.#wrongDatabase = undefined
    if (!this.#referenced) this.unref()
    this.#sentinelFault = undefined
    // This leads to the old server, which may hang: do not wait for its answer.
    if (this.#named.outdated) {
      this.client.leave()
      return
    }
    const attempt = this.#attempt
    this.client.stream.once('data', (data: Buffer) => attempt.onFirstData(data))
  }

  /** The server has reported what it is. */
  #onGreeting(info: string): void {
    this.#greeting = readServerInfo(info)
    const { loading, role } = this.#greeting
    // Each rejection reports this until the server has loaded; ioredis waits, or tries another server.
    if (loading) this.#faults.last = LOADING
    if (!this.#isBehindSentinel || role !== 'slave') return
    this.#faults.last = NO_MASTER
    this.#attempt.explained = true
  }

  #onReady(): void {
    const { stream } = this.client
    if (stream.destroyed || this.#closed) return
    const server = this.#greeting
    this.#attempt.unfit = whatIsWrongWith(server, this.#parts.mode)
    if (this.#attempt.unfit) this.#refuse(this.#attempt.unfit)
    else if (this.#wrongDatabase) this.#refuse(this.#wrongDatabase)
    else if (this.#named.outdated) this.leave()
    else this.#setUsable(server)
  }

  get #isBehindSentinel(): boolean {
    return Boolean(this.#model.options.sentinels)
  }

  /** This connection is of no use: drops it, and makes another one after a pause. */
  #refuse(error: Error): void {
    this.#tell(error)
    this.#attempt.explained = true
    this.#readiness.settle(this.#unusableError())
    this.client.stream.destroy()
  }

  #setUsable(server: ServerInfo): void {
    const before = this.#server
    const arrival = before === undefined ? 'first' : isSameServer(before, server) ? 'same' : 'other'
    this.#server = server
    this.#identity = identityOf(server, this.#parts.clock.now())
    this.#usable = true
    this.#attempt.served = true
    this.#faults.last = undefined
    this.#readiness.settle()
    this.emit('usable', arrival)
  }

  #setUnusable(): void {
    if (!this.#usable) return
    this.#usable = false
    this.emit('unusable')
  }

  #onError(error: Error): void {
    if ((error as { command?: { name?: string } }).command?.name === 'select') this.#wrongDatabase = error
    if (isEcho(error, this.#usable)) return
    if (error.message.startsWith(NO_SENTINEL)) {
      // ioredis emits this after each pass through the list, even if every Sentinel has answered.
      const cause = this.#sentinelFault
      if (cause) this.#tell(new UnavailableError(`${NO_SENTINEL}: ${cause.message}`, undefined, { cause }))
      return
    }
    this.#attempt.explained = true
    this.#tell(tellingError(error))
  }

  #tell(fault: Error): void {
    const isNews = this.#faults.add(fault)
    if (!this.#usable) this.#readiness.settle(this.#unusableError())
    if (isNews && !this.#closed) this.emit('fault', fault)
  }

  #onClose(): void {
    if (!this.#underWay) return
    this.#underWay = false
    const failed = !this.#attempt.served
    this.#setUnusable()
    if (failed && !this.#closed) {
      // Closed before it was usable. The first times are not reported.
      if (!this.#attempt.explained && !this.#named.outdated) {
        this.#faults.last = this.#attempt.reason(this.#faults.last)
        if (this.#delay.failures >= TOLD_AFTER) this.#tell(this.#faults.last)
      }
      this.emit('failed')
    } else {
      this.#faults.last ??= CLOSED
    }
    // Later requests wait for the next attempt.
    if (failed) this.#readiness.settle(this.#unusableError())
  }

  #unusableError(cause?: Error): UnavailableError {
    return noConnection(this.#attempt.unfit ?? this.#faults.last ?? cause)
  }
}
