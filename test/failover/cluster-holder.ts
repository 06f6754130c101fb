/** The process that holds leases on a cluster, with a manager as an application would make it, and writes down when each is renewed. */
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Cluster } from 'ioredis'
import { type Lease, LeaseManager, type LossReason } from 'leasewheel'
import { machineTime } from '../soak/machine-clock.ts'
import type {
  ClusterOutcome,
  ClusterTask,
  Ended,
  MessageFromHolder,
  MessageToHolder,
  Shard,
  Stretch,
} from './cluster-messages.ts'
import { percentile } from './percentile.ts'

/** What the acquisitions may take on a slow machine, in ms. */
const PATIENCE = 60_000
/** From one look at all leases to the next, in ms. */
const LOOK = 100

const [task] = (await once(process, 'message')) as [ClusterTask]

interface Held {
  readonly shard: Shard
  heldAt: number
  /** Undefined before the second one: the first may come at any time. */
  renewedAt: number | undefined
  lost: LossReason | undefined
  lostAt: number | undefined
}

const client = new Cluster([...task.nodes])
client.on('error', () => undefined)
const manager = new LeaseManager(client, { ttl: task.ttl })
manager.on('error', () => undefined)

const held = new Map<Lease, Held>()
let lags: Record<Shard, number[]> = { own: [], others: [] }
let events: Record<Shard, number> = { own: 0, others: 0 }

manager.on('renewed', ({ lease }) => {
  const record = held.get(lease)
  if (record === undefined) return
  const at = machineTime()
  if (record.renewedAt !== undefined) {
    lags[record.shard].push(Math.max(0, at - record.renewedAt - task.ttl / 3))
  }
  record.renewedAt = at
})
const count = ({ lease }: { readonly lease: Lease }): void => {
  const record = held.get(lease)
  if (record !== undefined) events[record.shard] += 1
}
manager.on('jeopardy', count)
manager.on('lost', (event) => {
  const record = held.get(event.lease)
  if (record !== undefined) {
    record.lost = event.reason
    record.lostAt = machineTime()
  }
  count(event)
})

/** The clock is read before `held`, so that the lease was certainly held at that time. */
function look(): void {
  const at = machineTime()
  for (const [lease, record] of held) if (lease.held) record.heldAt = at
}

const pauses = monitorEventLoopDelay({ resolution: 10 })
pauses.enable()

function endStretch(): Ended {
  const of = (shard: Shard): Stretch => ({
    renewals: lags[shard].length,
    lag: percentile(lags[shard], 99),
    events: events[shard],
  })
  const ended = { own: of('own'), others: of('others'), pause: pauses.max / 1e6 }
  pauses.reset()
  lags = { own: [], others: [] }
  events = { own: 0, others: 0 }
  return ended
}

function outcomesOf(shard: Shard): ClusterOutcome[] {
  const own = [...held].filter(([, record]) => record.shard === shard)
  return own.map(([{ key, token }, record]) => {
    const { heldAt, renewedAt, lost, lostAt } = record
    return { key, token, heldAt, renewedAt, lost, lostAt }
  })
}

function send(message: MessageFromHolder): void {
  process.send?.(message)
}

process.on('message', (message: MessageToHolder) => {
  switch (message.type) {
    case 'stretch':
      send({ type: 'stretch', ended: endStretch() })
      break
    case 'report':
      look()
      send({ type: 'report', outcomes: { own: outcomesOf('own'), others: outcomesOf('others') } })
      break
    default:
      message satisfies never
  }
})
process.once('disconnect', () => process.exit(1))

for (const shard of ['own', 'others'] as const) {
  for (const lease of await manager.acquireMany([...task.keys[shard]], { wait: PATIENCE })) {
    if (lease === null) continue
    held.set(lease, { shard, heldAt: machineTime(), renewedAt: undefined, lost: undefined, lostAt: undefined })
  }
}
setInterval(look, LOOK)
send({ type: 'ready' })
