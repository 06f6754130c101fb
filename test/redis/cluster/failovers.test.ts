import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { LockEntry } from 'leasewheel'
import { type RedisCluster, withRedisCluster } from '../../support/redis-cluster.ts'
import type { RedisServer } from '../../support/redis-server.ts'
import { until } from '../../support/until.ts'
import { type Stage, typesOf, withStage } from './stage.ts'

/** ms. What a silent node may cost a request. */
const TIMEOUT = 500

interface Parts {
  readonly cluster: RedisCluster
  readonly stage: Stage
  /** Serves `mine`, and fails. */
  readonly master: RedisServer
  readonly mine: readonly LockEntry[]
  /** Of the other nodes. */
  readonly others: readonly LockEntry[]
}

/** Runs `work` with leases on all nodes of a cluster, one of which is going to fail. */
function withLeases(work: (parts: Parts) => Promise<void>): Promise<void> {
  return withRedisCluster((cluster) =>
    withStage(cluster.client({ lazyConnect: true }), { timeout: TIMEOUT, watch: true }, async (stage) => {
      await stage.untilWatching()
      const [master, ...rest] = cluster.nodes.slice(0, 3) as [RedisServer, RedisServer, RedisServer]
      const mine = stage.entriesOf(...(await cluster.keysOf(master, 20)))
      const others = stage.entriesOf(...(await Promise.all(rest.map((node) => cluster.keysOf(node, 20)))).flat())
      expect(typesOf(await stage.backend.acquire(mine, true))).to.deep.equal(['granted'])
      expect(typesOf(await stage.backend.acquire(others, true))).to.deep.equal(['granted'])
      // What a replica has not got yet would be lost.
      await cluster.untilWhole()
      await work({ cluster, stage, master, mine, others })
    }),
  )
}

/** Asks until everything is renewed. A refusal would be a lost lease. */
async function untilRenewed({ backend, routing }: Stage, entries: readonly LockEntry[]): Promise<void> {
  await until('all leases are renewed', async () => {
    for (const { route } of routing.views()) await backend.ready(route)?.catch(() => undefined)
    const outcomes = await backend.renew(entries, true)
    expect(typesOf(outcomes)).not.to.include('refused')
    return outcomes.every(({ type }) => type === 'done')
  })
}

describe('a master of a cluster that', () => {
  for (const [what, fail] of [
    ['is killed', (master: RedisServer) => master.kill()],
    ['hangs', async (master: RedisServer) => master.pause()],
  ] as const) {
    it(`${what} is replaced, and its leases only are in doubt meanwhile`, () =>
      withLeases(async ({ cluster, stage, master, mine, others }) => {
        const { backend, routing } = stage
        const before = stage.nodeOf(mine[0]?.key as string)
        await fail(master)
        let replaced = false
        const replacing = cluster.untilReplaced(master).then((node) => {
          replaced = true
          return node
        })
        // The manager asks for each route on its own.
        while (!replaced) {
          void backend.renew(mine, true)
          expect(typesOf(await backend.renew(others, true))).to.deep.equal(['done'])
          await setTimeout(20)
        }
        const replica = await replacing
        await untilRenewed(stage, mine)
        expect(stage.nodeOf(mine[0]?.key as string), 'before').not.to.equal(before)
        const route = routing.views().find(({ name }) => name === `127.0.0.1:${replica.port}`)?.route
        await until('all nodes report changes again', () => backend.watching)
        expect(stage.told.filter(({ name }) => name === 'onSuspect')).to.deep.equal([{ name: 'onSuspect', route }])
        expect(stage.told.some((told) => told.name === 'onChange' && told.route === route && !told.keys)).to.equal(true)
        for (const error of stage.errors) expect(error.message).to.include(String(before))
      }))
  }

  for (const mode of ['', 'TAKEOVER'] as const) {
    it(`is replaced by ${mode || 'its consent'} has its leases renewed at the other node`, () =>
      withLeases(async ({ cluster, stage, master, mine, others }) => {
        const { routing } = stage
        const replica = await cluster.failover(master, mode)
        await untilRenewed(stage, mine)
        await untilRenewed(stage, others)
        const route = routing.routeOf(stage.slotOf(mine[0]?.key as string))
        expect(routing.views().find((view) => view.route === route)?.name).to.equal(`127.0.0.1:${replica.port}`)
        await until('the manager is told', () => stage.told.some((told) => told.name === 'onSuspect'))
        expect(stage.told.filter(({ name }) => name === 'onSuspect')).to.deep.equal([{ name: 'onSuspect', route }])
      }))
  }

  it('is replaced is noticed though nobody asks', () =>
    withLeases(async ({ cluster, stage, master, mine }) => {
      const slot = stage.slotOf(mine[0]?.key as string)
      const before = stage.routing.routeOf(slot)
      await master.kill()
      await cluster.untilReplaced(master)
      await until('the map names the new master', () => stage.routing.routeOf(slot) !== before)
      // A promise for the old route must not keep anybody waiting.
      expect(stage.backend.ready(before)).to.equal(undefined)
    }))
})
