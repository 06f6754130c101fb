/** What a server says of itself by INFO, as far as a connection has to know. Pure. */
import { UnavailableError } from '../errors.ts'

export interface ServerInfo {
  /** Drawn when the process starts: two connections that see the same one lead to the same server. */
  readonly runId: string | undefined
  /** Which line of data it has: it changes with a promotion, and when a server has followed another one meanwhile. */
  readonly history: string | undefined
  /** `standalone`, `sentinel` or `cluster`. */
  readonly mode: string | undefined
  /** `master` or `slave`. */
  readonly role: string | undefined
  /** It still reads its data, and answers nothing else. */
  readonly loading: boolean
}

/** For a server that does not say: every connection to it may lead to another one. */
export const UNKNOWN_SERVER: ServerInfo = {
  runId: undefined,
  history: undefined,
  mode: undefined,
  role: undefined,
  loading: false,
}

/** @param info what INFO answers. */
export function readServerInfo(info: string): ServerInfo {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1]
  return {
    runId: field('run_id'),
    history: field('master_replid'),
    mode: field('redis_mode') ?? field('server_mode'),
    role: field('role'),
    loading: field('loading') === '1',
  }
}

/** Whether both are known to be one server, which has had its data all the time. */
export function isSameServer(one: ServerInfo, other: ServerInfo): boolean {
  return one.runId !== undefined && one.runId === other.runId && one.history === other.history
}

/** What the server is, where that is none that locks can be kept on. */
export function whatIsWrongWith({ mode }: ServerInfo): UnavailableError | undefined {
  if (mode === 'sentinel') {
    const advice = 'This is a Redis Sentinel, not a server: give the client `sentinels` and `name` instead'
    return new UnavailableError(advice, undefined, { final: true })
  }
  if (mode === 'cluster') {
    const advice = 'This is a node of a Redis Cluster, which is not supported: use a server of its own for locks'
    return new UnavailableError(advice, undefined, { final: true })
  }
  return undefined
}
