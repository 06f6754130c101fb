/**
 * LeaseManager: what users hold. It puts the parts together and offers them; every decision is taken in one of them. May
 * import anything in `src`.
 */

import { asError } from './as-error.ts'
import { ABORTS } from './acquire/abort-watch.ts'
import { acquireAll } from './acquire/acquire-all.ts'
import type { AcquisitionParts, Grant } from './acquire/acquisition.ts'
import { Adoptions } from './acquire/adoption.ts'
import {
  type AcquireOutcome,
  type Backend,
  type ChangeOutcome,
  FENCE_KEY,
  type LockEntry,
  type ReleaseEntry,
} from './backend.ts'
import { ChangeDesk } from './manager/change-desk.ts'
import { BulkAcquisitions, type BulkSettings } from './acquire/bulk-acquisition.ts'
import { checkFunction } from './options/check.ts'
import { type Clock, SystemClock } from './time/clock.ts'
import { Cohort } from './lease/cohort.ts'
import { isActive } from './rules/lease-state.ts'
import { LockNotHeldError, ManagerClosedError, UnavailableError } from './errors.ts'
import { GuardedEmitter } from './manager/guarded-emitter.ts'
import { GuardedClock } from './time/guarded-clock.ts'
import { FirstAttempts } from './acquire/first-attempt.ts'
import { showInLogs } from './show-in-logs.ts'
import { type DetachedLease, Lease, type LeaseEnd, type LeasePort } from './lease/lease.ts'
import type { LeaseRecord, LeaseTerms } from './lease/lease-record.ts'
import { abortReasonOf, endOf, howEnded, LeaseTable, notHeld, type Scheduled } from './lease/lease-table.ts'
import {
  type AcquireManyOptions,
  type AcquireOptions,
  type AcquireSettings,
  type AdoptOptions,
  checkDetached,
  checkDistinctKeys,
  checkKey,
  type CloseOptions,
  type CloseSettings,
  type LeaseManagerOptions,
  listOfKeys,
  type ManagerSettings,
  type Progress,
  resolveAcquire,
  resolveAcquireMany,
  resolveAdopt,
  resolveClose,
  resolveManager,
  resolveTryAcquire,
  type TryAcquireOptions,
} from './options/options.ts'
import { LoadMeter } from './renewal/load-meter.ts'
import { Outbox, type OutboxParts, type Parcel, type Request } from './requests/outbox.ts'
import { type Connectable, createBackend } from './redis/create-backend.ts'
import { Releaser } from './release/releaser.ts'
import { Renewer, surveyOf } from './renewal/renewer.ts'
import { Scheduler } from './time/scheduler.ts'
import { forEachIndex } from './time/slices.ts'
import { type LeaseManagerStats, Tally } from './stats.ts'
import { ownerOf, tokensOf } from './lease/token.ts'
import { Usages } from './manager/usages.ts'
import { Verifier } from './renewal/verifier.ts'
import { WaitingLines } from './waiting/waiting-line.ts'

/** ms that a backend may take to close its connections before it is left to itself. */
const CLOSE_BACKEND_TIMEOUT = 1_000

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
export class LeaseManager extends GuardedEmitter implements Iterable<Lease> {
  readonly #settings: ManagerSettings
  readonly #tryDefaults: AcquireSettings
  readonly #waitDefaults: AcquireSettings
  readonly #backend: Backend
  readonly #scheduler: Scheduler<Scheduled>
  readonly #tally = new Tally()
  readonly #lines: WaitingLines
  readonly #table: LeaseTable
  readonly #load: LoadMeter
  readonly #renewer: Renewer
  readonly #releaser: Releaser
  readonly #desk: ChangeDesk
  readonly #adoptions: Adoptions
  readonly #usages: Usages
  readonly #acquires: Outbox<AcquireOutcome>
  readonly #releases: Outbox<ChangeOutcome, ReleaseEntry>
  readonly #questions: Outbox<ChangeOutcome>
  readonly #renewals: Outbox<ChangeOutcome>
  readonly #parts: AcquisitionParts
  readonly #attempts: FirstAttempts
  readonly #bulks: BulkAcquisitions
  readonly #port: LeasePort<LeaseRecord>
  /** The key that the backend needs itself, where our prefix leads to it. */
  readonly #forbiddenKey: string | undefined
  #flushing = false
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
    const resolved = resolveManager(options)
    const onFault = (fault: unknown): void => this.report(fault)
    // The machine's clock throws nothing.
    const clock = resolved.clock instanceof SystemClock ? resolved.clock : new GuardedClock(resolved.clock, onFault)
    const settings = { ...resolved, clock }
    const { driftFactor, batchSize, prefix, watch, watchLimit } = settings
    this.#settings = settings
    this.#tryDefaults = resolveTryAcquire({}, settings)
    this.#waitDefaults = resolveAcquire('acquire', {}, settings)
    this.#backend = createBackend(connection)
    const backend = this.#backend
    const tally = this.#tally

