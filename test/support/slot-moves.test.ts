import { expect } from 'chai'
import { ownerOf, rangesOf, readView, slotsIn } from './cluster-view.ts'
import { type RedisCluster, withRedisCluster } from './redis-cluster.ts'
import type { RedisServer } from './redis-server.ts'

const NODE_TIMEOUT = 15_000

/** In one slot: `a` and `b` are moved by half, and `c` is not. */
const KEYS = ['a{x}', 'b{x}', 'c{x}']

describe('slots that move', function () {
  this.timeout(60_000)

  let cluster: RedisCluster
  let slot: number
  let source: RedisServer
  let target: RedisServer

  const whole = (work: () => Promise<void>) => (): Promise<void> =>
    withRedisCluster(
      async (started) => {
        cluster = started
        slot = await cluster.slotOf('{x}')
        source = await cluster.masterOf(slot)
        target = cluster.nodes.find((node) => node !== source) as RedisServer
        for (const key of KEYS) await source.command('SET', key, key)
        await work()
      },
      { nodeTimeout: NODE_TIMEOUT },
    )

  const ask = (node: RedisServer, key: string): Promise<unknown> =>
    node.command('GET', key).catch((error: Error) => error.message.split(' ')[0])

  it(
    'take their keys along, the old way, and all nodes know where they are',
    whole(async () => {
      await cluster.migrate(slot, target, 'old')
      expect(await cluster.masterOf(slot)).to.equal(target)
      for (const key of KEYS) {
        expect(await ask(target, key)).to.equal(key)
        for (const other of cluster.nodes.slice(0, 3)) {
          if (other !== target) expect(await ask(other, key)).to.equal('MOVED')
        }
      }
    }),
  )

  it(
    'move at once if the server can do that, and say so if it cannot',
    whole(async () => {
      const version = await source.info('server')
      const isAble = isAtLeast(version.get('valkey_version'), 9, 0) ?? isAtLeast(version.get('redis_version'), 8, 4)
      const failure = await cluster.migrate(slot, target, 'atomic').catch((error: Error) => error.message)
      if (!isAble)
        expect(failure).to.equal(
          'The server cannot move a slot at once: Redis 8.4 and later and Valkey 9 and later can',
        )
      else expect(failure).to.equal(undefined)
      expect(await cluster.masterOf(slot)).to.equal(isAble ? target : source)
      for (const key of KEYS) expect(await ask(isAble ? target : source, key)).to.equal(key)
    }),
  )

  it(
    'stay half moved until they are moved again, forth or back',
    whole(async () => {
      for (const end of [target, source]) {
        const from = await cluster.masterOf(slot)
        const to = from === source ? target : source
        await cluster.migrate(slot, to, 'half', (key) => !key.startsWith('c'))
        expect(await cluster.masterOf(slot)).to.equal(from)
        expect(await Promise.all(KEYS.map((key) => ask(from, key)))).to.deep.equal(['ASK', 'ASK', 'c{x}'])
        const both = await from.command('MGET', 'a{x}', 'c{x}').catch((error: Error) => error.message)
        expect(both).to.match(/^TRYAGAIN/)
        await cluster.migrate(slot, to === end ? to : from, 'old')
        expect(await cluster.masterOf(slot)).to.equal(to === end ? to : from)
        for (const key of KEYS) expect(await ask(await cluster.masterOf(slot), key)).to.equal(key)
      }
    }),
  )

  it(
    'move by the hundred, from several owners',
    whole(async () => {
      const [first, second, third] = cluster.nodes as [RedisServer, RedisServer, RedisServer]
      const slots = [...slotsIn([[100, 299]]), ...slotsIn([[16_000, 16_099]])]
      await cluster.migrate(slots, second, 'old')
      expect(await cluster.slotsOf(second)).to.deep.equal([
        [100, 299],
        [5461, 10_921],
        [16_000, 16_099],
      ])
      expect(await cluster.slotsOf(first)).to.deep.equal([
        [0, 99],
        [300, 5460],
      ])
      expect(await cluster.slotsOf(third)).to.deep.equal([
        [10_922, 15_999],
        [16_100, 16_383],
      ])
      await cluster.untilWhole()
    }),
  )
})

describe('the view of a node', () => {
  const text = [
    'aa 127.0.0.1:7000@17000,name myself,master - 0 1 3 connected 0-5 9 [7->-bb]',
    'bb 127.0.0.1:7001@17001 master,fail - 0 1 4 disconnected 5-6',
    'cc 127.0.0.1:7002@17002 slave aa 0 1 3 connected',
    '',
  ].join('\n')

  it('has all nodes with their slots, without those that are half moved', () => {
    const [one, other, replica] = readView(text)
    expect(one).to.deep.include({ id: 'aa', port: 7000, epoch: 3, isConnected: true, masterId: undefined })
    expect(one?.slots).to.deep.equal([
      [0, 5],
      [9, 9],
    ])
    expect([...(other?.flags ?? [])]).to.deep.equal(['master', 'fail'])
    expect(other?.isConnected).to.equal(false)
    expect(replica).to.deep.include({ id: 'cc', masterId: 'aa', slots: [] })
  })

  it('names the owner with the largest epoch', () => {
    const view = readView(text)
    expect([0, 5, 9, 10].map((slot) => ownerOf(slot, view)?.id)).to.deep.equal(['aa', 'bb', 'aa', undefined])
  })

  it('knows ranges and their slots', () => {
    expect(rangesOf([3, 1, 2, 7])).to.deep.equal([
      [1, 3],
      [7, 7],
    ])
    expect(
      slotsIn([
        [1, 3],
        [7, 7],
      ]),
    ).to.deep.equal([1, 2, 3, 7])
  })
})

function isAtLeast(version: string | undefined, major: number, minor: number): boolean | undefined {
  if (version === undefined) return undefined
  const [own = 0, next = 0] = version.split('.').map(Number)
  return own > major || (own === major && next >= minor)
}
