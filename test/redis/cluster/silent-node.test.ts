import { expect } from 'chai'
import { LeaseManager, UnavailableError } from 'leasewheel'
import { withRedisCluster } from '../../support/redis-cluster.ts'

/** ms. */
const TIMEOUT = 300

describe('the error about a node that does not answer', () => {
  it('names the node, whatever was asked of it', () =>
    withRedisCluster(
      async (cluster) => {
        const [master] = cluster.nodes
        if (master === undefined) return expect.fail('the cluster has no node')
        const [held, free] = (await cluster.keysOf(master, 2)) as [string, string]
        const leases = new LeaseManager(cluster.client(), { ttl: 60_000, timeout: TIMEOUT, prefix: '' })
        leases.on('error', () => undefined)
        const lease = await leases.acquire(held, { wait: 60_000 })
        master.pause()
        const unanswered = [
          leases.tryAcquire(free),
          leases.acquire(free, { wait: 2 * TIMEOUT }),
          lease.renew(),
          leases.inspect(held),
          leases.forceRelease(free),
        ]
        const answers = await Promise.allSettled(unanswered)
        master.resume()
        for (const [index, answer] of answers.entries()) {
          const error: unknown = answer.status === 'rejected' ? answer.reason : answer.value
          expect(error, `answer ${index}`).to.be.instanceOf(UnavailableError)
          expect((error as Error).message, `answer ${index}`).to.include(`127.0.0.1:${master.port}`)
        }
        await leases.close()
      },
      // Nobody takes the node for dead.
      { replicas: 0, nodeTimeout: 15_000 },
    ))
})
