/**
 * A process on a machine of its own: one thing at a time, on a clock that is wrong in all the ways in which clocks
 * are. It may be stopped between any two steps and in the middle of one, at any reading of its clock; its machine may
 * sleep; it may die.
 *
 * What has come in over connections, timers that are due, and what was put off to the end of a turn are done in any order, except
 * that each connection keeps its own. The clock is the library's `SystemClock`, over sources of time and timers that are simulated.
 */
import { SystemClock, type Timer, type TimerSource, type TimeSources } from 'leasewheel'
import type { Random } from './random.ts'
import type { Appointment, Timeline } from './timeline.ts'

/** What a step of a process takes, in ms. */
const STEP = 0.01
/** Timers stand still while a machine sleeps: how long it may take until its clock notices, in ms. (`clock.ts`) */
const LONGEST_SLEEP = 1_000
/** How long a step of the wall clock may hide from a clock that its machine slept, in ms. (`clock.ts`) */
const BOOT_INTERVAL = 50
/** How exact the boot-time clock is, in ms. */
const BOOT_STEP = 10

/** The shortest sleep of a machine, in ms: its clock notices those of more than a quarter second. */
export const SHORTEST_SUSPEND = 300

export interface ProcessTraits {
  /** How fast its clock runs: 1 is right. */
  readonly rate: number
  /** How many readings of its clock pass, on average, until it is stopped in the middle of a step; Infinity: never. */
  readonly readingsPerStop: number
  /** The longest that it is stopped so, in ms. */
  readonly longestStop: number
}

/** Timers that are pending, and which of them is due first. */
class Timers {
  readonly #pending = new Set<PendingTimer>()
  #first: PendingTimer | undefined

