/** What we take from the application's `Cluster`: where nodes are, and how to reach them. */
import { lookup } from 'node:dns'
import { type Cluster, Redis, type RedisOptions } from 'ioredis'
import type { Address } from './slots-reply.ts'

/** A node as the application named it. Its own options come before the common ones. */
interface NamedNode extends Address {
  readonly own: Partial<Pick<RedisOptions, 'username' | 'password' | 'tls'>>
}

export class ClusterSource {
  /** The caller's own key prefix, which precedes ours. */
  readonly keyPrefix: string
  readonly #cluster: Cluster
  readonly #startup: readonly NamedNode[]
  /** By the address at which we reach them. */
  readonly #named = new Map<string, NamedNode>()

  /** @throws TypeError if the client's options do not go with a cluster. */
  constructor(cluster: Cluster) {
    this.#cluster = cluster
    const { db } = this.#common
    if (db !== undefined && Number(db) !== 0) {
      throw new TypeError(`Expected the \`db\` of the Cluster to be 0, got \`${db}\`: a cluster has one database`)
    }
    this.keyPrefix = cluster.options.keyPrefix ?? this.#common.keyPrefix ?? ''
    const nodes = Reflect.get(cluster, 'startupNodes') as unknown
    this.#startup = Array.isArray(nodes) ? nodes.map(readStartupNode) : []
  }

  /** The nodes that the application named, and those that its client knows. */
  async seeds(): Promise<readonly Address[]> {
    const startup = await Promise.all(this.#startup.map((node) => this.#resolve(node)))
    const known = this.#cluster.nodes('all').map(({ options: { host, port } }) => ({ host, port }))
    const seeds = new Map<string, Address>()
    for (const { host, port } of [...startup.flat(), ...known]) {
      if (host && port) seeds.set(nameOf({ host, port }), { host, port })
    }
    return [...seeds.values()]
  }

  /** Where we reach the node that other nodes know under this address. */
  reach(address: Address): Address {
    const { natMap } = this.#cluster.options
    const name = nameOf(address)
    const { host, port } = (typeof natMap === 'function' ? natMap(name) : natMap?.[name]) ?? address
    return { host, port: Number(port) }
  }

  /** A client for a node that is never connected: our own take its options. */
  model(address: Address): Redis {
    const own = this.#named.get(nameOf(address))?.own ?? {}
    const { host, port } = address
    const { replyMapping: _replyMapping, ...common } = this.#common
    const model = new Redis({ ...common, ...own, host, port, db: 0, lazyConnect: true })
    // The application may change them while it runs.
    for (const name of ['username', 'password'] as const) {
      Object.defineProperty(model.options, name, { enumerable: true, get: () => own[name] ?? this.#common[name] })
    }
    return model
  }

  get #common(): RedisOptions {
    return this.#cluster.options.redisOptions ?? {}
  }

  async #resolve(node: NamedNode): Promise<readonly Address[]> {
    const addresses = await this.#lookUp(node)
    for (const address of addresses) this.#named.set(nameOf(address), node)
    return addresses
  }

  async #lookUp({ host, port }: NamedNode): Promise<readonly Address[]> {
    const { dnsLookup, resolveSrv, useSRVRecords } = this.#cluster.options
    if (useSRVRecords && resolveSrv) {
      return new Promise((resolve) => {
        resolveSrv(host, (_error, records = []) => resolve(records.map((record) => ({ ...record, host: record.name }))))
      })
    }
    // Node looks names up itself, and then checks a certificate against the name.
    if (dnsLookup === undefined || dnsLookup === lookup) return [{ host, port }]
    return new Promise((resolve) => {
      dnsLookup(host, (error, address) => resolve(error ? [] : [{ host: address, port }]))
    })
  }
}

/** As `natMap` names addresses, and operators. */
export function nameOf({ host, port }: Address): string {
  return `${host}:${port}`
}

/** @param node in one of the forms that ioredis takes: a URL, a port, or an object. Only ioredis knows how it reads a URL. */
function readStartupNode(node: string | number | RedisOptions): NamedNode {
  const given =
    typeof node === 'string'
      ? new Redis(node, { lazyConnect: true }).options
      : typeof node === 'number'
        ? { port: node }
        : node
  const { host, port, username, password, tls } = given
  return {
    host: host || '127.0.0.1',
    port: Number(port) || 6379,
    own: { ...(username ? { username } : {}), ...(password ? { password } : {}), ...(tls ? { tls } : {}) },
  }
}
