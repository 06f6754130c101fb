/**
 * The one timer of a manager: a wheel, and a timer of the clock for the wheel's next occupied slot. With an empty wheel there
 * is no timer.
 */
import type { Clock, Timer } from './clock.ts'
import { TimerWheel } from '../structures/timer-wheel.ts'

/** ms. A timer that fires this much too late means that the event loop was blocked. */
const LATE = 50

/** ms of work on due items before the event loop has a turn. */
const LONGEST_STRETCH = 4

/** The facts of one tick. */
export interface Tick {
  readonly now: number
  /**
   * The event loop was blocked before this tick, and a socket may contain unread answers. Code that gives up on an answer
   * should let Node read the sockets first. It may do so only once, because every turn of the event loop may be late.
   * Deadlines do not wait for that.
   */
  readonly late: boolean
}

/** A callback that is planned once. */
export interface Alarm {
  cancel(): void
}

/** Plans alarms. */
export interface Alarms {
  /**
   * Calls back once, no earlier than `delay` ms from now and, the event loop permitting, at most a tick later. If the event loop was blocked, Node
   * reads the sockets first, once: an unread answer comes before the alarm that gives up on it.
   */
  after(delay: number, callback: (tick: Tick) => void): Alarm
}

class Sleeper implements Alarm {
  readonly #scheduler: { remove(id: number): void; afterReading(callback: (tick: Tick) => void): void }
  readonly #callback: (tick: Tick) => void
  /** It rings at its time, even if the sockets have not been read. */
  readonly #exact: boolean
  id = -1
  #over = false

  constructor(
    scheduler: { remove(id: number): void; afterReading(callback: (tick: Tick) => void): void },
    callback: (tick: Tick) => void,
    exact: boolean,
  ) {
    this.#scheduler = scheduler
    this.#callback = callback
    this.#exact = exact
  }

  ring(tick: Tick): void {
    if (tick.late && !this.#exact) this.#scheduler.afterReading((later) => this.#ring(later))
    else this.#ring(tick)
  }

  #ring(tick: Tick): void {
    // Another item of the same tick, or an answer read meanwhile, may have cancelled it.
    if (this.#over) return
    this.cancel()
    this.#callback(tick)
  }

  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#scheduler.remove(this.id)
  }
}

export interface SchedulerHandler<T> {
  /**
   * An item is due. The call is at most one tick early. Only a busy event loop and the work of other due items make it late. The item may have been
   * scheduled anew meanwhile.
   */
  onDue(item: T, tick: Tick): void
  /** All due items were handled. */
  onTickEnd(): void
  /** One of these methods, or an alarm, threw. */
  onFault(fault: unknown): void
}

export class Scheduler<T extends object> implements Alarms {
  readonly #clock: Clock
  readonly #handler: SchedulerHandler<T>
  readonly #wheel: TimerWheel<T | Sleeper>
  #timer: Timer | undefined
  #unreferenced = false
  /** Callbacks that wait for a turn of their own. */
  #deferred = 0
  /** Whether a check is planned that cancels an idle timer. */
  #disarming = false
  /** Whether anything was scheduled since the last check. */
  #busy = false
  /** The slot that the timer is armed for. */
  #armedFor = Number.POSITIVE_INFINITY
  /** When the timer should fire: at that slot, or at once if the slot is in the past. */
  #expectedAt = Number.POSITIVE_INFINITY

  constructor(clock: Clock, handler: SchedulerHandler<T>) {
    this.#clock = clock
    this.#handler = handler
    this.#wheel = new TimerWheel(clock.now())
  }

  /** The precision: an item is due at most this many ms early. */
  get tick(): number {
    return this.#wheel.tick
  }

  /** Timers armed at this moment: 0 or 1. */
  get timers(): number {
    return this.#timer === undefined ? 0 : 1
  }

  /** Registers an item; see `TimerWheel`. */
  add(item: T): number {
    return this.#wheel.add(item)
  }

  /** The time for which an item was last scheduled. */
  dueOf(id: number): number {
    return this.#wheel.dueOf(id)
  }

  /** Whether the item is scheduled. */
  isScheduled(id: number): boolean {
    return this.#wheel.isScheduled(id)
  }

