/** The options of a manager and of its calls: types, defaults, and the only place where they are validated. */
import { hostname } from 'node:os'
import type { Credentials } from '../backend.ts'
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkMethods,
  checkNumber,
  checkOptions,
  checkSignal,
  checkString,
  describe,
} from './check.ts'
import { type Clock, SystemClock } from '../time/clock.ts'
import { defaultTimeout } from '../rules/timing.ts'
import type { DetachedLease } from '../lease/lease.ts'
import { type RetryStrategy, untilTold } from './retry.ts'

const LONGEST = 2 ** 31 - 1
const LONGEST_KEY = 4_096
const LONGEST_OWNER = 128
/** ms that `close` gives the work of `using` unless it is told otherwise: with the timeout it fits into the 30 s that Kubernetes gives a process. */
const CLOSE_DRAIN = 10_000
/** ms that `close` gives the releases unless it is told otherwise. */
const CLOSE_TIMEOUT = 10_000

/** What holds for one lease; each may be given to the manager as a default and to a call for that lease. */
export interface LeaseOptions {
  /**
   * Time to live of the key in ms: an integer from 100 to 2,147,483,647. Default 30,000. When a process dies its locks are
   * free after this time; when Redis cannot be reached its leases are lost after this time less a margin. Renewals are
   * sent at a third of it.
   */
  readonly ttl?: number | undefined
  /**
   * How long one question to the backend may stay unanswered, in ms: an integer from 10 to `ttl`. Default: a sixth of the ttl,
   * between 50 and 2,000. `release()` takes no longer than this.
   */
  readonly timeout?: number | undefined
  /** The longest a lease may be held, in ms, however often it is renewed: a number >= 1. Then it is lost (`maxHold`). Default: no limit. */
  readonly maxHold?: number | undefined
  /** Whether the wheel renews the lease. Default `true`; with `false` it ends at its deadline unless `lease.renew()` is called. */
  readonly autoRenew?: boolean | undefined
}

