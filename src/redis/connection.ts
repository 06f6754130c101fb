/**
 * A connection of the manager's own, made from the caller's client or URL. It never queues, never resends, reconnects for as
 * long as it is open, and knows whether it can be used now and which server it leads to.
 *
 *     connecting ──the server has said by INFO what it is──▶ usable
 *         ▲ ▲            └─it is none that could be used─┐      │
 *         │ └──a pause, longer each time─────────────────┴──────┤ closed, silent, or READONLY
 *         └──at once: the Sentinels have named another server───┘
 */
import { EventEmitter } from 'eventemitter3'
import { type Command, Redis, type RedisOptions } from 'ioredis'
import { asError } from '../as-error.ts'
import { UnavailableError } from '../errors.ts'
import { FaultLog, noConnection, tellingError } from './fault-log.ts'
import { type LoginParts, refreshLogin } from './login.ts'
import { NamedAddress } from './named-address.ts'
import { ownOptions } from './connection-options.ts'
import { OwnClient } from './own-client.ts'
import { Readiness } from './readiness.ts'
import { isReply } from './reply-fault.ts'
import { isSameServer, readServerInfo, type ServerInfo, UNKNOWN_SERVER, whatIsWrongWith } from './server-info.ts'

const FIRST_RECONNECT_DELAY = 50
/** Also half of what a request may take: whoever waits for a connection sees an attempt to make one, and is told why it failed. */
const LONGEST_RECONNECT_DELAY = 1_000
/** ms before another attempt where a switch is known: a Sentinel that has not heard of it still names the old server. */
const HURRIED_DELAY = 15

/** Attempts that the other side ends without a word before that is told. */
const TOLD_AFTER = 2

/** What ioredis says of a command without a connection where it must not queue it, and of one whose connection broke. */
const NOT_WRITABLE = "Stream isn't writeable"
const NO_SENTINEL = 'All sentinels are unreachable'
const BROKEN = /max retries per request|Connection is closed/
/** Which server answers from now on: the first one, the same as before, or another, which may have other data. */
export type Arrival = 'first' | 'same' | 'other'

export interface ConnectionEvents {
  /** Requests can be sent from now on. */
  usable: [arrival: Arrival]
  /** None can. */
  unusable: []
  /** An attempt to connect has failed. */
  failed: []
  /** A fault that has not been told since the connection last worked. */
  fault: [error: Error]
}

export interface ConnectionParts extends LoginParts {
  /** Stands at the end of the connection's name, if it is not the one that locks are asked for on. */
  readonly role?: string
  readonly options?: Omit<RedisOptions, 'replyMapping'>
}

export class Connection extends EventEmitter<ConnectionEvents> {
  readonly client: OwnClient
  /** The caller's own key prefix, which stands before ours. */
  readonly keyPrefix: string
  readonly #parts: ConnectionParts
  /** Whose options are used. */
  readonly #model: Redis
  readonly #longestDelay: number
  readonly #faults = new FaultLog()
  readonly #named: NamedAddress
  #usable = false
  #stopped = false
  #closed = false
  #referenced = true
  readonly #readiness = new Readiness()
  /** What the server at the other end says that it is. */
  #greeting = UNKNOWN_SERVER
  /** The server that this leads to, or led to last. */
  #server: ServerInfo | undefined
  /** A server that is none: what it is, in words, as long as that is what the address leads to. */
  #unfit: UnavailableError | undefined
  /** The database could not be selected: on this connection everything would go to another one. */
  #wrongDatabase: Error | undefined
  /** Why the Sentinel that was asked last was of no help; none once one was. */
  #sentinelFault: Error | undefined
  /** A connection is there, or is being made; whether it has been usable; and whether anything was said of why it fails. */
  #underWay = false
  #served = false
  #explained = false
  /** What the server said of its own accord before it closed the connection under way. */
  #lastWords: Error | undefined
  /** Connections in a row on which nothing was answered. */
  #failures = 0

