/**
 * What the tests of this folder share: managers over memory backends, one store, a clock that is moved by hand, and a journal
 * of what was said and asked. Every stage closes its managers and ends with what must hold in every test: each lease has
 * told a whole story (P14), none was renewed after its end (P12), no key and no timer is left behind (P11, P24).
 */
import { expect } from 'chai'
import {
  type AcquireOutcome,
  type BackendListener,
  type BackendSettings,
  type ChangeOutcome,
  type HandOverEntry,
  type HandOverOutcome,
  type DetachedLease,
  type Lease,
  type LeaseEvents,
  LeaseManager,
  type LeaseManagerOptions,
  type LockEntry,
  type LockView,
  type ReleaseEntry,
} from 'leasewheel'
import { ManualClock, MemoryBackend, type MemoryBackendOptions, MemoryStore } from 'leasewheel/memory'

/** Width of a slot of the manager's wheel: alarms come at most this much late, in ms. */
export const TICK = 10

/** The seed and the number of runs of properties: fixed, so that a run is repeatable, and free for whoever wants more. */
export function runs(numRuns: number): { numRuns: number; seed: number } {
  return {
    numRuns: Number(process.env['FAST_CHECK_RUNS'] ?? numRuns),
    seed: Number(process.env['FAST_CHECK_SEED'] ?? 20_240_229),
  }
}

/** Numbers in [0, 1) that look random and are the same each time. (mulberry32) */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** How long a lease counts as held after its request was sent: the ttl less the margin, `ttl * driftFactor + 2` (ms). See docs/guarantees.md. */
export function heldFor(ttl: number, driftFactor = 0.01): number {
  return ttl - (ttl * driftFactor + 2)
}

/** A hand-over stands in the journal as a release and an acquire, one right after the other. */
export type Operation = 'acquire' | 'handOver' | 'renew' | 'release' | 'verify'
type LeaseEventName = Exclude<keyof LeaseEvents, 'error'>

interface Told {
  readonly kind: 'event'
  readonly at: number
  readonly name: LeaseEventName
  readonly lease: Lease
  /** `lost a: expired`, `released a, unconfirmed`, else the event and the key. */
  readonly line: string
}

interface Call {
  readonly kind: 'call'
  readonly at: number
  readonly operation: Operation
  readonly entries: readonly LockEntry[]
  /** The keys that were to be watched: all of them or none, but for a release. */
  readonly watched: readonly string[]
}

/** The manager was asked to go on with a lease. */
interface Adopting {
  readonly kind: 'adopting'
  readonly token: string
}

/** What happened on one manager, in order. */
class Journal {
  readonly items: (Told | Call | Adopting)[] = []

  told(): Told[] {
    return this.items.filter((item) => item.kind === 'event')
  }

  calls(): Call[] {
    return this.items.filter((item) => item.kind === 'call')
  }

  /** The tokens that were ever written to a key, or might have been. */
  tokens(): Set<string> {
    const acquires = this.calls().filter(({ operation }) => operation === 'acquire')
    return new Set(acquires.flatMap(({ entries }) => entries.map(({ token }) => token)))
  }

  /** P11 and P12: what is renewed was acquired, or is to be adopted, and is not over. And a key is asked for once in a request. */
  checkCalls(): void {
    const acquired = new Set<string>()
    const over = new Set<string>()
    for (const item of this.items) {
      if (item.kind === 'event') {
        if (item.name === 'acquired') acquired.add(item.lease.token)
        if (item.name === 'lost' || item.name === 'released') over.add(item.lease.token)
        continue
      }
      if (item.kind === 'adopting') {
        acquired.add(item.token)
        over.delete(item.token)
        continue
      }
      const { operation, entries } = item
      // Several may have a joint lease of one key.
      const keys = new Set(entries.map(({ key, token, joint }) => (joint ? `${key} ${token}` : key)))
      if (keys.size !== entries.length && operation !== 'release') expect.fail(`a key stands twice in one ${operation}`)
      for (const { key, token } of entries) {
        if (operation === 'release') over.add(token)
        if (operation !== 'renew') continue
        if (!acquired.has(token)) expect.fail(`P11: \`${key}\` was renewed without a lease`)
        if (over.has(token)) expect.fail(`P12: \`${key}\` was renewed after its end`)
      }
    }
  }

  /** P14. With `ended`, every lease must have had its last event. */
  checkStories(ended: boolean): void {
    const stories = new Map<Lease, string[]>()
    for (const { lease, name } of this.told()) {
      const story = stories.get(lease)
      if (story) story.push(name)
      else stories.set(lease, [name])
    }
    for (const [lease, story] of stories) {
      const told = story.join(' ')
      const grammar = ended
        ? /^acquired( renewed| jeopardy safe)*( jeopardy)? (released|lost)$/
        : /^acquired( renewed| jeopardy safe)*( jeopardy)?( released| lost)?$/
      if (!grammar.test(told)) expect.fail(`P14: the story of \`${lease.key}\` is: ${told}`)
    }
  }
}

