/**
 * The connections of a manager: one for the locks, one for the notifications, one that waits for replicas, and those to the Sentinels.
 */
import type { Redis } from 'ioredis'
import type { BackendListener, BackendSettings } from '../backend.ts'
import { type Clock, nextTurn, SystemClock } from '../time/clock.ts'
import { Connection } from './connection.ts'
import type { ConnectionParts } from './connection-options.ts'
import { Replicas } from './replicas.ts'
import { SentinelWatch } from './sentinel-watch.ts'
import { readServerInfo, type ServerMode } from './server-info.ts'
import { Tracking } from './tracking.ts'

/** ms between two checks of the server's run id while requests are sent: a proxy may switch the server silently. */
const CHECK_EVERY = 5_000
/**
 * ms of silence. After it the process may have been paused while the Sentinels named another server. So their messages are read before the next
 * request, or the old server would grant locks once more.
 */
const READ_FIRST_AFTER = 100

export class ConnectionPair {
  readonly commands: Connection
  /** Undefined if watching is off. */
  readonly tracking: Tracking | undefined
  /** Undefined if no replica has to acknowledge anything. */
  readonly replicas: Replicas | undefined
  readonly #sentinels: SentinelWatch | undefined
  readonly #clock: Clock
  #checkedAt: number
  #askedAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  /** Connects at once. */
  constructor(source: Redis | string, settings: BackendSettings, listener: BackendListener, mode?: ServerMode) {
    const { clock = new SystemClock(), timeout, credentials, owner, prefix, watch, replicas = 0 } = settings
    const parts: ConnectionParts = { source, clock, timeout, credentials, owner, mode }
    this.#clock = clock
    this.#checkedAt = clock.now()
    const commands = new Connection(parts)
    this.commands = commands
    commands.on('unusable', () => listener.onDisconnected?.(commands.fault))
    commands.on('usable', (arrival) => {
      listener.onConnected?.()
      if (arrival === 'same') listener.onRecovered()
      else if (arrival === 'other') listener.onSuspect()
    })
    commands.on('fault', (error) => listener.onError(error))
    this.tracking = watch ? new Tracking(parts, commands, commands.keyPrefix + prefix, listener) : undefined
    this.replicas = replicas > 0 ? new Replicas(parts, commands, replicas, listener) : undefined
    this.#sentinels = SentinelWatch.of(commands.client.options, timeout, (address) => {
      commands.follow(address)
      this.tracking?.follow(address)
      this.replicas?.follow(address)
    })
    commands.start()
  }

  /** Why requests are not answered, if that is known. */
  get fault(): Error | undefined {
    return this.commands.fault ?? this.replicas?.fault
  }

  /** A request is about to be sent: runs the checks that are due. @returns a promise to await before the request, if needed; it rejects if there is then no connection. */
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

  /** Leaves the connection if its server is another one by now: a proxy may have switched it silently. */
  async #checkServer(): Promise<void> {
    const { client, runId } = this.commands
    const { stream } = client
    if (runId === undefined) return
    try {
      const { runId: present } = readServerInfo(await client.info('server'))
      if (present !== undefined && present !== runId && stream === client.stream) this.commands.leave()
    } catch {
      // The next request shows what is wrong.
    }
  }

  /** Waits for a whole turn of the event loop, which reads everything that has arrived so far. */
  async #readFirst(): Promise<void> {
    await nextTurn(this.#clock)
    await nextTurn(this.#clock)
    this.#reading = undefined
    // A Sentinel's message may have made us leave the connection.
    await this.commands.ready()
  }

  /** From now on the connections do not keep the process alive. */
  unref(): void {
    for (const part of [this.commands, this.tracking, this.replicas, this.#sentinels]) part?.unref()
  }

  async close(): Promise<void> {
    this.#sentinels?.close()
    await Promise.all([this.commands.close(), this.tracking?.close(), this.replicas?.close()])
  }
}
