/**
 * A Redis (or Valkey) cluster of one's own: masters with replicas, on free ports of 127.0.0.1, each behind a proxy if that is asked for. The
 * cluster ends with the test. Nobody but this file and `slot-moves.ts` changes which node serves which slot.
 */
import { Cluster, type ClusterOptions } from 'ioredis'
import { type NodeView, ownerOf, readView, SLOTS, type SlotRange } from './cluster-view.ts'
import { findFault } from './cluster-health.ts'
import { MASTERS, type RedisClusterOptions, serverOptions } from './cluster-options.ts'
import { Proxy } from './proxy.ts'
import { RedisServer } from './redis-server.ts'
import { moveSlots, type Moving } from './slot-moves.ts'
import { until } from './until.ts'

/** A planned failover that has not come about after so long was given up by the replica, in ms. */
const FAILOVER_LIMIT = 6_000

/** How a replica is told to take over: with its master's consent, without that, and without the vote of the other masters, too. */
export type FailoverMode = '' | 'FORCE' | 'TAKEOVER'

/** As a `Cluster` of ioredis takes them. */
export interface ClientOptions extends Omit<ClusterOptions, 'redisOptions'> {
  readonly redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>
}

interface Address {
  readonly host: string
  readonly port: number
}

export class RedisCluster {
  readonly #ids: Map<RedisServer, string>
  readonly #proxies: ReadonlyMap<RedisServer, Proxy>
  readonly #options: RedisClusterOptions
  readonly #masters: number
  readonly #clients: Cluster[] = []

  private constructor(
    ids: Map<RedisServer, string>,
    proxies: ReadonlyMap<RedisServer, Proxy>,
    options: RedisClusterOptions,
  ) {
    this.#ids = ids
    this.#proxies = proxies
    this.#options = options
    this.#masters = options.masters ?? MASTERS
  }

  /** The masters of the beginning in the order of their slots, then their replicas in the same order, then those that were added. */
  get nodes(): readonly RedisServer[] {
    return [...this.#ids.keys()]
  }

  get #password(): string | undefined {
    return this.#options.password
  }

