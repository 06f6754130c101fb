/** The options in which our own connections differ from the caller's client. */
import type { Redis, RedisOptions } from 'ioredis'
import type { LoginParts } from './login.ts'
import type { ServerMode } from './server-info.ts'

/** ms between two keep-alive probes of an idle connection: load balancers forget silent ones after some minutes. */
const KEEP_ALIVE = 10_000

type Options = Omit<RedisOptions, 'replyMapping'>

export interface ConnectionParts extends LoginParts {
  /** Ends the connection's name, unless it is the connection of the locks. */
  readonly role?: string
  /** Who holds the locks: part of the connection's name. */
  readonly owner?: string | undefined
  /** What the server has to be. Default: a server of its own. */
  readonly mode?: ServerMode | undefined
  readonly options?: Options
}

export interface OwnOptionsParts {
  /** ms that a request may stay unanswered. */
  readonly timeout: number
  /** Ends the connection's name. */
  readonly role: string | undefined
  /** Who holds the locks: follows the connection's name. */
  readonly owner: string | undefined
  /** The longest pause between two attempts to connect, in ms. */
  readonly longestDelay: number
  /** ms until the next attempt; null for none. */
  readonly reconnectDelay: () => number | null
  /** Called if the server refuses writes. */
  readonly onReadOnly: (error: Error) => void
  /** Called with each address that a Sentinel names, as `host:port`. The address of the server comes last. */
  readonly onAddress: (address: string) => void
}

/** @param model the caller's client. */
export function ownOptions(model: Redis, parts: OwnOptionsParts): Options {
  const { timeout, role, owner, reconnectDelay, onReadOnly } = parts
  const { options } = model
  const database = databaseOf(model)
  return {
    ...(database === undefined ? {} : { db: database }),
    connectionName: [options.connectionName, 'leasewheel', role].filter(Boolean).join(':') + labelOf(owner),
    // A request that is sent later than its caller believes, or twice, is worse than a refusal.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // With 0, ioredis rejects requests as soon as their connection closes.
    maxRetriesPerRequest: 0,
    // See `OwnClient`.
    enableReadyCheck: true,
    maxLoadingRetryTime: 100,
    connectTimeout: Math.max(2 * timeout, 1_000),
    // The second timeout in a row ends the connection: see `OwnClient`.
    socketTimeout: Math.max(timeout, 250),
    // Every request has a timeout of ours, which also handles answers that come later.
    commandTimeout: undefined,
    disconnectTimeout: 100,
    keepAlive: Math.min(options.keepAlive || KEEP_ALIVE, KEEP_ALIVE),
    retryStrategy: reconnectDelay,
    // The server was demoted. Its name, or a Sentinel, may lead to the new primary.
    reconnectOnError: (error) => {
      if (error.message.startsWith('READONLY')) onReadOnly(error)
      return false
    },
    ...(options.sentinels ? sentinelOptions(options, parts) : {}),
    // We put the prefix before keys ourselves, once, and read numbers as numbers.
    keyPrefix: '',
    stringNumbers: false,
    enableAutoPipelining: false,
    readOnly: false,
    monitor: false,
    // Our connections need none of the commands that the caller has defined.
    scripts: {},
  }
}

function sentinelOptions(
  { natMap, sentinelCommandTimeout }: RedisOptions,
  { timeout, longestDelay, onAddress }: OwnOptionsParts,
): Options {
  return {
    role: 'master',
    // We listen to the Sentinels ourselves, for both connections.
    failoverDetector: false,
    // A Sentinel that hangs must not delay the question to others.
    sentinelCommandTimeout: sentinelCommandTimeout ?? Math.max(timeout, 250),
    // The first retry of the list comes at once: one failed pass says little about its Sentinels.
    sentinelRetryStrategy: (attempts) => (attempts === 1 ? 0 : Math.min(50 * attempts, longestDelay)),
    natMap: (address) => {
      onAddress(address)
      return (typeof natMap === 'function' ? natMap(address) : natMap?.[address]) ?? null
    },
  }
}

/** The end of a connection's name. Servers permit only visible ASCII characters in it. */
function labelOf(owner: string | undefined): string {
  return owner ? `@${owner.replaceAll(/[^!-~]/gu, '_')}` : ''
}

/** The database that a client uses now: `select` may have changed it. */
export function databaseOf(client: Redis): number | undefined {
  const { condition } = client as unknown as { condition?: { select?: number } | null }
  return condition?.select ?? client.options.db
}
