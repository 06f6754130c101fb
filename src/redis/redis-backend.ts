/** The backend for one Redis or Valkey server, alone or behind Sentinel. Each call is one script for all its keys. */
import type { Redis } from 'ioredis'
import {
  type AcquireOutcome,
  type Backend,
  type BackendListener,
  type BackendSettings,
  type ChangeOutcome,
  FENCE_KEY,
  type LockEntry,
  type LockView,
  type ReleaseEntry,
  type Unknown,
} from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { ConnectionPair } from './connection-pair.ts'
import { type Ask, cutUp } from './cut-up.ts'
import { Heads, PLAIN } from './encoded-command.ts'
import { explainReply, isReply } from './reply-fault.ts'
import { type Call, Script, ScriptMemory } from './script.ts'
import { ACQUIRE, ACQUIRE_AND_WATCH, INSPECT, RELEASE, RENEW, RENEW_AND_WATCH, VERIFY } from './scripts.ts'
import { ToldFaults } from './told-faults.ts'
import type { Tracking } from './tracking.ts'

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

/** Bytes. The server works on a call of this size for longer than it takes to write it. */
const LARGE_CALL = 8_192

interface Opened {
  readonly pair: ConnectionPair
  readonly faults: ToldFaults
  readonly acquire: Script
  readonly acquireAndWatch: Script
  readonly renew: Script
  readonly renewAndWatch: Script
  readonly release: Script
  readonly verify: Script
  readonly inspect: Script
}

interface Prepared {
  readonly script: Script
  readonly call: Call
}

export class RedisBackend implements Backend {
  readonly #source: Redis | string
  #opened: Opened | undefined
  /** Encoded calls by array of entries: the same leases are renewed together again and again. */
  readonly #renewals = new WeakMap<readonly LockEntry[], Prepared>()
  #prefix = ''
  #heads = PLAIN

  constructor(source: Redis | string) {
    this.#source = source
  }

  get watching(): boolean {
    return this.#opened?.pair.tracking?.active ?? false
  }

  get connected(): boolean {
    return this.#opened?.pair.commands.usable ?? false
  }

  get fault(): Error | undefined {
    return this.#opened?.pair.commands.fault
  }

