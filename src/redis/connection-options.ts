/** What our own connections do otherwise than the caller's client. */
import type { Redis, RedisOptions } from 'ioredis'

/** An idle connection says something every so many ms: load balancers forget silent ones after some minutes. */
const KEEP_ALIVE = 10_000

type Options = Omit<RedisOptions, 'replyMapping'>

export interface OwnOptionsParts {
  /** ms that a request may stay unanswered. */
  readonly timeout: number
  /** Stands at the end of the connection's name. */
  readonly role: string | undefined
  /** The longest pause between two attempts to connect, in ms. */
  readonly longestDelay: number
  /** ms until the next attempt; null for none. */
  readonly reconnectDelay: () => number | null
  /** The server takes no writes. */
  readonly onReadOnly: (error: Error) => void
  /** Is told each address that a Sentinel names, as `host:port`; that of the server comes last. */
  readonly onAddress: (address: string) => void
}

/** @param model the caller's client. */
export function ownOptions(model: Redis, parts: OwnOptionsParts): Options {
  const { timeout, role, reconnectDelay, onReadOnly } = parts
  const { options } = model
  const database = databaseOf(model)
  return {
    ...(database === undefined ? {} : { db: database }),
    connectionName: [options.connectionName, 'leasewheel', role].filter(Boolean).join(':'),
    // A lock that is asked for later than its caller believes, or twice, is worse than one that is refused.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // With 0, requests under way are rejected as soon as their connection closes.
    maxRetriesPerRequest: 0,
    // See `OwnClient`.
    enableReadyCheck: true,
    maxLoadingRetryTime: 100,
    connectTimeout: Math.max(2 * timeout, 1_000),
    // Given up at the second of these in a row: see `OwnClient`.
    socketTimeout: Math.max(timeout, 250),
    // Every request has its own timeout, and one that was given up is looked after.
    commandTimeout: undefined,
    disconnectTimeout: 100,
    keepAlive: Math.min(options.keepAlive || KEEP_ALIVE, KEEP_ALIVE),
    retryStrategy: reconnectDelay,
    // A server that was demoted: its name, or Sentinel, may lead to the new primary.
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
    // Names of commands that the caller's client has made are of no use here.
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
    // One that hangs must not be waited for while others could be asked.
    sentinelCommandTimeout: sentinelCommandTimeout ?? Math.max(timeout, 250),
    // The list is gone through once more at once: its end says nothing about those who stand in it.
    sentinelRetryStrategy: (attempts) => (attempts === 1 ? 0 : Math.min(50 * attempts, longestDelay)),
    natMap: (address) => {
      onAddress(address)
      return (typeof natMap === 'function' ? natMap(address) : natMap?.[address]) ?? null
    },
  }
}

/** The database that a client works in now: `select` may have changed it since it was made. */
function databaseOf(client: Redis): number | undefined {
  const { condition } = client as unknown as { condition?: { select?: number } | null }
  return condition?.select ?? client.options.db
}