/** What a manager told, as lines to compare with. Reading it reads no lease. */
class EventLog {
  /** The `error` events. Whoever expects some takes them out. */
  readonly errors: Error[] = []
  readonly #journal: Journal
  #from = 0

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** Everything since the last `clear`. */
  get all(): Told[] {
    return this.#journal.told().slice(this.#from)
  }

  get lines(): string[] {
    return this.all.map(({ line }) => line)
  }

  clear(): void {
    this.#from = this.#journal.told().length
  }

  takeErrors(): Error[] {
    return this.errors.splice(0)
  }
}

interface HeldAnswer {
  readonly operation: Operation
  readonly keys: readonly string[]
  /** Hands over the answer, or another in its place. */
  readonly deliver: (instead?: readonly ChangeOutcome[]) => void
  readonly reject: (error: Error) => void
}

/** Requests of one manager at one moment; more are a hot loop, which on a clock that stands still would have no end. */
const MOST_AT_ONCE = 1_000

/** A memory backend with a network before it: latency, and answers that the test hands over itself. */
export class TestBackend extends MemoryBackend {
  /** How long a request, and its answer, are on their way, in ms. */
  there = 0
  back = 0
  /** More requests came at one and the same moment than any test has use for. From then on all are refused, so that a loop ends. */
  overrun = false
  /** How many keys the server renews per ms, one after another. */
  pace: number = Number.POSITIVE_INFINITY
  /** Whether acquisitions take that time as well. */
  acquiresAtPace = false
  /** What the server tells of changes is lost on the way. */
  deaf = false
  /** Requests and answers that are on their way: each is a timer of the clock that is not the manager's. */
  inTransit = 0
  /** Answers that are held back, oldest first. */
  readonly answers: HeldAnswer[] = []
  readonly #holding = new Set<Operation>()
  readonly #journal: Journal
  readonly #clock: ManualClock
  readonly #confirmed = new Map<string, number>()
  #busyUntil = 0
  #latest = Number.NaN
  #atOnce = 0
  #listener: BackendListener | undefined

  constructor(options: MemoryBackendOptions, clock: ManualClock, journal: Journal) {
    super(options)
    this.#clock = clock
    this.#journal = journal
  }

  /** What the manager listens with: a test may tell it what a server would. */
  get listener(): BackendListener {
    return this.#listener ?? expect.fail('the backend has not been opened')
  }

  override open(settings: BackendSettings, listener: BackendListener): void {
    this.#listener = listener
    super.open(settings, {
      onConnected: () => listener.onConnected?.(),
      onDisconnected: (error) => listener.onDisconnected?.(error),
      onRecovered: () => listener.onRecovered(),
      onSuspect: () => listener.onSuspect(),
      onMissed: () => listener.onMissed(),
      onChange: (keys) => {
        if (!this.deaf) listener.onChange(keys)
      },
      onUnwatched: () => listener.onUnwatched(),
      onForgotten: () => listener.onForgotten(),
      onError: (error) => listener.onError(error),
    })
  }

  /** When the last request was sent that gave this token a whole ttl and was answered, in ms. */
  confirmedAt(token: string): number | undefined {
    return this.#confirmed.get(token)
  }

  calls(operation?: Operation): Call[] {
    return this.#journal.calls().filter((call) => operation === undefined || call.operation === operation)
  }

  /** From now on the requests of this kind are carried out, and their answers are the test's to `deliver`. */
  holdAnswers(operation: Operation): void {
    this.#holding.add(operation)
  }

  /** Hands over what was held back, and holds nothing back any more. */
  deliverAll(): void {
    this.#holding.clear()
    for (const answer of this.answers.splice(0)) answer.deliver()
  }

  /** Ends every fault. */
  heal(): void {
    this.there = 0
    this.back = 0
    this.pace = Number.POSITIVE_INFINITY
    this.deaf = false
    this.fail(undefined)
    this.dropAnswers(false)
    this.unblock()
    this.deliverAll()
  }

  override acquire(entries: readonly LockEntry[], watch?: boolean): Promise<readonly AcquireOutcome[]> {
    return this.#travel('acquire', entries, watched(entries, watch), () => super.acquire(entries, watch))
  }

  override handOver(entries: readonly HandOverEntry[], watch?: boolean): Promise<readonly HandOverOutcome[]> {
    const at = this.#clock.now()
    const released = entries.map(({ key, from, ttl }) => ({ key, token: from, ttl }))
    this.#journal.items.push({ kind: 'call', at, operation: 'release', entries: released, watched: [] })
    return this.#travel('handOver', entries, watched(entries, watch), () => super.handOver(entries, watch))
  }

