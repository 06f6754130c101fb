/** Time. The only file of the project that reads a clock or sets a timer. */
import { uptime } from 'node:os'
import { setImmediate as originalImmediate } from 'node:timers'
import { MessageChannel } from 'node:worker_threads'

/** A copy: some fake timers also replace the exports of Node's modules, everywhere they are imported. */
const endOfTurn = originalImmediate

/** A timer that has been set and not yet fired. */
export interface Timer {
  /** Cancels the timer; does nothing once it has fired. */
  cancel(): void
  /** From now on the timer does not keep the process alive. Without this method it always does, or never did. */
  unref?(): void
}

/** The time of a `LeaseManager`. Pass your own in tests; `ManualClock` of `leasewheel/memory` is one. */
export interface Clock {
  /** Milliseconds since some fixed moment. It never goes back, and counts the time in which the machine was suspended. */
  now(): number
  /** Calls `callback` once, no earlier than `delay` ms from now. */
  setTimer(callback: () => void, delay: number): Timer
  /** Calls `callback` after the current turn of the event loop. */
  soon(callback: () => void): void
}

/** ms since 1970 by the clock that people and daemons set: for people to read, never for a deadline. */
export function wallTime(): number {
  return Date.now()
}

/** @param time ms since 1970, or undefined for none. */
export function dateOf(time: number): Date
export function dateOf(time: number | undefined): Date | undefined
export function dateOf(time: number | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time)
}

/** Resolves after the current turn of the event loop. */
export function nextTurn(clock: Pick<Clock, 'soon'>): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve))
}

/** The three clocks of a machine, in ms, each with its own start. */
export interface TimeSources {
  /** Steady and never set, but it stands still while the machine sleeps. */
  readonly monotonic: () => number
  /** Goes on while the machine sleeps, but people and daemons set it. */
  readonly wall: () => number
  /** Time since boot, sleep included. It is costly to read, and coarse (10 ms on Linux, up to a second elsewhere). */
  readonly boot: () => number
  /** What to add to `monotonic`, in ms, to get a time that is the same in all threads of the process. Default: 0. */
  readonly shift?: number
}

/** The timers of a machine. */
export interface TimerSource {
  /** Calls `callback` once, after `delay` ms of the monotonic clock: an integer >= 0. */
  sleep(callback: () => void, delay: number): Timer
  /** Calls `callback` after the current turn of the event loop. */
  soon(callback: () => void): void
}

const SYSTEM_SOURCES: TimeSources = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  boot: () => uptime() * 1_000,
  shift: shiftOfThread(),
}

/** In some versions of Node each thread has a `performance.now()` of its own. They share the clock behind it. */
function shiftOfThread(): number {
  let [shift, narrowest] = [0, Number.POSITIVE_INFINITY]
  // Of some pairs of readings, the closest one counts: the thread may be stopped in between.
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const before = process.hrtime.bigint()
    const now = performance.now()
    const width = Number(process.hrtime.bigint() - before)
    if (width < narrowest) [shift, narrowest] = [Number(before) / 1e6 - now, width]
  }
  return shift
}

const SYSTEM_TIMERS: TimerSource = {
  sleep(callback, delay) {
    const handle = setTimeout(callback, delay)
    return { cancel: () => clearTimeout(handle), unref: () => void handle.unref() }
  },
  soon: (callback) => void setImmediate(callback),
}

/** ms by which the monotonic and the wall clock may diverge before the boot-time clock decides. */
const TOLERANCE = 250
/** ms of the monotonic clock between two reads of the boot-time clock. A read takes up to 30 µs, so it costs less than a thousandth of a core. */
const BOOT_INTERVAL = 50
/** How far the boot-time clock may be behind, in ms: some systems report it in whole seconds only. */
const BOOT_STEP = 10
const COARSEST_BOOT = 1_000
/** ms. Node's timers stand still with the monotonic clock, so short sleeps notice the end of a suspend in time. */
const LONGEST_SLEEP = 1_000

/**
 * The clock of the machine, suspend-aware: `now()` is the monotonic clock plus all detected sleep of the machine. If the wall
 * clock and the monotonic clock diverge by more than a quarter second, the boot-time clock decides. Its gain on the monotonic
 * clock was a suspend and counts as elapsed; the rest was a step of the wall clock and does not count. A step back may hide a
 * suspend of the same length, so the boot-time clock is also read every 50 ms. It is coarse: what was slept counts for as long as it may have
 * been at most, so that no lease outlives its key.
 */
export class SystemClock implements Clock {
  readonly #sources: TimeSources
  readonly #timers: TimerSource
  /** Wall minus monotonic, and boot minus monotonic, at the last comparison. */
  #wallOffset: number
  #bootOffset: number
  /** When the next read of the boot-time clock is due, by the monotonic clock. */
  #bootDue: number
  /** The boot-time clock has reported only whole seconds so far. */
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

  /** A time that all threads of the process share, in ms. Unlike `now()` it stands still while the machine sleeps. */
  steady(): number {
    return this.#sources.monotonic() + (this.#sources.shift ?? 0)
  }

  /** What `now()` has more than `steady()`. It grows with each sleep of the machine that this clock notices. */
  get ahead(): number {
    return this.#slept - (this.#sources.shift ?? 0)
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

  /** The monotonic and the wall clock have diverged. */
  #decide(): void {
    const { wallOffset, bootOffset } = this.#compare()
    this.#count(bootOffset, TOLERANCE)
    this.#wallOffset = wallOffset
  }

  #lookForHiddenSuspend(monotonic: number): void {
    this.#bootDue = monotonic + BOOT_INTERVAL
    const { bootOffset } = this.#compare()
    this.#count(bootOffset, this.#bootIsCoarse ? TOLERANCE + COARSEST_BOOT : TOLERANCE)
  }

  #compare(): { wallOffset: number; bootOffset: number } {
    const { wallOffset, bootOffset, boot } = compare(this.#sources)
    this.#bootIsCoarse &&= isWholeSeconds(boot)
    return { wallOffset, bootOffset }
  }

  #count(bootOffset: number, tolerance: number): void {
    const slept = bootOffset - this.#bootOffset
    if (slept <= tolerance) return
    // The first reading was too small by a step at most, and so is the sum of all gains since.
    if (this.#slept === 0) this.#slept = this.#bootIsCoarse ? COARSEST_BOOT : BOOT_STEP
    this.#slept += slept
    this.#bootOffset = bootOffset
  }
}

function isWholeSeconds(time: number): boolean {
  return time % COARSEST_BOOT === 0
}

/**
 * Wall minus monotonic and boot minus monotonic, at one moment. If the process was stopped between the reads, the clocks seem
 * to have diverged by that time. So it reads them again.
 */
function compare(sources: TimeSources): { wallOffset: number; bootOffset: number; boot: number } {
  for (;;) {
    const before = sources.monotonic()
    const wallOffset = sources.wall() - before
    const boot = sources.boot()
    if (sources.monotonic() - before < TOLERANCE / 10) return { wallOffset, bootOffset: boot - before, boot }
  }
}

/** Resolves once everything that needs no time has happened. It uses the real event loop, even if a test has replaced the global timers. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    // A fake timer that was installed before this file was loaded never fires by itself.
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
