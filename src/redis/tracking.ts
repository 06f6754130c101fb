/**
 * Tells of changes of keys, whoever makes them: the server remembers which keys were read on the connection that locks are
 * asked for on, and names each that is changed on a second connection.
 *
 * (Redis, "Client-side caching reference": tracking in the opt-in mode with redirection. A key is named once; to hear of its
 * next change it has to be read again. What is changed on the first connection itself is not told: NOLOOP.)
 *
 *     off ──both connections lead to one server, and it agrees──▶ on (a new period; anything may have changed before it: `onChange()`)
 *     on  ──the first connection breaks──▶ off: the server forgets what it was to remember
 *     on  ──the second connection breaks──▶ off (`onUnwatched()`); once it is back, what was watched still is (`onMissed()`)
 *     off ──the server refuses──▶ off (told once: `onError`), and tried again after a while
 *
 * The second connection is made after the first, and given up while the first cannot be made: where a server has room for one client only,
 * locks come first.
 */
import { randomUUID } from 'node:crypto'
import type { BackendListener } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { UnavailableError } from '../errors.ts'
import { Connection, type ConnectionParts } from './connection.ts'
import type { Arrival } from './connection-events.ts'
import { EncodedCommand, encode } from './encoded-command.ts'
import { isReply, kindOf } from './reply-fault.ts'

/** Where a server that speaks RESP2 puts the names of keys that have changed. */
const CHANNEL = '__redis__:invalidate'

/** How many keys a server remembers where its configuration does not say. */
const USUAL_ROOM = 1_000_000
/** After how many keys it is looked at how much room is left, at most. */
const LOOK_AFTER = 1_024

/** Failures in a row that are told, if they are no refusals. */
const PATIENCE = 5
/** ms until the next attempt after the server could not; twice as long each time. */
const FIRST_RETRY = 500
const LONGEST_RETRY = 30_000
/** ms until the next attempt after the server would not. */
const REFUSED_FOR = 180_000

/** While something is asked, the second connection says something every so many ms: proxies close silent ones. */
const PING_EVERY = 1_000

/** What the server says of a connection that it has lost, or never had. */
const UNKNOWN_CLIENT = /client ID .* does not exist/
const APART = new UnavailableError('the two connections of this manager lead to different servers')

const CACHING_YES = encode('*3', [{ texts: ['client', 'caching', 'yes'] }])

export class Tracking {
  readonly #commands: Connection
  readonly #pushes: Connection
  readonly #prefix: string
  readonly #listener: BackendListener
  readonly #clock: Clock
  /** What the second connection is called, if the server does not say who it is: nobody else is called so. */
  readonly #name: string
  /** How the second connection is known to the server; undefined while it is not subscribed. */
  #id: number | undefined
  #period: number | undefined
  #periods = 0
  /** Keys are still thought to be watched by those who asked for them, and are not. */
  #lapsed = false
  /** The server still remembers what it was asked to, though it could not tell for a while. */
  #remembered = false
  /** How many keys the server remembers, for all its clients together. */
  #room = USUAL_ROOM
  /** Keys that it was made to remember since that was last compared with its room. */
  #unchecked = 0
  #checking = false
  /** In a row; and when it is tried again. */
  #failures = 0
  #retryAt = Number.POSITIVE_INFINITY
  #failureTold = false
  /** The second connection is to be made anew when it is tried again. */
  #isApart = false
  #pingedAt = Number.NEGATIVE_INFINITY
  #closed = false

