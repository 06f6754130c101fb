/**
 * The port over one Redis or Valkey server, alone or behind Sentinel: each call is one script for all its keys. May import
 * ioredis' types, the connection, the port and errors.
 */
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
  type Unknown,
} from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { Connection } from './connection.ts'
import { type Call, Script } from './script.ts'
import { ACQUIRE, INSPECT, RELEASE, RENEW } from './scripts.ts'

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

interface Opened {
  readonly connection: Connection
  readonly acquire: Script
  readonly renew: Script
  readonly release: Script
  readonly inspect: Script
}

export class RedisBackend implements Backend {
  readonly #source: Redis | string
  #opened: Opened | undefined
  /** What was made of arrays of entries: the same leases are renewed together again and again. */
  readonly #renewals = new WeakMap<readonly LockEntry[], Call>()
  #prefix = ''
  #fenceKey = FENCE_KEY

  constructor(source: Redis | string) {
    this.#source = source
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const connection = new Connection(this.#source, settings.timeout, listener)
    const { client, keyPrefix } = connection
    this.#prefix = keyPrefix + settings.prefix
    this.#fenceKey = keyPrefix + FENCE_KEY
    const known = new Set<Script>()
    client.on('connect', () => known.clear())
    this.#opened = {
      connection,
      acquire: new Script(client, ACQUIRE, known),
      renew: new Script(client, RENEW, known),
      release: new Script(client, RELEASE, known),
      inspect: new Script(client, INSPECT, known),
    }
  }

  ready(): Promise<void> | undefined {
    return this.#open.connection.ready()
  }

  acquire(entries: readonly LockEntry[]): Promise<readonly AcquireOutcome[]> {
    const { acquire } = this.#open
    const call = acquire.prepare([this.#fenceKey, ...this.#keys(entries)], tokensAndTtls(entries))
    return this.#ask(acquire, call, entries, acquireOutcomes)
  }

  renew(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const { renew } = this.#open
    let call = this.#renewals.get(entries)
    if (call === undefined) {
      call = renew.prepare(this.#keys(entries), tokensAndTtls(entries))
      this.#renewals.set(entries, call)
    }
    return this.#ask(renew, call, entries, changeOutcomes)
  }

  release(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const { release } = this.#open
    const call = release.prepare(this.#keys(entries), tokens(entries))
    return this.#ask(release, call, entries, changeOutcomes)
  }

  async inspect(key: string): Promise<LockView | null> {
    const { connection, inspect } = this.#open
    try {
      const found = checkReply(await inspect.run(inspect.prepare([this.#prefix + key], []))) as
        | []
        | [token: string, remaining: number]
      return found.length === 0 ? null : { token: found[0], remaining: remainingOf(found[1]) }
    } catch (error) {
      throw connection.explain(error)
    }
  }

  async close(): Promise<void> {
    await this.#opened?.connection.close()
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new UnavailableError('This backend has not been opened')
    return this.#opened
  }

  async #ask<O>(
    script: Script,
    call: Call,
    entries: readonly LockEntry[],
    read: (reply: unknown, count: number) => readonly O[],
  ): Promise<readonly (O | Unknown)[]> {
    const { connection } = this.#open
    try {
      const outcomes = read(await script.run(call), entries.length)
      connection.onAnswered()
      return outcomes
    } catch (error) {
      const outcome = { type: 'unknown', error: connection.explain(error) } as const
      return entries.map(() => outcome)
    }
  }

  #keys(entries: readonly LockEntry[]): string[] {
    return entries.map((entry) => this.#prefix + entry.key)
  }
}

function tokens(entries: readonly LockEntry[]): string[] {
  return entries.map((entry) => entry.token)
}

/** The tokens, then one ttl for all entries where they have the same, otherwise one for each. */
function tokensAndTtls(entries: readonly LockEntry[]): string[] {
  const { ttl } = entries[0] as LockEntry
  const values = tokens(entries)
  if (entries.every((entry) => entry.ttl === ttl)) values.push(String(ttl))
  else for (const entry of entries) values.push(String(entry.ttl))
  return values
}

function acquireOutcomes(reply: unknown, count: number): readonly AcquireOutcome[] {
  const [fence, ...results] = checkReply(reply) as number[]
  const granted = { type: 'granted', fence: fence as number } as const
  if (results.length === 0) return Array.from({ length: count }, () => granted)
  return results.map((result) => (result === -2 ? granted : { type: 'refused', remaining: remainingOf(result) }))
}

function changeOutcomes(reply: unknown, count: number): readonly ChangeOutcome[] {
  const outcomes: ChangeOutcome[] = []
  while (outcomes.length < count) outcomes.push(DONE)
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