  /** Of several that are due at the same time, the one that was set first. */
  get first(): PendingTimer | undefined {
    if (this.#first === undefined) {
      for (const timer of this.#pending)
        if (this.#first === undefined || timer.due < this.#first.due) this.#first = timer
    }
    return this.#first
  }

  countDue(now: number): number {
    let count = 0
    for (const { due } of this.#pending) if (due <= now) count += 1
    return count
  }

  add(timer: PendingTimer): void {
    this.#pending.add(timer)
    if (this.#first && timer.due < this.#first.due) this.#first = timer
  }

  delete(timer: PendingTimer): void {
    this.#pending.delete(timer)
    if (this.#first === timer) this.#first = undefined
  }
}

class PendingTimer implements Timer {
  /** On the monotonic clock. */
  readonly due: number
  readonly callback: () => void
  readonly #timers: Timers
  readonly #owner: Set<Timer> | undefined

  constructor(due: number, callback: () => void, timers: Timers, owner: Set<Timer> | undefined) {
    this.due = due
    this.callback = callback
    this.#timers = timers
    this.#owner = owner
    timers.add(this)
    owner?.add(this)
  }

  cancel(): void {
    this.#timers.delete(this)
    this.#owner?.delete(this)
  }
}

/** What the threads of a process share. */
interface Machine {
  /** How long it has slept, in true ms. */
  slept: number
  /** What was added to its wall clock, in ms. */
  stepped: number
}

export class SimulatedProcess {
  readonly name: string
  readonly clock: SystemClock
  /** The timers of the clock: those of the manager, counted apart from those of its connections and users. */
  readonly managerTimers: Set<Timer> = new Set()
  /** `blocked`: its event loop is, by synchronous code that may look at leases; its threads go on. */
  condition: 'running' | 'blocked' | 'stopped' | 'suspended' | 'dead' = 'running'
  /** Since when it has been running freely, in true time: nothing kept it from doing what was due. */
  freeSince = 0
  /** The same, but for turns of its event loop that take long. */
  ranSince = 0
  /** It was stopped in the middle of the step that is being done, and in that of any step. */
  interrupted = false
  disturbed = false
  /** Until when the turns of its event loop took long, the last time, in true time. */
  laggedUntil: number = Number.NEGATIVE_INFINITY
  /** When it went on after it was stopped in the middle of a step, the last time, in true time. */
  wentOnAt: number = Number.NEGATIVE_INFINITY
  /** Since when its event loop is blocked, in true time. */
  blockedAt = 0
  /** Its other threads: they share its machine, and what stops or ends the process. */
  readonly #threads: SimulatedProcess[] = []
  readonly #isThread: boolean
  readonly #machine: Machine
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #traits: ProcessTraits
  /** Called after each step, once all that follows from it at once has been done. */
  readonly #onStep: (process: SimulatedProcess, step: () => void) => void
  readonly #timers = new Timers()
  readonly #inboxes = new Map<object, (() => void)[]>()
  #soon: (() => void)[] = []
  #next: Appointment | undefined
  #stepping = false
  /** When the step that is being done began, on the monotonic clock. */
  #turnStart = 0
  /** How long the step that is being done has taken, in true ms. */
  #delay = 0
  #busyUntil = 0
  /** What is still to be done in this turn of the event loop, where turns are counted: only while it lags. */
  #leftInTurn = 0
  #lag = 0
  /** What its timers may be late after this step, in ms. */
  #slow = 0
  /** Readings of the clock until it is stopped. */
  #countdown: number
  /** Since when its machine sleeps, in true time, and whether its wall clock was set since then. */
  #asleepSince = 0
  #steppedAsleep = false
  /** By the monotonic clock: until then it need not have noticed that it slept. */
  #blindUntil = Number.NEGATIVE_INFINITY

  constructor(
    name: string,
    timeline: Timeline,
    random: Random,
    traits: ProcessTraits,
    onStep: (process: SimulatedProcess, step: () => void) => void,
    host?: SimulatedProcess,
  ) {
    this.name = name
    this.#isThread = host !== undefined
    if (host) host.#threads.push(this)
    this.#timeline = timeline
    this.#random = random
    this.#traits = traits
    this.#onStep = onStep
    this.#countdown = this.#drawCountdown()
    this.#machine = host ? host.#machine : { slept: 0, stepped: random.between(-3_600_000, 3_600_000) }
    this.clock = new SystemClock(this.#sources, this.#timersOf(this.managerTimers))
  }

  /** How long each turn of its event loop takes at most, in ms: something else keeps it busy. 0: nothing does. */
  get lag(): number {
    return this.#lag
  }

  set lag(lag: number) {
    this.#lag = lag
    this.#leftInTurn = 0
    this.freeSince = Math.max(this.freeSince, this.#busyUntil, this.#timeline.now)
    if (lag === 0) this.laggedUntil = Math.max(this.#busyUntil, this.#timeline.now)
  }

  /** The true time of the instruction that is being done, in ms. */
  get time(): number {
    return this.#timeline.now + this.#delay
  }

  /** Whether its clock and its leases can be read from outside at this moment. */
  get observable(): boolean {
    return this.condition === 'running' && this.#busyUntil <= this.#timeline.now
  }

  /** The same, but synchronous code that blocks its event loop may read as well. */
  get readable(): boolean {
    return this.observable || (this.condition === 'blocked' && this.#busyUntil <= this.#timeline.now)
  }

  /** Whether its clock may not know yet that its machine slept: somebody set the wall clock meanwhile, which can hide it for a moment. */
  get blind(): boolean {
    return this.#monotonic() < this.#blindUntil
  }

  /** Does something as a step of this process, once what came before it on the same connection is done. */
  post(connection: object, callback: () => void): void {
    if (this.condition === 'dead') return
    const inbox = this.#inboxes.get(connection)
    if (inbox) inbox.push(callback)
    else this.#inboxes.set(connection, [callback])
    this.#arm()
  }

  /** A timer that is not the manager's. */
  sleep(callback: () => void, delay: number): Timer {
    return this.#sleep(callback, delay, undefined)
  }

  /** Of all its threads. */
  stop(): void {
    this.#pause('stopped')
    for (const thread of this.#threads) thread.stop()
  }

  /** Synchronous code keeps its event loop. */
  block(): void {
    this.#pause('blocked')
    this.blockedAt = this.#timeline.now
  }

  unblock(): void {
    if (this.condition !== 'blocked') return
    this.condition = 'running'
    this.#disturb(this.#timeline.now)
    this.#arm()
  }

  /** The machine sleeps, and its monotonic clock with it. */
  suspend(): void {
    if (this.condition !== 'running') return
    this.#pause('suspended')
    this.#asleepSince = this.#timeline.now
    this.#steppedAsleep = false
    for (const thread of this.#threads) thread.suspend()
  }

  resume(): void {
    if (this.condition !== 'stopped' && this.condition !== 'suspended') return
    const asleep = this.condition === 'suspended'
    if (asleep && !this.#isThread) this.#machine.slept += this.#timeline.now - this.#asleepSince
    if (asleep && this.#steppedAsleep) this.#blindUntil = this.#monotonic() + BOOT_INTERVAL
    this.condition = 'running'
    this.#disturb(this.#timeline.now + (asleep ? LONGEST_SLEEP : 0))
    this.#arm()
    for (const thread of this.#threads) thread.resume()
  }

  kill(): void {
    this.condition = 'dead'
    this.#next?.cancel()
    for (const thread of this.#threads) thread.kill()
  }

  /** Somebody sets the wall clock. */
  stepWallClock(by: number): void {
    this.#machine.stepped += by
    this.#steppedAsleep = true
  }

  readonly #sources: TimeSources = {
    monotonic: () => this.#readMonotonic(),
    wall: () => Math.floor(1.7e12 + this.#traits.rate * this.time + this.#machine.stepped),
    boot: () => Math.floor((5e6 + this.#traits.rate * this.time) / BOOT_STEP) * BOOT_STEP,
  }

  #timersOf(owner: Set<Timer>): TimerSource {
    return {
      sleep: (callback, delay) => this.#sleep(callback, delay, owner),
      soon: (callback) => {
        this.#soon.push(callback)
        this.#arm()
      },
    }
  }

  #sleep(callback: () => void, delay: number, owner: Set<Timer> | undefined): Timer {
    // Node counts from the beginning of the turn of its event loop.
    const start = this.#stepping ? this.#turnStart : this.#monotonic()
    const timer = new PendingTimer(start + Math.max(1, Math.trunc(delay)), callback, this.#timers, owner)
    this.#arm()
    return timer
  }

  #monotonic(): number {
    return 1e5 + this.#traits.rate * (this.time - this.#machine.slept)
  }

  #readMonotonic(): number {
    if (!this.#stepping) return this.#monotonic()
    this.#countdown -= 1
    if (this.#countdown > 0) return this.#monotonic()
    this.#countdown = this.#drawCountdown()
    const before = this.#monotonic()
    this.#interrupt()
    // It was stopped right after the clock was read, or right before.
    return this.#random.chance(0.5) ? before : this.#monotonic()
  }

  #interrupt(): void {
    const { longestStop } = this.#traits
    const duration = this.#random.chance(0.5) ? this.#random.between(1, 100) : this.#random.between(100, longestStop)
    this.#delay += duration
    this.interrupted = true
    this.disturbed = true
    // Shorter sleeps of a machine are not noticed by its clock, and that is so by design.
    if (duration < SHORTEST_SUSPEND || this.#random.chance(0.7)) return
    // A machine sleeps with all of its threads, and the others have not got to that moment yet.
    if (this.#isThread || this.#threads.length > 0) return
    this.#machine.slept += duration
    this.#slow = LONGEST_SLEEP
  }

  #drawCountdown(): number {
    const { readingsPerStop } = this.#traits
    return Number.isFinite(readingsPerStop) ? Math.ceil(this.#random.exponential(readingsPerStop)) : readingsPerStop
  }

  #pause(condition: 'blocked' | 'stopped' | 'suspended'): void {
    if (this.condition !== 'running') return
    this.condition = condition
    this.#next?.cancel()
    this.#next = undefined
  }

  /** Plans the next step, if there is anything to do. */
  #arm(): void {
    if (this.condition !== 'running' || this.#stepping) return
    const due = this.#nextStep()
    if (due === undefined) return
    const time = Math.max(due, this.#busyUntil, this.#timeline.now) + STEP
    if (this.#next && this.#next.time <= time) return
    this.#next?.cancel()
    this.#next = this.#timeline.at(time, () => this.#step())
  }

  /** When the next one is due, in true time. */
  #nextStep(): number | undefined {
    if (this.#soon.length > 0 || this.#inboxes.size > 0) return this.#timeline.now
    const timer = this.#timers.first
    return timer && this.#timeline.now + (timer.due - this.#monotonic()) / this.#traits.rate
  }

  #step(): void {
    this.#next = undefined
    if (this.lag > 0 && this.#leftInTurn <= 0) this.#leftInTurn = this.#countWork()
    const work = this.#takeWork()
    if (work === undefined) {
      this.#arm()
      return
    }
    this.#turnStart = this.#monotonic()
    this.#stepping = true
    this.interrupted = false
    this.#onStep(this, work)
  }

  /** All that follows from the step at once has been done. */
  endStep(): void {
    this.#stepping = false
    this.#busyUntil = this.time
    this.#delay = 0
    if (this.interrupted) {
      this.wentOnAt = this.#busyUntil
      this.#disturb(this.#busyUntil + this.#slow)
    }
    this.#slow = 0
    if (this.lag > 0) this.#endOfLaggingStep()
    this.#arm()
  }

  /** What was to be done when the turn began is done in it; then something else keeps the event loop. */
  #endOfLaggingStep(): void {
    this.freeSince = Math.max(this.freeSince, this.#busyUntil)
    this.#leftInTurn -= 1
    if (this.#leftInTurn > 0) return
    this.#busyUntil += this.#random.between(0.8, 1) * this.lag
    // Its clock may still have to notice that its machine slept.
    this.freeSince = Math.max(this.freeSince, this.#busyUntil)
  }

  #disturb(until: number): void {
    this.ranSince = Math.max(this.ranSince, until)
    this.freeSince = Math.max(this.freeSince, until)
  }

  /** How much there is to do at this moment. */
  #countWork(): number {
    let count = this.#soon.length + this.#timers.countDue(this.#monotonic())
    for (const inbox of this.#inboxes.values()) count += inbox.length
    return count
  }

  #takeWork(): (() => void) | undefined {
    const timer = this.#timers.first
    const kinds: (() => (() => void) | undefined)[] = []
    if (timer && timer.due <= this.#monotonic() + 1e-6) kinds.push(() => this.#takeTimer(timer))
    if (this.#soon.length > 0) kinds.push(() => this.#soon.shift())
    for (const [connection, inbox] of this.#inboxes) kinds.push(() => this.#takeFrom(connection, inbox))
    return this.#random.pick(kinds)?.()
  }

  #takeTimer(timer: PendingTimer): () => void {
    timer.cancel()
    return timer.callback
  }

  #takeFrom(connection: object, inbox: (() => void)[]): (() => void) | undefined {
    const callback = inbox.shift()
    if (inbox.length === 0) this.#inboxes.delete(connection)
    return callback
  }
}
