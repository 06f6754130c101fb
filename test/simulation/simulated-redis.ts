/**
 * The locks as a Redis server keeps them: what our scripts do to keys and answer, whom the server tells of changes,
 * and what is left after a crash. Pure: the time is asked for from outside. `simulated-redis.test.ts` compares it with
 * the real one.
 */
import type {
  AcquireOutcome,
  ChangeOutcome,
  Exchange,
  HandOverEntry,
  Joint,
  LockEntry,
  LockView,
  ReleaseEntry,
} from 'leasewheel'
import {
  acquireJoint,
  endOfSharing,
  releaseJoint,
  renewJoint,
  type JointRequest,
  type Sharing,
  sharingAt,
} from '#src/rules/sharing.js'

/** Somebody who is told of changes, once for each key that it has asked for. */
export interface Subscriber {
  /** @param name the key; without it, all keys were deleted. */
  onChange(name?: string): void
}

export interface Value {
  /** Empty if several may hold the key. */
  readonly token: string
  readonly sharing?: Sharing
  /** On the server's wall clock, in ms; Infinity: never. */
  readonly expiresAt: number
}

/** The tokens of all that hold a key. */
export function tokensOn(value: Value | undefined): string[] {
  if (value === undefined) return []
  return value.sharing ? [...value.sharing.holders.keys()] : [value.token]
}

/** Whether a token holds a key. */
export function holdsKey(value: Value | undefined, token: string): boolean {
  return value?.sharing ? value.sharing.holders.has(token) : value?.token === token
}

/** What a key, or the fence counter, was before it was changed. */
interface Undo {
  readonly time: number
  revert(): void
}

/** A hand-over is a release and an acquire, and nothing comes between them. */
export type HalfWatcher = <O>(
  operation: 'release' | 'acquire',
  entries: readonly LockEntry[],
  work: () => readonly O[],
) => readonly O[]

export class SimulatedRedis {
  readonly #wall: () => number
  readonly #values = new Map<string, Value>()
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  /** What managers announce, by id. A server that takes over for another knows nothing of it. */
  readonly #announced = new Map<string, { readonly text: string; readonly expiresAt: number }>()
  #fence = 0
  #log: Undo[] = []
  #time = 0

  /** @param wall ms; fractions are counted in fences only. */
  constructor(wall: () => number) {
    this.#wall = wall
  }

  /** From now on writes belong to this moment of true time, for the sake of `revertTo`. */
  set time(time: number) {
    this.#time = time
  }

