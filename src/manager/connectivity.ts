/** Whether the backend can be asked, and the events that tell about a change of that. */
import type { Backend } from '../backend.ts'
import type { Subscribers } from '../lease/lease-table.ts'
import type { ConnectionState, Tally } from '../stats.ts'
import type { Clock } from '../time/clock.ts'

export interface ConnectivityParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly tally: Tally
  readonly subscribers: Subscribers
  readonly scheduler: { soon(callback: () => void): void }
}

export class Connectivity {
  readonly #parts: ConnectivityParts
  #state: Exclude<ConnectionState, 'closed'>
  /** Since when it is in this state, in ms on the clock. */
  #since: number
  #closed = false
  #ended = false

  constructor(parts: ConnectivityParts) {
    this.#parts = parts
    // A backend that does not say whether it is connected always is.
    this.#state = (parts.backend.connected ?? true) ? 'connected' : 'connecting'
    this.#since = parts.clock.now()
  }

  get state(): ConnectionState {
    return this.#closed ? 'closed' : this.#state
  }

  onConnected(): void {
    if (this.#state === 'connected' || this.#ended) return
    const after = this.#parts.clock.now() - this.#since
    this.#become('connected')
    this.#tell('connected', { after })
  }

  /** @param error why, if that is known. */
  onDisconnected(error: Error | undefined): void {
    if (this.#state !== 'connected' || this.#ended) return
    this.#become('disconnected')
    this.#parts.tally.disconnections += 1
    this.#tell('disconnected', { error })
  }

  /** `close` has been called. The manager still needs its connection for a while. */
  close(): void {
    this.#closed = true
  }

  /** The closing manager ends its connection: that is no fault. */
  end(): void {
    this.#ended = true
  }

  #become(state: 'connected' | 'disconnected'): void {
    this.#state = state
    this.#since = this.#parts.clock.now()
  }

  /** In a turn of its own: the connection is at work. */
  #tell: Subscribers['emit'] = (event, payload) => {
    const { scheduler, subscribers } = this.#parts
    scheduler.soon(() => subscribers.emit(event, payload))
  }
}
