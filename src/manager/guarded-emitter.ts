/** An event emitter on which no listener can harm another. */
import { EventEmitter } from 'eventemitter3'
import { asError, isError } from '../as-error.ts'
import type { LeaseEvents } from '../lease/events.ts'

export type LeaseEventName = keyof LeaseEvents
/** What an event calls: a function of its payload. */
export type LeaseListener<E extends LeaseEventName> = EventEmitter.EventListener<LeaseEvents, E>
type AnyListener = (...values: never[]) => unknown

/**
 * Guards each listener: if one throws or rejects, the manager emits the fault as `error`, and the others still run. If nobody
 * listens to `error`, or an `error` listener itself fails, each such fault becomes a process warning. So a listener's fault is
 * never silent and never fatal. For faults of a connection see `reportFault`.
 */
export class GuardedEmitter extends EventEmitter<LeaseEvents> {
  /** Map a listener to its guard and back, so that `off` and `listeners` work with what the caller passed. */
  readonly #guards = new WeakMap<AnyListener, AnyListener>()
  readonly #listeners = new WeakMap<AnyListener, AnyListener>()
  /** Whether the warning about a missing `error` listener was given. */
  #warned = false

  override on<E extends LeaseEventName>(event: E, listener: LeaseListener<E>, context?: unknown): this {
    return super.on(event, this.#guard(listener), context)
  }

  override addListener<E extends LeaseEventName>(event: E, listener: LeaseListener<E>, context?: unknown): this {
    return this.on(event, listener, context)
  }

  override once<E extends LeaseEventName>(event: E, listener: LeaseListener<E>, context?: unknown): this {
    return super.once(event, this.#guard(listener), context)
  }

  override off<E extends LeaseEventName>(
    event: E,
    listener?: LeaseListener<E>,
    context?: unknown,
    once?: boolean,
  ): this {
    // A function that was never registered has no guard and matches nothing; `undefined` would remove every listener.
    const guard = listener && ((this.#guards.get(listener) ?? listener) as LeaseListener<E>)
    return super.off(event, guard, context, once)
  }

  override removeListener<E extends LeaseEventName>(
    event: E,
    listener?: LeaseListener<E>,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.off(event, listener, context, once)
  }

  override listeners<E extends LeaseEventName>(event: E): LeaseListener<E>[] {
    return super.listeners(event).map((guard) => this.#listeners.get(guard) as LeaseListener<E>)
  }

  /** Emits `error`; if nobody listens to it, each fault becomes a process warning. @internal */
  protected report(fault: unknown): void {
    const error = asError(fault)
    if (!this.emit('error', error)) process.emitWarning(error)
  }

  /**
   * Emits `error` for a fault of a connection; if nobody listens, the first one per manager becomes a process warning (LEASEWHEEL_UNHEARD_ERROR).
   * Such faults may come often, and calls and leases report them as well.
   *
   * @internal
   */
  protected reportFault(error: Error): void {
    if (this.emit('error', error) || this.#warned) return
    this.#warned = true
    process.emitWarning(`A LeaseManager has a fault and no listener for its event \`error\`: ${error.message}`, {
      code: 'LEASEWHEEL_UNHEARD_ERROR',
      detail: "Add one: leases.on('error', ...). This manager warns only once.",
    })
  }

  /** Wraps a user's callback, and reports what it throws. @internal */
  protected guardCallback<T>(callback: ((value: T) => void) | undefined): ((value: T) => void) | undefined {
    if (callback === undefined) return undefined
    return (value) => {
      try {
        callback(value)
      } catch (fault) {
        this.report(fault)
      }
    }
  }

  #guard<E extends LeaseEventName>(listener: LeaseListener<E>): LeaseListener<E> {
    if (typeof listener !== 'function') {
      throw new TypeError(`Expected \`listener\` to be a function, got \`${String(listener)}\` (${typeof listener})`)
    }
    const known = this.#guards.get(listener)
    if (known) return known as LeaseListener<E>
    const emitter = this
    function guard(this: unknown, ...values: EventEmitter.EventArgs<LeaseEvents, E>): void {
      const fail = (fault: unknown): void => {
        if (isError(values[0])) process.emitWarning(asError(fault))
        else emitter.report(fault)
      }
      try {
        const result: unknown = Reflect.apply(listener, this, values)
        if (isThenable(result)) result.then(undefined, fail)
      } catch (fault) {
        fail(fault)
      }
    }
    this.#guards.set(listener, guard)
    this.#listeners.set(guard, listener)
    return guard
  }
}

/** Checks the shape: a promise may come from another realm, or from a library. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
