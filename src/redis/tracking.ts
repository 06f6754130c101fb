/**
 * Reports changes of keys, whoever makes them. The server remembers which keys the first connection, that of the locks, has
 * read. On a second connection it names each of them that changes.
 *
 * (Redis, "Client-side caching reference": tracking in the opt-in mode with redirection. The server names a key once; a script
 * has to read it again for the next notification. The server does not report changes by the first connection itself: NOLOOP.)
 *
 *     off ──both connections lead to one server, and it agrees──▶ on (a new period; anything may have changed before it: `onChange()`)
 *     on  ──the first connection breaks──▶ off: the server forgets what it was to remember
 *     on  ──the second connection breaks──▶ off (`onUnwatched()`); once it is back, watched keys still are (`onMissed()`)
 *     off ──the server refuses──▶ off (reported once: `onError`), and tried again after a while
 *
 * The second connection is made after the first, and given up while the first cannot be made: if a server has room for one client only, locks
 * come first.
 */
import { randomUUID } from 'node:crypto'
import type { BackendListener } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { UnavailableError } from '../errors.ts'
import { Connection } from './connection.ts'
import type { ConnectionParts } from './connection-options.ts'
import type { Arrival } from './connection-events.ts'
import { encode } from './encoded-command.ts'
import { isReply, kindOf } from './reply-fault.ts'
import { type AwaitedReply, AwaitedSuccess, type Lead } from './reply-group.ts'

/** The channel on which a server names changed keys in RESP2. */
const CHANNEL = '__redis__:invalidate'

/** The number of keys that a server remembers by default. */
const USUAL_ROOM = 1_000_000
/** The largest number of watched keys between two checks of the room that is left. */
const LOOK_AFTER = 1_024

/** Failures in a row before an `error`, if they are not refusals. */
const PATIENCE = 5
/** ms until the next attempt after a failure; the pause doubles each time. */
const FIRST_RETRY = 500
const LONGEST_RETRY = 30_000
/** ms until the next attempt after a refusal. */
const REFUSED_FOR = 180_000

/** ms between two pings on the second connection while requests are sent: proxies close silent connections. */
const PING_EVERY = 1_000

/** The server's reply about a connection that it has lost, or never had. */
const UNKNOWN_CLIENT = /client ID .* does not exist/
const APART = new UnavailableError('the two connections of this manager lead to different servers')

export const CACHING_YES: Buffer = encode('*3', [{ texts: ['client', 'caching', 'yes'] }])

export class Tracking {
  readonly #commands: Connection
  readonly #pushes: Connection
  readonly #prefix: string
  readonly #listener: BackendListener
  readonly #clock: Clock
  readonly #caching: Lead = { wire: CACHING_YES, awaited: () => this.awaitCaching() }
  /** A unique name for the second connection, used if the server does not report its run id. */
  readonly #name: string
  /** The server's id of the second connection; undefined while that is not subscribed. */
  #id: number | undefined
  #period: number | undefined
  #periods = 0
  /** Callers still believe that their keys are watched, and they are not. */
  #lapsed = false
  /** The server still remembers the watched keys, although it could not notify us for a while. */
  #remembered = false
  /** How many keys the server can remember, for all its clients together. */
  #room = USUAL_ROOM
  /** Keys watched since the last check of the room. */
  #unchecked = 0
  #checking = false
  /** Failures in a row, and when the next attempt is due. */
  #failures = 0
  #retryAt = Number.POSITIVE_INFINITY
  #failureTold = false
  /** The next attempt first makes the second connection anew. */
  #isApart = false
  #pingedAt = Number.NEGATIVE_INFINITY
  #paused = false
  #closed = false

