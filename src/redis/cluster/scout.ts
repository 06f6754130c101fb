/** Asks a node for the map on a connection that is made for that: a node that serves no slots, or is not known yet. */
import type { Redis } from 'ioredis'
import type { BackendSettings } from '../../backend.ts'
import { type Clock, SystemClock } from '../../time/clock.ts'
import { Connection } from '../connection.ts'

/** ms that the connection and the answer may take together; at least twice the timeout of a request. */
const PATIENCE = 1_000

export class Scout {
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #patience: number

  constructor(model: Redis, { clock = new SystemClock(), timeout, credentials }: BackendSettings) {
    this.#clock = clock
    this.#patience = Math.max(2 * timeout, PATIENCE)
    this.#connection = new Connection({ source: model, clock, timeout, credentials, role: 'map', mode: 'node' })
    // Whoever asks is told.
    this.#connection.on('fault', () => undefined)
  }

  /** @returns the answer to CLUSTER SLOTS. The connection ends with it. */
  async ask(): Promise<unknown> {
    const connection = this.#connection
    const timer = this.#clock.setTimer(() => void connection.close(), this.#patience)
    try {
      // The first connection may need more than one attempt.
      await connection.ready()
      return await connection.client.call('CLUSTER', 'SLOTS')
    } catch (error) {
      throw connection.explain(error)
    } finally {
      timer.cancel()
      await this.close()
    }
  }

  unref(): void {
    this.#connection.unref()
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}
