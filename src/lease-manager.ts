/** LeaseManager: the public face. It checks arguments and passes calls to the parts, which take every decision. */
import { ManyKeys } from './acquire/many-keys.ts'
import { FENCE_KEY } from './backend.ts'
import type { Claim } from './claims/claim.ts'
import type { Election } from './claims/election.ts'
import type { ClaimOptions, ElectionOptions, ShareOptions } from './claims/options.ts'
import type { Share } from './claims/share.ts'
import { ManagerClosedError } from './errors.ts'
import type { DetachedLease, Lease } from './lease/lease.ts'
import type { LockInspection } from './lease/lock-inspection.ts'
import { Assembly } from './manager/assembly.ts'
import { Closing } from './manager/closing.ts'
import { GuardedEmitter } from './manager/guarded-emitter.ts'
import { healthOf } from './manager/report.ts'
import { checkFunction } from './options/check.ts'
import { checkKey, listOfKeys } from './options/keys.ts'
import type {
  AcquireAllOptions,
  AcquireManyOptions,
  AcquireOptions,
  AdoptOptions,
  CloseOptions,
  LeaseManagerOptions,
  ListOptions,
  TryAcquireOptions,
  UsingOptions,
} from './options/options.ts'
import {
  type AcquireSettings,
  checkDetached,
  type CloseSettings,
  type ManagerSettings,
  resolveAcquire,
  resolveAcquireAll,
  resolveAcquireMany,
  resolveAdopt,
  resolveClose,
  resolveList,
  resolveManager,
  resolveTryAcquire,
  resolveUsing,
} from './options/settings.ts'
import type { Member } from './member.ts'
import type { ListedLock } from './overview/listing.ts'
import type { Connectable } from './redis/create-backend.ts'
import { rejecting } from './requests/rejecting.ts'
import { isActive } from './rules/lease-state.ts'
import { showInLogs } from './show-in-logs.ts'
import type { Health, LeaseManagerStats } from './stats.ts'
import { isEventTraced, publishEvent, traceUsing } from './tracing/channels.ts'

/**
 * Acquires locks, renews them, and emits events about each. One manager serves a whole process: it has one timer and
 * connections of its own, whatever the number of locks.
 * Every method that asks the backend rejects with `ManagerClosedError` once `close` has been called. Every method rejects
 * with a `TypeError` or `RangeError` that names the argument if one is invalid.
 */
export class LeaseManager extends GuardedEmitter implements Iterable<Lease> {
  readonly #settings: ManagerSettings
  readonly #tryDefaults: AcquireSettings
  readonly #waitDefaults: AcquireSettings
  readonly #parts: Assembly
  readonly #many: ManyKeys
  #closed = false
  #closing: Promise<void> | undefined

  static {
    showInLogs(this.prototype, 'LeaseManager')
  }

