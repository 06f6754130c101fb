/** A run with everything that exporters count: waits, refusals, losses of each kind, a lost connection. And what the events said meanwhile. */
import type { LeaseManager } from 'leasewheel'
import { grantAll, type Member, type Stage, TTL, watch } from './manager.ts'

export interface Heard {
  acquired: number
  released: number
  renewed: number
  jeopardy: number
  disconnected: number
  readonly lost: Record<string, number>
}

/** Counts the events of a manager from now on. */
export function hear(manager: LeaseManager): Heard {
  const heard: Heard = { acquired: 0, released: 0, renewed: 0, jeopardy: 0, disconnected: 0, lost: {} }
  manager.on('acquired', () => (heard.acquired += 1))
  manager.on('released', () => (heard.released += 1))
  manager.on('renewed', () => (heard.renewed += 1))
  // It comes instead of `renewed`.
  manager.on('safe', () => (heard.renewed += 1))
  manager.on('jeopardy', () => (heard.jeopardy += 1))
  manager.on('disconnected', () => (heard.disconnected += 1))
  manager.on('lost', ({ reason }) => (heard.lost[reason] = (heard.lost[reason] ?? 0) + 1))
  return heard
}

/** Keys that break what is not careful. */
export const ODD_KEYS: readonly string[] = [
  'a "quoted" key',
  'a\nb',
  'a\\nb',
  'a\r\nFORGED line',
  '\u2028\u0000\u001b[31m',
  '<script>alert(1)</script>',
  '🔒'.repeat(10),
  'x'.repeat(1_024),
]

export async function runThroughEverything({ manager, backend, clock, store }: Stage & Member): Promise<void> {
  const leases = await grantAll(manager.acquireMany(Array.from({ length: 20 }, (_, index) => `order:${index}`)))
  await manager.acquireMany(ODD_KEYS)
  await manager.acquire('limited', { maxHold: 100 })
  store.set('lease:busy', 'somebody', 600_000)
  await manager.tryAcquire('busy')
  const calls = [watch(manager.acquire('busy', { wait: 250 })), watch(manager.acquire('order:0', { wait: 5_000 }))]
  const used = watch(manager.using('used', () => new Promise((resolve) => clock.setTimer(() => resolve(1), 40))))
  await clock.advance(300)
  await leases[0]?.release()
  await clock.advance(300)
  store.delete('lease:order:1')
  store.set('lease:order:2', 'somebody', 600_000)
  await clock.settle()
  for (const call of [...calls, used]) if (call.state === 'pending') throw new Error('a call is still pending')
  backend.fail(new Error('ECONNREFUSED'))
  await clock.advance(TTL / 2)
  backend.fail(undefined)
  await clock.advance(TTL)
  backend.fail(new Error('ECONNREFUSED'))
  await clock.advance(2 * TTL)
  backend.fail(undefined)
  await clock.advance(TTL)
  await manager.acquireMany(['order:5', 'order:6'])
  await clock.advance(50)
}