/** Options of `tryAcquire`. */
export interface TryAcquireOptions extends LeaseOptions {
  /** Aborts the call: it rejects with the signal's reason, and what it may have acquired is given back. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `adopt`. */
export type AdoptOptions = Omit<TryAcquireOptions, 'ttl'>

/** Options of `acquire`, `acquireMany`, `acquireAll` and `using`. */
export interface AcquireOptions extends TryAcquireOptions {
  /** How long to wait for a lock that is held by another, in ms: a number >= 0, or Infinity. 0 means one attempt. Default 10,000. */
  readonly wait?: number | undefined
  /**
   * How often to ask meanwhile. A caller that is told of changes of the key (see the manager's option `watch`) asks at once when there is one, whatever the
   * strategy. Default: apart from that it asks again when the holder's ttl is over, or after a minute; where changes are not told, as
   * `exponentialBackoff()` says.
   */
  readonly retry?: RetryStrategy | undefined
}

/** How far long work has come. */
export interface Progress {
  /** Keys or leases that are settled, one way or another. */
  readonly done: number
  readonly total: number
}

/** Options of `acquireMany`. */
export interface AcquireManyOptions extends AcquireOptions {
  /** Is told each time that some of the keys have been settled: after each batch. What it throws comes out as `error`. Default: nobody. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `close`. */
export interface CloseOptions {
  /**
   * How long the work of `using` may go on, in ms: a number >= 0, or Infinity. Default 10,000. Meanwhile every lease is renewed and nothing is
   * granted. Work that still runs when this is over is told by its `lease.signal`; a turn of the event loop later its lock is given back.
   */
  readonly drain?: number | undefined
  /** How long releasing may take after that, in ms: a number >= 0. Default 10,000. What is not answered by then is left to expire. */
  readonly timeout?: number | undefined
  /** Is told each time that some of the leases have been settled: after each batch. What it throws comes out as `error`. Default: nobody. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `new LeaseManager`. */
export interface LeaseManagerOptions extends LeaseOptions {
  /** The default of `acquire`'s option of that name. */
  readonly wait?: number | undefined
  /** The default of `acquire`'s option of that name. */
  readonly retry?: RetryStrategy | undefined
  /**
   * Whether the server is to tell of changes: callers that wait for a lock hear within milliseconds that it is free, and holders that somebody
   * else has deleted or overwritten their key. Default `true`. Takes a second connection. Where the server does not support it, or the user's ACL does not
   * permit `CLIENT` and the channel `__redis__:invalidate`, one `error` event says so, waiting callers poll, and losses are noticed at the next renewal; so with `false`.
   */
  readonly watch?: boolean | undefined
  /**
   * Up to how many held leases are watched: a number >= 0, or Infinity. Default 50,000. While there are more, losses are noticed at the next renewal;
   * callers that wait are told all the same. Watching costs the server about 130 bytes for each key and 1 µs more for each renewal.
   */
  readonly watchLimit?: number | undefined
  /**
   * Who holds the locks, for people to read: a string of at most 128 characters, which stands before the unguessable part of each token, where `inspect`
   * and refusals find it. Default: the name of the host, a colon, and the process id. With `''` there is none.
   */
  readonly owner?: string | undefined
  /**
   * Asked for a user name and a password before each connection to Redis: for tokens that expire, as with IAM or Entra ID. If it rejects, the ones
   * before are tried, and an `error` event says so. Default: what the client has at that moment, so that `client.options.password` may be
   * changed; or what the URL says.
   */
  readonly credentials?: (() => Promise<Credentials>) | undefined
  /** Stands before every key in Redis. Default `lease:`. With `''` a lock is the plain key that other libraries use. */
  readonly prefix?: string | undefined
  /** How many keys one request carries at most: an integer from 1 to 1,000. Default 256. More is cheaper, and stalls the server for longer: about 1 µs each. */
  readonly batchSize?: number | undefined
  /**
   * How much faster than this machine's the server's clock may run, as a fraction of the ttl: a number from 0 to 0.5. Default
   * 0.01. The deadline of a lease comes `ttl · driftFactor + 2` ms before the end of its ttl.
   */
  readonly driftFactor?: number | undefined
  /** Where the time comes from. Default: the machine's clock, suspends counted. */
  readonly clock?: Clock | undefined
  /** Where jitter comes from: a function that returns a number in [0, 1). Default `Math.random`. Tokens never come from here. */
  readonly random?: (() => number) | undefined
}

/** The settings of a manager, every one of them known. */
export interface ManagerSettings {
  readonly ttl: number
  /** Undefined: follows from the ttl of each lease. */
  readonly timeout: number | undefined
  readonly maxHold: number
  readonly autoRenew: boolean
  readonly wait: number
  readonly retry: RetryStrategy
  readonly watch: boolean
  readonly watchLimit: number
  readonly owner: string
  readonly credentials: (() => Promise<Credentials>) | undefined
  readonly prefix: string
  readonly batchSize: number
  readonly driftFactor: number
  readonly clock: Clock
  readonly random: () => number
}

/** The settings of one lease, every one of them known. */
interface LeaseSettings {
  readonly ttl: number
  readonly timeout: number
  readonly maxHold: number
  readonly autoRenew: boolean
}

/** The settings of one acquisition, every one of them known. */
export interface AcquireSettings extends LeaseSettings {
  readonly wait: number
  readonly retry: RetryStrategy
  readonly signal: AbortSignal | undefined
}

/** The settings of an acquisition of many keys, every one of them known. */
export interface AcquireManySettings extends AcquireSettings {
  readonly onProgress: ((progress: Progress) => void) | undefined
}

export interface CloseSettings {
  /** ms. */
  readonly drain: number
  /** ms. */
  readonly timeout: number
  readonly onProgress: ((progress: Progress) => void) | undefined
}

/** The settings of one adoption, every one of them known. */
export type AdoptSettings = Omit<LeaseSettings, 'ttl'> & Pick<AcquireSettings, 'signal'>

const LEASE_OPTIONS = ['ttl', 'timeout', 'maxHold', 'autoRenew'] as const
const TRY_ACQUIRE_OPTIONS = [...LEASE_OPTIONS, 'signal'] as const
const ADOPT_OPTIONS = TRY_ACQUIRE_OPTIONS.filter((name) => name !== 'ttl')
const ACQUIRE_OPTIONS = [...TRY_ACQUIRE_OPTIONS, 'wait', 'retry'] as const
const ACQUIRE_MANY_OPTIONS = [...ACQUIRE_OPTIONS, 'onProgress'] as const
const CLOSE_OPTIONS = ['drain', 'timeout', 'onProgress'] as const
const MANAGER_OPTIONS = [
  ...LEASE_OPTIONS,
  'wait',
  'retry',
  'watch',
  'watchLimit',
  'owner',
  'credentials',
  'prefix',
  'batchSize',
  'driftFactor',
  'clock',
  'random',
] as const

export function resolveManager(options: LeaseManagerOptions): ManagerSettings {
  checkOptions('LeaseManager', options, MANAGER_OPTIONS)
  // Defaults stand in for what is undefined, and for nothing else: `null` is a mistake.
  const {
    ttl = 30_000,
    timeout,
    maxHold,
    autoRenew = true,
    wait = 10_000,
    retry = untilTold(),
    watch = true,
    watchLimit = 50_000,
    owner = `${hostname()}:${process.pid}`,
    credentials,
    prefix = 'lease:',
    batchSize = 256,
    driftFactor = 0.01,
    clock = new SystemClock(),
    random = Math.random,
  } = options
  return {
    ttl: checkTtl(ttl),
    timeout: timeout === undefined ? undefined : checkTimeout(timeout, ttl),
    maxHold: checkMaxHold(maxHold),
    autoRenew: checkBoolean('autoRenew', autoRenew),
    wait: checkNumber('wait', wait, 0),
    retry: checkMethods('retry', retry, ['next']),
    watch: checkBoolean('watch', watch),
    watchLimit: checkNumber('watchLimit', watchLimit, 0, { unit: 'leases' }),
    owner: checkOwner(owner),
    credentials: credentials === undefined ? undefined : checkFunction('credentials', credentials),
    prefix: checkWellFormed('prefix', checkString('prefix', prefix)),
    batchSize: checkInteger('batchSize', batchSize, 1, { max: 1_000, unit: 'keys' }),
    driftFactor: checkNumber('driftFactor', driftFactor, 0, { max: 0.5, unit: '' }),
    clock: checkMethods('clock', clock, ['now', 'setTimer', 'soon']),
    random: checkFunction('random', random),
  }
}

export function resolveTryAcquire(options: TryAcquireOptions, defaults: ManagerSettings): AcquireSettings {
  checkOptions('tryAcquire', options, TRY_ACQUIRE_OPTIONS)
  return resolve(options, defaults, 0)
}

/** @param of the method that was called, for messages. */
export function resolveAcquire(of: string, options: AcquireOptions, defaults: ManagerSettings): AcquireSettings {
  checkOptions(of, options, ACQUIRE_OPTIONS)
  return resolve(options, defaults, defaults.wait)
}

export function resolveAcquireMany(options: AcquireManyOptions, defaults: ManagerSettings): AcquireManySettings {
  checkOptions('acquireMany', options, ACQUIRE_MANY_OPTIONS)
  return { ...resolve(options, defaults, 0), onProgress: checkProgress(options.onProgress) }
}

export function resolveClose(options: CloseOptions): CloseSettings {
  checkOptions('close', options, CLOSE_OPTIONS)
  const { drain = CLOSE_DRAIN, timeout = CLOSE_TIMEOUT, onProgress } = options
  return {
    drain: checkNumber('drain', drain, 0),
    timeout: checkNumber('timeout', timeout, 0),
    onProgress: checkProgress(onProgress),
  }
}

/** @param ttl of the lease that is adopted. */
export function resolveAdopt(options: AdoptOptions, ttl: number, defaults: ManagerSettings): AdoptSettings {
  checkOptions('adopt', options, ADOPT_OPTIONS)
  return resolve({ ...options, ttl }, defaults, 0)
}

function resolve(options: AcquireOptions, defaults: ManagerSettings, wait: number): AcquireSettings {
  const ttl = options.ttl === undefined ? defaults.ttl : checkTtl(options.ttl)
  const timeout =
    options.timeout === undefined
      ? Math.min(defaults.timeout ?? defaultTimeout(ttl), ttl)
      : checkTimeout(options.timeout, ttl)
  return {
    ttl,
    timeout,
    maxHold: options.maxHold === undefined ? defaults.maxHold : checkMaxHold(options.maxHold),
    autoRenew: options.autoRenew === undefined ? defaults.autoRenew : checkBoolean('autoRenew', options.autoRenew),
    wait: options.wait === undefined ? wait : checkNumber('wait', options.wait, 0),
    retry: options.retry === undefined ? defaults.retry : checkMethods('retry', options.retry, ['next']),
    signal: options.signal === undefined ? undefined : checkSignal('signal', options.signal),
  }
}

/** A key: a string of 1 to 4,096 characters, well-formed. */
export function checkKey(key: unknown): string {
  if (typeof key !== 'string') throw new TypeError(`Expected \`key\` to be a string, got ${describe(key)}`)
  if (key.length === 0) throw new RangeError('Expected `key` to be a string that is not empty')
  if (key.length > LONGEST_KEY) {
    throw new RangeError(`Expected \`key\` to be a string of at most ${LONGEST_KEY} characters, got ${key.length}`)
  }
  return checkWellFormed('key', key)
}

/**
 * Half of a surrogate pair stands for no character: on its way to the server it becomes another one, and what is told of the key is told under another name.
 */
function checkWellFormed(name: string, text: string): string {
  if (text.isWellFormed()) return text
  throw new RangeError(`Expected \`${name}\` to be well-formed Unicode, got a string with half of a surrogate pair`)
}

/** What `detach` returned, or something like it that came over a network. */
export function checkDetached(value: unknown): DetachedLease {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`Expected \`lease\` to be what \`detach()\` returned, got ${describe(value)}`)
  }
  const { key, token, fence, ttl } = value as Record<keyof DetachedLease, unknown>
  const checked = {
    key: checkKey(key),
    token: checkWellFormed('token', checkString('token', token)),
    fence: checkInteger('fence', fence, 0, { max: Number.MAX_SAFE_INTEGER, unit: '' }),
    ttl: checkTtl(ttl),
  }
  if (checked.token === '') throw new RangeError('Expected `token` to be a string that is not empty')
  return checked
}

/** Something that can be iterated, as a list of its own; each key in it is still to be checked. */
export function listOfKeys(keys: unknown): readonly unknown[] {
  if (typeof keys !== 'object' || keys === null || !(Symbol.iterator in keys)) {
    throw new TypeError(`Expected \`keys\` to be an array of strings, got ${describe(keys)}`)
  }
  return Array.from(keys as Iterable<unknown>)
}

/** A list of keys, each of which stands in it once. */
export function checkDistinctKeys(keys: unknown): readonly string[] {
  const list = listOfKeys(keys).map(checkKey)
  const seen = new Set<string>()
  for (const key of list) {
    if (seen.has(key)) throw new RangeError(`Expected \`keys\` to name each key once, got ${describe(key)} twice`)
    seen.add(key)
  }
  return list
}

function checkTtl(ttl: unknown): number {
  return checkInteger('ttl', ttl, 100, { max: LONGEST })
}

function checkOwner(owner: unknown): string {
  const { length } = checkString('owner', owner)
  if (length <= LONGEST_OWNER) return checkWellFormed('owner', owner as string)
  throw new RangeError(`Expected \`owner\` to be a string of at most ${LONGEST_OWNER} characters, got ${length}`)
}

function checkTimeout(timeout: unknown, ttl: number): number {
  return checkInteger('timeout', timeout, 10, { max: ttl })
}

function checkProgress(onProgress: CloseOptions['onProgress']): CloseSettings['onProgress'] {
  return onProgress === undefined ? undefined : checkFunction('onProgress', onProgress)
}

function checkMaxHold(maxHold: unknown): number {
  return maxHold === undefined ? Number.POSITIVE_INFINITY : checkNumber('maxHold', maxHold, 1)
}