  schedule(id: number, due: number): void {
    this.#wheel.schedule(id, due)
    this.#busy = true
    if (due < this.#armedFor) this.#arm()
    else this.#disarmIfIdle()
  }

  /** Takes an item out of the wheel without forgetting it. */
  cancel(id: number): void {
    this.#wheel.cancel(id)
    this.#disarmIfIdle()
  }

  remove(id: number): void {
    this.#wheel.remove(id)
    this.#disarmIfIdle()
  }

  after(delay: number, callback: (tick: Tick) => void): Alarm {
    return this.#sleep(this.#clock.now() + delay, callback, false)
  }

  /**
   * Calls back once, no earlier than `time` (ms on the clock) and, the event loop permitting, at most a tick later. Unlike `after` it does not let
   * Node read the sockets first.
   */
  at(time: number, callback: (tick: Tick) => void): Alarm {
    return this.#sleep(time, callback, true)
  }

  /** Calls back once Node has read all sockets. Until then there is a timer. */
  afterReading(callback: (tick: Tick) => void): void {
    this.#deferred += 1
    this.#arm()
    this.soon(() => {
      this.#deferred -= 1
      this.#disarmIfIdle()
      callback({ now: this.#clock.now(), late: false })
    })
  }

  /** As `soon` of the clock. If the callback throws, the handler gets the fault. */
  soon(callback: () => void): void {
    this.#clock.soon(() => {
      if (this.#isClosed) return
      try {
        callback()
      } catch (fault) {
        this.#handler.onFault(fault)
      }
    })
  }

  #sleep(time: number, callback: (tick: Tick) => void, exact: boolean): Alarm {
    const sleeper = new Sleeper(this, callback, exact)
    sleeper.id = this.#wheel.add(sleeper)
    this.schedule(sleeper.id, time + this.tick)
    return sleeper
  }

  /** From now on the timer does not keep the process alive. */
  unref(): void {
    this.#unreferenced = true
    this.#timer?.unref?.()
  }

  /** Cancels the timer. Items that are still registered never become due. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.NEGATIVE_INFINITY
  }

  get #isClosed(): boolean {
    return this.#armedFor === Number.NEGATIVE_INFINITY
  }

  readonly #onTimer = (): void => {
    const now = this.#clock.now()
    const tick = { now, late: now - this.#expectedAt > LATE }
    const due = this.#wheel.advance(now)
    // Armed again before any work: a throw below cannot stop the wheel.
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#arm()
    this.#tell(due, 0, tick)
  }

  #tell(due: readonly (T | Sleeper)[], start: number, tick: Tick): void {
    const stopAt = this.#clock.now() + LONGEST_STRETCH
    for (let index = start; index < due.length; index += 1) {
      const item = due[index] as T | Sleeper
      try {
        if (item instanceof Sleeper) item.ring(tick)
        else this.#handler.onDue(item, tick)
      } catch (fault) {
        this.#handler.onFault(fault)
      }
      if (index + 1 < due.length && this.#clock.now() >= stopAt) {
        this.#deferred += 1
        this.#arm()
        this.soon(() => this.#goOn(due, index + 1, tick))
        break
      }
    }
    try {
      this.#handler.onTickEnd()
    } catch (fault) {
      this.#handler.onFault(fault)
    }
  }

  #goOn(due: readonly (T | Sleeper)[], start: number, { late }: Tick): void {
    this.#deferred -= 1
    this.#disarmIfIdle()
    this.#tell(due, start, { now: this.#clock.now(), late })
  }

  #arm(): void {
    // While callbacks wait for a turn, there is a timer in any case.
    const next = this.#wheel.nextDue() ?? (this.#deferred > 0 ? this.#clock.now() + this.tick : undefined)
    if (next === undefined || next >= this.#armedFor) return
    this.#armedFor = next
    for (;;) {
      this.#timer?.cancel()
      const now = this.#clock.now()
      this.#expectedAt = Math.max(next, now)
      this.#timer = this.#clock.setTimer(this.#onTimer, this.#expectedAt - now)
      if (this.#unreferenced) this.#timer.unref?.()
      // If the process was stopped in between, the timer would fire too late by that time: set it again.
      if (this.#clock.now() - now < this.tick) return
    }
  }

  #isIdle(): boolean {
    return this.#timer !== undefined && this.#wheel.size === 0 && this.#deferred === 0
  }

  /**
   * Waits for a whole turn in which nothing is scheduled: what a turn asks for is sent at its end, and sets an alarm. Otherwise a caller that takes
   * one lock after another, or a lock that goes from hand to hand, would set and cancel a timer at each step.
   */
  #disarmIfIdle(): void {
    if (this.#disarming || !this.#isIdle()) return
    this.#disarming = true
    this.#clock.soon(this.#disarm)
  }

  readonly #disarm = (): void => {
    if (this.#isIdle() && this.#busy) {
      this.#busy = false
      this.#clock.soon(this.#disarm)
      return
    }
    this.#disarming = false
    if (!this.#isIdle()) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }
}
