/** Callers that give up at any moment: the other callers still get the lock. */
import { setImmediate, setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { LeaseManager } from 'leasewheel'
import { withRedis } from '../support/redis-server.ts'
import { LASTING, Hourly, until, untilWatching, withManager } from './support.ts'

const KEYS = ['a', 'b', 'c']
const CALLERS = 10
const ROUNDS = 30

/** Acquires and releases; every third time it may change its mind while it waits, while it asks, or while it is being answered. */
async function visit(manager: LeaseManager, round: number): Promise<boolean> {
  const key = KEYS[Math.floor(Math.random() * KEYS.length)] as string
  const abort = new AbortController()
  const call = manager.acquire(key, { wait: Number.POSITIVE_INFINITY, signal: abort.signal })
  const visited = call.then(
    async (lease) => {
      await setImmediate()
      return lease.release()
    },
    () => false,
  )
  if (round % 3 === 0) {
    await setTimeout(Math.random() * 4)
    abort.abort()
  }
  return visited
}

describe('callers that abort at random moments', () => {
  it('P11 P23 leave no key without a holder, and no waiter behind', () =>
    withRedis((server) =>
      withManager(server.url, LASTING, (one) =>
        withManager(server.url, LASTING, (two) =>
          // Nobody asks again by himself within the hour, and no key expires within the test.
          withManager(server.url, { ...LASTING, retry: new Hourly() }, async (three) => {
            const managers = [one, two, three].map(({ manager }) => manager)
            for (const manager of managers) await untilWatching(manager)
            const callers = managers.flatMap((manager) =>
              Array.from({ length: CALLERS }, async () => {
                let visits = 0
                for (let round = 0; round < ROUNDS; round += 1) if (await visit(manager, round)) visits += 1
                return visits
              }),
            )
            for (const visits of await Promise.all(callers)) expect(visits).to.be.at.least((ROUNDS * 2) / 3)
            await until(
              'nothing is left',
              async () => ((await server.command('KEYS', 'lease:*')) as string[]).length === 0,
            )
          }),
        ),
      ),
    ))
})