  /** A replica that has everything, and of which nobody wants to be told anything. */
  copy(): SimulatedRedis {
    const copy = new SimulatedRedis(this.#wall)
    for (const [key, value] of this.#values) copy.#values.set(key, value)
    copy.#fence = this.#fence
    return copy
  }

  /** A key is at another server from now on; whoever watches it here is told. */
  moveTo(key: string, to: SimulatedRedis): void {
    const value = this.peek(key)
    if (value === undefined) return
    to.write(key, value)
    this.write(key, undefined)
  }

  /** Fences are larger than those of another server from now on. */
  raiseFence(other: SimulatedRedis): void {
    this.#fence = Math.max(this.#fence, other.#fence)
  }

  acquire(entries: readonly LockEntry[], by: Subscriber | undefined, watch: boolean, floor = 0): AcquireOutcome[] {
    let fence: number | undefined
    return entries.map((entry) => {
      const { key, token, ttl, joint } = entry
      if (joint) return this.#acquireJoint(entry, joint, by, watch)
      const present = this.look(key, by)
      if (present && present.token !== token) {
        if (by) this.#subscribe(key, by)
        const remaining = present.expiresAt - this.#now
        return { type: 'refused', remaining, holder: present.token, watched: by !== undefined }
      }
      this.write(key, { token, expiresAt: this.#now + ttl }, by)
      if (watch && by) this.#subscribe(key, by)
      fence ??= this.#nextFence(floor)
      return { type: 'granted', fence }
    })
  }

  /** @param watching stands around each of the two halves, and may look at what it does. */
  handOver(
    entries: readonly HandOverEntry[],
    by: Subscriber | undefined,
    watch: boolean,
    watching: HalfWatcher = (_operation, _entries, work) => work(),
  ): Exchange[] {
    const present = entries.map(({ key, from, ttl }) => ({ key, token: from, ttl }))
    const released = watching('release', present, () => this.release(present, by))
    const acquired = watching('acquire', entries, () => this.acquire(entries, by, watch))
    return entries.map((_, index) => ({
      type: 'exchanged',
      released: released[index] as ChangeOutcome,
      acquired: acquired[index] as AcquireOutcome,
    }))
  }

  renew(entries: readonly LockEntry[], by: Subscriber | undefined, watch: boolean): ChangeOutcome[] {
    return entries.map((entry) => {
      const { key, token, ttl, joint } = entry
      const outcome = joint
        ? this.#changeJoint(entry, by, (sharing) => renewJoint(sharing, requestOf(entry, joint), this.#now))
        : this.#change(key, token, by, () => this.write(key, { token, expiresAt: this.#now + ttl }, by))
      // All that were asked for are read at the end, those that are not ours included.
      if (watch && by) this.#subscribe(key, by)
      return outcome
    })
  }

  release(entries: readonly ReleaseEntry[], by: Subscriber | undefined): ChangeOutcome[] {
    return entries.map((entry) => {
      const { key, token, watch, stay, joint } = entry
      const outcome = joint
        ? this.#releaseJoint(entry, by)
        : this.#change(key, token, by, () => {
            const left = stay ? Math.min(stay.duration, stay.duration - (this.#now - stay.since / 1_000)) : 0
            this.write(key, left > 0 ? { token, expiresAt: this.#now + left } : undefined, by)
          })
      if (watch && by) this.#subscribe(key, by)
      return outcome
    })
  }

  verify(entries: readonly LockEntry[], by: Subscriber | undefined): ChangeOutcome[] {
    return entries.map((entry) =>
      entry.joint
        ? this.#changeJoint(entry, by, (sharing) => (sharing?.holders.has(entry.token) ? sharing : undefined))
        : this.#change(entry.key, entry.token, by, () => undefined),
    )
  }

  inspect(key: string, by: Subscriber | undefined): LockView | null {
    const present = this.look(key, by)
    return present ? { token: present.token, remaining: present.expiresAt - this.#now } : null
  }

  announce(id: string, text: string, ttl: number): readonly string[] {
    this.#announced.set(id, { text, expiresAt: this.#now + ttl })
    for (const [other, { expiresAt }] of this.#announced) if (expiresAt < this.#now) this.#announced.delete(other)
    return [...this.#announced.keys()]
  }

  announced(ids: readonly string[] = [...this.#announced.keys()]): readonly string[] {
    return ids.flatMap((id) => this.#announced.get(id)?.text ?? [])
  }

  withdraw(id: string): void {
    this.#announced.delete(id)
  }

  /** @returns whether there was one. */
  delete(key: string, by?: Subscriber): boolean {
    const present = this.look(key, by) !== undefined
    if (present) this.write(key, undefined, by)
    return present
  }

  /** What is on a key; one that has expired goes as soon as it is looked at. @param by who does, and is not told of that either. */
  look(key: string, by?: Subscriber): Value | undefined {
    const value = this.peek(key)
    if (value === undefined && this.#values.has(key)) this.write(key, undefined, by)
    return value
  }

  /** What is on a key, without touching it. */
  peek(key: string): Value | undefined {
    const value = this.#values.get(key)
    return value && this.#now <= value.expiresAt ? value : undefined
  }

  /** The tokens that hold a key now: what one of several holds may expire before the key. */
  holding(key: string): string[] {
    const value = this.peek(key)
    if (!value?.sharing) return tokensOn(value)
    return [...value.sharing.holders].filter(([, { until }]) => this.#now <= until).map(([token]) => token)
  }

  keys(): string[] {
    return [...this.#values.keys()].filter((key) => this.peek(key))
  }

  /** What is there, what has expired and was not deleted yet included. */
  tokens(): string[] {
    return [...this.#values.values()].flatMap(tokensOn)
  }

  /** @param by who does, and need not be told. */
  write(key: string, value: Value | undefined, by?: Subscriber): void {
    const before = this.#values.get(key)
    this.#remember(() => this.#put(key, before))
    this.#put(key, value)
    const subscribers = this.#subscribers.get(key)
    this.#subscribers.delete(key)
    for (const subscriber of subscribers ?? []) if (subscriber !== by) subscriber.onChange(key)
  }

  /** Deletes what has expired, as a server does from time to time. */
  expire(): void {
    for (const key of this.#values.keys()) this.look(key)
  }

  /** Deletes everything, the fence counter included. */
  flush(): void {
    const [values, fence] = [new Map(this.#values), this.#fence]
    this.#remember(() => {
      for (const [key, value] of values) this.#put(key, value)
      this.#fence = fence
    })
    this.#values.clear()
    this.#fence = 0
    const all = new Set([...this.#subscribers.values()].flatMap((some) => [...some]))
    this.#subscribers.clear()
    for (const subscriber of all) subscriber.onChange()
  }

  /** Forgets that somebody wanted to be told. */
  unsubscribe(subscriber: Subscriber): void {
    for (const some of this.#subscribers.values()) some.delete(subscriber)
  }

  /** What was written after that moment was never written: a replica that was behind has taken over, or an older snapshot was read. */
  revertTo(time: number): void {
    for (let last = this.#log.at(-1); last && last.time > time; last = this.#log.at(-1)) {
      this.#log.pop()
      last.revert()
    }
    this.#subscribers.clear()
  }

  /** What was written before that moment is never to be reverted. */
  keepAll(until: number): void {
    this.#log = this.#log.filter(({ time }) => time >= until)
  }

  get #now(): number {
    return Math.floor(this.#wall())
  }

  #change(key: string, token: string, by: Subscriber | undefined, change: () => void): ChangeOutcome {
    const present = this.look(key, by)
    if (present === undefined) return { type: 'refused', reason: 'missing' }
    if (present.token !== token) return { type: 'refused', reason: 'taken' }
    change()
    return { type: 'done' }
  }

  /** What is on a key that several may hold, without what is over. */
  sharing(key: string): Sharing | undefined {
    return sharingAt(this.peek(key)?.sharing, this.#now)
  }

  #acquireJoint(entry: LockEntry, joint: Joint, by: Subscriber | undefined, watch: boolean): AcquireOutcome {
    const { key } = entry
    const present = this.look(key, by)
    const watched = by !== undefined
    if (present && present.sharing === undefined) {
      if (by) this.#subscribe(key, by)
      const remaining = present.expiresAt - this.#now
      return { type: 'refused', remaining, holder: present.token, watched, version: 0, turn: 0 }
    }
    const before = this.sharing(key)
    const { sharing, refusal } = acquireJoint(before, requestOf(entry, joint), this.#now)
    // In the ms in which its last holder ends a key is still there, but the versions begin anew.
    if (before === undefined || sharing.version !== present?.sharing?.version) this.#joint(key, sharing, by)
    if (by && (refusal || watch)) this.#subscribe(key, by)
    return refusal ? { type: 'refused', watched, ...refusal } : { type: 'granted', fence: this.#nextFence(0) }
  }

  #releaseJoint(entry: LockEntry, by: Subscriber | undefined): ChangeOutcome {
    const released = releaseJoint(this.sharing(entry.key), entry.token, this.#now)
    if (released) {
      this.#joint(entry.key, released.sharing, by)
      return { type: 'done' }
    }
    return this.#changeJoint(entry, by, () => undefined)
  }

  /** @param change what is on the key afterwards; undefined if the token is no holder. */
  #changeJoint(
    { key }: LockEntry,
    by: Subscriber | undefined,
    change: (sharing: Sharing | undefined) => Sharing | undefined,
  ): ChangeOutcome {
    const present = this.look(key, by)
    const changed = change(this.sharing(key))
    if (changed === undefined)
      return { type: 'refused', reason: present && present.sharing === undefined ? 'taken' : 'missing' }
    if (changed.version !== present?.sharing?.version) this.#joint(key, changed, by)
    return { type: 'done' }
  }

  #joint(key: string, sharing: Sharing | undefined, by: Subscriber | undefined): void {
    this.write(key, sharing && { token: '', sharing, expiresAt: endOfSharing(sharing) }, by)
  }

  /** All later fences are larger than this one. */
  raiseFenceTo(fence: number): void {
    const before = this.#fence
    this.#remember(() => {
      this.#fence = before
    })
    this.#fence = Math.max(before, fence)
  }

  #nextFence(floor: number): number {
    const before = this.#fence
    this.#remember(() => {
      this.#fence = before
    })
    this.#fence = Math.max(before + 1, floor + 1, Math.floor(this.#wall() * 1_000))
    return this.#fence
  }

  #subscribe(key: string, subscriber: Subscriber): void {
    const subscribers = this.#subscribers.get(key)
    if (subscribers) subscribers.add(subscriber)
    else this.#subscribers.set(key, new Set([subscriber]))
  }

  #put(key: string, value: Value | undefined): void {
    if (value) this.#values.set(key, value)
    else this.#values.delete(key)
  }

  #remember(revert: () => void): void {
    this.#log.push({ time: this.#time, revert })
  }
}

function requestOf({ token, ttl, turn }: LockEntry, joint: Joint): JointRequest {
  return { token, ttl, turn, joint }
}
