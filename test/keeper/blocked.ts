/** Blocks the event loop of a process that holds many leases, and looks from outside at what becomes of its keys. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { LeaseManager } from 'leasewheel'
import { withRedis } from '../support/redis-server.ts'
import type { BlockedMessage, BlockedTask } from './blocked-task.ts'

const PROCESS = fileURLToPath(new URL('blocked-process.ts', import.meta.url))

type Over = Extract<BlockedMessage, { type: 'over' }>

export interface BlockedReport extends Over {
  /** Leases that were held when the block began. */
  readonly held: number
  /** Keys that another process could acquire within half of the block, and in all. */
  readonly takenEarly: number
  readonly taken: number
  /** How long after the beginning of the block the first of them was acquired, in ms. */
  readonly firstTaken: number | undefined
  readonly exitCode: number | null
}

/** Runs such a process. @param wanted how many of its keys another process wants. */
export function runBlocked(task: Omit<BlockedTask, 'url'>, wanted = 100): Promise<BlockedReport> {
  return withRedis(async ({ url }) => {
    const child = fork(PROCESS, [JSON.stringify({ ...task, url } satisfies BlockedTask)])
    const closed = once(child, 'close') as Promise<[number | null]>
    const rival = new LeaseManager(url, { ttl: task.ttl })
    try {
      const { held } = await messageOf(child, 'blocked')
      const begun = performance.now()
      const taken: number[] = []
      const keys = Array.from({ length: Math.min(wanted, task.leases) }, (_, index) => `key ${index}`)
      const wait = Number.POSITIVE_INFINITY
      const abort = new AbortController()
      const waiting = keys.map((key) =>
        rival.acquire(key, { wait, signal: abort.signal }).then(
          () => void taken.push(performance.now() - begun),
          () => undefined,
        ),
      )
      const over = await messageOf(child, 'over')
      abort.abort()
      await Promise.all(waiting)
      const [exitCode] = await closed
      const takenEarly = taken.filter((at) => at < task.blocked / 2).length
      return {
        ...over,
        held,
        takenEarly,
        taken: taken.length,
        firstTaken: taken.toSorted((a, b) => a - b)[0],
        exitCode,
      }
    } finally {
      child.kill('SIGKILL')
      await rival.close()
    }
  })
}

async function messageOf<T extends BlockedMessage['type']>(
  child: ChildProcess,
  type: T,
): Promise<Extract<BlockedMessage, { type: T }>> {
  for (;;) {
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'close').then(() => Promise.reject(new Error('The process has ended'))),
    ])) as [BlockedMessage]
    if (message.type === type) return message as Extract<BlockedMessage, { type: T }>
  }
}