    const random = (): number => {
      try {
        return settings.random()
      } catch (fault) {
        // It serves renewals, too, which nothing may keep from being sent.
        onFault(fault)
        // As good as any, and the same each time.
        return 0.5
      }
    }
    const scheduler = new Scheduler<Scheduled>(clock, {
      onDue: (item, tick) => {
        if (item instanceof Cohort) this.#renewer.onDue(item, tick)
        else this.#table.apply(item, { type: 'observed', now: tick.now })
      },
      onTickEnd: () => this.#renewer.pump(),
      onFault,
    })
    const lines = new WaitingLines(scheduler, tally)
    const table = new LeaseTable({
      clock,
      scheduler,
      tally,
      driftFactor,
      seed: random(),
      subscribers: this,
      onVacated: (record, givenBack) => lines.onVacated(record.key, givenBack, record.has.turns),
      onAbandoned: (record) => this.#releaser.abandon(record),
      isInUse: (record) => this.#usages.has(record),
    })
    const isWatching = (added = 0): boolean => watch && table.size + added <= watchLimit
    this.#scheduler = scheduler
    this.#usages = new Usages({ clock, scheduler, table })
    this.#lines = lines
    this.#table = table
    this.#load = new LoadMeter({
      clock,
      scheduler,
      survey: () => surveyOf(table.cohorts()),
      tell: (report) => void this.emit('overload', report),
    })
    const renewer = new Renewer({
      backend,
      clock,
      scheduler,
      table,
      tally,
      load: this.#load,
      batchSize,
      driftFactor,
      random,
      isWatching,
      onFault,
    })
    this.#renewer = renewer
    const hint = (key: string): void => {
      table.hint(key)
      lines.get(key)?.first?.hint()
    }
    const outboxParts: OutboxParts = { backend, clock, scheduler, tally, batchSize, onFault }
    this.#acquires = new Outbox(outboxParts, (entries) => backend.acquire(entries, isWatching(entries.length)), true)
    // Of a release that is repeated nobody could say whether the first one deleted the key: deletions see to that themselves.
    this.#releases = new Outbox(outboxParts, (entries) => backend.release(entries), false)
    this.#questions = new Outbox(outboxParts, (entries) => backend.verify(entries), true)
    this.#renewals = new Outbox(outboxParts, (entries) => backend.renew(entries, isWatching()), true)
    this.#releaser = new Releaser({
      clock,
      scheduler,
      table,
      random,
      batchSize,
      isBehind: () => this.#load.behind,
      onDeletedLate: hint,
      isOffered: (key) => lines.isOffered(key),
      post: (request) => this.#post(this.#releases, request),
      postParcel: (parcel) => this.#postParcel(this.#releases, parcel),
    })
    const postRenewal = (request: Request<ChangeOutcome>): void => this.#post(this.#renewals, request)
    const verifier = new Verifier({
      clock,
      table,
      postRenewal,
      postQuestion: (request) => this.#post(this.#questions, request),
    })
    this.#port = {
      observe: (record) => table.observe(record),
      remaining: (record) => Math.max(endOf(record) - clock.now(), 0),
      signal: (record) => signalOf(table, record),
      ended: (record) => endedOf(table, record),
      renew: (record) => renewer.renew(record),
      release: (record) => this.#releaser.release(record),
      detach: (record) => detach(table, clock, record),
    }
    let terms: LeaseTerms = this.#tryDefaults
    const grant: Grant = (record, fence, settings, sentAt) => {
      const { ttl, timeout, maxHold } = settings
      if (fence !== terms.fence || ttl !== terms.ttl || timeout !== terms.timeout) terms = { ttl, timeout, fence }
      record.terms = terms
      record.handle = new Lease(record, this.#port)
      let announced = false
      try {
        const isHeardOf = table.place(record) || this.listenerCount('acquired') > 0
        renewer.join(record, settings, sentAt)
        if (maxHold !== Number.POSITIVE_INFINITY) table.limit(record, clock.now() + maxHold)
        announced = true
        table.announce(record)
        if (!isHeardOf || isActive(table.observe(record))) return 'held'
        return record.state === 'lost' ? 'late' : 'ended'
      } catch (fault) {
        table.withdraw(record, announced)
        throw fault
      }
    }
    this.#parts = {
      clock,
      scheduler,
      table,
      lines,
      aborts: ABORTS,
      releaser: this.#releaser,
      verifier,
      tally,
      driftFactor,
      random,
      createToken: tokensOf(settings.owner),
      faultOf: () => backend.fault,
      isReliable: () => this.#desk.isReliable(),
      onUnreliable: () => this.#desk.onUnreliable(),
      post: (request) => this.#post(this.#acquires, request),
      grant,
    }
    this.#attempts = new FirstAttempts(this.#parts)
    this.#bulks = new BulkAcquisitions({
      ...this.#parts,
      batchSize,
      onFault,
      postParcel: (parcel) => this.#postParcel(this.#acquires, parcel),
    })
    const adoptions = new Adoptions({
      clock,
      table,
      verifier,
      aborts: ABORTS,
      driftFactor,
      post: postRenewal,
      grant,
      onUnsettled: hint,
    })
    this.#adoptions = adoptions
    const desk = new ChangeDesk({ clock, scheduler, table, lines, renewer, verifier, adoptions, isWatching, tally })
    this.#desk = desk
    backend.open(
      { prefix, timeout: this.#tryDefaults.timeout, watch, clock: resolved.clock, credentials: settings.credentials },
      {
        onRecovered: () => renewer.onRecovered(),
        onSuspect: () => desk.onChange(),
        onMissed: () => desk.onMissed(),
        onChange: (keys) => desk.onChange(keys),
        onUnwatched: () => desk.wakeAll(),
        onForgotten: () => desk.onUnreliable(),
        onError: (error) => this.reportFault(error),
      },
    )
    const ownKey = FENCE_KEY.startsWith(prefix) ? FENCE_KEY.slice(prefix.length) : undefined
    this.#forbiddenKey = backend.reservedKey ?? ownKey
  }

  /**
   * Lets the process exit although this manager has connections and a timer: for scripts that end when their own work has. Leases that are held
   * then are left to expire, and a call that waits does not keep the process alive. For good. Needs a backend with `unref()`; that over ioredis has one.
   */
  unref(): this {
    this.#scheduler.unref()
    this.#backend.unref?.()
    return this
  }

  /** What a log shows of it. */
  toJSON(): { readonly held: number; readonly waiting: number; readonly closed: boolean } {
    return { held: this.size, waiting: this.#lines.size + this.#table.reserved, closed: this.#closed }
  }

  /** How many leases are held. */
  get size(): number {
    return this.#table.size
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
      return this.#attempts.tryAcquire(key, settings)
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
    const onProgress = this.#guard(settings.onProgress)
    const list = listOfKeys(keys)
    const checking = forEachIndex(list.length, this.#settings.clock, (index) => {
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
    const { clock } = this.#settings
    const { aborts } = this.#parts
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
    const record = this.#table.get(key)
    // It has ended since: the work would do without the lock.
    if (record?.handle !== lease)
      throw lease.state === 'lost' ? lease.signal.reason : new LockNotHeldError(key, lease.state)
    return this.#usages.run(record, work)
  }

  /** The lease that this manager holds on the key, if it does. */
  get(key: string): Lease | undefined {
    const record = this.#table.get(checkKey(key))
    return record && isActive(this.#table.observe(record)) ? record.handle : undefined
  }

  /** The leases that are held, in no particular order. */
  *[Symbol.iterator](): Iterator<Lease> {
    for (const record of this.#table.values()) {
      if (isActive(this.#table.observe(record))) yield record.handle as Lease
    }
  }

  /**
   * Asks the backend who holds a lock, whoever it is.
   *
   * @returns `null` when nobody does.
   * @throws UnavailableError when the backend did not answer within `timeout`.
   */
  async inspect(key: string): Promise<LockInspection | null> {
    const view = await this.#askFor(key, 'inspected', () => this.#backend.inspect(key))
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
      return await this.#askFor(key, 'released', () => this.#backend.forceRelease(key))
    } finally {
      // What a manager changes itself, or may have changed, the server does not tell it.
      this.#desk.onChange([key])
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
    return this.#adoptions.run(detached, settings).then(handleOf)
  }

  /** What is going on and what has been done. */
  stats(): LeaseManagerStats {
    return this.#tally.report({
      held: this.#table.size,
      jeopardy: this.#table.jeopardy,
      waiting: this.#lines.size + this.#table.reserved,
      queues: this.#countQueues(),
      undoing: this.#releaser.undoing,
      watching: this.#backend.watching,
      timers: this.#scheduler.timers,
      load: this.#load.report,
    })
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
    this.#usages.limit(settings.drain)
    // In a turn of its own: a listener that is told of the end of a lease may call this again.
    this.#closing ??= Promise.resolve().then(() => this.#close(settings))
    return this.#closing
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close({ timeout, onProgress }: CloseSettings): Promise<void> {
    this.#bulks.cancelAll(new ManagerClosedError())
    this.#attempts.cancelAll((key) => new ManagerClosedError(key))
    this.#lines.cancelAll((key) => new ManagerClosedError(key))
    this.#adoptions.cancelAll((key) => new ManagerClosedError(key))
    await this.#usages.drain()
    this.#table.beginClosing()
    if (this.#usages.size > 0) {
      this.#usages.forewarn()
      // Who listens to its signal ends before its lock is given back.
      await new Promise<void>((resolve) => this.#settings.clock.soon(resolve))
    }
    let over = false
    await this.#within(timeout, async () => {
      await this.#releaseAll(this.#guard(onProgress), () => over)
      // What was asked for before may still be granted, and is then given back.
      await this.#acquires.idle()
      await new Promise<void>((resolve) => this.#settings.clock.soon(resolve))
      await this.#releaser.idle()
    }).catch(ignore)
    over = true
    this.#releaser.close()
    await this.#within(CLOSE_BACKEND_TIMEOUT, () => this.#backend.close()).catch((fault: unknown) => this.report(fault))
    this.#table.tellLosses()
    this.#scheduler.close()
  }

  #lease(key: string, settings: AcquireSettings): Promise<Lease> {
    this.#throwIfClosed(key)
    return this.#attempts.acquire(key, settings)
  }

  /** Keys that callers stand in line for, or that are reserved. */
  #countQueues(): number {
    const { count } = this.#lines
    const { reserved } = this.#table
    if (count === 0 || reserved === 0) return count + reserved
    let both = 0
    for (const { key } of this.#lines.values()) if (this.#table.isReserved(key)) both += 1
    return count + reserved - both
  }

  async #tryEach(keys: readonly string[], settings: BulkSettings): Promise<(Lease | null)[]> {
    this.#throwIfClosed()
    return this.#bulks.run(keys, settings)
  }

  async #releaseAll(onProgress: CloseSettings['onProgress'], isOver: () => boolean): Promise<void> {
    const total = this.#table.size
    let done = 0
    const onSettled = (count: number): void => {
      done += count
      onProgress?.({ done: Math.min(done, total), total })
    }
    // A listener may acquire something meanwhile, by what was asked for before.
    while (this.#table.size > 0 && !isOver()) {
      await this.#releaser.releaseEach(this.#table.values(), onSettled, isOver)
      // Whatever is left: the event loop is not kept from the timer that ends this.
      await new Promise<void>((resolve) => this.#settings.clock.soon(resolve))
    }
  }

  /** What a callback of the user's throws harms nobody. */
  #guard(onProgress: CloseSettings['onProgress']): CloseSettings['onProgress'] {
    if (onProgress === undefined) return undefined
    return (progress: Progress) => {
      try {
        onProgress(progress)
      } catch (fault) {
        this.report(fault)
      }
    }
  }

  /** What is asked in one turn of the event loop is sent at its end, or as soon as it fills a batch: the server answers that while more is put together. */
  #post<O, E extends LockEntry>(outbox: Outbox<O, E>, request: E & Request<O>): void {
    if (outbox.add(request)) this.#flush()
    else this.#flushSoon()
  }

  #postParcel<O, E extends LockEntry>(outbox: Outbox<O, E>, parcel: Parcel<O, E>): void {
    outbox.addParcel(parcel)
    this.#flush()
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#settings.clock.soon(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  /** Releases go before acquires, so that a key can change hands in one go. */
  #flush(): void {
    this.#releases.flush()
    this.#questions.flush()
    this.#renewals.flush()
    this.#acquires.flush()
  }

  /** One question about one key, whoever holds it. */
  async #askFor<T>(key: string, what: string, ask: () => Promise<T>): Promise<T> {
    this.#throwIfClosed(checkKey(key))
    return this.#within(this.#tryDefaults.timeout, async () => {
      await this.#backend.ready()
      return ask()
    }).catch((error: unknown) => {
      const cause = asError(error)
      throw new UnavailableError(`Lock \`${key}\` could not be ${what}: ${cause.message}`, key, { cause })
    })
  }

  #within<T>(ms: number, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const alarm = this.#scheduler.after(ms, () => {
        reject(new UnavailableError(`The backend did not answer within ${ms} ms`))
      })
      work()
        .then(resolve, reject)
        .finally(() => alarm.cancel())
    })
  }

  /** A key that a lock can have: with some prefixes there is one that the backend needs itself. */
  #checkKey(key: string): string {
    if (checkKey(key) !== this.#forbiddenKey) return key
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

function ignore(): void {}

/** What an async function would do, but without a promise of its own: `work` makes one, or throws at once. */
function rejecting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(asError(error))
  }
}

