/** A holder whose process is stopped (SIGSTOP) for longer than its ttl, and then goes on as if nothing had happened. */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { withRedis } from '../support/redis-server.ts'
import { exists, IMPATIENT, startProcess, until, untilRenewed, withManager } from '../redis/support.ts'

/** Holds a lock, and says again and again what it believes: when it asked (ms of the wall clock), and whether it holds it. */
const HOLDER = `
  import { LeaseManager } from 'leasewheel'
  const manager = new LeaseManager(process.env.REDIS_URL, { ttl: 1_000, timeout: 1_000, wait: 15_000 })
  const lease = await manager.acquire('a')
  process.stdout.write('fence ' + lease.fence + '\\n')
  const timer = setInterval(() => {
    for (let read = 0; read < 100; read += 1) {
      const askedAt = Date.now()
      if (lease.held) process.stdout.write('held ' + askedAt + '\\n')
    }
  }, 1)
  manager.on('lost', async ({ lease, reason }) => {
    process.stdout.write('lost ' + reason + ' ' + lease.held + ' ' + await lease.release() + '\\n')
    clearInterval(timer)
    // What was on its way when the process was stopped has been answered by then.
    await new Promise((resolve) => setTimeout(resolve, 100))
    await manager.close()
  })
`

describe('a holder whose process is stopped', () => {
  it('P1 P4 P5 P6 P7 P13 knows its loss when it continues, and spares the next holder', () =>
    withRedis((server) =>
      withManager(server.url, IMPATIENT, async ({ manager }) => {
        const child = startProcess(HOLDER, server)
        const closed = once(child, 'close')
        let output = ''
        for (const stream of [child.stdout, child.stderr]) {
          stream.on('data', (text: string) => {
            output += text
          })
        }
        try {
          await until('it holds the lock', () => output.includes('held'))
          child.kill('SIGSTOP')
          await until('its key has expired', async () => !(await exists(server, 'lease:a')))
          const next = await manager.acquire('a')
          const takenAt = Date.now()
          // So that the two moments are not the same millisecond.
          await setTimeout(5)
          child.kill('SIGCONT')
          await closed

          const lines = output.trimEnd().split('\n')
          const heldAt = lines.filter((line) => line.startsWith('held')).map((line) => Number(line.split(' ')[1]))
          expect(heldAt).not.to.deep.equal([])
          expect(Math.max(...heldAt), 'the last time that it believed to hold the lock').to.be.at.most(takenAt)
          expect(lines.at(-1)).to.match(/^lost (expired|taken|missing) false false$/)
          expect(next.fence).to.be.greaterThan(Number(lines[0]?.split(' ')[1]))

          expect(await server.command('GET', 'lease:a')).to.equal(next.token)
          await untilRenewed(next)
        } finally {
          child.kill('SIGKILL')
        }
      }),
    ))
})
