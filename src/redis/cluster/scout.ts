/** Asks a node for the map on a connection that is made for that: a node that serves no slots, or is not known yet. */
import type { Redis } from 'ioredis'
import type { BackendSettings } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { type Clock, SystemClock } from '../../time/clock.ts'
import { Connection } from '../connection.ts'
import { isReply } from '../reply-fault.ts'
import { type ClusterSource, nameOf } from './cluster-source.ts'
import { type Address, readSlots, type SlotRange } from './slots-reply.ts'

/** ms that the connection and the answer may take together; at least twice the timeout of a request. */
const PATIENCE = 1_000

class Scout {
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

/** The scouts that are on their way. */
export class Scouts {
  readonly #source: ClusterSource
  readonly #settings: BackendSettings
  readonly #underWay = new Set<Scout>()
  #referenced = true
  #closed = false

  constructor(source: ClusterSource, settings: BackendSettings) {
    this.#source = source
    this.#settings = settings
  }

  /** Asks a node that we have no connection to. @throws an error that names it. */
  async ask(address: Address): Promise<readonly SlotRange[]> {
    if (this.#closed) throw new UnavailableError('The connection to Redis is closed')
    const scout = new Scout(this.#source.model(address), this.#settings)
    if (!this.#referenced) scout.unref()
    this.#underWay.add(scout)
    try {
      return readSlots(await scout.ask(), address.host)
    } catch (cause) {
      const { message } = cause as Error
      throw new UnavailableError(`node ${nameOf(address)}: ${message}`, undefined, isReply(cause) ? {} : { cause })
    } finally {
      this.#underWay.delete(scout)
    }
  }

  unref(): void {
    this.#referenced = false
    for (const scout of this.#underWay) scout.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#underWay].map((scout) => scout.close()))
  }
}
