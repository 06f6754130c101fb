/**
 * The port over one Redis or Valkey server, alone or behind Sentinel: each call is one script for all its keys. May import
 * ioredis' types, the connection, the port and errors.
 */
import type { Redis } from 'ioredis'
import type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  LockEntry,
  LockView,
  Unknown,
} from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { Connection } from './connection.ts'

/** One counter for all locks of a database, outside the lock prefix: the same key of two prefixes still counts on. */
const FENCE_KEY = 'leasewheel:fence'

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

export class RedisBackend implements Backend {
  readonly #source: Redis | string
  #connection: Connection | undefined
  #prefix = ''
  #fenceKey = FENCE_KEY

  constructor(source: Redis | string) {
    this.#source = source
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const connection = new Connection(this.#source, settings.timeout, listener)
    this.#connection = connection
    this.#prefix = connection.keyPrefix + settings.prefix
    this.#fenceKey = connection.keyPrefix + FENCE_KEY
  }

  ready(): Promise<void> | undefined {
    return this.#opened.ready()
  }

  async acquire(entries: readonly LockEntry[]): Promise<readonly AcquireOutcome[]> {
    const keysAndArguments: (string | number)[] = [this.#fenceKey]
    this.#appendKeys(keysAndArguments, entries)
    appendTokens(keysAndArguments, entries)
    appendTtls(keysAndArguments, entries)
    try {
      const reply = await this.#opened.client.leasewheelAcquire(entries.length + 1, ...keysAndArguments)
      this.#opened.onAnswered()
      return acquireOutcomes(reply, entries.length)
    } catch (error) {
      return this.#unknown(error, entries.length)
    }
  }

  async renew(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const keysAndArguments: (string | number)[] = []
    this.#appendKeys(keysAndArguments, entries)
    appendTokens(keysAndArguments, entries)
    appendTtls(keysAndArguments, entries)
    try {
      const reply = await this.#opened.client.leasewheelRenew(entries.length, ...keysAndArguments)
      this.#opened.onAnswered()
      return changeOutcomes(reply, entries.length)
    } catch (error) {
      return this.#unknown(error, entries.length)
    }
  }

  async release(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const keysAndArguments: (string | number)[] = []
    this.#appendKeys(keysAndArguments, entries)
    appendTokens(keysAndArguments, entries)
    try {
      const reply = await this.#opened.client.leasewheelRelease(entries.length, ...keysAndArguments)
      this.#opened.onAnswered()
      return changeOutcomes(reply, entries.length)
    } catch (error) {
      return this.#unknown(error, entries.length)
    }
  }

  async inspect(key: string): Promise<LockView | null> {
    try {
      const reply = await this.#opened.client.leasewheelInspect(1, this.#prefix + key)
      const found = checkReply(reply) as [] | [token: string, remaining: number]
      return found.length === 0 ? null : { token: found[0], remaining: remainingOf(found[1]) }
    } catch (error) {
      throw this.#opened.explain(error)
    }
  }

  async close(): Promise<void> {
    await this.#connection?.close()
  }

  get #opened(): Connection {
    if (this.#connection === undefined) throw new UnavailableError('This backend has not been opened')
    return this.#connection
  }

  #appendKeys(to: (string | number)[], entries: readonly LockEntry[]): void {
    for (const entry of entries) to.push(this.#prefix + entry.key)
  }

  #unknown(thrown: unknown, count: number): readonly Unknown[] {
    const outcome = { type: 'unknown', error: this.#opened.explain(thrown) } as const
    return Array.from({ length: count }, () => outcome)
  }
}

function appendTokens(to: (string | number)[], entries: readonly LockEntry[]): void {
  for (const entry of entries) to.push(entry.token)
}

/** One ttl for all entries where they have the same, otherwise one for each. */
function appendTtls(to: (string | number)[], entries: readonly LockEntry[]): void {
  const { ttl } = entries[0] as LockEntry
  if (entries.every((entry) => entry.ttl === ttl)) to.push(ttl)
  else for (const entry of entries) to.push(entry.ttl)
}

function acquireOutcomes(reply: unknown, count: number): readonly AcquireOutcome[] {
  const [fence, ...results] = checkReply(reply) as number[]
  const granted = { type: 'granted', fence: fence as number } as const
  if (results.length === 0) return Array.from({ length: count }, () => granted)
  return results.map((result) => (result === -2 ? granted : { type: 'refused', remaining: remainingOf(result) }))
}

function changeOutcomes(reply: unknown, count: number): readonly ChangeOutcome[] {
  const outcomes = Array.from({ length: count }, (): ChangeOutcome => DONE)
  const exceptions = checkReply(reply) as number[]
  for (let i = 0; i < exceptions.length; i += 2) {
    outcomes[(exceptions[i] as number) - 1] = exceptions[i + 1] === 1 ? TAKEN : MISSING
  }
  return outcomes
}

function remainingOf(pttl: number): number {
  return pttl === -1 ? Number.POSITIVE_INFINITY : pttl
}

function checkReply(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new UnavailableError(`Redis answered a script with ${typeof reply} where an array was expected`)
}
