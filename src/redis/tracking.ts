/**
 * Tells of changes of keys, whoever makes them: the server remembers which keys were read on the connection that locks are
 * asked for on, and names each that is changed on a second connection. May import the connection, encoded commands, the
 * port and errors.
 *
 * (Redis, "Client-side caching reference": tracking in the opt-in mode with redirection. A key is named once; to hear of its
 * next change it has to be read again. What is changed on the first connection itself is not told: NOLOOP.)
 *
 *     off ──both connections ready, the server agrees──▶ on (a new period; anything may have changed before it: `onChange()`)
 *     on  ──either connection breaks──▶ off (`onUnwatched()`, where locks can still be asked for)
 *     off ──the server refuses──▶ off, until a connection is made anew (told once: `onError`)
 *     off ──the server fails──▶ off, until the second connection has been made anew (told once, after some failures in a row)
 */
import type { Redis } from 'ioredis'
import { asError } from '../as-error.ts'
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { Connection } from './connection.ts'
import { EncodedCommand, encode } from './encoded-command.ts'
import { isReply } from './reply-fault.ts'

/** Where a server that speaks RESP2 puts the names of keys that have changed. */
const CHANNEL = '__redis__:invalidate'

/** What a server says that does not know how, or whose user may not; anything else passes. */
const REFUSALS = /^NOPERM|unknown (sub)?command|syntax error/i

/** How many keys a server remembers where its configuration does not say. */
const USUAL_ROOM = 1_000_000
/** After how many keys it is looked at how much room is left, at most. */
const LOOK_AFTER = 1_024

/** Failures in a row that are told, if they are no refusals. */
const PATIENCE = 5

const CACHING_YES = encode('*3', [{ texts: ['client', 'caching', 'yes'] }])

export class Tracking {
  readonly #commands: Connection
  readonly #pushes: Connection
  readonly #prefix: string
  readonly #listener: BackendListener
  /** How the second connection is known to the server. */
  #id: number | undefined
  #period: number | undefined
  #periods = 0
  /** Keys are still thought to be watched by those who asked for them, and are not. */
  #lapsed = false
  /** How many keys the server remembers, for all its clients together. */
  #room = USUAL_ROOM
  /** Keys that it was made to remember since that was last compared with its room. */
  #unchecked = 0
  #checking = false
  /** In a row. */
  #failures = 0
  #failureTold = false
  #closed = false

