/**
 * A connection of the manager's own, made from the caller's client or URL. It never queues, never resends, reconnects for as
 * long as it is open, and knows whether it can be used now. May import ioredis, the port and errors.
 */
import { type Command, Redis, type RedisOptions } from 'ioredis'
import { asError } from '../as-error.ts'
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { isReply } from './reply-fault.ts'

const FIRST_RECONNECT_DELAY = 50
/** Also half of what a request may take: whoever waits for a connection sees an attempt to make one, and is told why it failed. */
const LONGEST_RECONNECT_DELAY = 1_000

/** What ioredis says of a command without a connection where it must not queue it. */
const NOT_WRITABLE = "Stream isn't writeable"

/** What it says of one whose connection closed before the answer came. */
const BROKEN = 'Reached the max retries per request limit'

/** What a connection tells of itself. */
export type ConnectionListener = Pick<BackendListener, 'onRecovered' | 'onError'>

export interface ConnectionRole {
  /** Stands at the end of the connection's name. */
  readonly name: string
  readonly options: Omit<RedisOptions, 'replyMapping'>
}

interface Change {
  readonly promise: Promise<void>
  resolve(): void
  reject(error: Error): void
}

export class Connection {
  readonly client: Redis
  /** The caller's own key prefix, which stands before ours. */
  readonly keyPrefix: string
  readonly #listener: ConnectionListener
  readonly #longestDelay: number
  #usable = false
  #wasUsable = false
  #closed = false
  /** Keeps what is written to it, until the end of this go of the event loop. */
  #corked: Redis['stream'] | undefined
  #change: Change | undefined
  /** Why the connection is not usable, as far as anything was said about it. */
  #fault: Error | undefined
  /** The database could not be selected: on this connection everything would go to another one. */
  #wrongDatabase: Error | undefined
  /** Connections in a row on which nothing was answered. */
  #failures = 0

