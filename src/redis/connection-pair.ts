/**
 * The connections of a manager: the one that locks are asked for on, the one on which changes are told, and those to the Sentinels.
 */
import type { Redis } from 'ioredis'
import type { BackendListener, BackendSettings } from '../backend.ts'
import { type Clock, nextTurn, SystemClock } from '../time/clock.ts'
import { Connection, type ConnectionParts } from './connection.ts'
import { SentinelWatch } from './sentinel-watch.ts'
import { readServerInfo } from './server-info.ts'
import { Tracking } from './tracking.ts'

/** While something is asked, every so many ms it is looked at whether the server is still the same: a proxy may lead to another one unsaid. */
const CHECK_EVERY = 5_000
/**
 * ms. Whoever asks after such a silence may do so in a process that was stopped, or whose event loop was blocked, while the Sentinels named another server:
 * what they said is read first, or the old server would grant locks once more.
 */
const READ_FIRST_AFTER = 100

export class ConnectionPair {
  readonly commands: Connection
  /** None where nothing is to be watched. */
  readonly tracking: Tracking | undefined
  readonly #sentinels: SentinelWatch | undefined
  readonly #clock: Clock
  #checkedAt: number
  #askedAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  /** Connects at once. */
  constructor(source: Redis | string, settings: BackendSettings, listener: BackendListener) {
    const { clock = new SystemClock(), timeout, credentials, prefix, watch } = settings
    const parts: ConnectionParts = { source, clock, timeout, credentials }
    this.#clock = clock
    this.#checkedAt = clock.now()
    const commands = new Connection(parts)
    this.commands = commands
    commands.on('usable', (arrival) => {
      if (arrival === 'same') listener.onRecovered()
      else if (arrival === 'other') listener.onSuspect()
    })
    commands.on('fault', (error) => listener.onError(error))
    this.tracking = watch ? new Tracking(parts, commands, commands.keyPrefix + prefix, listener) : undefined
    this.#sentinels = SentinelWatch.of(commands.client.options, timeout, (address) => {
      commands.follow(address)
      this.tracking?.follow(address)
    })
    commands.start()
  }

  /** Something is about to be asked: time to see whether all is well. @returns what is to be waited for before that, if anything is: it rejects if there is no connection then. */
  onAsked(): Promise<void> | undefined {
    const now = this.#clock.now()
    if (this.#sentinels && now >= this.#askedAt + READ_FIRST_AFTER) this.#reading ??= this.#readFirst()
    this.#askedAt = now
    this.tracking?.onAsked(now)
    if (now >= this.#checkedAt + CHECK_EVERY) {
      this.#checkedAt = now
      void this.#checkServer()
    }
    return this.#reading
  }

  /** Whether the server is still the one that it was when the connection was made: a proxy may have changed it unsaid. */
  async #checkServer(): Promise<void> {
    const { client, runId } = this.commands
    const { stream } = client
    if (runId === undefined) return
    try {
      const { runId: present } = readServerInfo(await client.info('server'))
      if (present !== undefined && present !== runId && stream === client.stream) this.commands.leave()
    } catch {
      // What is wrong shows at the next request.
    }
  }

  /** A whole turn of the event loop, in which all is read that has come so far. */
  async #readFirst(): Promise<void> {
    await nextTurn(this.#clock)
    await nextTurn(this.#clock)
    this.#reading = undefined
    // It may have been left because of that.
    await this.commands.ready()
  }

  /** These do not keep the process alive any more. */
  unref(): void {
    for (const part of [this.commands, this.tracking, this.#sentinels]) part?.unref()
  }

  async close(): Promise<void> {
    this.#sentinels?.close()
    await Promise.all([this.commands.close(), this.tracking?.close()])
  }
}