  /** Starts a cluster. Resolves when all nodes agree on who serves what, serve it, and each replica has all of its master's data. */
  static async start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    const { masters = MASTERS, replicas = masters, proxies = false } = options
    const started: RedisServer[] = []
    const opened = new Map<RedisServer, Proxy>()
    try {
      const begin = async (): Promise<void> => void started.push(await RedisServer.start(serverOptions(options)))
      await Promise.all(Array.from({ length: masters + replicas }, begin))
      const ids = new Map<RedisServer, string>()
      for (const node of started) ids.set(node, (await node.command('CLUSTER', 'MYID')) as string)
      if (proxies) for (const node of started) opened.set(node, await Proxy.start(node.port))
      const cluster = new RedisCluster(ids, opened, options)
      await cluster.#found()
      return cluster
    } catch (error) {
      await Promise.all([...opened.values(), ...started].map((one) => one.stop()))
      throw error
    }
  }

  /** Where clients find the nodes, behind the proxies if there are some. */
  get addresses(): Address[] {
    return this.nodes.map((node) => ({ host: '127.0.0.1', port: this.#proxies.get(node)?.port ?? node.port }))
  }

  /** For ioredis: which address leads to which node's proxy. Empty without proxies. */
  get natMap(): Record<string, Address> {
    return Object.fromEntries(
      [...this.#proxies].map(([node, { port }]) => [`127.0.0.1:${node.port}`, { host: '127.0.0.1', port }]),
    )
  }

  /** A client of the cluster, behind the proxies if there are some. It is disconnected when the cluster is stopped, or before by the caller. */
  client(options: ClientOptions = {}): Cluster {
    const password = this.#password === undefined ? {} : { password: this.#password }
    const natMap = this.#proxies.size > 0 ? { natMap: this.natMap } : {}
    const redisOptions = { ...password, ...options.redisOptions }
    const client = new Cluster(this.addresses, { ...natMap, ...options, redisOptions })
    // Without a listener ioredis prints every refused connection of a killed node.
    client.on('error', () => undefined)
    this.#clients.push(client)
    return client
  }

  idOf(node: RedisServer): string {
    return this.#ids.get(node) as string
  }

  /** @throws Error if the cluster has no proxies. */
  proxyOf(node: RedisServer): Proxy {
    const proxy = this.#proxies.get(node)
    if (proxy === undefined) throw new Error('The cluster was started without proxies')
    return proxy
  }

  /** Whether the server is a master, by its own word. Waits while it is paused. */
  async isMaster(node: RedisServer): Promise<boolean> {
    const role = (await node.command('ROLE')) as readonly string[]
    return role[0] === 'master'
  }

  async slotOf(key: string): Promise<number> {
    return (await this.#running()[0]?.command('CLUSTER', 'KEYSLOT', key)) as number
  }

  /**
   * The node that serves a slot, or the slot of a key, by the word of the nodes that run.
   * @throws Error if none does.
   */
  async masterOf(slotOrKey: number | string): Promise<RedisServer> {
    const slot = typeof slotOrKey === 'string' ? await this.slotOf(slotOrKey) : slotOrKey
    const own = (await this.#views()).map((view) => view.filter(({ flags }) => flags.has('myself')))
    const owner = ownerOf(slot, own.flat())
    if (owner === undefined) throw new Error(`No node that runs serves slot ${slot}`)
    return this.#withId(owner.id)
  }

  /** The first replica of a master that runs, by its own word. @throws Error if there is none. */
  async replicaOf(master: RedisServer): Promise<RedisServer> {
    const own = (await this.#views()).flatMap((view) => view.filter(({ flags }) => flags.has('myself')))
    const replica = own.find(({ masterId }) => masterId === this.idOf(master))
    if (replica === undefined) throw new Error(`The master at port ${master.port} has no replica that runs`)
    return this.#withId(replica.id)
  }

  /** What a master serves, by its own word. */
  async slotsOf(master: RedisServer): Promise<readonly SlotRange[]> {
    const view = readView((await master.command('CLUSTER', 'NODES')) as string)
    return view.find(({ flags }) => flags.has('myself'))?.slots ?? []
  }

  /** So many keys that this master serves now. */
  async keysOf(master: RedisServer, count: number, prefix = 'key'): Promise<string[]> {
    const ranges = await this.slotsOf(master)
    const found: string[] = []
    for (let number = 0; found.length < count; number += 100) {
      const keys = Array.from({ length: 100 }, (_, index) => `${prefix}:${number + index}`)
      const slots = await Promise.all(keys.map((key) => this.slotOf(key)))
      const isOwn = (slot: number): boolean => ranges.some(([first, last]) => first <= slot && slot <= last)
      found.push(...keys.filter((_, index) => isOwn(slots[index] as number)))
    }
    return found.slice(0, count)
  }

  /**
   * A master's replica takes over. The master may be paused or killed, except for the mode ''. Resolves with the new master when all nodes
   * that run know it as such.
   */
  async failover(master: RedisServer, mode: FailoverMode = ''): Promise<RedisServer> {
    const replica = await this.replicaOf(master)
    const id = this.idOf(replica)
    let askedAt = Number.NEGATIVE_INFINITY
    let refusal = ''
    await until(
      () => `the replica at port ${replica.port} takes over (${refusal})`,
      async () => {
        if (await this.isMaster(replica)) return true
        if (performance.now() - askedAt < FAILOVER_LIMIT) return false
        askedAt = performance.now()
        await replica.command('CLUSTER', 'FAILOVER', ...(mode === '' ? [] : [mode])).catch((error: Error) => {
          refusal = error.message
          askedAt = Number.NEGATIVE_INFINITY
        })
        return false
      },
    )
    await until(`all nodes know the new master at port ${replica.port}`, async () =>
      (await this.#views()).every((view) => serves(view, id)),
    )
    return replica
  }

  /**
   * Resolves when another node of its shard has replaced a master that is away, by the word of all nodes that run. Nobody is told to do
   * anything. (Redis 8.6 can promote a replica for the votes of its last election but one, with a lower epoch than its master's. None of
   * the others believes that.)
   */
  async untilReplaced(master: RedisServer): Promise<RedisServer> {
    const shard = this.nodes.filter((_, index) => index % this.#masters === this.nodes.indexOf(master) % this.#masters)
    const heirs = shard.filter((node) => node !== master)
    let replacement: RedisServer | undefined
    await until(`the master at port ${master.port} is replaced`, async () => {
      const views = await this.#views()
      replacement = heirs.find((heir) => views.every((view) => serves(view, this.idOf(heir))))
      return replacement !== undefined
    })
    return replacement as RedisServer
  }

  /**
   * Slots move to another master, in the old way, key by key, or at once (Redis 8.4 and later, Valkey 9 and later). Resolves when all nodes that run
   * know the new owner. `half` leaves each slot half moved: some of its keys are at the target, and both nodes are in the middle of it.
   * Whoever moves it again, to either of the two in the way `old`, ends that.
   *
   * @param moves for `half`: whether a key is moved. Default: every other one, the first included.
   */
  async migrate(
    slots: number | Iterable<number>,
    to: RedisServer,
    way: 'old' | 'atomic' | 'half',
    moves: (key: string, index: number) => boolean = (_key, index) => index % 2 === 0,
  ): Promise<void> {
    const byOwner = new Map<RedisServer, number[]>()
    const views = (await this.#views()).map((view) => view.filter(({ flags }) => flags.has('myself'))).flat()
    for (const slot of typeof slots === 'number' ? [slots] : slots) {
      const owner = ownerOf(slot, views)
      if (owner === undefined) throw new Error(`No node that runs serves slot ${slot}`)
      const node = this.#withId(owner.id)
      byOwner.set(node, [...(byOwner.get(node) ?? []), slot])
    }
    for (const [from, own] of byOwner) {
      const moving: Moving = { from, to, fromId: this.idOf(from), toId: this.idOf(to), password: this.#password }
      await moveSlots(own, moving, way, moves)
    }
    if (way === 'half') return
    const all = [...byOwner.values()].flat()
    await until(`all nodes know the new owner of ${all.length} slots`, async () =>
      (await this.#views()).every((view) => all.every((slot) => ownerOf(slot, view)?.id === this.idOf(to))),
    )
  }

  /** One more master, without slots and without a proxy. Resolves when all nodes know it, and slots can move to it. */
  async add(): Promise<RedisServer> {
    const others = this.nodes
    const node = await RedisServer.start(serverOptions(this.#options))
    this.#ids.set(node, (await node.command('CLUSTER', 'MYID')) as string)
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', 1_000 + this.nodes.length)
    for (const other of others) await node.command('CLUSTER', 'MEET', '127.0.0.1', other.port)
    await this.#untilMet()
    await until('the new node takes part', async () =>
      String(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    )
    return node
  }

  /** A node without slots is stopped for good, and all others forget it. */
  async remove(node: RedisServer): Promise<void> {
    const id = this.idOf(node)
    this.#ids.delete(node)
    await node.stop()
    for (const other of this.nodes) await other.command('CLUSTER', 'FORGET', id)
  }

  /** Resolves when all nodes run, agree, and serve all slots, and each replica has what its master has. */
  async untilWhole(): Promise<void> {
    let reason = ''
    await until(
      () => `the cluster is whole (${reason})`,
      async () => {
        reason = (await findFault(this.nodes)) ?? ''
        return reason === ''
      },
    )
  }

  /** Ends everything: clients, proxies and nodes, paused and killed ones too. Repeatable. */
  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.disconnect()
    const proxies = [...this.#proxies.values()]
    await Promise.all([...proxies, ...this.nodes].map((one) => one.stop()))
  }

  async #found(): Promise<void> {
    const { nodes } = this
    const masters = this.#masters
    for (const [index, node] of nodes.entries()) {
      // Otherwise all begin with the same epoch, and the nodes spend some seconds on telling that apart.
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      if (index >= masters) continue
      const [first, last] = [0, 1].map((more) => Math.floor(((index + more) * SLOTS) / masters)) as [number, number]
      await addSlots(node, first, last - 1)
    }
    // Everybody meets everybody, so that nobody waits for gossip.
    for (const node of nodes) {
      for (const other of nodes) if (other !== node) await node.command('CLUSTER', 'MEET', '127.0.0.1', other.port)
    }
    await this.#untilMet()
    for (const [index, replica] of nodes.slice(masters).entries()) {
      await replica.command('CLUSTER', 'REPLICATE', this.idOf(nodes[index % masters] as RedisServer))
    }
    const isFollowed = (view: readonly NodeView[]): boolean =>
      view.filter(({ masterId }) => masterId !== undefined).length === nodes.length - masters
    await until('all nodes know who follows whom', async () => (await this.#views()).every(isFollowed))
    await this.untilWhole()
  }

  async #untilMet(): Promise<void> {
    const { length } = this.nodes
    await until('all nodes know one another', async () =>
      (await this.#views()).every(
        (view) => view.length === length && view.every(({ flags }) => !flags.has('handshake')),
      ),
    )
  }

  #running(): RedisServer[] {
    return this.nodes.filter((node) => node.isRunning)
  }

  async #views(): Promise<NodeView[][]> {
    const texts = await Promise.all(this.#running().map((node) => node.command('CLUSTER', 'NODES')))
    return texts.map((text) => readView(text as string))
  }

  #withId(id: string): RedisServer {
    const found = this.nodes.find((node) => this.idOf(node) === id)
    if (found === undefined) throw new Error(`No node of the cluster has the id ${id}`)
    return found
  }
}

/** Runs `work` with a cluster of its own, which is ended afterwards whatever happened. */
export async function withRedisCluster<T>(
  work: (cluster: RedisCluster) => Promise<T>,
  options: RedisClusterOptions = {},
): Promise<T> {
  const cluster = await RedisCluster.start(options)
  try {
    return await work(cluster)
  } finally {
    await cluster.stop()
  }
}

function serves(view: readonly NodeView[], id: string): boolean {
  const found = view.find((node) => node.id === id)
  return found !== undefined && found.flags.has('master') && found.slots.length > 0
}

/** Before Redis 7 a node has to be told each slot by itself. */
async function addSlots(node: RedisServer, first: number, last: number): Promise<void> {
  await node.command('CLUSTER', 'ADDSLOTSRANGE', first, last).catch(async (error: Error) => {
    if (!/unknown subcommand/i.test(error.message)) throw error
    await node.command('CLUSTER', 'ADDSLOTS', ...Array.from({ length: last - first + 1 }, (_, index) => first + index))
  })
}