  /**
   * @param timeout ms that a request may stay unanswered: after twice that a silent connection is given up as dead.
   * @param role what the connection is for, if it is not the one that locks are asked for on.
   */
  constructor(source: Redis | string, timeout: number, listener: ConnectionListener, role?: ConnectionRole) {
    this.#listener = listener
    this.#longestDelay = Math.max(Math.min(LONGEST_RECONNECT_DELAY, timeout / 2), FIRST_RECONNECT_DELAY)
    // What a URL says would win over the options that come with it: it is only read here.
    const model = typeof source === 'string' ? new Redis(source, { lazyConnect: true }) : source
    // What `model.duplicate()` does, but by our own copy of ioredis: the application may have another one.
    const { replyMapping: _replyMapping, ...options }: RedisOptions = model.options
    this.client = new Redis({ ...options, ...this.#overrides(model, timeout, role?.name), ...role?.options })
    this.keyPrefix = options.keyPrefix ?? ''
    this.client.on('connect', () => {
      this.#wrongDatabase = undefined
      readBeforeGivingUp(this.client)
    })
    this.client.on('ready', () => this.#onReady())
    this.client.on('error', (error: Error) => this.#onError(error))
    this.client.on('close', () => this.#onClose())
    this.client.on('end', () => this.#onClose())
    this.client.connect().catch(ignore)
  }

  /** Whether requests can be sent now. */
  get usable(): boolean {
    return this.#usable
  }

  /** See `Backend.ready`. */
  ready(): Promise<void> | undefined {
    if (this.#usable) return undefined
    if (this.#closed) return Promise.reject(new UnavailableError('The connection to Redis is closed'))
    // A client that has given up, as one does when no Sentinel answers, is set going again by whoever needs it.
    if (this.client.status === 'end') this.client.connect().catch(ignore)
    if (this.#change === undefined) {
      let settle: Pick<Change, 'resolve' | 'reject'> | undefined
      const promise = new Promise<void>((resolve, reject) => {
        settle = { resolve, reject }
      })
      promise.catch(ignore)
      this.#change = { promise, ...(settle as unknown as Pick<Change, 'resolve' | 'reject'>) }
    }
    return this.#change.promise
  }

  /**
   * Sends a command. What is sent in one go of the event loop leaves in one write, so that a server finds it together and answers it
   * together: each time that either side has to wake up costs more than a command does. Unless it is `flush`ed before.
   */
  async send(command: Command): Promise<unknown> {
    const { stream } = this.client
    if (this.#corked !== stream && this.#usable) {
      this.#corked = stream
      stream.cork()
      process.nextTick(() => {
        if (this.#corked === stream) this.flush()
      })
    }
    return this.client.sendCommand(command)
  }

  /** What has been sent leaves now. */
  flush(): void {
    this.#corked?.uncork()
    this.#corked = undefined
  }

  /** The server has answered something sensible: the next reconnection need not be slow. */
  onAnswered(): void {
    this.#failures = 0
  }

  /** What a failed request says to users: why there is no connection rather than that there is none. */
  explain(thrown: unknown): Error {
    const error = asError(thrown)
    if (error.message.startsWith(BROKEN)) {
      return new UnavailableError('The connection to Redis broke before the answer came', undefined, {
        cause: this.#fault ?? error,
      })
    }
    if (error.message.includes(NOT_WRITABLE)) return this.#unusable()
    if (this.#usable || isReply(error)) return error
    return this.#unusable(error)
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
    this.#settleChange(new UnavailableError('The connection to Redis is closed'))
  }

  #overrides(model: Redis, timeout: number, role: string | undefined): Omit<RedisOptions, 'replyMapping'> {
    const { options } = model
    const database = databaseOf(model)
    return {
      ...(database === undefined ? {} : { db: database }),
      connectionName: [options.connectionName, 'leasewheel', role].filter(Boolean).join(':'),
      // A lock that is asked for later than its caller believes, or twice, is worse than one that is refused.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // With 0, requests under way are rejected as soon as their connection closes.
      maxRetriesPerRequest: 0,
      lazyConnect: true,
      // ioredis says `ready` before SELECT is answered where it makes no check: a lock could end up in another database.
      enableReadyCheck: options.enableReadyCheck !== false || (database ?? 0) !== 0,
      maxLoadingRetryTime: 100,
      connectTimeout: Math.max(2 * timeout, 1_000),
      // Given up at the second of these in a row: see `readBeforeGivingUp`.
      socketTimeout: Math.max(timeout, 250),
      // Every request has its own timeout, and one that was given up is looked after.
      commandTimeout: undefined,
      disconnectTimeout: 100,
      retryStrategy: () => this.#reconnectDelay(),
      // A server that was demoted: its name, or Sentinel, may lead to the new primary.
      reconnectOnError: (error) => error.message.includes('READONLY'),
      // We put the prefix before keys ourselves, once, and read numbers as numbers.
      keyPrefix: '',
      stringNumbers: false,
      enableAutoPipelining: false,
      readOnly: false,
      monitor: false,
      // Names of commands that the caller's client has made are of no use here.
      scripts: {},
    }
  }

  #reconnectDelay(): number {
    const delay = Math.min(FIRST_RECONNECT_DELAY * 2 ** Math.min(this.#failures, 10), this.#longestDelay)
    this.#failures += 1
    return delay * (0.5 + Math.random() / 2)
  }

  #onReady(): void {
    if (this.#wrongDatabase) {
      this.client.disconnect(true)
      return
    }
    const recovered = this.#wasUsable
    this.#usable = true
    this.#wasUsable = true
    this.#fault = undefined
    this.#settleChange()
    if (recovered) this.#listener.onRecovered()
  }

  #onError(error: Error): void {
    if ((error as { command?: { name?: string } }).command?.name === 'select') this.#wrongDatabase = error
    // What follows from a connection that broke says nothing about why.
    if (error.message.includes(NOT_WRITABLE)) return
    const repeated = this.#fault?.message === error.message
    this.#fault = error
    if (!this.#usable) this.#settleChange(this.#unusable(error))
    // While a server is away every attempt to reconnect fails alike: told once.
    if (!repeated && !this.#closed) this.#listener.onError(error)
  }

  #onClose(): void {
    this.#usable = false
    // ioredis 5 forgets it here; it would end the next connection, and keep the process alive.
    const silence = this.client as unknown as { socketTimeoutTimer?: NodeJS.Timeout | undefined }
    silence.socketTimeoutTimer?.close()
    silence.socketTimeoutTimer = undefined
    this.#settleChange(this.#unusable())
  }

  #unusable(cause: Error | undefined = this.#fault): UnavailableError {
    const fault = this.#fault ?? cause
    return new UnavailableError(
      `No connection to Redis${fault ? `: ${fault.message}` : ''}`,
      undefined,
      fault && { cause: fault },
    )
  }

  #settleChange(error?: Error): void {
    const change = this.#change
    if (change === undefined) return
    this.#change = undefined
    if (error) change.reject(error)
    else change.resolve()
  }
}

/** The database that the client works in now: `select` may have changed it since it was made. */
function databaseOf(client: Redis): number | undefined {
  const { condition } = client as unknown as { condition?: { select?: number } | null }
  return condition?.select ?? client.options.db
}

/**
 * ioredis gives a silent connection up when a timer fires, and after the event loop was blocked that timer fires before the answers that lie in the socket
 * are read. So the first time nothing is done but to set it again, and by the second whatever was there has been read.
 */
function readBeforeGivingUp(client: Redis): void {
  const { stream } = client
  const destroy = stream.destroy.bind(stream)
  let silent = false
  stream.on('data', () => {
    silent = false
  })
  stream.destroy = (error) => {
    if (silent || !error?.message.startsWith('Socket timeout')) return destroy(error)
    silent = true
    // ioredis forgets its timer right after this.
    process.nextTick(() => {
      if (!stream.destroyed) (Reflect.get(client, 'setSocketTimeout') as () => void).call(client)
    })
    return stream
  }
}

/** For failures that are told by events as well. */
function ignore(): void {}