  constructor(parts: ConnectionParts) {
    super()
    const { source, timeout } = parts
    this.#parts = parts
    this.#named = new NamedAddress(parts.clock)
    this.#longestDelay = Math.max(Math.min(LONGEST_RECONNECT_DELAY, timeout / 2), FIRST_RECONNECT_DELAY)
    // What a URL says would win over the options that come with it: it is only read here.
    this.#model = typeof source === 'string' ? new Redis(source, { lazyConnect: true }) : source
    // What `model.duplicate()` does, but by our own copy of ioredis: the application may have another one.
    const { replyMapping: _replyMapping, ...options }: RedisOptions = this.#model.options
    this.keyPrefix = options.keyPrefix ?? ''
    const client = new OwnClient({
      ...options,
      ...ownOptions(this.#model, {
        timeout,
        role: parts.role,
        longestDelay: this.#longestDelay,
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
      this.#served = false
      this.#explained = false
      this.#lastWords = undefined
      this.#unfit = undefined
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

  /** Why it is not usable, as far as is known. */
  get fault(): Error | undefined {
    return this.#usable ? undefined : this.#faults.last
  }

  /** Which server it leads to, as far as that says so. */
  get runId(): string | undefined {
    return this.#usable ? this.#server?.runId : undefined
  }

  /** Connects, and goes on doing so until `stop` or `close`. */
  start(): void {
    const { status } = this.client
    const resumes = this.#stopped && status === 'reconnecting'
    this.#stopped = false
    if (!this.#closed && (resumes || status === 'wait' || status === 'end')) this.client.connect().catch(ignore)
  }

  /** Gives its connection up until `start`. */
  stop(): void {
    this.#stopped = true
    this.#explained = true
    this.client.stream?.destroy()
  }

  /** See `Backend.ready`. */
  ready(): Promise<void> | undefined {
    if (this.#usable) return undefined
    if (this.#closed) return Promise.reject(new UnavailableError('The connection to Redis is closed'))
    // A client that has given up, as one does when no Sentinel answers, is set going again by whoever needs it.
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

  /** The server has answered something sensible: the next reconnection need not be slow. */
  onAnswered(): void {
    this.#failures = 0
    this.#faults.forget()
  }

  /** The server must not be used any more: whatever is under way there is given up, and a connection is made anew. */
  leave(): void {
    if (this.#closed) return
    this.#explained = true
    this.#setUnusable()
    this.client.leave()
  }

  /** The Sentinels have named a server, as `host:port`. */
  follow(address: string): void {
    this.#named.announce(address)
    if (this.#named.outdated) this.leave()
  }

  /** Whether the server is still the one that it was when this connection was made: a proxy may have changed it unsaid. */
  async checkServer(): Promise<void> {
    const { stream } = this.client
    const server = this.#server
    if (server?.runId === undefined) return
    try {
      const { runId } = readServerInfo(await this.client.info('server'))
      if (runId !== undefined && runId !== server.runId && stream === this.client.stream) this.leave()
    } catch {
      // What is wrong shows at the next request.
    }
  }

  /** It does not keep the process alive any more. */
  unref(): void {
    this.#referenced = false
    this.client.stream?.unref?.()
    this.client.unrefReconnection()
  }

  /** This fault concerned nobody: it is news when it comes again. */
  forgetFault(fault: Error): void {
    this.#faults.forget(fault)
  }

  /** What a failed request says to users: why there is no connection rather than that there is none. */
  explain(thrown: unknown): Error {
    if (isReply(thrown)) return thrown
    const error = asError(thrown)
    const isBroken = BROKEN.test(error.message)
    // It shows here first: whoever asks again waits for another connection. Unless there is one by now.
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
    // Between two attempts to connect there is nothing whose end could be waited for.
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
    const delay = Math.min(FIRST_RECONNECT_DELAY * 2 ** Math.min(this.#failures, 10), this.#longestDelay)
    this.#failures += 1
    return delay * (0.5 + Math.random() / 2)
  }

  #onConnect(): void {
    this.#wrongDatabase = undefined
    if (!this.#referenced) this.unref()
    this.#sentinelFault = undefined
    // The server that was left may hang: it would be waited for.
    if (this.#named.outdated) {
      this.client.leave()
      return
    }
    // A server that has no room for another client says so before it is asked anything.
    this.client.stream.once('data', (data: Buffer) => {
      if (data[0] === 0x2d && !this.#usable) this.#lastWords = new Error(firstLineOf(data))
    })
  }

  /** The connection is there, and the server has said what it is. */
  #onGreeting(info: string): void {
    this.#greeting = readServerInfo(info)
    const { loading, role } = this.#greeting
    // Said with each rejection until that is over; ioredis waits, or turns to another server.
    if (loading) this.#faults.last = LOADING
    if (!this.#isBehindSentinel || role !== 'slave') return
    this.#faults.last = NO_MASTER
    this.#explained = true
  }

  #onReady(): void {
    const { stream } = this.client
    if (stream.destroyed || this.#closed) return
    const server = this.#greeting
    this.#unfit = whatIsWrongWith(server)
    if (this.#unfit) this.#refuse(this.#unfit)
    else if (this.#wrongDatabase) this.#refuse(this.#wrongDatabase)
    else if (this.#named.outdated) this.leave()
    else this.#setUsable(server)
  }

  get #isBehindSentinel(): boolean {
    return Boolean(this.#model.options.sentinels)
  }

  /** This connection is of no use: another one is made, after a pause. */
  #refuse(error: Error): void {
    this.#tell(error)
    this.#explained = true
    this.#readiness.settle(this.#unusableError())
    this.client.stream.destroy()
  }

  #setUsable(server: ServerInfo): void {
    const before = this.#server
    const arrival = before === undefined ? 'first' : isSameServer(before, server) ? 'same' : 'other'
    this.#server = server
    this.#usable = true
    this.#served = true
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
    // What follows from a connection that broke says nothing about why.
    if (error.message.includes(NOT_WRITABLE)) return
    if (error.message.startsWith(NO_SENTINEL)) {
      // ioredis says so each time it has gone through the list, though each of them may have answered.
      const cause = this.#sentinelFault
      if (cause) this.#tell(new UnavailableError(`${NO_SENTINEL}: ${cause.message}`, undefined, { cause }))
      return
    }
    // That nothing can be written any more says no more than that the other side has closed it; and it may have said why.
    if (error.message.includes('EPIPE') || (!this.#usable && error.message.includes('ECONNRESET'))) return
    this.#explained = true
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
    const failed = !this.#served
    this.#setUnusable()
    if (failed && !this.#closed) {
      // Closed before it was of any use, and not for the first time.
      if (!this.#explained && !this.#named.outdated) {
        // What was said at an earlier attempt says more than nothing.
        if (this.#lastWords || this.#faults.last === CLOSED) this.#faults.last = this.#lastWords
        this.#faults.last ??= CLOSED_AT_ONCE
        if (this.#failures >= TOLD_AFTER) this.#tell(this.#faults.last)
      }
      this.emit('failed')
    } else {
      this.#faults.last ??= CLOSED
    }
    // Whoever comes meanwhile waits for the next attempt.
    if (failed) this.#readiness.settle(this.#unusableError())
  }

  #unusableError(cause?: Error): UnavailableError {
    return noConnection(this.#unfit ?? this.#faults.last ?? cause)
  }
}

const NO_MASTER = new UnavailableError('The Sentinels still name a server that is not the master any more')
const LOADING = new UnavailableError('Redis is loading its data')
const CLOSED = new UnavailableError('The other side closed the connection')
const CLOSED_AT_ONCE = new UnavailableError('The other side closed the connection during the handshake')

/** An error as the protocol has it, without its sign. */
function firstLineOf(data: Buffer): string {
  return data.toString('utf8', 1, Math.max(data.indexOf('\r\n'), 1))
}

/** For failures that are told by events as well. */
function ignore(): void {}
