/** Makes a backend of what users pass to `new LeaseManager`. */
import type { Cluster, Redis } from 'ioredis'
import type { Backend } from '../backend.ts'
import { describe } from '../options/check.ts'
import { ClusterBackend } from './cluster/cluster-backend.ts'
import { nameForeignClient } from './foreign-client.ts'
import { RedisBackend } from './redis-backend.ts'
import { readServerUrl } from './server-url.ts'

/**
 * The members that every client of ioredis 5 or 6 and of iovalkey has, from any copy of the library. Clients of other libraries lack some of
 * them.
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

/** The members that every `Cluster` of ioredis 5 or 6 and of iovalkey has. */
export interface ClusterClient {
  readonly isCluster: boolean
  readonly status: string
  readonly options: object
  nodes(role?: 'master' | 'slave' | 'all'): readonly object[]
  connect(): Promise<unknown>
  disconnect(): void
  defineCommand(name: string, definition: { lua: string; numberOfKeys?: number }): void
}

/** An ioredis or iovalkey client or `Cluster`, a `redis://`, `rediss://`, `valkey://` or `valkeys://` URL, or a backend. */
export type Connectable = RedisClient | ClusterClient | Backend | string

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
const CLUSTER_METHODS = ['nodes', 'sendCommand', 'connect', 'disconnect', 'defineCommand', 'pipeline'] as const
const EXPECTED = 'Expected `connection` to be an ioredis client or Cluster, a redis:// or rediss:// URL, or a Backend'

/**
 * @param replicas how many replicas have to acknowledge what counts.
 * @throws TypeError if the connection is none of these, or cannot wait for replicas; it names what came and what to do.
 */
export function createBackend(connection: Connectable, replicas = 0): Backend {
  const backend = backendOf(connection)
  if (replicas === 0 || backend.awaitsReplicas) return backend
  throw new TypeError(
    'Expected no `replicas` with this connection: a quorum has its majority instead, and a backend in memory has none; it goes with one server, Sentinels or a cluster',
  )
}

function backendOf(connection: Connectable): Backend {
  if (typeof connection === 'string') {
    const url = readServerUrl(connection)
    // The string may contain a password, so the message does not show it.
    if (url === undefined) throw new TypeError(`${EXPECTED}, got another string`)
    return new RedisBackend(url)
  }
  if (isObject(connection)) {
    if (isBackend(connection)) return connection
    if (isCluster(connection)) return new ClusterBackend(connection)
    const name = nameForeignClient(connection)
    if (name !== undefined) throw new TypeError(`${EXPECTED}, got ${name}`)
    if (isClient(connection)) return new RedisBackend(connection)
  }
  throw new TypeError(`${EXPECTED}, got ${describe(connection)}`)
}

function isBackend(value: object): value is Backend {
  return hasMethods(value, BACKEND_METHODS)
}

/** Checks the shape and not the class: the application may have another copy of ioredis. */
function isClient(value: object): value is Redis {
  if (!hasMethods(value, CLIENT_METHODS) || !('status' in value && typeof value.status === 'string')) return false
  if (!('options' in value && isObject(value.options) && 'db' in value.options)) return false
  if (!Number.isNaN(value.options.db)) return true
  throw new TypeError('Expected the `db` of the ioredis client to be the number of a database, got `NaN`: see its URL')
}

/** As `isClient`. The mock of a cluster has data of its own. */
function isCluster(value: object): value is Cluster {
  if (!('isCluster' in value && value.isCluster === true) || !hasMethods(value, CLUSTER_METHODS)) return false
  return 'options' in value && isObject(value.options) && !('data' in value)
}

function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