  /** Depends on the key prefix of the client, too. */
  get reservedKey(): string | undefined {
    return FENCE_KEY.startsWith(this.#prefix) ? FENCE_KEY.slice(this.#prefix.length) : undefined
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const pair = new ConnectionPair(this.#source, settings, listener)
    const { client, keyPrefix } = pair.commands
    this.#prefix = keyPrefix + settings.prefix
    this.#heads = new Heads(this.#prefix)
    const memory = new ScriptMemory()
    client.on('connect', () => memory.forget())
    const script = (lua: string): Script => new Script(pair.commands, lua, memory)
    this.#opened = {
      pair,
      faults: new ToldFaults(listener),
      acquire: script(ACQUIRE),
      acquireAndWatch: script(ACQUIRE_AND_WATCH),
      renew: script(RENEW),
      renewAndWatch: script(RENEW_AND_WATCH),
      release: script(RELEASE),
      verify: script(VERIFY),
      inspect: script(INSPECT),
    }
  }

  ready(): Promise<void> | undefined {
    return this.#open.pair.commands.ready()
  }

  acquire(entries: readonly LockEntry[], watch = false): Promise<readonly AcquireOutcome[]> {
    const { acquire, acquireAndWatch, pair } = this.#open
    const { tracking } = pair
    return this.#ask('acquire', entries, async (some) => {
      const script = watch && tracking?.active ? acquireAndWatch : acquire
      const call = this.#prepare(script, some, ttlsOf(some), FENCE_KEY)
      const period = tracking?.period
      const reply = this.#run(script, call, some, tracking)
      this.#flushIfLarge(call)
      // The server watches the refused keys, if tracking was on all the time since the request.
      return acquireOutcomes(await reply, some.length, period !== undefined && period === tracking?.period)
    })
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    const { renew, renewAndWatch, pair } = this.#open
    const { tracking } = pair
    return this.#ask('renew', entries, async (some) => {
      const watched = watch && tracking?.active
      const script = watched ? renewAndWatch : renew
      let prepared = this.#renewals.get(some)
      if (prepared?.script !== script) {
        prepared = { script, call: this.#prepare(script, some, ttlsOf(some)) }
        this.#renewals.set(some, prepared)
      }
      return changeOutcomes(await this.#run(script, prepared.call, some, watched ? tracking : undefined), some.length)
    })
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    const { release, pair } = this.#open
    return this.#ask('release', entries, async (some) => {
      const watched: number[] = []
      some.forEach(({ watch }, index) => {
        if (watch) watched.push(index + 1)
      })
      const call = this.#prepare(release, some, watched)
      const reply = this.#run(release, call, some, watched.length > 0 ? pair.tracking : undefined)
      this.#flushIfLarge(call)
      return changeOutcomes(await reply, some.length)
    })
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const { verify } = this.#open
    return this.#ask('verify', entries, async (some) =>
      changeOutcomes(await this.#run(verify, this.#prepare(verify, some, []), some, undefined), some.length),
    )
  }

  async inspect(key: string): Promise<LockView | null> {
    const { inspect, pair } = this.#open
    try {
      await pair.onAsked()
      const found = checkReply(await inspect.run(inspect.prepare([{ texts: [this.#prefix + key] }], []))) as
        | []
        | [token: string, remaining: number]
      return found.length === 0 ? null : { token: found[0], remaining: remainingOf(found[1]) }
    } catch (error) {
      throw this.#explain(error, key)
    }
  }

  async forceRelease(key: string): Promise<boolean> {
    const { pair } = this.#open
    try {
      await pair.onAsked()
      return (await pair.commands.client.del(this.#prefix + key)) === 1
    } catch (error) {
      throw this.#explain(error, key)
    }
  }

  unref(): void {
    this.#open.pair.unref()
  }

  async close(): Promise<void> {
    await this.#opened?.pair.close()
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new UnavailableError('This backend has not been opened')
    return this.#opened
  }

  /** @param ask sends a request at once. @param what the kind of request, for faults. */
  async #ask<E extends LockEntry, O>(
    what: string,
    entries: readonly E[],
    ask: Ask<E, O>,
  ): Promise<readonly (O | Unknown)[]> {
    const { pair, faults } = this.#open
    const reading = pair.onAsked()
    try {
      if (reading) await reading
      const outcomes = await ask(entries)
      pair.commands.onAnswered()
      faults.onAnswered(what)
      return outcomes
    } catch (thrown) {
      return cutUp(entries, thrown, ask, (error, entry) => {
        const explained = this.#explain(error, entry?.key)
        if (isReply(error)) faults.onRefused(what, error, explained)
        return { type: 'unknown', error: explained }
      })
    }
  }

  /** @param tracking given if the server should watch the keys that the script reads. */
  #run(script: Script, call: Call, entries: readonly LockEntry[], tracking: Tracking | undefined): Promise<unknown> {
    const reply = script.run(call, tracking?.watchNext)
    tracking?.onWatched(entries.length)
    return reply
  }

  #explain(thrown: unknown, key: string | undefined): Error {
    return isReply(thrown) ? explainReply(thrown, key) : this.#open.pair.commands.explain(thrown)
  }

  /** Lets the server begin a large call while we build more. */
  #flushIfLarge({ wire }: Call): void {
    if (wire.length >= LARGE_CALL) this.#open.pair.commands.flush()
  }

  /** @param more the arguments after the tokens. @param first a key before those of the entries. */
  #prepare(script: Script, entries: readonly LockEntry[], more: readonly number[], first?: string): Call {
    const keys = { heads: this.#heads, texts: entries.map(({ key }) => key) }
    const tokens = { texts: entries.map(({ token }) => token) }
    return script.prepare(first === undefined ? [keys] : [{ texts: [first] }, keys], [
      tokens,
      { texts: more.map(String) },
    ])
  }
}

/** One ttl if all entries have the same, otherwise one for each. */
function ttlsOf(entries: readonly LockEntry[]): number[] {
  const { ttl } = entries[0] as LockEntry
  return entries.every((entry) => entry.ttl === ttl) ? [ttl] : entries.map((entry) => entry.ttl)
}

function acquireOutcomes(reply: unknown, count: number, watched: boolean): readonly AcquireOutcome[] {
  const [fence, refused = []] = checkReply(reply) as [number, (number | string)[]?]
  const outcomes = repeat<AcquireOutcome>({ type: 'granted', fence }, count)
  for (let i = 0; i < refused.length; i += 3) {
    const [index, pttl, holder] = refused.slice(i, i + 3) as [number, number, string]
    outcomes[index - 1] = { type: 'refused', remaining: remainingOf(pttl), holder, watched }
  }
  return outcomes
}

function changeOutcomes(reply: unknown, count: number): readonly ChangeOutcome[] {
  const outcomes = repeat<ChangeOutcome>(DONE, count)
  const exceptions = checkReply(reply) as number[]
  for (let i = 0; i < exceptions.length; i += 2) {
    outcomes[(exceptions[i] as number) - 1] = exceptions[i + 1] === 1 ? TAKEN : MISSING
  }
  return outcomes
}

function repeat<O>(outcome: O, count: number): O[] {
  const outcomes: O[] = []
  while (outcomes.length < count) outcomes.push(outcome)
  return outcomes
}

function remainingOf(pttl: number): number {
  return pttl === -1 ? Number.POSITIVE_INFINITY : pttl
}

function checkReply(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new UnavailableError(`Expected Redis to answer a script with an array, got ${typeof reply}`)
}
