/** Time. The only file of the project that reads a clock or sets a timer. */
import { uptime } from 'node:os'
import { setImmediate as originalImmediate } from 'node:timers'
import { MessageChannel } from 'node:worker_threads'

/** Kept: what a module of Node exports is replaced as well, by some fake timers, and everywhere where it was imported. */
const endOfTurn = originalImmediate

/** A timer that has been set and not yet fired. */
export interface Timer {
  /** Takes the timer back; does nothing once it has fired. */
  cancel(): void
  /** From now on the timer does not keep the process alive. Without this method it does, or never did. */
  unref?(): void
}

/** What a `LeaseManager` needs of time. Pass your own in tests; `ManualClock` of `leasewheel/memory` is one. */
export interface Clock {
  /** Milliseconds since some fixed moment. Never goes back, and counts the time in which the machine was suspended. */
  now(): number
  /** Calls `callback` once, no earlier than `delay` ms from now. */
  setTimer(callback: () => void, delay: number): Timer
  /** Calls `callback` once the current turn of the event loop has done its work. */
  soon(callback: () => void): void
}

/** Resolves once the current turn of the event loop has done its work. */
export function nextTurn(clock: Pick<Clock, 'soon'>): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve))
}

/** The three clocks of a machine, in ms, each from a start of its own. */
export interface TimeSources {
  /** Even, never set, but stands still while the machine sleeps. */
  readonly monotonic: () => number
  /** Goes on while the machine sleeps, but is set by people and daemons. */
  readonly wall: () => number
  /** Time since boot with sleep included; dear to ask, and coarse (10 ms on Linux, up to a second elsewhere). */
  readonly boot: () => number
}

/** How a machine calls back. */
export interface TimerSource {
  /** Calls `callback` once, after `delay` ms of the monotonic clock: an integer >= 0. */
  sleep(callback: () => void, delay: number): Timer
  /** Calls `callback` once the current turn of the event loop has done its work. */
  soon(callback: () => void): void
}

const SYSTEM_SOURCES: TimeSources = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  boot: () => uptime() * 1_000,
}

const SYSTEM_TIMERS: TimerSource = {
  sleep(callback, delay) {
    const handle = setTimeout(callback, delay)
    return { cancel: () => clearTimeout(handle), unref: () => void handle.unref() }
  },
  soon: (callback) => void setImmediate(callback),
}

/** How far the monotonic and the wall clock may part before the boot-time clock is asked which of them is right, in ms. */
const TOLERANCE = 250
/** The boot-time clock is asked after so many ms of the monotonic clock, too: less than a thousandth of that is spent on it. */
const BOOT_INTERVAL = 10
/** All that some systems tell of the time since boot is whole seconds, in ms. */
const COARSEST_BOOT = 1_000
/** Node's timers stand still with the monotonic clock: no sleep is longer than this (ms), so that the end of a suspend is noticed. */
const LONGEST_SLEEP = 1_000

/**
 * The clock of the machine, suspend-aware: `now()` is the monotonic clock plus all the time the machine was found to have
 * slept. Whenever the wall clock and the monotonic clock part by more than a quarter second, the boot-time clock decides:
 * what it has gained on the monotonic clock was a suspend and counts as elapsed, the rest was a step of the wall clock
 * and does not. A step back may hide a suspend of the same length: so the boot-time clock is also asked every 10 ms.
 */
export class SystemClock implements Clock {
  readonly #sources: TimeSources
  readonly #timers: TimerSource
  /** Wall minus monotonic, and boot minus monotonic, when they were last compared. */
  #wallOffset: number
  #bootOffset: number
  /** When the boot-time clock is to be asked next, by the monotonic clock. */
  #bootDue: number
  /** It has told nothing but whole seconds so far. */
  #bootIsCoarse: boolean
  #slept = 0

  constructor(sources: TimeSources = SYSTEM_SOURCES, timers: TimerSource = SYSTEM_TIMERS) {
    this.#sources = sources
    this.#timers = timers
    const { wallOffset, bootOffset, boot } = compare(sources)
    this.#wallOffset = wallOffset
    this.#bootOffset = bootOffset
    this.#bootIsCoarse = isWholeSeconds(boot)
    this.#bootDue = sources.monotonic() + BOOT_INTERVAL
  }

  now(): number {
    const monotonic = this.#sources.monotonic()
    const wallOffset = this.#sources.wall() - monotonic
    if (Math.abs(wallOffset - this.#wallOffset) > TOLERANCE) this.#decide()
    else if (monotonic >= this.#bootDue) this.#lookForHiddenSuspend(monotonic)
    return monotonic + this.#slept
  }

  setTimer(callback: () => void, delay: number): Timer {
    const due = this.now() + delay
    let sleep: Timer
    let unreferenced = false
    const wait = (): void => {
      const left = Math.max(Math.ceil(due - this.now()), 0)
      sleep = this.#timers.sleep(onWake, Math.min(left, LONGEST_SLEEP))
      if (unreferenced) sleep.unref?.()
    }
    const onWake = (): void => {
      if (this.now() < due) wait()
      else callback()
    }
    wait()
    return {
      cancel: () => sleep.cancel(),
      unref: () => {
        unreferenced = true
        sleep.unref?.()
      },
    }
  }

  soon(callback: () => void): void {
    this.#timers.soon(callback)
  }

  /** The monotonic and the wall clock have parted. */
  #decide(): void {
    const { wallOffset, bootOffset } = compare(this.#sources)
    this.#count(bootOffset, TOLERANCE)
    this.#wallOffset = wallOffset
  }

  #lookForHiddenSuspend(monotonic: number): void {
    this.#bootDue = monotonic + BOOT_INTERVAL
    const { bootOffset, boot } = compare(this.#sources)
    this.#bootIsCoarse &&= isWholeSeconds(boot)
    this.#count(bootOffset, this.#bootIsCoarse ? TOLERANCE + COARSEST_BOOT : TOLERANCE)
  }

  #count(bootOffset: number, tolerance: number): void {
    const slept = bootOffset - this.#bootOffset
    if (slept <= tolerance) return
    this.#slept += slept
    this.#bootOffset = bootOffset
  }
}

function isWholeSeconds(time: number): boolean {
  return time % COARSEST_BOOT === 0
}

/**
 * Wall minus monotonic and boot minus monotonic, at one moment. Where the process was stopped while it read the clocks they
 * seem to have parted by that time: then they are read again.
 */
function compare(sources: TimeSources): { wallOffset: number; bootOffset: number; boot: number } {
  for (;;) {
    const before = sources.monotonic()
    const wallOffset = sources.wall() - before
    const boot = sources.boot()
    if (sources.monotonic() - before < TOLERANCE / 10) return { wallOffset, bootOffset: boot - before, boot }
  }
}

/** Resolves once all that needs no time has happened: on the real event loop, also where a test has replaced the global timers by fake ones. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    // A fake one never calls back by itself: it was there before this file was loaded.
    if (!('clock' in endOfTurn)) {
      endOfTurn(resolve)
      return
    }
    const { port1, port2 } = new MessageChannel()
    port1.once('message', () => {
      port1.close()
      resolve()
    })
    port2.postMessage(undefined)
  })
}
