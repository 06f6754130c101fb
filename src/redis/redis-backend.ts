/** The backend for one Redis or Valkey server, alone or behind Sentinel. Each call is one script for all its keys. */
import type { Redis } from 'ioredis'
import {
  type AcquireOutcome,
  type Backend,
  type BackendListener,
  type BackendSettings,
  type ChangeOutcome,
  FENCE_KEY,
  type HandOverEntry,
  type HandOverOutcome,
  type KeeperSettings,
  type LockEntry,
  type LockView,
  type ReleaseEntry,
  type ServerIdentity,
  type StartedKeeper,
  type Unknown,
} from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import { UnavailableError } from '../errors.ts'
import { apart } from './apart.ts'
import { ConnectionPair } from './connection-pair.ts'
import { type Ask, cutUp } from './cut-up.ts'
import { Heads, PLAIN } from './encoded-command.ts'
import { startKeeperThread } from './keeper-thread.ts'
import { RedisCatalogue } from './redis-catalogue.ts'
import { explainReply, isReply } from './reply-fault.ts'
import { serverName } from './server-info.ts'
import {
  acquireScriptOf,
  callOf,
  handOverCallOf,
  mayStay,
  raiseCall,
  releaseArguments,
  SCRIPTS,
  ttlsOf,
  watchedIndices,
} from './lock-call.ts'
import { acquireOutcomes, changeOutcomes, handOverOutcomes, viewOf } from './outcomes.ts'
import { type Call, type Script, ScriptRunner } from './script.ts'
import {
  acquireJointsCall,
  releaseJointsCall,
  renewJointsCall,
  JOINT_SCRIPTS,
  jointOutcomes,
  verifyJointsCall,
} from './joint-call.ts'
import { ToldFaults } from './told-faults.ts'
import type { Tracking } from './tracking.ts'
import { CONFIRMED, type Outcome } from './unacknowledged.ts'

/** Bytes. The server works on a call of this size for longer than it takes to write it. */
const LARGE_CALL = 8_192

interface Opened {
  readonly pair: ConnectionPair
  readonly faults: ToldFaults
  readonly runner: ScriptRunner
  readonly catalogue: Catalogue
}

interface Prepared {
  readonly script: Script
  readonly watched: boolean
  readonly call: Call
}

