/** Resolves options to settings, with every default filled in. The only place that validates options. */
import { hostname } from 'node:os'
import type { Credentials } from '../backend.ts'
import type { DetachedLease } from '../lease/lease.ts'
import { defaultTimeout } from '../rules/timing.ts'
import { type Clock, SystemClock } from '../time/clock.ts'
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
import { bytesOfKey, checkKey, checkWellFormed, listOfKeys } from './keys.ts'
import type {
  AcquireAllOptions,
  AcquireManyOptions,
  AcquireOptions,
  AdoptOptions,
  CloseOptions,
  LeaseManagerOptions,
  ListOptions,
  Progress,
  StandingOptions,
  TryAcquireOptions,
  UsingOptions,
} from './options.ts'
import type { Joint } from '../rules/sharing.ts'
import { type KeeperChoice, resolveKeeper } from './keeper.ts'
import { type RetryStrategy, untilTold } from './retry.ts'
import { checkJoint, resolveJoint, JOINT_OPTIONS } from './joint.ts'

const LONGEST = 2 ** 31 - 1
const LONGEST_OWNER = 128
/** Default of `drain`, in ms. With the timeout it fits into the 30 s that Kubernetes gives a process. */
const CLOSE_DRAIN = 10_000
/** Default of the `timeout` of `close`, in ms. */
const CLOSE_TIMEOUT = 10_000
/** ms between two announcements. */
const ANNOUNCE_EVERY = 2_000

/** The settings of a manager. */
export interface ManagerSettings {
  readonly ttl: number
  /** If undefined, it follows from the ttl of each lease. */
  readonly timeout: number | undefined
  readonly maxHold: number
  readonly autoRenew: boolean
  readonly wait: number
  readonly retry: RetryStrategy
  readonly watch: boolean
  readonly watchLimit: number
  readonly owner: string
  /** ms between two announcements; undefined for none. */
  readonly announce: number | undefined
  readonly credentials: (() => Promise<Credentials>) | undefined
  readonly keeper: KeeperChoice | undefined
  readonly replicas: number
  readonly prefix: string
  readonly batchSize: number
  readonly driftFactor: number
  readonly clock: Clock
  readonly random: () => number
}

/** The settings of one lease. */
interface LeaseSettings {
  readonly ttl: number
  readonly timeout: number
  readonly maxHold: number
  readonly autoRenew: boolean
}

/** The settings of one acquisition. */
export interface AcquireSettings extends LeaseSettings {
  readonly wait: number
  readonly retry: RetryStrategy
  readonly signal: AbortSignal | undefined
  /** Given if others may hold the key as well. */
  readonly joint?: Joint | undefined
  /** How long the key of `using` stays at least, in ms. */
  readonly atLeast?: number
  /** Whether it is part of a larger call, which counts its own failure. */
  readonly part?: boolean
}

/** The settings of an acquisition of many keys. */
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

export interface ListSettings {
  readonly match: string
  readonly owner: string | undefined
  /** As bytes. */
  readonly keys: readonly Uint8Array[] | undefined
  readonly cursor: string | undefined
  readonly onPage: ((cursor: string | undefined) => void) | undefined
  readonly signal: AbortSignal | undefined
}

/** The settings of one adoption. */
export type AdoptSettings = Omit<LeaseSettings, 'ttl'> & Pick<AcquireSettings, 'signal'>

const LEASE_OPTIONS = ['ttl', 'timeout', 'maxHold', 'autoRenew'] as const
const ADOPT_OPTIONS = ['timeout', 'maxHold', 'autoRenew', 'signal'] as const
const TRY_ACQUIRE_OPTIONS = [...LEASE_OPTIONS, ...JOINT_OPTIONS, 'signal'] as const
const ACQUIRE_OPTIONS = [...TRY_ACQUIRE_OPTIONS, 'wait', 'retry'] as const
const ACQUIRE_ALL_OPTIONS = [...LEASE_OPTIONS, 'signal', 'wait', 'retry'] as const
const ACQUIRE_MANY_OPTIONS = [...ACQUIRE_ALL_OPTIONS, 'onProgress'] as const
const USING_OPTIONS = [...ACQUIRE_OPTIONS, 'atLeast'] as const
const STANDING_OPTIONS = ['ttl', 'timeout', 'maxHold', 'drain'] as const
const LIST_OPTIONS = ['match', 'owner', 'keys', 'cursor', 'onPage', 'signal'] as const
const CLOSE_OPTIONS = ['drain', 'timeout', 'onProgress'] as const
const MANAGER_OPTIONS = [
  ...LEASE_OPTIONS,
  'wait',
  'retry',
  'watch',
  'watchLimit',
  'owner',
  'announce',
  'credentials',
  'keeper',
  'replicas',
  'prefix',
  'batchSize',
  'driftFactor',
  'clock',
  'random',
] as const

