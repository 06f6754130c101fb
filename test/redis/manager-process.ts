/** What processes with a manager have in common that are started by tests. */
import type { Worker } from './support.ts'

/** The beginning of their code. None would ask again by itself within the hour. It says `ready` when it can be told something. */
export const MANAGER_PROCESS = `
  import { createInterface } from 'node:readline'
  import { setTimeout } from 'node:timers/promises'
  import { LeaseManager } from 'leasewheel'
  const start = async ({ verbose, ...options }) => {
    const retry = {
      next: ({ key, watched, remaining }) => {
        if (watched && verbose) console.log('told', key)
        return remaining === undefined ? 20 : 3_600_000
      },
    }
    const manager = new LeaseManager(process.env.REDIS_URL, { wait: 60_000, retry, ...options })
    manager.on('error', (error) => console.log('error', error.message))
    while (!manager.stats().watching) await setTimeout(5)
    return manager
  }
`

export async function untilReady(workers: readonly Worker[]): Promise<void> {
  for (const worker of workers) await worker.until('ready')
}