  /**
   * @param connection an ioredis or iovalkey client, whose options the manager uses for connections of its own; a `redis://`,
   * `rediss://`, `valkey://` or `valkeys://` URL; or a `Backend`, which the manager then owns and closes.
   * @throws TypeError, RangeError naming the argument or option that is invalid.
   */
  constructor(connection: Connectable, options: LeaseManagerOptions = {}) {
    super()
    const settings = resolveManager(options)
    this.#settings = settings
    this.#tryDefaults = resolveTryAcquire({}, settings)
    this.#waitDefaults = resolveAcquire('acquire', {}, settings)
    this.#parts = new Assembly(connection, settings, this.#tryDefaults, {
      leases: this,
      emit: (event, payload) => {
        if (isEventTraced(event)) publishEvent(event, this, payload)
        this.emit(event, ...([payload] as never))
      },
      listenerCount: (event) => this.listenerCount(event) + (isEventTraced(event) ? 1 : 0),
      report: (fault) => this.report(fault),
      reportFault: (error) => this.reportFault(error),
    })
    this.#many = new ManyKeys(this.#parts, {
      ofKey: (key) => this.#checkKey(key),
      ofClosed: (key) => this.#throwIfClosed(key),
    })
  }

  /**
   * Lets the process exit although this manager has connections and a timer. This is for scripts that end with their own work, and cannot be undone.
   * Leases still held then expire, and a waiting call does not keep the process alive. Needs a backend with `unref()`: the one for Redis has it.
   */
  unref(): this {
    this.#parts.scheduler.unref()
    this.#parts.backend.unref?.()
    return this
  }

  /** What a log shows of the manager. */
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
   * Makes one attempt. If another caller of this process is asking for the same key, that answer serves both.
   *
   * @returns the lease, or `null` if another holds the lock, in this process or elsewhere, or is ahead of this caller.
   * @throws UnavailableError if the backend did not answer within `timeout`, which includes one reconnection.
   * @throws LockNotHeldError if a listener of `acquired` ended the lease.
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
   * @throws LockNotAcquiredError if another held the lock for all of `wait`, or the strategy gave up.
   * @throws UnavailableError if the backend did not answer the last attempt, and at once if that is final.
   * @throws LockNotHeldError if a listener of `acquired` ended the lease.
   */
  acquire(key: string, options?: AcquireOptions): Promise<Lease> {
    return rejecting(() => {
      const settings = options === undefined ? this.#waitDefaults : resolveAcquire('acquire', options, this.#settings)
      return this.#lease(this.#checkKey(key), settings)
    })
  }

  /**
   * Acquires many keys, each independently. The call waits for a key that another holds only if `wait` says so: its default is 0 here.
   *
   * @returns for each key its lease or `null`, in the order of the keys. If a key stands twice, the second is `null`. So is a lease that a
   * listener of `acquired` has ended.
   * @throws UnavailableError if the backend did not answer an attempt; the call has then released all that it acquired. After an abort the
   * releases go on in the background.
   */
  async acquireMany(keys: Iterable<string>, options: AcquireManyOptions = {}): Promise<(Lease | null)[]> {
    this.#throwIfClosed()
    const settings = resolveAcquireMany(options, this.#settings)
    return this.#many.acquireMany(keys, { ...settings, onProgress: this.guardCallback(settings.onProgress) })
  }

  /**
   * Acquires all the keys or none of them. Every caller takes them in the same order, whatever order it names them in, so
   * callers that want the same keys cannot deadlock.
   *
   * @returns the leases in the order of the keys.
   * @throws LockNotAcquiredError, UnavailableError, LockNotHeldError as `acquire`; the call then holds nothing. RangeError if a key stands twice.
   * The attempt after the last wait may take one `timeout` more than `wait`.
   */
  async acquireAll(keys: Iterable<string>, options: AcquireAllOptions = {}): Promise<Lease[]> {
    this.#throwIfClosed()
    return this.#many.acquireAll(keys, resolveAcquireAll(options, this.#settings))
  }

  /**
   * Waits for the lock, does the work under it, and releases it, also if the work fails. `close` waits for the work; see its option `drain`.
   * With `atLeast` its key stays for a while: a job that several machines start at about the same time runs once.
   *
   * @returns what the work returns.
   * @throws what `acquire` throws, and what the work throws. If the work succeeded but outlived the lock, the call still rejects: LeaseLostError
   * if the lease was lost, ManagerClosedError if `close` released it.
   */
  async using<T>(key: string, work: (lease: Lease) => Promise<T> | T, options?: UsingOptions): Promise<T> {
    const settings = options === undefined ? this.#waitDefaults : resolveUsing(options, this.#settings)
    checkFunction('work', work)
    this.#checkKey(key)
    return traceUsing(this, key, () => this.#use(key, work, settings))
  }

  async #use<T>(key: string, work: (lease: Lease) => Promise<T> | T, settings: AcquireSettings): Promise<T> {
    const lease = await this.#lease(key, settings)
    if (!this.#closed) return this.#parts.usages.use(lease, work, settings.atLeast)
    await lease.release()
    throw new ManagerClosedError(key)
  }

  /** Stands as a candidate from now on: of all managers that do so for the same key, one leads. `elected` and `deposed` tell this one. */
  elect(key: string, options: ElectionOptions): Election {
    this.#throwIfClosed(this.#checkKey(checkKey(key)))
    return this.#parts.standings.elect(key, options)
  }

  /** Acquires each of the keys whenever it can be had, from now on, and again after each loss. The events of the claim tell which are held. */
  claim(keys: Iterable<string>, options: ClaimOptions = {}): Claim {
    this.#throwIfClosed()
    return this.#parts.standings.claim(this.#listKeys(keys), options)
  }

  /**
   * Shares the items, each a key, with all managers of the prefix that name the same `group`; only those keys move that must.
   * @throws TypeError on a quorum, and on a backend without `catalogue`.
   */
  share(items: Iterable<string>, options: ShareOptions): Share {
    this.#throwIfClosed()
    return this.#parts.standings.share(this.#listKeys(items), options)
  }

  /** The lease that this manager holds on the key, if there is one. */
  get(key: string): Lease | undefined {
    return this.#parts.inquiries.leaseOn(checkKey(key))
  }

  /** The leases that this manager holds, in no particular order. */
  *[Symbol.iterator](): Iterator<Lease> {
    for (const record of this.#parts.table.values()) {
      if (isActive(this.#parts.table.observe(record))) yield record.handle as Lease
    }
  }

  /**
   * Asks the backend who holds a lock.
   *
   * @returns `null` if nobody does.
   * @throws UnavailableError if the backend did not answer within `timeout`.
   */
  async inspect(key: string): Promise<LockInspection | null> {
    this.#throwIfClosed(checkKey(key))
    return this.#parts.inquiries.inspect(key)
  }

  /**
   * Lists the locks under the prefix, whoever holds them, those of other libraries included. A lock that is there from the first step to the last is
   * on the list, or twice if the server resizes its table. While slots of a cluster move, it may be there twice or be missing.
   *
   * Each step rejects with UnavailableError without an answer within `timeout`, and with the reason of `signal` once that aborts.
   * @throws TypeError, RangeError naming the option that is invalid.
   */
  list(options: ListOptions = {}): AsyncGenerator<ListedLock, void> {
    return this.#parts.inquiries.list(resolveList(options), () => this.#throwIfClosed())
  }

  /**
   * The managers with this prefix that announce themselves, this one included: see the option `announce`.
   * @throws UnavailableError if the backend did not answer within `timeout`.
   */
  async members(): Promise<Member[]> {
    this.#throwIfClosed()
    return this.#parts.members.list()
  }

  /**
   * For operators: deletes the key of a lock, whoever holds it. The holder emits `lost`: at once if the server notifies its manager of changes,
   * otherwise at its next renewal. Until then the holder works on, although another may have acquired the lock.
   *
   * @param key bytes for a key that is no text: see `list`. @returns whether anybody held it.
   * @throws UnavailableError if the backend did not answer within `timeout`; it may have deleted the key all the same.
   */
  async forceRelease(key: string | Uint8Array): Promise<boolean> {
    const name = key instanceof Uint8Array ? this.#parts.inquiries.nameOf(key) : this.#checkKey(key)
    this.#throwIfClosed(name)
    try {
      return await this.#parts.inquiries.forceRelease(key)
    } finally {
      // The server does not notify a manager of changes that this manager made itself.
      this.#parts.desk.onChange([name])
    }
  }

  /**
   * Takes over a lease that was detached, here or elsewhere. The manager renews it at once, and goes on renewing it. Its token and its fence stay the same.
   *
   * @param lease what `lease.detach()` returned; it may have come over a network.
   * @throws LockNotHeldError if its key has expired, was deleted or is another's; its `cause` says which. UnavailableError if the backend did not
   * answer within `timeout`: another attempt may succeed until the key expires.
   */
  async adopt(lease: DetachedLease, options: AdoptOptions = {}): Promise<Lease> {
    const detached = checkDetached(lease)
    const settings = resolveAdopt(options, detached.ttl, this.#settings)
    this.#throwIfClosed(this.#checkKey(detached.key))
    return (await this.#parts.adoptions.run(detached, settings)).handle as Lease
  }

  /** What the manager is doing, and what it has done so far. It takes constant time, however many leases are held. */
  stats(): LeaseManagerStats {
    return this.#parts.stats()
  }

  /** Whether the manager can take on work, and why not: for a readiness probe. */
  health(): Health {
    return healthOf(this.#parts)
  }

  /**
   * Rejects waiting callers with `ManagerClosedError`, waits at most `drain` ms for the work of `using`, releases every lease in batches, and closes
   * the manager's connections. If work still runs after the drain, `close` aborts its `lease.signal` before it releases the lock. Every lease has
   * emitted its last event when this resolves. Idempotent; a second call may shorten the drain. Rejects only for an invalid option.
   * Do not await it inside the work of `using`: it would wait for that work until the drain is over.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const settings = resolveClose(options)
    this.#closed = true
    this.#parts.connectivity.close()
    this.#parts.usages.limit(settings.drain)
    // A listener of a lease's end may call `close` again.
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

  /** Refuses the one key that the backend needs for itself, which some prefixes leave within reach. */
  #checkKey(key: string): string {
    if (checkKey(key) !== this.#parts.forbiddenKey) return key
    throw new RangeError(`Expected \`key\` with its prefix not to be \`${FENCE_KEY}\`: the fence counter has that key`)
  }

  #listKeys(keys: Iterable<string>): readonly string[] {
    return listOfKeys(keys).map((key) => this.#checkKey(checkKey(key)))
  }

  #throwIfClosed(key?: string): void {
    if (this.#closed) throw new ManagerClosedError(key)
  }
}
