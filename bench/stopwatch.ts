/** Promises what a piece of work takes: time, and CPU of this process and of the server. */
import type { Redis } from 'ioredis'
import { readServerCounters } from './server-counters.ts'

export interface Taken {
  /** In s. */
  readonly seconds: number
  /** User and system, of all threads, in µs. */
  readonly nodeCpu: number
  /** Of the server's thread that executes commands, in µs. */
  readonly redisCpu: number
}

export async function takeTime(control: Redis, work: () => Promise<unknown>): Promise<Taken> {
  const serverBefore = await readServerCounters(control)
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  await work()
  const seconds = (performance.now() - startedAt) / 1_000
  const { user, system } = process.cpuUsage(cpuBefore)
  const serverAfter = await readServerCounters(control)
  return { seconds, nodeCpu: user + system, redisCpu: serverAfter.cpu - serverBefore.cpu }
}