  /** @param prefix stands before every key that is of interest here. */
  constructor(parts: ConnectionParts, commands: Connection, prefix: string, listener: BackendListener) {
    this.#commands = commands
    this.#prefix = prefix
    this.#listener = listener
    this.#clock = parts.clock
    // The names of changed keys come as RESP2 messages: ioredis hands out no other pushes.
    const options = { protocol: 2, autoResubscribe: false } as const
    this.#pushes = new Connection({ ...parts, role: 'watch', options })
    this.#name = `${this.#pushes.client.options.connectionName}:${randomUUID()}`
    this.#pushes.client.on('messageBuffer', (_channel: unknown, keys: unknown) => this.#onMessage(keys))
    this.#pushes.on('usable', () => void this.#subscribe())
    this.#pushes.on('unusable', () => this.#onPushesGone())
    // Where locks cannot be asked for either, that is what is to be told.
    this.#pushes.on('fault', (error) => {
      if (!commands.usable) this.#pushes.forgetFault(error)
      else if (!this.#closed) listener.onError(error)
    })
    commands.on('usable', (arrival) => this.#onCommandsUsable(arrival))
    commands.on('unusable', () => this.#switchOff())
    commands.on('failed', () => this.#pushes.stop())
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

  /** Something is being asked: time to see whether all is well. @param now ms on the clock. */
  onAsked(now: number): void {
    if (now >= this.#retryAt) this.#retry()
    if (this.active && now >= this.#pingedAt + PING_EVERY) {
      this.#pingedAt = now
      // Its answer is of no interest, and a user may be forbidden to ask.
      this.#pushes.client.ping().catch(() => undefined)
    }
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

  /** See `Connection.follow`. */
  follow(address: string): void {
    this.#pushes.follow(address)
  }

  /** See `Connection.unref`. */
  unref(): void {
    this.#pushes.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#period = undefined
    await this.#pushes.close()
  }

  #onCommandsUsable(arrival: Arrival): void {
    this.#remembered = false
    // The other connection stayed where it was: at a server that changes nothing any more.
    if (arrival === 'other') this.#pushes.leave()
    this.#pushes.start()
    void this.#switchOn()
  }

  async #subscribe(): Promise<void> {
    const { client } = this.#pushes
    try {
      const id = await client.client('ID')
      if (this.#pushes.runId === undefined) await client.client('SETNAME', this.#name)
      await client.subscribe(CHANNEL)
      if (!this.#pushes.usable) return
      this.#id = id
    } catch (error) {
      this.#onFailed(error)
      return
    }
    await this.#switchOn()
  }

  async #switchOn(): Promise<void> {
    const id = this.#id
    if (!this.#commands.usable || this.active) return
    if (id === undefined) {
      this.#tellLapse()
      return
    }
    const period = ++this.#periods
    this.#retryAt = Number.POSITIVE_INFINITY
    try {
      if (!(await this.#isPair(id))) {
        // Where they part, the first one is right: locks are asked for there.
        if (period === this.#periods) this.#onApart(APART)
        return
      }
      await this.#commands.client.client('TRACKING', 'ON', 'REDIRECT', id, 'OPTIN', 'NOLOOP')
      // A user may be allowed the one and not the other.
      await this.#commands.client.client('CACHING', 'YES')
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
    this.#failureTold = false
    this.#retryAt = Number.POSITIVE_INFINITY
    this.#pushes.onAnswered()
    const remembered = this.#remembered
    this.#remembered = true
    if (remembered) this.#listener.onMissed()
    else this.#listener.onChange()
  }

  /**
   * Whether both connections lead to one server. Redirection is agreed to for any client that has this id, and each server has such ids of its own.
   * Where the server does not say who it is, it is asked whether that client has the name of ours.
   */
  async #isPair(id: number): Promise<boolean> {
    const [one, other] = [this.#commands.runId, this.#pushes.runId]
    if (one !== undefined && other !== undefined) return one === other
    return String(await this.#commands.client.call('CLIENT', 'LIST', 'ID', id)).includes(`name=${this.#name} `)
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

  #onPushesGone(): void {
    this.#id = undefined
    this.#switchOff()
    // Where the other one has broken as well, that is found out by whoever asks, and told when it is mended.
    if (this.#commands.usable) this.#tellLapse()
  }

  /** The second connection is no use to the server that locks are asked for on: another one may be. */
  #onApart(error: Error): void {
    this.#fail(error, false)
    // Again and again in vain: not more often than it is tried again.
    if (this.#failures < PATIENCE) this.#pushes.leave()
    else this.#isApart = true
  }

  #onFailed(thrown: unknown): void {
    // A connection that broke is made anew, and then this is tried again.
    if (this.#closed || !isReply(thrown)) return
    if (UNKNOWN_CLIENT.test(thrown.message)) this.#onApart(thrown)
    else this.#fail(thrown, kindOf(thrown) !== 'passing')
  }

  #fail(error: Error, refused: boolean): void {
    this.#switchOff()
    this.#tellLapse()
    this.#remembered = false
    this.#failures += 1
    const pause = Math.min(FIRST_RETRY * 2 ** Math.min(this.#failures - 1, 10), LONGEST_RETRY)
    this.#retryAt = this.#clock.now() + (refused ? REFUSED_FOR : pause)
    if (this.#failureTold || !(refused || this.#failures >= PATIENCE)) return
    this.#failureTold = true
    const message = `The server ${refused ? 'refuses to' : 'does not'} tell of changes, so callers that wait poll and losses are noticed at the next renewal: ${error.message}`
    this.#listener.onError(new UnavailableError(message, undefined, { cause: error }))
  }

  #retry(): void {
    this.#retryAt = Number.POSITIVE_INFINITY
    if (this.#isApart) {
      this.#isApart = false
      this.#pushes.leave()
    } else if (this.#id === undefined && this.#pushes.usable) void this.#subscribe()
    else void this.#switchOn()
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
