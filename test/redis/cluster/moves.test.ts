import { expect } from 'chai'
import type { LockEntry } from 'leasewheel'
import { fenceKeyOf } from '#src/redis/cluster/fence-floors.js'
import { RedisCluster } from '../../support/redis-cluster.ts'
import type { RedisServer } from '../../support/redis-server.ts'
import { until } from '../../support/until.ts'
import { type Stage, typesOf, unknownOf, withStage } from './stage.ts'

/** Keys of one slot. */
const KEYS = ['{s}:a', '{s}:b', '{s}:c', '{s}:d', '{s}:e']
/** A key of another slot. */
const OTHER = 'elsewhere'

describe('a slot of a cluster', () => {
  let cluster: RedisCluster

  before(async () => {
    // Nobody takes a slow node for dead.
    cluster = await RedisCluster.start({ replicas: 0, nodeTimeout: 15_000 })
  })
  after(() => cluster.stop())
  afterEach(async () => {
    for (const node of cluster.nodes) await node.command('FLUSHALL')
  })

  async function otherNode(key: string): Promise<RedisServer> {
    const owner = await cluster.masterOf(key)
    return cluster.nodes.find((node) => node !== owner) as RedisServer
  }

  /** Older servers know the old way only. */
  async function move(key: string, target: RedisServer, way: 'old' | 'atomic'): Promise<void> {
    const slot = await cluster.slotOf(key)
    await cluster.migrate(slot, target, way).catch(async (error: Error) => {
      if (!error.message.startsWith('The server cannot move a slot at once')) throw error
      await cluster.migrate(slot, target, 'old')
    })
  }

  function fenceOf(outcome: object | undefined): number {
    if (!outcome || !('fence' in outcome)) expect.fail(`expected a grant, got ${JSON.stringify(outcome)}`)
    return outcome.fence as number
  }

  const withBackend = (watch: boolean, work: (stage: Stage) => Promise<void>): Promise<void> =>
    withStage(cluster.client({ lazyConnect: true }), { watch }, async (stage) => {
      if (watch) await stage.untilWatching()
      await work(stage)
    })

  for (const way of ['old', 'atomic'] as const) {
    it(`moves with its leases, the ${way} way: each request reaches the new node, and fences rise`, () =>
      withBackend(false, async (stage) => {
        const { backend } = stage
        const entries = stage.entriesOf(...KEYS, OTHER)
        const first = await backend.acquire(entries)
        expect(typesOf(first)).to.deep.equal(['granted'])
        const target = await otherNode('{s}')
        await move('{s}', target, way)
        expect(typesOf(await backend.renew(entries))).to.deep.equal(['done'])
        expect(stage.nodeOf('{s}:a')).to.equal(`127.0.0.1:${target.port}`)
        expect(typesOf(await backend.verify(entries))).to.deep.equal(['done'])
        const refused = await backend.acquire(entries.map((entry) => ({ ...entry, token: 'theirs' })))
        expect(typesOf(refused)).to.deep.equal(['refused'])
        expect(typesOf(await backend.release(entries))).to.deep.equal(['done'])
        const again = await backend.acquire(entries)
        for (const [index, outcome] of again.entries())
          expect(fenceOf(outcome)).to.be.greaterThan(fenceOf(first[index]))
      }))
  }

  it('has a new fence larger than the last, even if the new node has lost the counter', () =>
    withBackend(false, async (stage) => {
      const { backend } = stage
      const slot = stage.slotOf('{s}')
      const [entry] = stage.entriesOf('{s}:a')
      if (!entry) expect.fail()
      const client = cluster.client()
      // Larger than any time: only the counter, or our memory of it, can be the reason for a larger one.
      const large = 9_000_000_000_000_000
      await client.set(fenceKeyOf(slot), String(large))
      expect(await backend.acquire([entry])).to.deep.equal([{ type: 'granted', fence: large + 1 }])
      await cluster.migrate(slot, await otherNode('{s}'), 'old')
      await client.del(fenceKeyOf(slot))
      await backend.release([entry])
      expect(await backend.acquire([entry])).to.deep.equal([{ type: 'granted', fence: large + 2 }])
    }))

  it('that stays half moved keeps its leases; locks there wait, and the error names the slot and why', () =>
    withBackend(false, async (stage) => {
      const { backend } = stage
      const entries = stage.entriesOf(...KEYS, OTHER)
      const first = await backend.acquire(entries)
      const slot = stage.slotOf('{s}')
      const target = await otherNode('{s}')
      await cluster.migrate(slot, target, 'half')
      for (let round = 0; round < 3; round += 1) {
        expect(typesOf(await backend.renew(entries)), `round ${round}`).to.deep.equal(['done'])
        expect(typesOf(await backend.verify(entries))).to.deep.equal(['done'])
      }
      const [blocked] = await backend.acquire(stage.entriesOf('{s}:new'))
      expect(unknownOf(blocked).message).to.match(new RegExp(`is moving slot ${slot} to another node, key by key`))
      const client = cluster.client()
      expect(await client.exists('{s}:new')).to.equal(0)
      // The undoing of the attempt, and a release.
      expect(await backend.release(stage.entriesOf('{s}:new'))).to.deep.equal([{ type: 'refused', reason: 'missing' }])
      expect(typesOf(await backend.release(stage.entriesOf('{s}:a', '{s}:b')))).to.deep.equal(['done'])
      expect(await backend.inspect('{s}:c')).to.have.property('token', 'mine {s}:c')
      expect(await backend.forceRelease('{s}:c')).to.equal(true)
      await cluster.migrate(slot, target, 'old')
      const [granted] = await backend.acquire(stage.entriesOf('{s}:new'))
      const before = first.map((outcome) => fenceOf(outcome))
      expect(fenceOf(granted)).to.be.greaterThan(Math.max(...before))
      expect(typesOf(await backend.renew(stage.entriesOf('{s}:d', '{s}:e')))).to.deep.equal(['done'])
    }))

  it('that has moved is watched at the new node, once a key was read there', () =>
    withBackend(true, async (stage) => {
      const { backend } = stage
      const entries = stage.entriesOf(...KEYS)
      await backend.acquire(entries, true)
      const slot = stage.slotOf('{s}')
      const target = await otherNode('{s}')
      await cluster.migrate(slot, target, 'old')
      await until('each key is told to have changed', () => KEYS.every((key) => stage.changed.includes(key)))
      await backend.renew(entries, true)
      stage.told.length = 0
      await cluster.client().del('{s}:b')
      await until('the deletion is told', () => stage.changed.includes('{s}:b'))
      expect(stage.told.find(({ keys }) => keys)?.route).to.equal(stage.routing.routeOf(slot))
    }))

  it('has the keys verified that were renewed while it was half moved: nobody watches them', () =>
    withBackend(true, async (stage) => {
      const { backend } = stage
      const entries = stage.entriesOf(...KEYS)
      await backend.acquire(entries, true)
      const slot = stage.slotOf('{s}')
      const target = await otherNode('{s}')
      await cluster.migrate(slot, target, 'half', (key) => key === '{s}:b')
      await until('the moved key is told to have changed', () => stage.changed.includes('{s}:b'))
      expect(typesOf(await backend.renew(entries, true))).to.deep.equal(['done'])
      stage.told.length = 0
      await cluster.migrate(slot, target, 'old')
      // The others are told by the node that they leave.
      await backend.verify(entries)
      await until('each key is told to have changed', () => KEYS.every((key) => stage.changed.includes(key)))
    }))

  it('that has settled is watched at its new owner, though nobody asks for its keys again', () =>
    withBackend(true, async (stage) => {
      const { backend } = stage
      const entries = stage.entriesOf(...KEYS)
      await backend.acquire(entries, true)
      const slot = stage.slotOf('{s}')
      const target = await otherNode('{s}')
      await cluster.migrate(slot, target, 'half', () => true)
      await until('the keys are told to have changed', () => KEYS.every((key) => stage.changed.includes(key)))
      // Behind ASKING: some are renewed, and others only looked at.
      const [first, ...others] = entries as [LockEntry, ...LockEntry[]]
      expect(typesOf(await backend.renew([first], true))).to.deep.equal(['done'])
      expect(typesOf(await backend.verify(others))).to.deep.equal(['done'])
      stage.told.length = 0
      await cluster.migrate(slot, target, 'old')
      await until('the keys count as changed', () => KEYS.every((key) => stage.changed.includes(key)))
      expect(stage.nodeOf('{s}:a')).to.equal(`127.0.0.1:${target.port}`)
      stage.told.length = 0
      const client = cluster.client()
      for (const key of KEYS) await client.del(key)
      await until('each deletion is told', () => KEYS.every((key) => stage.changed.includes(key)))
    }))

  it('reports changes of the keys of all nodes, each with its route', () =>
    withBackend(true, async (stage) => {
      const keys = (await Promise.all(cluster.nodes.map((node) => cluster.keysOf(node, 2)))).flat()
      await stage.backend.acquire(stage.entriesOf(...keys), true)
      stage.told.length = 0
      const client = cluster.client()
      for (const key of keys) await client.del(key)
      await until('all deletions are told', () => keys.every((key) => stage.changed.includes(key)))
      for (const { keys: some = [], route } of stage.told) {
        for (const key of some) expect(stage.routing.routeOf(stage.slotOf(key)), key).to.equal(route)
      }
    }))
})
