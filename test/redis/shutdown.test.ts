/** A worker that gets SIGTERM while it works under many locks, seen by another process that waits for them. */
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'
import { MANAGER_PROCESS, untilReady } from './manager-process.ts'
import { LASTING, type Worker, withManager, withWorkers } from './support.ts'

/** How many locks it has. */
const LOCKS = 60

/**
 * Every third work ends during the drain. Of the others, half end when their signal aborts, and half never do. Each says when it ended or its
 * signal was aborted, on the machine's monotonic clock, which all processes share.
 */
const WORKER = `${MANAGER_PROCESS}
  import { writeSync } from 'node:fs'
  const say = (...words) => writeSync(1, words.join(' ') + '\\n')
  const manager = await start({ ttl: 10_000, timeout: 10_000 })
  let begun = 0
  for (let index = 0; index < ${LOCKS}; index += 1) {
    const key = 'job-' + index
    manager.using(key, async ({ signal }) => {
      const over = () => say('over', key, process.hrtime.bigint())
      const aborted = new Promise((resolve) => signal.addEventListener('abort', () => { over(); resolve() }))
      begun += 1
      if (begun === ${LOCKS}) say('ready')
      await new Promise((resolve) => process.once('SIGTERM', resolve))
      if (index % 3 === 0) {
        await setTimeout(index * 5)
        over()
      } else if (index % 3 === 1) {
        await aborted
      } else {
        await new Promise(() => undefined)
      }
    }).then(() => say('ended', key), (error) => say('rejected', key, error.code))
  }
  process.setMaxListeners(0)
  process.once('SIGTERM', () => manager.close({ drain: 1_000 }).then(() => say('closed')))
`

describe('a worker that gets SIGTERM', () => {
  it('P29 gives no lock away before its work has ended or its signal is aborted', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, async ({ manager }) => {
        await withWorkers([WORKER], server, async (workers) => {
          await untilReady(workers)
          const [worker] = workers as [Worker]
          const granted = new Map<string, bigint>()
          const calls = Array.from({ length: LOCKS }, async (_, index) => {
            const lease = await manager.acquire(`job-${index}`)
            granted.set(lease.key, process.hrtime.bigint())
          })
          worker.child.kill('SIGTERM')
          await Promise.all(calls)
          await worker.closed
          const over = new Map<string, bigint>()
          for (const line of worker.lines) {
            const [word, key, at] = line.split(' ')
            if (word === 'over' && key !== undefined && !over.has(key)) over.set(key, BigInt(at as string))
          }
          expect(worker.lines).to.include('closed')
          for (const [key, at] of granted) {
            expect(over.get(key), `${key} was over before it was granted`).to.satisfy(
              (end?: bigint) => end !== undefined && end < at,
            )
          }
          expect(worker.lines.filter((line) => line.startsWith('ended'))).to.have.length(LOCKS / 3)
          const rejected = worker.lines.filter((line) => line.startsWith('rejected'))
          expect(rejected).to.have.length(LOCKS / 3)
          expect(rejected.every((line) => line.endsWith('ERR_CLOSED'))).to.equal(true)
        })
      }),
    ))
})
