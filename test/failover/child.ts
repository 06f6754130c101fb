/**
 * A process of the measurement, with a manager as an application would make it: the holder of many leases, or the
 * rival, who waits for some of them and takes fresh locks.
 */
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type Lease, LeaseError, LeaseManager, type LossReason } from 'leasewheel'
import { machineTime } from '../soak/machine-clock.ts'
import { keyOf, type MessageFromChild, type MessageToChild, type Task } from './messages.ts'

/** From one look at all leases to the next, and from one fresh lock to the next, in ms. */
const LOOK = 5
const PACE = 5
/** Fresh locks that are asked for at once, while nothing answers. */
const UNDER_WAY = 200

const task = JSON.parse(process.argv[2] ?? '') as Task

interface Held {
  readonly number: number
  readonly acquiredAt: number
  heldAt: number
  lost: LossReason | undefined
}

function makeManager(): LeaseManager {
  const client = new Redis({ sentinels: [...task.sentinels], name: task.name })
  client.on('error', () => undefined)
  const made = new LeaseManager(client, { ttl: task.ttl })
  made.on('error', () => undefined)
  return made
}

const manager = makeManager()

/** All leases there ever were, and those that still count as held. */
const all: Held[] = []
const held = new Map<Lease, Held>()

function keep(lease: Lease, number: number): void {
  const at = machineTime()
  if (!lease.held) return
  const record: Held = { number, acquiredAt: at, heldAt: at, lost: undefined }
  all.push(record)
  held.set(lease, record)
}

manager.on('lost', ({ lease, reason }) => {
  const record = held.get(lease)
  if (record !== undefined) record.lost = reason
  held.delete(lease)
})

/** The clock is read before `held`, so that the lease was certainly held at that time. */
function look(): void {
  const at = machineTime()
  for (const [lease, record] of held) if (lease.held) record.heldAt = at
}

let isTaking = false
let asked = 0
let underWay = 0

async function takeFresh(): Promise<void> {
  if (!isTaking || underWay >= UNDER_WAY) return
  const number = asked
  asked += 1
  underWay += 1
  try {
    const lease = await manager.tryAcquire(keyOf('fresh', number))
    if (lease === null) return
    keep(lease, number)
    if (held.has(lease)) send({ type: 'acquired', number, at: machineTime() })
  } catch (error) {
    if (!(error instanceof LeaseError)) throw error
  } finally {
    underWay -= 1
  }
}

async function waitFor(number: number, waiting: LeaseManager): Promise<void> {
  for (;;) {
    try {
      const lease = await waiting.acquire(keyOf('held', number), { wait: Number.POSITIVE_INFINITY })
      const at = machineTime()
      if (lease.held) send({ type: 'granted', number, at })
      return
    } catch (error) {
      if (!(error instanceof LeaseError)) throw error
      await setTimeout(100)
    }
  }
}

function send(message: MessageFromChild): void {
  process.send?.(message)
}

process.on('message', (message: MessageToChild) => {
  switch (message.type) {
    case 'begin':
      isTaking = true
      break
    case 'pause':
      isTaking = false
      break
    case 'report':
      look()
      send({ type: 'report', outcomes: all })
      break
    default:
      message satisfies never
  }
})
process.once('disconnect', () => process.exit(1))
setInterval(look, LOOK)

switch (task.role) {
  case 'holder': {
    const keys = Array.from({ length: task.leases }, (_, number) => keyOf('held', number))
    const leases = await manager.acquireMany(keys)
    for (const [number, lease] of leases.entries()) if (lease !== null) keep(lease, number)
    break
  }
  case 'rival': {
    // A manager of its own, which has nothing else to do: such a one is the last to notice that its server is a stale master.
    const waiting = makeManager()
    for (let number = 0; number < task.waiters; number += 1) void waitFor(number, waiting)
    setInterval(() => void takeFresh(), PACE)
    break
  }
  default:
    task.role satisfies never
}
send({ type: 'ready' })