  /** @param prefix precedes every key of this manager. */
  constructor(parts: ConnectionParts, commands: Connection, prefix: string, listener: BackendListener) {
    this.#commands = commands
    this.#prefix = prefix
    this.#listener = listener
    this.#clock = parts.clock
    // The names of changed keys come as RESP2 messages: ioredis passes on no other pushes.
    const options = { protocol: 2, autoResubscribe: false } as const
    this.#pushes = new Connection({ ...parts, role: 'watch', options })
    this.#name = `${this.#pushes.client.options.connectionName}:${randomUUID()}`
    this.#pushes.client.on('messageBuffer', (_channel: unknown, keys: unknown) => this.#onMessage(keys))
    this.#pushes.on('usable', () => void this.#subscribe())
    this.#pushes.on('unusable', () => this.#onPushesGone())
    // If the connection of the locks has failed, too, only that fault is reported.
    this.#pushes.on('fault', (error) => {
      if (!commands.usable) this.#pushes.forgetFault(error)
      else if (!this.#closed) listener.onError(error)
    })
    commands.on('usable', (arrival) => this.#onCommandsUsable(arrival))
    commands.on('unusable', () => this.#switchOff())
    commands.on('failed', () => this.#pushes.stop())
  }

  /** Whether tracking is on. */
  get active(): boolean {
    return this.#period !== undefined
  }

  /** The number of the current period of tracking; undefined while it is off. Within a period the server forgets no key without a notification. */
  get period(): number | undefined {
    return this.#period
  }

  /** Makes the server watch the keys that the very next command reads. */
  get lead(): Lead | undefined {
    return this.active ? this.#caching : undefined
  }

  /** A request is about to be sent: pings, and retries if that is due. @param now ms on the clock. */
  onAsked(now: number): void {
    if (now >= this.#retryAt) this.#retry()
    if (this.active && now >= this.#pingedAt + PING_EVERY) {
      this.#pingedAt = now
      // The answer does not matter, and the ACL may deny the command.
      this.#pushes.client.ping().catch(() => undefined)
    }
  }

  /**
   * The server watches `count` more keys. If it has no room left, it forgets others, and does not report those that our own commands made it
   * forget (Redis 7). So we check its room from time to time.
   */
  onWatched(count: number): void {
    if (!this.active) return
    this.#unchecked += count
    if (this.#checking || this.#unchecked < Math.min(LOOK_AFTER, this.#room / 100)) return
    this.#unchecked = 0
    void this.#checkRoom()
  }

  /**
   * Whatever changes on this server concerns nobody for now. The second connection is given up, because reading what it says takes time: a master
   * that has become a replica names each key that is renewed at the new master.
   */
  pause(): void {
    this.#paused = true
    this.#pushes.stop()
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Ends a pause. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#pushes.start()
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
    // The second connection still leads to the old server, which changes nothing any more.
    if (arrival === 'other') this.#pushes.leave()
    if (!this.#paused) this.#pushes.start()
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
        // If they lead to different servers, the first one is right: it has the locks.
        if (period === this.#periods) this.#onApart(APART)
        return
      }
      await this.#commands.client.client('TRACKING', 'ON', 'REDIRECT', id, 'OPTIN', 'NOLOOP')
      // An ACL may allow the one command and deny the other.
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
   * Whether both connections lead to one server. A server accepts redirection to any client with this id, and every server has ids of its own. If
   * the server does not report its run id, we check whether the client with this id has our name.
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
      // The ACL denies the command, or the server is gone, which others notice.
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
      // After a broken connection everything is checked anyway.
    } finally {
      this.#checking = false
    }
  }

  /** What awaits the answer to `CACHING_YES`, if another sends it. */
  awaitCaching(): AwaitedReply {
    return new AwaitedSuccess('client', (error) => this.#onFailed(error))
  }

  #switchOff(): void {
    this.#periods += 1
    if (this.active) this.#lapsed = true
    this.#period = undefined
  }

  #onPushesGone(): void {
    this.#id = undefined
    this.#switchOff()
    // If the first connection has broken, too, the next request notices that, and its recovery reports the lapse.
    if (this.#commands.usable) this.#tellLapse()
  }

  /** The second connection leads to another server than the first: makes it anew. */
  #onApart(error: Error): void {
    this.#fail(error, false)
    // After several failures it is made anew only at the next attempt.
    if (this.#failures < PATIENCE) this.#pushes.leave()
    else this.#isApart = true
  }

  #onFailed(thrown: unknown): void {
    // After a broken connection tracking is tried again anyway.
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
    const message = `The server ${refused ? 'refuses to' : 'does not'} tell of changes, so waiters poll, and holders notice losses at the next renewal: ${error.message}`
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

  /** @param keys a list of names, or null if all keys were deleted. */
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
