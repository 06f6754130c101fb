/**
 * The backend over a `MemoryStore`. It gives the same answers as a server, and on demand the faults of a server and a network.
 */
import type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  Granted,
  HandOverEntry,
  HandOverOutcome,
  LockEntry,
  LockView,
  ReleaseEntry,
  Unknown,
} from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import { MemoryCatalogue } from './memory-catalogue.ts'
import { MemoryJoints, jointViewOf } from './memory-joints.ts'
import { MemoryStore, type StoreWatcher } from './memory-store.ts'

export interface MemoryBackendOptions {
  /** The store of the locks. Default: a new one. */
  readonly store?: MemoryStore | undefined
  /** Whether it reports changes of keys, like a server that supports tracking. Default `true`. */
  readonly watch?: boolean | undefined
}

/** What a backend can be asked for. */
export type Operation =
  | 'acquire'
  | 'handOver'
  | 'renew'
  | 'release'
  | 'verify'
  | 'inspect'
  | 'forceRelease'
  | 'list'
  | 'announce'

/** A request that waits until the server goes on, or until `close`. */
interface Held {
  run(): void
}

const DONE = { type: 'done' } as const

/**
 * Locks inside this process. It serves programs that may run without Redis, and examples. With `block`, `fail` and
 * `dropAnswers` it replaces Redis in tests.
 */
