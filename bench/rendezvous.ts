/**
 * Where processes wait for each other, by way of their server. Promises that they all leave at the same time, and that
 * those who wait cost the server nothing.
 */
import type { Redis } from 'ioredis'
import { machineTime, sleepUntil } from './machine-clock.ts'

/** In ms: by then the last of them knows. */
const HEAD_START = 100

/**
 * @param client of this call's own for as long as it takes: its connection blocks
 * @param name of the occasion; it happens once
 * @returns the machine's time at which all `parties` leave
 */
export async function meet(client: Redis, name: string, parties: number): Promise<number> {
  const arrived = await client.incr(`rendezvous:${name}:arrived`)
  const invitations = `rendezvous:${name}`
  if (arrived === parties) {
    const startAt = machineTime() + HEAD_START
    await client.rpush(invitations, ...Array.from({ length: parties }, () => startAt))
  }
  const invitation = await client.blpop(invitations, 0)
  const startAt = Number(invitation?.[1])
  await sleepUntil(startAt)
  return startAt
}