  /** @param prefix stands before every key that is of interest here. */
  constructor(
    source: Redis | string,
    timeout: number,
    commands: Connection,
    prefix: string,
    listener: BackendListener,
  ) {
    this.#commands = commands
    this.#prefix = prefix
    this.#listener = listener
    const pushListener = { onRecovered: ignore, onError: (error: Error) => this.#onPushError(error) }
    // The names of changed keys come as RESP2 messages: ioredis hands out no other pushes.
    const options = { protocol: 2, autoResubscribe: false, keepAlive: 10_000 } as const
    this.#pushes = new Connection(source, timeout, pushListener, { name: 'watch', options })
    this.#pushes.client.on('messageBuffer', (_channel: unknown, keys: unknown) => this.#onMessage(keys))
    this.#pushes.client.on('ready', () => void this.#subscribe())
    this.#pushes.client.on('close', () => this.#onPushesClosed())
    commands.client.on('ready', () => void this.#switchOn())
    commands.client.on('close', () => this.#switchOff())
  }

  /** Whether the server remembers what is read. */
  get active(): boolean {
    return this.#period !== undefined
  }

  /** A number for as long as nothing that was read has been forgotten unsaid; undefined while it is off. */
  get period(): number | undefined {
    return this.#period
  }

  /** The server is to remember the keys that the very next command reads. */
  readonly watchNext = (): void => {
    if (this.active) void this.#watchNext()
  }

  /**
   * The server was made to remember so many keys more. When it has no room left it forgets others, and what it forgets because of our own
   * commands it does not tell us (Redis 7): so it is asked from time to time.
   */
  onWatched(count: number): void {
    if (!this.active) return
    this.#unchecked += count
    if (this.#checking || this.#unchecked < Math.min(LOOK_AFTER, this.#room / 100)) return
    this.#unchecked = 0
    void this.#checkRoom()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#period = undefined
    await this.#pushes.close()
  }

  async #subscribe(): Promise<void> {
    const { client } = this.#pushes
    if (!this.#pushes.usable) return
    try {
      const id = await client.client('ID')
      await client.subscribe(CHANNEL)
      this.#id = id
    } catch (error) {
      this.#onFailed(error)
      return
    }
    await this.#switchOn()
  }

  async #switchOn(): Promise<void> {
    const id = this.#id
    if (!this.#commands.usable) return
    if (id === undefined) {
      this.#tellLapse()
      return
    }
    const period = ++this.#periods
    try {
      await this.#commands.client.client('TRACKING', 'ON', 'REDIRECT', id, 'OPTIN', 'NOLOOP')
    } catch (error) {
      if (period === this.#periods) this.#onFailed(error)
      return
    }
    const room = await this.#askForRoom()
    if (period !== this.#periods || this.#closed) return
    this.#room = room
    this.#period = period
    this.#lapsed = false
    this.#failures = 0
    this.#pushes.onAnswered()
    this.#listener.onChange()
  }

  async #askForRoom(): Promise<number> {
    try {
      const answer = (await this.#commands.client.config('GET', 'tracking-table-max-keys')) as [string, string] | []
      const keys = Number(answer[1] ?? USUAL_ROOM)
      return keys === 0 ? Number.POSITIVE_INFINITY : keys
    } catch {
      // The user may not ask, or the server is gone, which is noticed elsewhere.
      return USUAL_ROOM
    }
  }

  async #checkRoom(): Promise<void> {
    this.#checking = true
    try {
      const [room, info] = await Promise.all([this.#askForRoom(), this.#commands.client.info('stats')])
      const { 1: keys } = /tracking_total_keys:(\d+)/.exec(info) ?? []
      this.#room = room
      if (Number(keys) >= room && !this.#closed) this.#listener.onForgotten()
    } catch {
      // A connection that breaks is made anew, and then everything is looked at.
    } finally {
      this.#checking = false
    }
  }

  async #watchNext(): Promise<void> {
    try {
      await this.#commands.send(new EncodedCommand('client', CACHING_YES))
    } catch (error) {
      this.#onFailed(error)
    }
  }

  #switchOff(): void {
    this.#periods += 1
    if (this.active) this.#lapsed = true
    this.#period = undefined
  }

  #onPushesClosed(): void {
    this.#id = undefined
    this.#switchOff()
    // Where the other one has broken as well, that is found out by whoever asks, and told when it is mended.
    if (this.#commands.usable) this.#tellLapse()
  }

  #onPushError(error: Error): void {
    // Where locks cannot be asked for either, that is what is to be told.
    if (this.#commands.usable) this.#listener.onError(error)
  }

  #onFailed(thrown: unknown): void {
    const error = asError(thrown)
    // A connection that broke is made anew, and then this is tried again.
    if (this.#closed || !isReply(thrown)) return
    this.#switchOff()
    this.#tellLapse()
    const refused = REFUSALS.test(error.message)
    this.#failures += 1
    // A server that is busy, or another one than the second connection leads to: tried again, with the pauses of a reconnection.
    if (!refused) this.#pushes.client.disconnect(true)
    if (this.#failureTold || !(refused || this.#failures === PATIENCE)) return
    this.#failureTold = true
    const message = `The server ${refused ? 'refuses to' : 'does not'} tell of changes, so callers that wait poll and losses are noticed at the next renewal: ${error.message}`
    this.#listener.onError(new UnavailableError(message, undefined, { cause: error }))
  }

  #tellLapse(): void {
    if (!this.#lapsed) return
    this.#lapsed = false
    this.#listener.onUnwatched()
  }

  /** @param keys a list of names, or null where all keys were deleted. */
  #onMessage(keys: unknown): void {
    if (this.#closed) return
    if (!Array.isArray(keys)) {
      this.#listener.onChange()
      return
    }
    const ours: string[] = []
    for (const key of keys) {
      const name = String(key)
      if (name.startsWith(this.#prefix)) ours.push(name.slice(this.#prefix.length))
    }
    if (ours.length > 0) this.#listener.onChange(ours)
  }
}

function ignore(): void {}
