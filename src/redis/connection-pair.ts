/**
 * The connections of a manager: the one that locks are asked for on, the one on which changes are told, and those to the Sentinels.
 */
import type { Redis } from 'ioredis'
import type { BackendListener, BackendSettings } from '../backend.ts'
import { type Clock, SystemClock } from '../clock.ts'
import { Connection, type ConnectionParts } from './connection.ts'
import { SentinelWatch } from './sentinel-watch.ts'
import { Tracking } from './tracking.ts'

/** While something is asked, every so many ms it is looked at whether the server is still the same: a proxy may lead to another one unsaid. */
const CHECK_EVERY = 5_000

export class ConnectionPair {
  readonly commands: Connection
  /** None where nothing is to be watched. */
  readonly tracking: Tracking | undefined
  readonly #sentinels: SentinelWatch | undefined
  readonly #clock: Clock
  #checkedAt: number

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

  /** Something is being asked: time to see whether all is well. */
  onAsked(): void {
    const now = this.#clock.now()
    this.tracking?.onAsked(now)
    if (now < this.#checkedAt + CHECK_EVERY) return
    this.#checkedAt = now
    void this.commands.checkServer()
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
