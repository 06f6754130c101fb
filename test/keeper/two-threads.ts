/**
 * A manager and its keeper, in two threads that are moved by hand: the event loop of the manager may be blocked while the keeper goes on, and the other
 * way round. Both ask one store in memory.
 */
import { expect } from 'chai'
import {
  type BackendSettings,
  type ChangeOutcome,
  type KeeperSettings,
  LeaseManager,
  type LeaseManagerOptions,
  type LockEntry,
  type StartedKeeper,
  SystemClock,
} from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { Keeper } from '#src/keeper/keeper.js'
import { LedgerReader } from '#src/keeper/ledger.js'

/** ms. */
export const TTL = 6_000
/** ms in which both threads go on by turns. */
const STEP = 10

export interface TwoThreadsOptions extends LeaseManagerOptions {
  /** ms. */
  readonly maxBlocked?: number
}

export class TwoThreads {
  readonly #time = new ManualClock()
  readonly store: MemoryStore = new MemoryStore({ clock: this.#time })
  readonly manager: LeaseManager
  /** What was emitted, such as `lost a: expired`. */
  readonly story: string[] = []
  /** The keys of each renewal that the keeper has sent. */
  readonly sent: string[][] = []
  /** The backend of the manager. */
  readonly main: MemoryBackend = new MemoryBackend({ store: this.store, watch: false })
  /** The backend of the keeper. */
  readonly backend: MemoryBackend = new MemoryBackend({ store: this.store, watch: false })
  /** Takes what the keeper sends, instead of its backend. */
  intercept: ((entries: readonly LockEntry[]) => Promise<readonly ChangeOutcome[]>) | undefined
  keeper: Keeper | undefined
  readonly #main = new ManualClock()
  /** ms by which the boot-time clock and the wall clock are ahead: the machine has slept. */
  #slept = 0
  readonly #sources = {
    monotonic: () => this.#time.now(),
    wall: () => this.#time.now() + this.#slept,
    boot: () => this.#time.now() + this.#slept,
  }
  readonly clock: SystemClock = this.#clockOn(this.#main)

  constructor({ maxBlocked = 60_000, ...options }: TwoThreadsOptions = {}) {
    Object.assign(this.main, { startKeeper: this.#start })
    this.manager = new LeaseManager(this.main, {
      ttl: TTL,
      prefix: '',
      random: () => 0,
      clock: this.clock,
      keeper: { maxBlocked },
      ...options,
    })
    this.manager.on('acquired', ({ lease }) => this.story.push(`acquired ${lease.key}`))
    this.manager.on('released', ({ lease }) => this.story.push(`released ${lease.key}`))
    this.manager.on('lost', ({ lease, reason }) => this.story.push(`lost ${lease.key}: ${reason}`))
    this.manager.on('error', (error) => this.story.push(`error ${error.message}`))
  }

  /** Runs `work` with two threads, and closes the manager afterwards. */
  static async with(options: TwoThreadsOptions, work: (threads: TwoThreads) => Promise<void>): Promise<void> {
    const threads = new TwoThreads(options)
    try {
      await work(threads)
    } finally {
      const closed = threads.manager.close({ timeout: 100 })
      await threads.pass(1_000)
      await closed
    }
    expect(threads.manager.stats().timers).to.equal(0)
  }

  /** ms on the clock that both threads share. */
  get now(): number {
    return this.#time.now()
  }

  /** Time passes, and both threads are free. */
  async pass(duration: number): Promise<void> {
    for (let left = duration; left > 0; left -= STEP) {
      await this.#time.advance(Math.min(STEP, left))
      await this.#main.advance(Math.min(STEP, left))
    }
  }

  /** Time passes, and the event loop of the manager is blocked. Synchronous code can look at leases afterwards. */
  async block(duration: number): Promise<void> {
    await this.#time.advance(duration)
    this.#main.jump(duration)
  }

  /** Time passes, and nothing moves. */
  stop(duration: number): void {
    this.#time.jump(duration)
    this.#main.jump(duration)
  }

  /** The machine sleeps for so long: the steady clock stands still. */
  sleep(duration: number): void {
    this.#slept += duration
  }

  /** What follows from what has happened. */
  settle(): Promise<void> {
    return this.#main.settle()
  }

  readonly #start = ({ prefix, timeout }: BackendSettings, settings: KeeperSettings): StartedKeeper => {
    const { backend } = this
    const reader = new LedgerReader(settings.head, settings.parts)
    backend.open(
      { prefix, timeout, watch: false },
      {
        onRecovered: () => undefined,
        onSuspect: () => undefined,
        onMissed: () => undefined,
        onChange: () => undefined,
        onUnwatched: () => undefined,
        onForgotten: () => undefined,
        onError: () => undefined,
      },
    )
    const keeper = new Keeper({
      ...settings,
      ledger: reader,
      clock: this.#clockOn(this.#time),
      random: () => 0,
      ready: () => backend.ready(),
      renew: (entries) => {
        this.sent.push(entries.map(({ key }) => key))
        return this.intercept?.(entries) ?? backend.renew(entries)
      },
      mayBeOneKey: ({ message }) => message.includes('one key'),
      onFault: (fault) => this.story.push(`fault ${String(fault)}`),
    })
    this.keeper = keeper
    reader.connected = true
    keeper.start()
    return {
      add: (part) => reader.add(part),
      close: async () => keeper.close(),
    }
  }

  #clockOn(timers: ManualClock): SystemClock {
    return new SystemClock(this.#sources, {
      sleep: (callback, delay) => timers.setTimer(callback, delay),
      soon: (callback) => timers.soon(callback),
    })
  }
}