export function resolveManager(options: LeaseManagerOptions): ManagerSettings {
  checkOptions('LeaseManager', options, MANAGER_OPTIONS)
  // Defaults replace only `undefined`: `null` is a mistake.
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
    announce = false,
    credentials,
    keeper,
    replicas = 0,
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
    announce: checkAnnounce(announce),
    credentials: credentials === undefined ? undefined : checkFunction('credentials', credentials),
    keeper: keeper === undefined ? undefined : resolveKeeper(keeper, clock, replicas),
    replicas: checkInteger('replicas', replicas, 0, { unit: '' }),
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

/** @param of the name of the called method, for messages. */
export function resolveAcquire(of: string, options: AcquireOptions, defaults: ManagerSettings): AcquireSettings {
  checkOptions(of, options, ACQUIRE_OPTIONS)
  return resolve(options, defaults, defaults.wait)
}

export function resolveAcquireAll(options: AcquireAllOptions, defaults: ManagerSettings): AcquireSettings {
  checkOptions('acquireAll', options, ACQUIRE_ALL_OPTIONS)
  return resolve(options, defaults, defaults.wait)
}

export function resolveUsing(options: UsingOptions, defaults: ManagerSettings): AcquireSettings {
  checkOptions('using', options, USING_OPTIONS)
  const settings = resolve(options, defaults, defaults.wait)
  if (options.atLeast === undefined) return settings
  if (settings.joint) throw new RangeError('Expected either `atLeast` or a key that several may hold, got both')
  const atLeast = checkInteger('atLeast', options.atLeast, 1, { max: LONGEST })
  return { ...settings, ttl: Math.max(settings.ttl, atLeast), atLeast }
}

export function resolveAcquireMany(options: AcquireManyOptions, defaults: ManagerSettings): AcquireManySettings {
  checkOptions('acquireMany', options, ACQUIRE_MANY_OPTIONS)
  return { ...resolve(options, defaults, 0), onProgress: checkProgress(options.onProgress) }
}

/** @param of the name of the called method, for messages. @param more the names of its other options. */
export function resolveStanding(
  of: string,
  options: StandingOptions,
  more: readonly string[],
  defaults: ManagerSettings,
): AcquireSettings & Pick<CloseSettings, 'drain'> {
  checkOptions(of, options, [...STANDING_OPTIONS, ...more])
  const { ttl, timeout, maxHold, drain = CLOSE_DRAIN } = options
  const settings = resolve({ ttl, timeout, maxHold, autoRenew: true }, defaults, 0)
  return { ...settings, part: true, drain: checkNumber('drain', drain, 0) }
}

export function resolveList(options: ListOptions): ListSettings {
  checkOptions('list', options, LIST_OPTIONS)
  const { match = '*', owner, keys, cursor, onPage, signal } = options
  return {
    match: checkWellFormed('match', checkString('match', match)),
    owner: owner === undefined ? undefined : checkString('owner', owner),
    keys: keys === undefined ? undefined : listOfKeys(keys).map(bytesOfKey),
    cursor: cursor === undefined ? undefined : checkString('cursor', cursor),
    onPage: onPage === undefined ? undefined : checkFunction('onPage', onPage),
    signal: signal === undefined ? undefined : checkSignal('signal', signal),
  }
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

/** @param ttl the ttl of the adopted lease. */
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
  const patience = options.wait === undefined ? wait : checkNumber('wait', options.wait, 0)
  const joint = resolveJoint(options, patience > 0)
  return {
    ttl,
    timeout,
    maxHold: options.maxHold === undefined ? defaults.maxHold : checkMaxHold(options.maxHold),
    autoRenew: options.autoRenew === undefined ? defaults.autoRenew : checkBoolean('autoRenew', options.autoRenew),
    wait: patience,
    retry: options.retry === undefined ? defaults.retry : checkMethods('retry', options.retry, ['next']),
    signal: options.signal === undefined ? undefined : checkSignal('signal', options.signal),
    ...(joint && { joint }),
  }
}

function checkTtl(ttl: unknown): number {
  return checkInteger('ttl', ttl, 100, { max: LONGEST })
}

function checkOwner(owner: unknown): string {
  const { length } = checkString('owner', owner)
  if (length <= LONGEST_OWNER) return checkWellFormed('owner', owner as string)
  throw new RangeError(`Expected \`owner\` to be a string of at most ${LONGEST_OWNER} characters, got ${length}`)
}

function checkAnnounce(announce: boolean | number): number | undefined {
  if (announce === false) return undefined
  return announce === true ? ANNOUNCE_EVERY : checkInteger('announce', announce, 100, { max: 3_600_000 })
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

/** Checks what `detach` returned. It may have come over a network. */
export function checkDetached(value: unknown): DetachedLease {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`Expected \`lease\` to be what \`detach()\` returned, got ${describe(value)}`)
  }
  const { key, token, fence, ttl, joint } = value as Record<keyof DetachedLease, unknown>
  const checked = {
    key: checkKey(key),
    token: checkWellFormed('token', checkString('token', token)),
    fence: checkInteger('fence', fence, 0, { max: Number.MAX_SAFE_INTEGER, unit: '' }),
    ttl: checkTtl(ttl),
    ...(joint !== undefined && { joint: checkJoint(joint) }),
  }
  if (checked.token === '') throw new RangeError('Expected `token` to be a string that is not empty')
  return checked
}