export class MemoryBackend implements Backend {
  readonly joints: boolean = true
  readonly stays: boolean = true
  readonly store: MemoryStore
  readonly #canWatch: boolean
  /** This backend, as a watcher of the store. */
  readonly #watcher: StoreWatcher = { onChange: (name) => void this.#onChange(name) }
  readonly #joints: MemoryJoints
  #watching = false
  #prefix = ''
  #catalogue: Catalogue | undefined
  #listener: BackendListener | undefined
  #blocked = false
  #dropping = false
  #fault: Error | undefined
  #held: Held[] = []
  /** Requests that were carried out, but not answered. */
  #dropped: Held[] = []
  #closed = false
  readonly #requests: Record<Operation, number> = {
    acquire: 0,
    handOver: 0,
    renew: 0,
    release: 0,
    verify: 0,
    inspect: 0,
    forceRelease: 0,
    list: 0,
    announce: 0,
  }

  constructor(options: MemoryBackendOptions = {}) {
    this.store = options.store ?? new MemoryStore()
    this.#canWatch = options.watch ?? true
    this.#joints = new MemoryJoints(this.store, this.#watcher)
  }

  get watching(): boolean {
    return this.#watching && !this.#closed && this.#fault === undefined
  }

  get catalogue(): Catalogue | undefined {
    return this.#catalogue
  }

  get connected(): boolean {
    return this.#fault === undefined
  }

  /** How many requests have arrived, by kind. Each may carry many keys. */
  get requests(): Readonly<Record<Operation, number>> {
    return this.#requests
  }

  /** Plays a server that hangs: requests arrive, and are carried out in order only after `unblock`. */
  block(): void {
    this.#blocked = true
  }

  unblock(): void {
    this.#blocked = false
    const held = this.#held
    this.#held = []
    for (const request of held) request.run()
    this.#listener?.onRecovered()
  }

  /** Plays a server that refuses everything with this error, or cannot be reached, and reports no change. `undefined` ends it. */
  fail(error: Error | undefined): void {
    const recovered = this.#fault !== undefined && error === undefined
    this.#fault = error
    if (error) this.#listener?.onDisconnected?.(error)
    if (!recovered) return
    this.#listener?.onConnected?.()
    this.#listener?.onRecovered()
    if (this.#watching) this.#listener?.onChange()
  }

  /** Plays a server that was restarted without its data. */
  restart(): void {
    this.store.clear()
    this.#listener?.onSuspect()
  }

  /** Plays a network that loses answers: requests are carried out, and not answered until `close`. */
  dropAnswers(dropping: boolean): void {
    this.#dropping = dropping
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    this.#prefix = settings.prefix
    const arrive = (operation: 'list' | 'announce' | 'forceRelease'): Promise<void> => this.#arrive(operation)
    this.#catalogue = new MemoryCatalogue({
      store: this.store,
      prefix: settings.prefix,
      arrive,
      watcher: this.#watcher,
    })
    this.#listener = listener
    this.#watching = settings.watch && this.#canWatch
  }

  ready(): undefined {
    return undefined
  }

  acquire(entries: readonly LockEntry[], watch = false, floor = 0): Promise<readonly AcquireOutcome[]> {
    return this.#carryOut('acquire', entries, () => {
      const grant = this.#granter(floor)
      return entries.map((entry) => this.#acquire(entry, watch, grant))
    })
  }

  handOver(entries: readonly HandOverEntry[], watch = false): Promise<readonly HandOverOutcome[]> {
    return this.#carryOut('handOver', entries, () => {
      const grant = this.#granter()
      return entries.map((entry): HandOverOutcome => {
        const { key, from } = entry
        const released = this.#changeOne({ key, token: from }, (name) => {
          this.store.delete(name, this.#watcher)
          return DONE
        })
        return { type: 'exchanged', released, acquired: this.#acquire(entry, watch, grant) }
      })
    })
  }

  raiseFences(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut('acquire', entries, () => {
      this.store.raiseFence(fence)
      return entries.map(() => DONE)
    })
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    return this.#change('renew', entries, (entry, name) => {
      const outcome = entry.joint ? this.#joints.renew(name, entry) : DONE
      if (!entry.joint) this.store.extend(name, entry.ttl, this.#watcher)
      if (watch) this.#watch(name)
      return outcome
    })
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#change<ReleaseEntry>('release', entries, (entry, name) => {
      const { watch, stay, joint } = entry
      const outcome = joint ? this.#joints.release(name, entry) : DONE
      const left = stay ? this.store.leftOf(stay) : 0
      if (!joint && left > 0) this.store.extend(name, left, this.#watcher)
      else if (!joint) this.store.delete(name, this.#watcher)
      if (watch) this.#watch(name)
      return outcome
    })
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#change('verify', entries, (entry, name) => (entry.joint ? this.#joints.verify(name, entry) : DONE))
  }

  async inspect(key: string): Promise<LockView | null> {
    await this.#arrive('inspect')
    const token = this.store.get(this.#prefix + key)
    const remaining = this.store.remaining(this.#prefix + key)
    if (token === undefined || remaining === undefined) return null
    const sharing = this.store.sharing(this.#prefix + key)
    return { token, remaining, ...(sharing && { joint: jointViewOf(sharing, this.store.now) }) }
  }

  async forceRelease(key: string): Promise<boolean> {
    await this.#arrive('forceRelease')
    return this.store.delete(this.#prefix + key, this.#watcher)
  }

  async close(): Promise<void> {
    this.#closed = true
    const unanswered = [...this.#held, ...this.#dropped]
    this.#held = []
    this.#dropped = []
    for (const request of unanswered) request.run()
  }

  /** The outcome of every grant of one call. */
  #granter(floor = 0): () => Granted {
    let granted: Granted | undefined
    return () => (granted ??= { type: 'granted', fence: this.store.nextFence(floor) })
  }

  #acquire(entry: LockEntry, watch: boolean, grant: () => Granted): AcquireOutcome {
    const { key, token, ttl, joint } = entry
    const name = this.#prefix + key
    if (joint) {
      const outcome = this.#joints.acquire(name, entry, this.#watching)
      if (watch || outcome.type === 'refused') this.#watch(name)
      return outcome
    }
    const holder = this.store.get(name)
    if (holder !== undefined && holder !== token) {
      this.#watch(name)
      const remaining = this.store.remaining(name) ?? 0
      return { type: 'refused', remaining, holder, watched: this.#watching }
    }
    this.store.set(name, token, ttl, this.#watcher)
    if (watch) this.#watch(name)
    return grant()
  }

  #change<E extends LockEntry>(
    operation: Operation,
    entries: readonly E[],
    change: (entry: E, name: string) => ChangeOutcome,
  ): Promise<readonly ChangeOutcome[]> {
    return this.#carryOut(operation, entries, () =>
      entries.map((entry) => this.#changeOne(entry, (name) => change(entry, name))),
    )
  }

  #changeOne(
    { key, token, joint }: Pick<LockEntry, 'key' | 'token' | 'joint'>,
    change: (name: string) => ChangeOutcome,
  ): ChangeOutcome {
    const name = this.#prefix + key
    if (joint) return change(name)
    const holder = this.store.get(name)
    if (holder === undefined) return { type: 'refused', reason: 'missing' }
    if (holder !== token) return { type: 'refused', reason: 'taken' }
    return change(name)
  }

  #watch(name: string): void {
    if (this.#watching) this.store.watch(name, this.#watcher)
  }

  /** Notifications come later than the change, or not at all, like those of a server. */
  async #onChange(name: string | undefined): Promise<void> {
    await this.#turn()
    if (this.#closed || this.#fault) return
    this.#listener?.onChange(name === undefined ? undefined : [name.slice(this.#prefix.length)])
  }

  /** Lets a request for one key arrive. It throws if the server is down or closed. */
  async #arrive(operation: Operation): Promise<void> {
    this.#requests[operation] += 1
    if (!this.#closed && this.#fault) throw this.#fault
    await this.#turn()
    if (this.#closed) throw closed()
  }

  async #carryOut<O>(
    operation: Operation,
    entries: readonly LockEntry[],
    work: () => readonly O[],
  ): Promise<readonly (O | Unknown)[]> {
    this.#requests[operation] += 1
    if (!this.#closed && this.#fault) return unknown(entries, this.#fault)
    await this.#turn()
    if (this.#closed) return unknown(entries, closed())
    const outcomes = work()
    if (!this.#dropping) return outcomes
    await new Promise<void>((resolve) => {
      this.#dropped.push({ run: resolve })
    })
    return unknown(entries, closed())
  }

  /** Resolves once the server carries out this request: at once, unless it hangs. */
  #turn(): Promise<void> | undefined {
    if (!this.#blocked || this.#closed) return undefined
    return new Promise((resolve) => {
      this.#held.push({ run: resolve })
    })
  }
}

function closed(): Error {
  return new Error('The memory backend is closed')
}

function unknown(entries: readonly LockEntry[], error: Error): readonly Unknown[] {
  return entries.map(() => ({ type: 'unknown', error }))
}