  override renew(entries: readonly LockEntry[], watch?: boolean): Promise<readonly ChangeOutcome[]> {
    return this.#travel('renew', entries, watched(entries, watch), () => super.renew(entries, watch))
  }

  override release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    const offered = entries.filter(({ watch }) => watch).map(({ key }) => key)
    return this.#travel('release', entries, offered, () => super.release(entries))
  }

  override verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#travel('verify', entries, [], () => super.verify(entries))
  }

  override async inspect(key: string): Promise<LockView | null> {
    await this.#pass(this.there)
    const view = await super.inspect(key)
    await this.#pass(this.back)
    return view
  }

  async #travel<O extends AcquireOutcome | ChangeOutcome | HandOverOutcome>(
    operation: Operation,
    entries: readonly LockEntry[],
    watched: readonly string[],
    carryOut: () => Promise<readonly O[]>,
  ): Promise<readonly O[]> {
    const at = this.#clock.now()
    const copies = entries.map(({ key, token, ttl, joint }) => ({ key, token, ttl, joint }))
    const journalled = operation === 'handOver' ? 'acquire' : operation
    this.#journal.items.push({ kind: 'call', at, operation: journalled, entries: copies, watched })
    this.#atOnce = at === this.#latest ? this.#atOnce + 1 : 1
    this.#latest = at
    if (this.#atOnce > MOST_AT_ONCE) this.overrun = true
    if (this.overrun) throw new Error(`More than ${MOST_AT_ONCE} requests came at one moment`)
    if (this.there > 0) await this.#pass(this.there)
    if (operation === 'renew' || (operation === 'acquire' && this.acquiresAtPace)) await this.#serve(entries.length)
    let outcomes = await carryOut()
    if (this.#holding.has(operation)) {
      outcomes = await new Promise<readonly O[]>((resolve, reject) => {
        const deliver = (instead?: readonly ChangeOutcome[]): void => {
          resolve((instead as readonly O[] | undefined) ?? outcomes)
        }
        this.answers.push({ operation, keys: copies.map(({ key }) => key), deliver, reject })
      })
    }
    if (this.back > 0) await this.#pass(this.back)
    // A verification gives nobody time.
    if (operation === 'verify') return outcomes
    for (const [index, { token }] of copies.entries()) {
      const outcome = outcomes[index]
      const type = outcome?.type === 'exchanged' ? outcome.acquired.type : outcome?.type
      if (type === 'granted' || type === 'done') this.#confirm(token, at)
    }
    return outcomes
  }

  #confirm(token: string, sentAt: number): void {
    this.#confirmed.set(token, Math.max(sentAt, this.#confirmed.get(token) ?? sentAt))
  }

  async #serve(count: number): Promise<void> {
    const now = this.#clock.now()
    this.#busyUntil = Math.max(this.#busyUntil, now) + count / this.pace
    await this.#pass(this.#busyUntil - now)
  }

  async #pass(duration: number): Promise<void> {
    if (duration === 0) return
    this.inTransit += 1
    await new Promise<void>((resolve) => {
      this.#clock.setTimer(resolve, duration)
    })
    this.inTransit -= 1
  }
}

function watched(entries: readonly LockEntry[], watch: boolean | undefined): string[] {
  return watch ? entries.map(({ key }) => key) : []
}

/** A manager, what it stands on, and what it told. */
export interface Member {
  readonly manager: LeaseManager
  readonly backend: TestBackend
  readonly events: EventLog
}

export interface Stage {
  readonly clock: ManualClock
  /** The locks, without the prefix that stands before every key: `lease:`, unless an option says otherwise. */
  readonly store: MemoryStore
  /** Another manager on the same store and clock. */
  readonly open: (options?: LeaseManagerOptions, backend?: Pick<MemoryBackendOptions, 'watch'>) => Member
}

export interface StageOptions {
  /** The clock of the managers. Default: a new one. */
  readonly clock?: ManualClock
  /** The store's own time. Default: the clock of the managers. */
  readonly storeClock?: ManualClock
}

/** ttl of the leases of these tests unless they say otherwise, in ms; their `timeout` is a sixth of it, 500 ms. */
export const TTL = 3_000