function handleOf(record: LeaseRecord): Lease {
  return record.handle as Lease
}

function detach(table: LeaseTable, clock: Clock, record: LeaseRecord): DetachedLease {
  if (record.cohort === undefined) throw notHeld(record)
  table.apply(record, { type: 'detach', now: clock.now() })
  // Its deadline may have come, and then its key is deleted.
  if (record.state !== 'released') throw notHeld(record)
  const { key, token, fence, ttl } = record
  return { key, token, fence, ttl }
}

function signalOf(table: LeaseTable, record: LeaseRecord): AbortSignal {
  table.observe(record)
  const reason = abortReasonOf(record)
  const { own } = record
  if (own.controller === undefined) {
    own.controller = new AbortController()
    if (reason) own.controller.abort(reason)
  } else if (reason && !own.controller.signal.aborted) {
    // Its listeners are not called from inside a read: its abort comes in a turn of its own.
    return AbortSignal.abort(reason)
  }
  return own.controller.signal
}

function endedOf(table: LeaseTable, record: LeaseRecord): Promise<LeaseEnd> {
  const state = table.observe(record)
  if (state === 'lost' || state === 'released') return Promise.resolve(howEnded(record))
  const { own } = record
  if (own.ending === undefined) {
    let resolve: (end: LeaseEnd) => void = ignore
    const promise = new Promise<LeaseEnd>((settle) => {
      resolve = settle
    })
    own.ending = { promise, resolve }
  }
  return own.ending.promise
}
