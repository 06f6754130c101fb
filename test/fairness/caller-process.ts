/** A process of `npm run fairness`: callers that want one key again and again, and note how long they wait. */
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager } from 'leasewheel'
import type { Kind, Message, Task, Told } from './messages.ts'

const { url, key, kinds, duration, hold, rest } = JSON.parse(process.argv[2] ?? '') as Task
const leases = new LeaseManager(url)
const over = new AbortController()

async function call({ name, options }: Kind): Promise<Told> {
  const waits: number[] = []
  for (;;) {
    const askedAt = performance.now()
    const { signal } = over
    const lease = await leases.acquire(key, { ...options, wait: Number.POSITIVE_INFINITY, signal }).catch(expectEnd)
    const waited = performance.now() - askedAt
    if (lease === undefined) return { kind: name, waits, pending: waited }
    waits.push(waited)
    await sleep(hold)
    await lease.release()
    await sleep(rest)
    if (signal.aborted) return { kind: name, waits, pending: 0 }
  }
}

function expectEnd(error: unknown): undefined {
  if (!over.signal.aborted) throw error
}

function tell(message: Message): void {
  process.send?.(message)
}

async function run(): Promise<void> {
  setTimeout(() => over.abort(), duration)
  const callers = await Promise.all(kinds.flatMap((kind) => Array.from({ length: kind.callers }, () => call(kind))))
  await leases.close()
  tell({ type: 'over', callers })
  process.disconnect()
}

// Connects.
await leases.inspect(key)
process.once('message', () => void run())
tell({ type: 'ready' })
