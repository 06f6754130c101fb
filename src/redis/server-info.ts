/** The facts of INFO that a connection needs. Pure. */
import type { RedisOptions } from 'ioredis'
import type { ServerIdentity } from '../backend.ts'
import { UnavailableError } from '../errors.ts'

export interface ServerInfo {
  /** Random for each process: two connections with the same run id lead to the same server. */
  readonly runId: string | undefined
  /** The replication id of its data. It changes with a promotion, and if the server has followed another one. */
  readonly history: string | undefined
  /** `standalone`, `sentinel` or `cluster`. */
  readonly mode: string | undefined
  /** `master` or `slave`. */
  readonly role: string | undefined
  /** ms since its start, a whole number of seconds. */
  readonly uptime: number | undefined
  /** Whether the server still loads its data, and answers no other request. */
  readonly loading: boolean
}

/** `server` is one of its own, `node` one of a Redis Cluster. */
export type ServerMode = 'server' | 'node'

/** For a server that reports nothing: every connection to it may lead to another server. */
export const UNKNOWN_SERVER: ServerInfo = {
  runId: undefined,
  history: undefined,
  mode: undefined,
  role: undefined,
  uptime: undefined,
  loading: false,
}

/** @param info the answer to INFO. */
export function readServerInfo(info: string): ServerInfo {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1]
  const seconds = field('uptime_in_seconds')
  return {
    runId: field('run_id'),
    history: field('master_replid'),
    mode: field('redis_mode') ?? field('server_mode'),
    role: field('role'),
    uptime: seconds === undefined ? undefined : Number(seconds) * 1_000,
    loading: field('loading') === '1',
  }
}

/** Whether both are known to be one server that has kept its data all the time. */
export function isSameServer(one: ServerInfo, other: ServerInfo): boolean {
  return one.runId !== undefined && one.runId === other.runId && one.history === other.history
}

/** What operators call a server: host and port, the path of a socket, or the name of a Sentinel group. */
export function serverName({ sentinels, name, path, host = 'localhost', port = 6_379 }: RedisOptions): string {
  return sentinels ? `${name}` : (path ?? `${host}:${port}`)
}

/** @param now when the server reported this, in ms. */
export function identityOf({ runId, uptime }: ServerInfo, now: number): ServerIdentity | undefined {
  if (runId === undefined) return undefined
  return { id: runId, startedAt: uptime === undefined ? undefined : now - uptime }
}

/** Why locks cannot be kept on this server, if they cannot. */
export function whatIsWrongWith({ mode }: ServerInfo, expected: ServerMode = 'server'): UnavailableError | undefined {
  if (mode === 'sentinel') {
    const advice = 'This is a Redis Sentinel, not a server: give the client `sentinels` and `name` instead'
    return new UnavailableError(advice, undefined, { final: true })
  }
  if (mode === 'cluster' && expected === 'server') {
    const advice = 'This is a node of a Redis Cluster: pass an ioredis `Cluster` instead of a `Redis` client or a URL'
    return new UnavailableError(advice, undefined, { final: true })
  }
  if (mode === 'standalone' && expected === 'node') {
    const advice = 'This server is not part of a Redis Cluster: pass a `Redis` client instead of a `Cluster`'
    return new UnavailableError(advice, undefined, { final: true })
  }
  return undefined
}
