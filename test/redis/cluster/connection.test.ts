import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { withRedisCluster } from '../../support/redis-cluster.ts'
import { until } from '../../support/until.ts'

describe('the connection to a cluster', () => {
  it('is there as long as one node can be asked', () =>
    withRedisCluster(
      async (cluster) => {
        const manager = new LeaseManager(cluster.client(), { timeout: 10_000 })
        const told: string[] = []
        manager.on('connected', () => told.push('connected'))
        manager.on('disconnected', () => told.push('disconnected'))
        manager.on('error', () => undefined)
        try {
          await until('there are all nodes', () => manager.stats().routes.filter(({ usable }) => usable).length === 3)
          expect(manager.health()).to.deep.equal({ ok: true, reasons: [] })
          await cluster.nodes[0]?.stop()
          await until('one node is away', () => manager.stats().routes.some(({ usable }) => !usable))
          expect(manager.stats().connection).to.equal('connected')
          await Promise.all(cluster.nodes.slice(1).map((node) => node.stop()))
          await until('all nodes are away', () => manager.stats().connection === 'disconnected')
          await until('both events', () => told.length === 2)
          expect(told).to.deep.equal(['connected', 'disconnected'])
        } finally {
          await manager.close()
        }
      },
      { replicas: 0, nodeTimeout: 15_000 },
    ))
})