/** Runs `work` with a clock and a store, and closes every manager it opened. */
export async function withStage(work: (stage: Stage) => Promise<void>, options: StageOptions = {}): Promise<void> {
  const { clock = new ManualClock() } = options
  const store = new MemoryStore({ clock: options.storeClock ?? clock })
  const members: (Member & { journal: Journal })[] = []
  const open = (
    managerOptions: LeaseManagerOptions = {},
    backendOptions: Pick<MemoryBackendOptions, 'watch'> = {},
  ): Member => {
    const journal = new Journal()
    const backend = new TestBackend({ ...backendOptions, store }, clock, journal)
    // Without luck: what jitter could bring early comes as late as it may.
    const manager = new LeaseManager(backend, { ttl: TTL, clock, random: () => 0, ...managerOptions })
    const events = new EventLog(journal)
    record(manager, clock, journal, events)
    const member = { manager, backend, events, journal }
    members.push(member)
    return member
  }

  try {
    await work({ clock, store, open })
  } finally {
    for (const { backend } of members) backend.heal()
    const closed = Promise.all(members.map(({ manager }) => manager.close({ drain: 0, timeout: 5_000 })))
    // What is never answered is waited for until the budget of `close` is over.
    await clock.advance(6_000)
    await closed
  }
  const inTransit = members.reduce((sum, { backend }) => sum + backend.inTransit, 0)
  expect(clock.timers - inTransit, 'P24: timers left').to.equal(0)
  for (const { manager, backend, events, journal } of members) {
    expect(backend.overrun, 'a hot loop').to.equal(false)
    expect(manager.size, 'P24: leases left').to.equal(0)
    expect(manager.stats(), 'P24: work left').to.include({ held: 0, jeopardy: 0, waiting: 0, undoing: 0, timers: 0 })
    expect(events.errors, 'error events that no test took').to.deep.equal([])
    journal.checkStories(true)
    journal.checkCalls()
    const tokens = journal.tokens()
    const holders = (key: string): string[] => [store.get(key) ?? '', ...(store.sharing(key)?.holders.keys() ?? [])]
    const orphans = store.keys().filter((key) => holders(key).some((token) => tokens.has(token)))
    expect(orphans, 'P11: keys left behind').to.deep.equal([])
  }
}

/** Runs `work` with one manager on a stage of its own. */
export async function withManager(
  options: Omit<LeaseManagerOptions, 'clock'> & StageOptions,
  work: (stage: Stage & Member) => Promise<void>,
): Promise<void> {
  const { clock, storeClock, ...managerOptions } = options
  await withStage((stage) => work({ ...stage, ...stage.open(managerOptions) }), {
    ...(clock && { clock }),
    ...(storeClock && { storeClock }),
  })
}

function record(manager: LeaseManager, clock: ManualClock, journal: Journal, events: EventLog): void {
  const tell = (name: LeaseEventName, lease: Lease, detail = ''): void => {
    journal.items.push({ kind: 'event', at: clock.now(), name, lease, line: `${name} ${lease.key}${detail}` })
  }
  manager.on('acquired', ({ lease }) => tell('acquired', lease))
  manager.on('renewed', ({ lease }) => tell('renewed', lease))
  manager.on('jeopardy', ({ lease }) => tell('jeopardy', lease))
  manager.on('safe', ({ lease }) => tell('safe', lease))
  manager.on('lost', ({ lease, reason }) => tell('lost', lease, `: ${reason}`))
  manager.on('released', ({ lease, confirmed }) => tell('released', lease, confirmed ? '' : ', unconfirmed'))
  manager.on('error', (error) => {
    events.errors.push(error)
  })
  const adopt = manager.adopt.bind(manager)
  manager.adopt = (lease, options) => {
    journal.items.push({ kind: 'adopting', token: String((lease as DetachedLease | undefined)?.token) })
    return adopt(lease, options)
  }
}

/** A promise that can be looked at, and whose rejection is nobody's surprise. */
export class Watched<T> {
  state: 'pending' | 'fulfilled' | 'rejected' = 'pending'
  error: unknown = undefined
  #value: T | undefined = undefined

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => {
        this.state = 'fulfilled'
        this.#value = value
      },
      (error: unknown) => {
        this.state = 'rejected'
        this.error = error
      },
    )
  }

  /** What it was fulfilled with; fails the test where it was not. */
  get value(): T {
    if (this.state === 'rejected') throw this.error
    expect(this.state).to.equal('fulfilled')
    return this.#value as T
  }
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  return new Watched(promise)
}

/** What the promise is rejected with; fails the test where it is fulfilled. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error
  }
  expect.fail(`expected a rejection, got ${String(value)}`)
}

/** The lease, where `tryAcquire` must not be refused. */
export async function grant(promise: Promise<Lease | null>): Promise<Lease> {
  const lease = await promise
  if (lease === null) expect.fail('expected a lease, got a refusal')
  return lease
}

/** The leases, where `acquireMany` must not be refused any. */
export async function grantAll(promise: Promise<readonly (Lease | null)[]>): Promise<Lease[]> {
  const leases = await promise
  return leases.map((lease) => lease ?? expect.fail('expected leases only, got a refusal'))
}

/** The one element of a list; fails the test where there are none or several. */
export function only<T>(list: readonly T[]): T {
  expect(list).to.have.length(1)
  return list[0] as T
}
