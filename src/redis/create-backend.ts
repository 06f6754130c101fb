/** What users may pass to `new LeaseManager`, told apart. */
import type { Redis } from 'ioredis'
import type { Backend } from '../backend.ts'
import { describe } from '../options/check.ts'
import { nameForeignClient } from './foreign-client.ts'
import { RedisBackend } from './redis-backend.ts'
import { readServerUrl } from './server-url.ts'

/**
 * What a client of ioredis 5 or 6, or of iovalkey, has, whichever copy of which version it comes from. A client of another library has not
 * all of it.
 */
export interface RedisClient {
  readonly status: string
  readonly mode: string
  readonly options: object
  duplicate(): unknown
  connect(): Promise<unknown>
  disconnect(): void
  defineCommand(name: string, definition: { lua: string; numberOfKeys?: number }): void
}

/** An ioredis or iovalkey client, a `redis://`, `rediss://`, `valkey://` or `valkeys://` URL, or a backend. */
export type Connectable = RedisClient | Backend | string

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
const CLIENT_METHODS = ['duplicate', 'sendCommand', 'connect', 'disconnect', 'defineCommand', 'pipeline'] as const
const EXPECTED = 'Expected `connection` to be an ioredis client, a redis:// or rediss:// URL, or a Backend'

/** @throws TypeError naming what came and what to do, if it is none of these. */
export function createBackend(connection: Connectable): Backend {
  if (typeof connection === 'string') {
    const url = readServerUrl(connection)
    // It may carry a password: it is not shown.
    if (url === undefined) throw new TypeError(`${EXPECTED}, got another string`)
    return new RedisBackend(url)
  }
  if (isObject(connection)) {
    if (isBackend(connection)) return connection
    const name = nameForeignClient(connection)
    if (name !== undefined) throw new TypeError(`${EXPECTED}, got ${name}`)
    if (isClient(connection)) return new RedisBackend(connection)
  }
  throw new TypeError(`${EXPECTED}, got ${describe(connection)}`)
}

function isBackend(value: object): value is Backend {
  return hasMethods(value, BACKEND_METHODS)
}

/** By its shape rather than its class: the application may have another copy of ioredis than we do. */
function isClient(value: object): value is Redis {
  if (!hasMethods(value, CLIENT_METHODS) || !('status' in value && typeof value.status === 'string')) return false
  if (!('options' in value && isObject(value.options) && 'db' in value.options)) return false
  if (!Number.isNaN(value.options.db)) return true
  throw new TypeError('Expected the `db` of the ioredis client to be the number of a database, got `NaN`: see its URL')
}

function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
