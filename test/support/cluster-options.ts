/** What a test may say of its cluster, and how the servers are told. */
import type { ServerOptions } from './redis-server.ts'

export const MASTERS = 3

export interface RedisClusterOptions {
  /** Default 3: with fewer no failover can be voted for. */
  readonly masters?: number
  /** All together, dealt out to the masters in turn. Default: one for each master. */
  readonly replicas?: number
  /** ms of silence after which a node takes another for dead. Default 1000; more for a test that must not see a failover on a slow machine. */
  readonly nodeTimeout?: number
  /** `cluster-require-full-coverage`: whether all nodes refuse all keys while one slot has no master. Default false. */
  readonly fullCoverage?: boolean
  /** Whether clients reach each node through a proxy of its own. Default false. */
  readonly proxies?: boolean
  /** More arguments for all servers. */
  readonly args?: readonly string[]
  readonly password?: string
  /** What outlives the kill of a server. Default `none`. A node always knows its cluster again. */
  readonly persistence?: ServerOptions['persistence']
}

/** For each of the nodes. */
export function serverOptions(options: RedisClusterOptions): ServerOptions {
  const { nodeTimeout = 1_000, fullCoverage = false, args = [], password, persistence = 'none' } = options
  const settings: Readonly<Record<string, string>> = {
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': String(nodeTimeout),
    'cluster-require-full-coverage': fullCoverage ? 'yes' : 'no',
    // Otherwise a master that gives its last slot away becomes a replica of whoever takes it.
    'cluster-allow-replica-migration': 'no',
    // Otherwise a node does not know its own address until another has met it.
    'cluster-announce-ip': '127.0.0.1',
    // Otherwise a master waits for 5 s for more replicas before it sends its data to the first.
    'repl-diskless-sync-delay': '0',
    ...(password === undefined ? {} : { masterauth: password }),
  }
  const own = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  return { args: [...own, ...args], persistence, ...(password === undefined ? {} : { password }) }
}
