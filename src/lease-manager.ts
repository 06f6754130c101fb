/**
 * LeaseManager: what users hold. It puts the parts together and offers them; every decision is taken in one of them. May
 * import anything in `src`.
 */

import { acquireAll } from './acquire/acquire-all.ts'
import type { BulkSettings } from './acquire/acquire-batch.ts'
import { asError } from './as-error.ts'
import { FENCE_KEY } from './backend.ts'
import { LockNotHeldError, ManagerClosedError, UnavailableError } from './errors.ts'
import type { DetachedLease, Lease } from './lease/lease.ts'
import { ownerOf } from './lease/token.ts'
import { Assembly } from './manager/assembly.ts'
import { Closing } from './manager/closing.ts'
import { GuardedEmitter } from './manager/guarded-emitter.ts'
import { reportOf } from './manager/report.ts'
import { checkFunction } from './options/check.ts'
import { checkDistinctKeys, checkKey, listOfKeys } from './options/keys.ts'
import type {
  AcquireManyOptions,
  AcquireOptions,
  AdoptOptions,
  CloseOptions,
  LeaseManagerOptions,
  TryAcquireOptions,
} from './options/options.ts'
import {
  type AcquireSettings,
  checkDetached,
  type CloseSettings,
  type ManagerSettings,
  resolveAcquire,
  resolveAcquireMany,
  resolveAdopt,
  resolveClose,
  resolveManager,
  resolveTryAcquire,
} from './options/settings.ts'
import type { Connectable } from './redis/create-backend.ts'
import { within } from './requests/within.ts'
import { isActive } from './rules/lease-state.ts'
import { showInLogs } from './show-in-logs.ts'
import type { LeaseManagerStats } from './stats.ts'
import { forEachIndex } from './time/slices.ts'

/** Who holds a lock, as `inspect` reports it. */
export interface LockInspection {
  /** The token on the key. */
  readonly token: string
  /** Who holds it, as far as the token says so: the `owner` of a manager. */
  readonly owner: string | undefined
  /** What is left of its ttl in ms; Infinity when it has none. */
  readonly remaining: number
  /** The lease of this manager that it belongs to, if it is one of this manager's. */
  readonly lease: Lease | undefined
}

/**
 * Acquires locks, keeps them renewed, and tells what becomes of each. One manager serves a whole process: it has one timer
 * and connections of its own, whatever the number of locks.
 *
 * Every method that asks the backend rejects with `ManagerClosedError` once `close` has been called. Every method rejects
 * with a `TypeError` or `RangeError` that names the argument when one is not what it should be.
 */
export class LeaseManager extends GuardedEmitter implements AsyncDisposable, Iterable<Lease> {
  readonly #settings: ManagerSettings
  readonly #tryDefaults: AcquireSettings
  readonly #waitDefaults: AcquireSettings
  readonly #parts: Assembly
  #closed = false
  #closing: Promise<void> | undefined

  static {
    showInLogs(this.prototype, 'LeaseManager')
  }

