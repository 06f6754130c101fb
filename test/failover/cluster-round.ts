/** One failover of one master of a cluster and what it did to the leases of that shard and of the others, seen from outside. */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { machineTime } from '../soak/machine-clock.ts'
import { type RedisCluster, withRedisCluster } from '../support/redis-cluster.ts'
import type { RedisServer } from '../support/redis-server.ts'
import type { ClusterFailoverArguments, ClusterFault } from './arguments.ts'
import type { Stretch } from './cluster-messages.ts'
import { explainLosses, type Losses } from './cluster-losses.ts'
import { findAstray, Holder, PREFIX } from './holder-process.ts'

/** How long ago a lease must have been seen to be held to count as held when the fault came, in ms. */
const SEEN = 1_000
/** From the promotion until a stopped master goes on, in ms. */
const CONTINUE_AFTER = 300
/** What a lease is given to be found lost after its ttl, in ms. */
const AFTERMATH = 2_000
/** From one write of the plain client to the next, and from one look at the replica's counters to the next, in ms. */
const LOOK = 5
/** What anything may take, in ms. */
const PATIENCE = 60_000

/** Times are in ms. */
export interface ClusterRound {
  readonly fault: ClusterFault
  /** Of the shard's leases that were held before. */
  readonly held: number
  readonly lost: number
  /** Leases, of all shards, that count as held at the end while the key on the cluster is not theirs. */
  readonly astray: number
  /** From the fault to the first write of the plain client to the replica. */
  readonly reference: number
  /** From that write to the first renewal there. Negative: the renewal came first. Infinity: none came. */
  readonly resumed: number
  /** Of the other shards: without the fault, and from the fault on. */
  readonly before: Stretch
  readonly after: Stretch
  readonly losses: readonly Losses[]
  readonly scene: Scene
}

/** What else may have led to a loss. */
interface Scene {
  /** How many bytes of the master's writes its replica had not got just before the fault; undefined: it had lost its master. */
  readonly behind: number | undefined
  /** For how long the holder's event loop stood still at most, from the fault on. ms. */
  readonly pause: number
  /** Masters of other shards that were replaced, too. */
  readonly replaced: number
}

export function runClusterRound(fault: ClusterFault, options: ClusterFailoverArguments): Promise<ClusterRound> {
  return withRedisCluster((cluster) => measure(cluster, fault, options))
}

async function measure(
  cluster: RedisCluster,
  fault: ClusterFault,
  { leases, ttl }: ClusterFailoverArguments,
): Promise<ClusterRound> {
  const [first, master, third] = cluster.nodes as [RedisServer, RedisServer, RedisServer]
  const keysOf = async (node: RedisServer, count: number): Promise<string[]> => {
    const keys = await cluster.keysOf(node, count, `${PREFIX}held`)
    return keys.map((key) => key.slice(PREFIX.length))
  }
  const half = Math.ceil(leases / 2)
  const others = [...(await keysOf(first, half)), ...(await keysOf(third, half))]
  const keys = { own: await keysOf(master, leases), others }
  const holder = new Holder({ nodes: cluster.addresses, ttl, keys })
  const replica = await cluster.replicaOf(master)
  const over = new AbortController()
  try {
    await holder.ready
    // All have been renewed by then, and what the acquisitions left behind is done.
    await setTimeout(ttl)
    await holder.endStretch()
    await setTimeout(ttl)
    const { others: before } = await holder.endStretch()

    const wrote = untilWritten(replica, (await cluster.keysOf(master, 1, 'plain'))[0] as string, over.signal)
    const renewed = untilRenewed(replica, over.signal)
    const behind = await bytesBehind(master, replica)
    const faultAt = machineTime()
    await inflict(cluster, master, fault)
    const wroteAt = await wrote
    if (fault === 'stop-continue') {
      await setTimeout(CONTINUE_AFTER)
      master.resume()
    }
    await setTimeout(ttl)
    const { others: after, pause } = await holder.endStretch()
    await setTimeout(AFTERMATH)
    over.abort()
    const renewedAt = await renewed
    const outcomes = await holder.report()
    const held = outcomes.own.filter(({ heldAt, lost }) => lost === undefined || heldAt > faultAt - SEEN)
    const astray = await findAstray(cluster, holder)
    const isReplaced = await Promise.all([first, third].map(async (node) => !(await cluster.isMaster(node))))
    return {
      fault,
      held: held.length,
      lost: held.filter(({ lost }) => lost !== undefined).length,
      astray: astray.length,
      reference: wroteAt - faultAt,
      resumed: renewedAt - wroteAt,
      before,
      after,
      losses: explainLosses(held, { faultAt, wroteAt }),
      scene: { behind, pause, replaced: isReplaced.filter(Boolean).length },
    }
  } finally {
    over.abort()
    await holder.kill()
  }
}

async function inflict(cluster: RedisCluster, master: RedisServer, fault: ClusterFault): Promise<void> {
  switch (fault) {
    case 'kill':
      return master.kill()
    case 'stop':
    case 'stop-continue':
      return master.pause()
    case 'planned':
      return void (await cluster.failover(master))
    case 'force':
      return void (await cluster.failover(master, 'FORCE'))
    case 'takeover':
      return void (await cluster.failover(master, 'TAKEOVER'))
    default:
      fault satisfies never
  }
}

async function bytesBehind(master: RedisServer, replica: RedisServer): Promise<number | undefined> {
  const [written, got] = await Promise.all(
    [master, replica].map(async (node) => String(await node.command('INFO', 'replication'))),
  )
  const offsetIn = (info = '', name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
  if (!got?.includes('master_link_status:up')) return undefined
  return Math.max(0, offsetIn(written, 'master_repl_offset') - offsetIn(got, 'slave_repl_offset'))
}

/** The plain client: when it could write to the replica. */
async function untilWritten(replica: RedisServer, key: string, signal: AbortSignal): Promise<number> {
  const client = new Redis({ host: '127.0.0.1', port: replica.port })
  client.on('error', () => undefined)
  try {
    const giveUpAt = machineTime() + PATIENCE
    while (!signal.aborted && machineTime() < giveUpAt) {
      if ((await client.set(key, 1).catch(() => undefined)) === 'OK') return machineTime()
      await setTimeout(LOOK)
    }
    throw new Error('Waited in vain until a plain client could write to the replica')
  } finally {
    client.disconnect()
  }
}

/** When a script of a client, and not the replication, made a key live longer there. Infinity: never. */
async function untilRenewed(replica: RedisServer, signal: AbortSignal): Promise<number> {
  const renewals = async (): Promise<number> => (await replica.commandStats()).get('pexpire')?.calls ?? 0
  const initial = await renewals()
  while (!signal.aborted) {
    const askedAt = machineTime()
    if ((await renewals()) > initial) return askedAt
    await setTimeout(LOOK)
  }
  return Number.POSITIVE_INFINITY
}
