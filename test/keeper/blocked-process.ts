/** A process that holds many leases, blocks its event loop for a while, and says what has become of them. */
import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { type Lease, LeaseManager } from 'leasewheel'
import type { BlockedMessage, BlockedTask, How } from './blocked-task.ts'

/** Characters of a text that takes some seconds to parse, at most. */
const HUGE = 32_000_000

const task = JSON.parse(process.argv[2] ?? '') as BlockedTask
const { url, leases: count, ttl, blocked, how, maxBlocked } = task
// Before anything is held: this takes a while, too.
const text =
  how === 'parse' ? JSON.stringify(Array.from({ length: HUGE / 16 }, (_, index) => ({ i: index % 1e6 }))) : ''
const manager = new LeaseManager(url, { ttl, ...(maxBlocked === undefined ? {} : { keeper: { maxBlocked } }) })
const lost: Record<string, number> = {}
manager.on('lost', ({ reason }) => {
  lost[reason] = (lost[reason] ?? 0) + 1
})
manager.on('error', (error) => console.error(error))

const leases: Lease[] = await manager.acquireAll(Array.from({ length: count }, (_, index) => `key ${index}`))
while (maxBlocked !== undefined && !manager.stats().keeper?.connected) await setTimeout(20)
// Renewals are spread over a third of the ttl by then, as in a process that has run for long.
await setTimeout(ttl)

const isHeld = ({ held }: Lease): boolean => held
const tell = (message: BlockedMessage): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, () => resolve())
  })

await tell({ type: 'blocked', held: leases.filter(isHeld).length })
const begun = performance.now()
let [looks, heldThen, firstLoss] = [0, 0, undefined as number | undefined]

/** Synchronous code in the middle of the block. */
function look(): void {
  for (const lease of leases) {
    looks += 1
    if (lease.held) heldThen += 1
    else firstLoss ??= performance.now() - begun
  }
}

function block(by: How, duration: number): void {
  const end = begun + duration
  while (performance.now() < end) {
    if (by === 'child')
      execFileSync(process.execPath, ['-e', `setTimeout(() => {}, ${Math.max(end - performance.now(), 1)})`])
    if (by === 'parse') JSON.parse(text)
    look()
  }
}

block(how, blocked)
const heldAfter = leases.filter(isHeld).length
const took = performance.now() - begun
const kept = manager.stats().keeper?.renewals ?? 0
await setTimeout(ttl)
const heldLater = leases.filter(isHeld).length
await tell({ type: 'over', blocked: took, looks, heldThen, firstLoss, heldAfter, heldLater, lost, kept })
await manager.close()
process.disconnect()