  /**
   * @param connection an ioredis or iovalkey client, whose options are used for connections of the manager's own; a `redis://`,
   * `rediss://`, `valkey://` or `valkeys://` URL; or a `Backend`, which the manager then owns and closes.
   * @throws TypeError, RangeError naming the argument or option that is not what it should be.
   */
  constructor(connection: Connectable, options: LeaseManagerOptions = {}) {
    super()
    const settings = resolveManager(options)
    this.#settings = settings
    this.#tryDefaults = resolveTryAcquire({}, settings)
    this.#waitDefaults = resolveAcquire('acquire', {}, settings)
    this.#parts = new Assembly(connection, settings, this.#tryDefaults, {
      emit: (event, payload) => this.emit(event, ...([payload] as never)),
      listenerCount: (event) => this.listenerCount(event),
      report: (fault) => this.report(fault),
      reportFault: (error) => this.reportFault(error),
    })
  }

  /**
   * Lets the process exit although this manager has connections and a timer: for scripts that end when their own work has. Leases that are held
   * then are left to expire, and a call that waits does not keep the process alive. For good. Needs a backend with `unref()`; that over ioredis has one.
   */
  unref(): this {
    this.#parts.scheduler.unref()
    this.#parts.backend.unref?.()
    return this
  }

  /** What a log shows of it. */
  toJSON(): { readonly held: number; readonly waiting: number; readonly closed: boolean } {
    return {
      held: this.size,
      waiting: this.#parts.lines.size + this.#parts.table.reservations.size,
      closed: this.#closed,
    }
  }

  /** How many leases are held. */
  get size(): number {
    return this.#parts.table.size
  }

  /**
   * One attempt. While another caller of this process is asking for the same key, its answer serves both.
   *
   * @returns the lease, or `null` when another holds the lock, be it in this process, or is ahead of this caller.
   * @throws UnavailableError when the backend did not answer within `timeout`, which includes one reconnection. LockNotHeldError when a listener of
   * `acquired` ended the lease.
   */
  tryAcquire(key: string, options?: TryAcquireOptions): Promise<Lease | null> {
    return rejecting(() => {
      const settings = options === undefined ? this.#tryDefaults : resolveTryAcquire(options, this.#settings)
      this.#throwIfClosed(this.#checkKey(key))
      return this.#parts.attempts.tryAcquire(key, settings)
    })
  }

  /**
   * Waits for the lock. Callers of this process that want the same key stand in line, and only the first asks the backend.
   *
   * @throws LockNotAcquiredError when another held the lock for all of `wait`, or the strategy gave up.
   * @throws UnavailableError when the last attempt was not answered, and at once when that is final.
   * @throws LockNotHeldError when a listener of `acquired` ended the lease.
   */
  acquire(key: string, options?: AcquireOptions): Promise<Lease> {
    return rejecting(() => {
      const settings = options === undefined ? this.#waitDefaults : resolveAcquire('acquire', options, this.#settings)
      return this.#lease(this.#checkKey(key), settings)
    })
  }

  /**
   * Many keys at once, each on its own. A key that another holds is waited for only if `wait` says so: its default is 0 here.
   *
   * @returns for each key its lease or `null`, in the order of the keys. A key that stands twice is `null` the second time.
   * A lease that a listener of `acquired` has ended is `null`, too.
   * @throws UnavailableError when an attempt was not answered; then all that was acquired has been released again. After an abort that goes on in the
   * background.
   */
  async acquireMany(keys: Iterable<string>, options: AcquireManyOptions = {}): Promise<(Lease | null)[]> {
    this.#throwIfClosed()
    const settings = resolveAcquireMany(options, this.#settings)
    const onProgress = this.guardCallback(settings.onProgress)
    const list = listOfKeys(keys)
    const checking = forEachIndex(list.length, this.#parts.clock, (index) => {
      this.#checkKey(checkKey(list[index]))
    })
    if (checking) await checking
    return this.#tryEach(list as readonly string[], { ...settings, onProgress, allOrNone: false })
  }

  /**
   * All the keys or none of them. Everybody takes them in the same order, whatever the order they are named in, so callers
   * that want the same keys do not block each other for good.
   *
   * @returns the leases in the order of the keys.
   * @throws LockNotAcquiredError, UnavailableError, LockNotHeldError as `acquire`; nothing is held then. RangeError when a key stands twice.
   * What is asked after the last wait may take one `timeout` more than `wait`.
   */
  async acquireAll(keys: Iterable<string>, options: AcquireOptions = {}): Promise<Lease[]> {
    this.#throwIfClosed()
    const settings = resolveAcquire('acquireAll', options, this.#settings)
    const { clock, aborts } = this.#parts
    const startedAt = clock.now()
    return acquireAll({
      keys: this.#checkKeys(checkDistinctKeys(keys)),
      wait: settings.wait,
      waited: () => clock.now() - startedAt,
      tryEach: (some) => this.#tryEach(some, { ...settings, wait: 0, onProgress: undefined, allOrNone: true }),
      waitFor: (key, wait) => this.#lease(key, { ...settings, wait }),
      unlessCancelled: (released) => aborts.race(settings.signal, released),
    })
  }

  /**
   * Waits for the lock, does the work under it, and releases it, whatever the work comes to. `close` waits for the work; see its option `drain`.
   *
   * @returns what the work returns.
   * @throws what `acquire` throws; what the work throws. If the work ended without the lock, so that it is not taken for work done under it:
   * LeaseLostError when the lease was lost, ManagerClosedError when `close` gave it back.
   */
  async using<T>(key: string, work: (lease: Lease) => Promise<T> | T, options?: AcquireOptions): Promise<T> {
    const settings = options === undefined ? this.#waitDefaults : resolveAcquire('using', options, this.#settings)
    checkFunction('work', work)
    const lease = await this.#lease(this.#checkKey(key), settings)
    if (this.#closed) {
      await lease.release()
      throw new ManagerClosedError(key)
    }
    const record = this.#parts.table.get(key)
    // It has ended since: the work would do without the lock.
    if (record?.handle !== lease)
      throw lease.state === 'lost' ? lease.signal.reason : new LockNotHeldError(key, lease.state)
    return this.#parts.usages.run(record, work)
  }

  /** The lease that this manager holds on the key, if it does. */
  get(key: string): Lease | undefined {
    const record = this.#parts.table.get(checkKey(key))
    return record && isActive(this.#parts.table.observe(record)) ? record.handle : undefined
  }

  /** The leases that are held, in no particular order. */
  *[Symbol.iterator](): Iterator<Lease> {
    for (const record of this.#parts.table.values()) {
      if (isActive(this.#parts.table.observe(record))) yield record.handle as Lease
    }
  }

  /**
   * Asks the backend who holds a lock, whoever it is.
   *
   * @returns `null` when nobody does.
   * @throws UnavailableError when the backend did not answer within `timeout`.
   */
  async inspect(key: string): Promise<LockInspection | null> {
    const view = await this.#askFor(key, 'inspected', () => this.#parts.backend.inspect(key))
    if (view === null) return null
    const lease = this.get(key)
    return { ...view, owner: ownerOf(view.token), lease: lease?.token === view.token ? lease : undefined }
  }

  /**
   * For operators: deletes the key of a lock, whoever holds it. The holder learns of it through its `lost` event, at once where its manager is told
   * of changes, otherwise at its next renewal; until then it works on as if it held the lock, which may be another's by then.
   *
   * @returns whether anybody held it.
   * @throws UnavailableError when the backend did not answer within `timeout`; the key may have been deleted all the same.
   */
  async forceRelease(key: string): Promise<boolean> {
    this.#throwIfClosed(this.#checkKey(key))
    try {
      return await this.#askFor(key, 'released', () => this.#parts.backend.forceRelease(key))
    } finally {
      // What a manager changes itself, or may have changed, the server does not tell it.
      this.#parts.desk.onChange([key])
    }
  }

  /**
   * Goes on with a lease that was detached, here or elsewhere: it is renewed at once, and kept so. Its token and its fence stay what they were.
   *
   * @param lease what `lease.detach()` returned; it may have come over a network.
   * @throws LockNotHeldError when its key has expired, was deleted or is another's; its `cause` says which. UnavailableError when the backend did not
   * answer within `timeout`: another attempt may succeed until the key expires.
   */
  async adopt(lease: DetachedLease, options: AdoptOptions = {}): Promise<Lease> {
    const detached = checkDetached(lease)
    const settings = resolveAdopt(options, detached.ttl, this.#settings)
    this.#throwIfClosed(this.#checkKey(detached.key))
    const { handle } = await this.#parts.adoptions.run(detached, settings)
    return handle as Lease
  }

  /** What is going on and what has been done. */
  stats(): LeaseManagerStats {
    return reportOf(this.#parts)
  }

  /**
   * Rejects callers that wait for a lock with `ManagerClosedError`, waits for the work of `using` for at most `drain` ms, releases everything, in
   * batches, and gives up the manager's connections. Work that still runs after the drain finds its `lease.signal` aborted before its lock is given
   * back. Every lease has had its last event when this resolves. Idempotent; a second call may shorten the drain. Never rejects, except for a bad option.
   *
   * Do not await it inside the work of `using`: it would wait for that work until the drain is over.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const settings = resolveClose(options)
    this.#closed = true
    this.#parts.usages.limit(settings.drain)
    // In a turn of its own: a listener that is told of the end of a lease may call this again.
    this.#closing ??= Promise.resolve().then(() => this.#close(settings))
    return this.#closing
  }

  #close(settings: CloseSettings): Promise<void> {
    return new Closing(this.#parts, { ...settings, onProgress: this.guardCallback(settings.onProgress) }).run()
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #lease(key: string, settings: AcquireSettings): Promise<Lease> {
    this.#throwIfClosed(key)
    return this.#parts.attempts.acquire(key, settings)
  }

  async #tryEach(keys: readonly string[], settings: BulkSettings): Promise<(Lease | null)[]> {
    this.#throwIfClosed()
    return this.#parts.bulks.run(keys, settings)
  }

  /** One question about one key, whoever holds it. */
  async #askFor<T>(key: string, what: string, ask: () => Promise<T>): Promise<T> {
    this.#throwIfClosed(checkKey(key))
    return within(this.#parts.scheduler, this.#tryDefaults.timeout, async () => {
      await this.#parts.backend.ready()
      return ask()
    }).catch((error: unknown) => {
      const cause = asError(error)
      throw new UnavailableError(`Lock \`${key}\` could not be ${what}: ${cause.message}`, key, { cause })
    })
  }

  /** A key that a lock can have: with some prefixes there is one that the backend needs itself. */
  #checkKey(key: string): string {
    if (checkKey(key) !== this.#parts.forbiddenKey) return key
    throw new RangeError(
      `Expected \`key\` not to be \`${FENCE_KEY}\` once its prefix is put before it: fences are counted there`,
    )
  }

  #checkKeys(keys: readonly string[]): readonly string[] {
    for (const key of keys) this.#checkKey(key)
    return keys
  }

  #throwIfClosed(key?: string): void {
    if (this.#closed) throw new ManagerClosedError(key)
  }
}

/** What an async function would do, but without a promise of its own: `work` makes one, or throws at once. */
function rejecting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(asError(error))
  }
}
