/**
 * What users may pass to `new LeaseManager`, told apart. May import ioredis' types and the backend over it.
 */
import type { Redis } from 'ioredis'
import type { Backend } from '../backend.ts'
import { describe } from '../check.ts'
import { RedisBackend } from './redis-backend.ts'

/** An ioredis client, a `redis://` or `rediss://` URL, or a backend. */
export type Connectable = Redis | Backend | string

const BACKEND_METHODS = [
  'open',
  'ready',
  'acquire',
  'renew',
  'release',
  'verify',
  'inspect',
  'forceRelease',
  'close',
] as const
const EXPECTED = 'Expected `connection` to be an ioredis client, a redis:// or rediss:// URL, or a Backend'

/** @throws TypeError naming what came, where it is none of these. */
export function createBackend(connection: Connectable): Backend {
  if (typeof connection === 'string') {
    // The URL itself may carry a password: it is not shown.
    if (!/^rediss?:\/\//.test(connection)) throw new TypeError(`${EXPECTED}, got another string`)
    return new RedisBackend(connection)
  }
  if (isCluster(connection)) {
    throw new TypeError(`${EXPECTED}, got a Redis Cluster client: clusters are not supported yet`)
  }
  if (isBackend(connection)) return connection
  if (isClient(connection)) return new RedisBackend(connection)
  throw new TypeError(`${EXPECTED}, got ${describe(connection)}`)
}

function isCluster(value: unknown): boolean {
  return has(value, 'isCluster') && value.isCluster === true
}

function isBackend(value: unknown): value is Backend {
  return BACKEND_METHODS.every((method) => has(value, method) && typeof value[method] === 'function')
}

/** By its shape rather than its class: the application may have another copy of ioredis than we do. */
function isClient(value: unknown): value is Redis {
  return has(value, 'duplicate') && typeof value.duplicate === 'function' && has(value, 'options')
}

function has<K extends string>(value: unknown, name: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && name in value
}
