/** Grants and renewals on a cluster that the replicas of each node have acknowledged. */
import { expect } from 'chai'
import type { LockEntry } from 'leasewheel'
import { fenceKeyOf } from '#src/redis/cluster/fence-floors.js'
import { RedisCluster } from '../../support/redis-cluster.ts'
import type { RedisServer } from '../../support/redis-server.ts'
import { untilAcknowledged } from '../../support/replicated-server.ts'
import { LASTING, rejectionOf, until, withManager } from '../support.ts'
import { type Stage, typesOf, unknownOf, withStage } from './stage.ts'

/** A quarter of it passes before too few replicas count as none, in ms. */
const TIMEOUT = 10_000

describe('on a cluster with `replicas`', () => {
  let cluster: RedisCluster
  let masters: readonly RedisServer[]
  let replicas: readonly RedisServer[]

  before(async () => {
    // Nobody takes a frozen node for dead.
    cluster = await RedisCluster.start({ nodeTimeout: 60_000 })
    masters = cluster.nodes.slice(0, 3)
    replicas = cluster.nodes.slice(3)
    for (const master of masters) await untilFollowed(master)
  })
  after(() => cluster.stop())
  afterEach(async () => {
    for (const replica of replicas) replica.resume()
    for (const master of masters) {
      await master.command('FLUSHALL')
      await untilFollowed(master)
    }
  })

  /** A new replica may say what it has a second after its master has taken it up. */
  async function untilFollowed(master: RedisServer): Promise<void> {
    const [key = ''] = await cluster.keysOf(master, 1, 'copied')
    await untilAcknowledged(master, 1, key)
  }

  const withBackend = (work: (stage: Stage) => Promise<void>): Promise<void> =>
    withStage(cluster.client({ lazyConnect: true }), { timeout: TIMEOUT, replicas: 1 }, work)

  async function entriesOf(stage: Stage, node: RedisServer, count: number): Promise<LockEntry[]> {
    return stage.entriesOf(...(await cluster.keysOf(node, count)))
  }

  it('locks of all nodes are granted and renewed', () =>
    withBackend(async (stage) => {
      const { backend } = stage
      const entries = stage.entriesOf(...Array.from({ length: 200 }, (_, index) => `key ${index}`))
      expect(typesOf(await backend.acquire(entries))).to.deep.equal(['granted'])
      expect(typesOf(await backend.renew(entries))).to.deep.equal(['done'])
      for (const master of masters) expect((await master.commandStats()).get('wait')?.calls).to.be.at.least(3)
      const keys = await Promise.all(
        replicas.map(async (replica) => (await replica.command('KEYS', 'key *')) as string[]),
      )
      expect(keys.flat().sort()).to.deep.equal(entries.map(({ key }) => key).sort())
    }))

  it('a frozen replica stops the grants and renewals of its node only, and no refusal', () =>
    withBackend(async (stage) => {
      const { backend } = stage
      const [mine, other] = [
        await entriesOf(stage, masters[0] as RedisServer, 9),
        await entriesOf(stage, masters[1] as RedisServer, 5),
      ]
      const [held, free] = [mine.slice(0, 5), mine.slice(5)]
      expect(typesOf(await backend.acquire(held))).to.deep.equal(['granted'])
      expect(typesOf(await backend.acquire(other))).to.deep.equal(['granted'])
      replicas[0]?.pause()
      const sentence =
        /^Node 127\.0\.0\.1:\d+: the replicas did not acknowledge it within 2500 ms \(1 asked for, 0 did\)$/
      const renewed = await backend.renew([...held, ...other].sort((a, b) => stage.slotOf(a.key) - stage.slotOf(b.key)))
      expect(renewed.filter(({ type }) => type === 'done')).to.have.length(5)
      expect(unknownOf(renewed.find(({ type }) => type === 'unknown')).message).to.match(sentence)
      const acquired = await backend.acquire(free)
      expect(typesOf(acquired)).to.deep.equal(['unknown'])
      expect(unknownOf(acquired[0]).message).to.match(sentence)
      const theirs = held.map((entry) => ({ ...entry, token: 'theirs' }))
      expect(typesOf(await backend.acquire(theirs))).to.deep.equal(['refused'])
      expect(typesOf(await backend.renew(theirs))).to.deep.equal(['refused'])
      replicas[0]?.resume()
      await until('they are renewed again', async () => typesOf(await backend.renew(held)).join() === 'done')
    }))

  it('a manager says why, names the node, and leaves nothing', () =>
    withManager(
      cluster.client({ lazyConnect: true }),
      { ...LASTING, timeout: TIMEOUT, replicas: 1, prefix: '' },
      async ({ manager }) => {
        const [key = ''] = await cluster.keysOf(masters[0] as RedisServer, 1)
        replicas[0]?.pause()
        expect((await rejectionOf(manager.tryAcquire(key))).message).to.match(
          /^Lock `.*` could not be acquired: Node 127\.0\.0\.1:\d+: the replicas did not acknowledge it within 2500 ms \(1 asked for, 0 did\)$/,
        )
        await until('it is undone', () => manager.stats().undoing === 0)
        expect(await masters[0]?.command('EXISTS', key)).to.equal(0)
        replicas[0]?.resume()
        expect(await manager.acquire(key)).to.be.an('object')
      },
    ))

  it('renewals count while their slot moves, wherever its fence counter is', () =>
    withBackend(async (stage) => {
      const { backend } = stage
      const [source, target] = masters as [RedisServer, RedisServer]
      const [tag = ''] = await cluster.keysOf(source, 1)
      const entries = stage.entriesOf(...Array.from({ length: 6 }, (_, index) => `{${tag}}:${index}`))
      // A node that has never been asked for a lock has no counter at hand.
      expect(typesOf(await backend.acquire(await entriesOf(stage, source, 3)))).to.deep.equal(['granted'])
      expect(typesOf(await backend.acquire(entries))).to.deep.equal(['granted'])
      const slot = stage.slotOf(tag)
      for (const isFenceMoved of [true, false]) {
        await cluster.migrate(slot, target, 'half', (key, index) =>
          key === fenceKeyOf(slot) ? isFenceMoved : index % 2 === 0,
        )
        expect(typesOf(await backend.renew(entries)), `fence moved: ${isFenceMoved}`).to.deep.equal(['done'])
        await cluster.migrate(slot, target, 'old')
        expect(typesOf(await backend.renew(entries)), 'moved').to.deep.equal(['done'])
        await cluster.migrate(slot, source, 'old')
      }
    }))
})