export class RedisBackend implements Backend {
  readonly joints = true
  readonly stays = true
  readonly awaitsReplicas = true
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
    return this.#opened?.pair.fault
  }

  get catalogue(): Catalogue | undefined {
    return this.#opened?.catalogue
  }

  get name(): string | undefined {
    return this.#opened && serverName(this.#opened.pair.commands.client.options)
  }

  get servers(): readonly ServerIdentity[] {
    const identity = this.#opened?.pair.commands.identity
    return identity ? [identity] : []
  }

  /** Depends on the key prefix of the client, too. */
  get reservedKey(): string | undefined {
    return FENCE_KEY.startsWith(this.#prefix) ? FENCE_KEY.slice(this.#prefix.length) : undefined
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const pair = new ConnectionPair(this.#source, settings, listener)
    this.#prefix = pair.commands.keyPrefix + settings.prefix
    this.#heads = new Heads(this.#prefix)
    const runner = new ScriptRunner(pair.commands)
    const explain = (thrown: unknown): Error => this.#explain(thrown, undefined)
    this.#opened = {
      pair,
      faults: new ToldFaults(listener),
      runner,
      catalogue: new RedisCatalogue({ pair, runner, prefix: this.#prefix, explain }),
    }
  }

  startKeeper(settings: BackendSettings, keeper: KeeperSettings, onFault: (fault: Error) => void): StartedKeeper {
    return startKeeperThread(this.#source, settings, keeper, onFault)
  }

  ready(): Promise<void> | undefined {
    return this.#open.pair.commands.ready()
  }

  acquire(entries: readonly LockEntry[], watch = false, floor = 0): Promise<readonly AcquireOutcome[]> {
    return apart(
      entries,
      (some) => this.#acquirePlain(some, watch, floor),
      (some) => this.#acquireJoints(some, watch),
    )
  }

  #acquirePlain(entries: readonly LockEntry[], watch: boolean, floor: number): Promise<readonly AcquireOutcome[]> {
    const { tracking } = this.#open.pair
    return this.#ask('acquire', entries, async (some) => {
      const script = acquireScriptOf(watch && tracking?.active === true, floor > 0)
      const call = this.#prepare(script, some, floor > 0 ? [...ttlsOf(some), floor] : ttlsOf(some), FENCE_KEY)
      const period = tracking?.period
      const reply = this.#run(script, call, some, tracking)
      this.#flushIfLarge(call)
      // The server watches the refused keys, if tracking was on all the time since the request.
      return acquireOutcomes(await reply, some.length, period !== undefined && period === tracking?.period)
    })
  }

  #acquireJoints(entries: readonly LockEntry[], watch: boolean): Promise<readonly AcquireOutcome[]> {
    const { tracking } = this.#open.pair
    return this.#ask('acquire', entries, async (some) => {
      const call = acquireJointsCall(this.#heads, some, watch && tracking?.active === true, 0, FENCE_KEY)
      const period = tracking?.period
      const reply = this.#run(JOINT_SCRIPTS.acquire, call, some, tracking)
      this.#flushIfLarge(call)
      return jointOutcomes(await reply, period !== undefined && period === tracking?.period)
    })
  }

  raiseFences(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]> {
    const { raise } = SCRIPTS
    return this.#ask('acquire', entries, async (some) =>
      changeOutcomes(await this.#run(raise, raiseCall(FENCE_KEY, fence), some, undefined), some.length),
    )
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    return apart(
      entries,
      (some) =>
        this.#renew(some, watch, (part, watched) => {
          const script = watched ? SCRIPTS.renewAndWatch : SCRIPTS.renew
          return { script, watched, call: this.#prepare(script, part, ttlsOf(part)) }
        }),
      (some) =>
        this.#renew(some, watch, (part, watched) => {
          return { script: JOINT_SCRIPTS.renew, watched, call: renewJointsCall(this.#heads, part, watched) }
        }),
    )
  }

  #renew(
    entries: readonly LockEntry[],
    watch: boolean,
    prepare: (some: readonly LockEntry[], watched: boolean) => Prepared,
  ): Promise<readonly ChangeOutcome[]> {
    const { tracking } = this.#open.pair
    return this.#ask('renew', entries, async (some) => {
      const watched = watch && tracking?.active === true
      let prepared = this.#renewals.get(some)
      if (prepared?.watched !== watched) {
        prepared = prepare(some, watched)
        this.#renewals.set(some, prepared)
      }
      const { script, call } = prepared
      return changeOutcomes(await this.#run(script, call, some, watched ? tracking : undefined), some.length)
    })
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return apart(
      entries,
      (part) => {
        const script = mayStay(part) ? SCRIPTS.releaseLater : SCRIPTS.release
        const prepare = (some: readonly ReleaseEntry[]): Call =>
          this.#prepare(script, some, releaseArguments(script, some, watchedIndices(some)))
        return this.#release(script, part, prepare)
      },
      (part) => this.#release(JOINT_SCRIPTS.release, part, (some) => releaseJointsCall(this.#heads, some)),
    )
  }

  #release(
    script: Script,
    entries: readonly ReleaseEntry[],
    prepare: (some: readonly ReleaseEntry[]) => Call,
  ): Promise<readonly ChangeOutcome[]> {
    const { pair } = this.#open
    return this.#ask('release', entries, async (some) => {
      const call = prepare(some)
      const reply = this.#run(script, call, some, some.some(({ watch }) => watch) ? pair.tracking : undefined)
      this.#flushIfLarge(call)
      return changeOutcomes(await reply, some.length)
    })
  }

  handOver(entries: readonly HandOverEntry[], watch = false): Promise<readonly HandOverOutcome[]> {
    const { tracking } = this.#open.pair
    return this.#ask('handOver', entries, async (some) => {
      const script = watch && tracking?.active ? SCRIPTS.handOverAndWatch : SCRIPTS.handOver
      const call = handOverCallOf(script, this.#heads, some, FENCE_KEY)
      const period = tracking?.period
      const reply = await this.#run(script, call, some, tracking)
      return handOverOutcomes(reply, some.length, period !== undefined && period === tracking?.period)
    })
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const ask = (script: Script, part: readonly LockEntry[], prepare: (some: readonly LockEntry[]) => Call) =>
      this.#ask('verify', part, async (some) =>
        changeOutcomes(await this.#run(script, prepare(some), some, undefined), some.length),
      )
    return apart(
      entries,
      (part) => ask(SCRIPTS.verify, part, (some) => this.#prepare(SCRIPTS.verify, some, [])),
      (part) => ask(JOINT_SCRIPTS.verify, part, (some) => verifyJointsCall(this.#heads, some)),
    )
  }

  async inspect(key: string): Promise<LockView | null> {
    const { pair, runner } = this.#open
    const { inspect } = SCRIPTS
    try {
      await pair.onAsked()
      return viewOf(await runner.run(inspect, inspect.prepare([{ texts: [this.#prefix + key] }], [])))
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
  async #ask<E extends LockEntry, O extends Outcome>(
    what: string,
    entries: readonly E[],
    ask: Ask<E, O>,
  ): Promise<readonly (O | Unknown)[]> {
    const { pair, faults } = this.#open
    const reading = pair.onAsked()
    const { replicas } = pair
    const confirmed: Ask<E, O> =
      replicas && CONFIRMED.has(what) ? (some) => replicas.confirm(() => ask(some), [FENCE_KEY]) : ask
    try {
      if (reading) await reading
      const outcomes = await confirmed(entries)
      pair.commands.onAnswered()
      faults.onAnswered(what)
      return outcomes
    } catch (thrown) {
      return cutUp(entries, thrown, confirmed, (error, entry) => {
        const explained = this.#explain(error, entry?.key)
        if (isReply(error)) faults.onRefused(what, error, explained)
        return { type: 'unknown', error: explained }
      })
    }
  }

  /** @param tracking given if the server should watch the keys that the script reads. */
  #run(script: Script, call: Call, entries: readonly LockEntry[], tracking: Tracking | undefined): Promise<unknown> {
    const reply = this.#open.runner.run(script, call, tracking)
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
    return callOf(script, this.#heads, entries, more, first)
  }
}
