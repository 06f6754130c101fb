import { expect } from 'chai'
import { Cluster } from 'ioredis'
import sinon from 'sinon'
import type { HandOverOutcome, LockEntry } from 'leasewheel'
import { type FakeCluster, type FakeRange, withFakeCluster } from '../../support/fake-cluster.ts'
import { until } from '../../support/until.ts'
import { OwnClient } from '#src/redis/own-client.js'
import { type Stage, typesOf, unknownOf, withStage } from './stage.ts'

/** ms. Redirections may take half of it: two requests at once, and others after 2, 4, … 512 ms. */
const TIMEOUT = 4_000
const MOST_REQUESTS = 12

interface FakeStage extends Pick<Stage, 'backend' | 'routing' | 'errors' | 'told'> {
  readonly fake: FakeCluster
  readonly entriesOf: (...keys: string[]) => LockEntry[]
  readonly slotOf: (key: string) => number
}

/** Runs `work` with a backend on fake nodes that has a map. */
function withFakes(nodes: number, work: (stage: FakeStage) => Promise<void>, prepare?: (fake: FakeCluster) => void) {
  return withFakeCluster(nodes, async (fake) => {
    prepare?.(fake)
    const client = new Cluster([{ host: '127.0.0.1', port: fake.port(0) }], { lazyConnect: true })
    try {
      await withStage(client, { timeout: TIMEOUT }, (stage) => {
        const { backend, routing, errors, told } = stage
        const entriesOf = (...keys: string[]): LockEntry[] => stage.entriesOf(...keys)
        return work({ fake, backend, routing, errors, told, entriesOf, slotOf: (key) => stage.slotOf(key) })
      })
    } finally {
      client.disconnect()
    }
  })
}

/** One node serves all slots. */
function all(port: number, host: string | null = '127.0.0.1'): FakeRange[] {
  return [{ first: 0, last: 16_383, host, port }]
}

describe('redirections without end', () => {
  for (const [what, target] of [
    ['MOVED to and fro', (fake: FakeCluster, node: number) => fake.address(1 - node)],
    ['MOVED to the node itself', (fake: FakeCluster, node: number) => fake.address(node)],
  ] as const) {
    it(`end in time, with an error that names node and slot: ${what}`, () =>
      withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
        const slot = slotOf('bad')
        fake.onScript = (node, { keys }) => (keys[0] === 'bad' ? `-MOVED ${slot} ${target(fake, node)}` : undefined)
        const outcomes = await backend.renew(entriesOf('bad', 'good', 'fine'))
        const bad = entriesOf('bad', 'good', 'fine').findIndex(({ key }) => key === 'bad')
        expect(unknownOf(outcomes[bad]).message).to.match(
          new RegExp(
            `^Node 127.0.0.1:\\d+: Slot ${slot} is not settled: after \\d+ requests the answer is still MOVED`,
          ),
        )
        expect(outcomes.filter(({ type }) => type === 'done')).to.have.length(2)
        const asked = fake.calls.filter(({ keys }) => keys[0] === 'bad')
        expect(asked).to.have.length.within(3, MOST_REQUESTS)
      }))
  }

  it('end in time: ASK for ever', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = (node) => `-ASK ${slotOf('bad')} ${fake.address(1 - node)}`
      expect(unknownOf((await backend.renew(entriesOf('bad')))[0]).message).to.match(/still ASK to/)
      expect(fake.calls).to.have.length.within(3, MOST_REQUESTS)
    }))

  it('end at once if the answer is about another slot', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = () => `-MOVED 7 ${fake.address(1)}`
      expect(unknownOf((await backend.renew(entriesOf('bad')))[0]).message).to.match(
        new RegExp(`Asked about slot ${slotOf('bad')}, it answered with MOVED for slot 7`),
      )
      expect(fake.calls).to.have.length(1)
    }))

  it('to a node that cannot be reached cost the other keys nothing', () =>
    withFakes(1, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = (_, { keys }) => (keys[0] === 'bad' ? `-MOVED ${slotOf('bad')} 127.0.0.1:1` : undefined)
      const entries = entriesOf('bad', 'good', 'fine')
      const outcomes = await backend.renew(entries)
      const bad = entries.findIndex(({ key }) => key === 'bad')
      expect(unknownOf(outcomes[bad]).message).to.match(/Node 127.0.0.1:1: No connection/)
      expect(outcomes.filter(({ type }) => type === 'done')).to.have.length(2)
    }))
})

describe('a redirection', () => {
  for (const [what, host] of [
    ['without a host means the host of the node', ''],
    ['may name a host', 'localhost'],
  ] as const) {
    it(what, () =>
      withFakes(2, async ({ fake, backend, routing, entriesOf, slotOf }) => {
        const slot = slotOf('k')
        const before = routing.routeOf(slot)
        fake.onScript = (node) => (node === 0 ? `-MOVED ${slot} ${host}:${fake.port(1)}` : undefined)
        fake.ranges = () => all(fake.port(1), host || '127.0.0.1')
        expect(await backend.renew(entriesOf('k'))).to.deep.equal([{ type: 'done' }])
        expect(routing.routeOf(slot), 'the route').not.to.equal(before)
        expect(routing.views().find(({ route }) => route === routing.routeOf(slot))?.usable).to.equal(true)
        expect(await backend.renew(entriesOf('k')), 'at the new node').to.deep.equal([{ type: 'done' }])
        expect(fake.calls.map(({ node }) => node)).to.deep.equal([0, 1, 1])
      }),
    )
  }

  it('of many slots to one node is followed by all of their calls together', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      const entries = entriesOf(...Array.from({ length: 200 }, (_, index) => `key ${index}`))
      await backend.renew(entriesOf('k'))
      fake.onScript = (node, { keys: [key] }) =>
        node === 0 ? `-MOVED ${slotOf(key as string)} ${fake.address(1)}` : undefined
      // A map that came meanwhile must not name the first node again.
      fake.ranges = () => all(fake.port(1))
      const sent = sinon.spy(OwnClient.prototype, 'sendAll')
      try {
        expect(typesOf(await backend.renew(entries))).to.deep.equal(['done'])
        const slots = new Set(entries.map(({ key }) => slotOf(key))).size
        // The first call teaches the other node the script.
        expect(sent.args.map(([, awaited]) => awaited.length)).to.deep.equal([slots, 1, slots - 1])
      } finally {
        sent.restore()
      }
    }))

  it('by ASK is followed with ASKING right before the call, and not remembered', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = (node, { asking }) => {
        if (node === 0) return `-ASK ${slotOf('k')} ${fake.address(1)}`
        return asking ? undefined : '-ERR not asked'
      }
      for (let i = 0; i < 2; i += 1) expect(await backend.renew(entriesOf('k'))).to.deep.equal([{ type: 'done' }])
      expect(fake.calls.map(({ node }) => node)).to.deep.equal([0, 1, 0, 1])
      const names = fake.namesAt(1).filter((name) => /^(asking|eval|script|client caching)/.test(name))
      expect(names).to.deep.equal(['script', 'asking', 'eval', 'asking', 'evalsha'])
    }))

  it('to a node without slots waits for its connection, whatever maps come meanwhile', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = (node) => (node === 0 ? `-ASK ${slotOf('k')} ${fake.address(1)}` : undefined)
      const maps = (): number => fake.journal.filter(({ words }) => words[0]?.toLowerCase() === 'cluster').length
      let isGreeted = false
      fake.onGreeting = async (node) => {
        if (node !== 1) return
        // The second one is asked for once the first one has come, and the backend waits for the node by then.
        const before = maps()
        await until('two maps were asked for', () => maps() > before + 1)
        isGreeted = true
      }
      const asked = backend.renew(entriesOf('k'))
      // Another key makes the backend ask for a map.
      fake.onScript = (node, { keys: [key] }) => {
        if (node === 1) return undefined
        return key === 'k' ? `-ASK ${slotOf('k')} ${fake.address(1)}` : '-CLUSTERDOWN The cluster is down'
      }
      while (!isGreeted) await backend.renew(entriesOf('other'))
      expect(await asked).to.deep.equal([{ type: 'done' }])
    }))

  it('is not followed for a refusal that no map confirms', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      fake.onScript = (node) => (node === 0 ? `-MOVED ${slotOf('k')} ${fake.address(1)}` : '*2\r\n:1\r\n:0')
      fake.ranges = () => all(fake.port(0))
      expect(unknownOf((await backend.renew(entriesOf('k')))[0]).message).to.match(/the map does not confirm/)
      fake.ranges = () => all(fake.port(1))
      expect(await backend.renew(entriesOf('k'))).to.deep.equal([{ type: 'refused', reason: 'missing' }])
    }))
})

describe('a hand-over', () => {
  const handOver = async ({ backend, entriesOf }: FakeStage): Promise<HandOverOutcome> => {
    const [entry] = entriesOf('k') as [LockEntry]
    const outcomes = await backend.handOver?.([{ ...entry, from: 'before' }])
    return outcomes?.[0] ?? expect.fail('there is no outcome')
  }

  it('P27 ends no lease on the word of a node that no map confirms', () =>
    withFakes(2, async (stage) => {
      const { fake, slotOf } = stage
      fake.onScript = (node) =>
        node === 0 ? `-MOVED ${slotOf('k')} ${fake.address(1)}` : '*3\r\n:7\r\n*0\r\n*2\r\n:1\r\n:0'
      fake.ranges = () => all(fake.port(0))
      const doubted = await handOver(stage)
      expect(doubted).to.have.nested.property('released.type', 'unknown')
      expect(doubted).to.have.deep.property('acquired', { type: 'granted', fence: 7 })
      fake.ranges = () => all(fake.port(1))
      expect(await handOver(stage)).to.have.deep.property('released', { type: 'refused', reason: 'missing' })
    }))

  it('is refused while its slot is on the move, and nothing else is asked', () =>
    withFakes(1, async (stage) => {
      const { fake, slotOf } = stage
      fake.onScript = () => '-TRYAGAIN Multiple keys request during rehashing of slot'
      expect(unknownOf(await handOver(stage)).message).to.match(
        new RegExp(`^Node 127.0.0.1:\\d+ is moving slot ${slotOf('k')} to another node, key by key`),
      )
      expect(fake.calls).to.have.length(1)
    }))
})

describe('a node that is away', () => {
  /** Keys of as many slots. */
  const KEYS = Array.from({ length: 200 }, (_, index) => `key ${index}`)

  it('fails all calls that were under way with one error', () =>
    withFakes(1, async ({ fake, backend, entriesOf }) => {
      const entries = entriesOf(...KEYS)
      const map = fake.ranges(0)
      fake.ranges = () => map
      // The first request teaches the node its script.
      await backend.renew(entriesOf('k'))
      let stopped: Promise<void> | undefined
      fake.onScript = () => {
        stopped ??= fake.stop()
        return undefined
      }
      const errors = new Set((await backend.renew(entries)).map(unknownOf))
      expect([...errors].map(({ message }) => message)).to.have.length(1)
      expect([...errors][0]?.message).to.match(/^Node 127\.0\.0\.1:\d+: The connection to Redis broke/)
      await stopped
    }))

  it('fails all calls of a request with one error, and costs one wait for a connection', () =>
    withFakes(1, async ({ fake, backend, routing, entriesOf }) => {
      const entries = entriesOf(...KEYS)
      await fake.stop()
      await until('the node is away', () => routing.views().every(({ usable }) => !usable))
      const errors = new Set((await backend.renew(entries)).map(unknownOf))
      expect([...errors].map(({ message }) => message)).to.have.length(1)
      expect([...errors][0]?.message).to.match(/^Node 127\.0\.0\.1:\d+: No connection/)
    }))
})

describe('the replica of a master that', () => {
  /** The first node has a replica, which is the second. The third serves the other half of the slots. */
  const halves = (fake: FakeCluster, master: number, ...replicas: number[]): FakeRange[] => [
    {
      first: 0,
      last: 8_191,
      host: '127.0.0.1',
      port: fake.port(master),
      replicas: replicas.map((node) => fake.port(node)),
    },
    { first: 8_192, last: 16_383, host: '127.0.0.1', port: fake.port(2) },
  ]
  const count = (fake: FakeCluster, name: string): number => fake.namesAt(1).filter((other) => other === name).length

  for (const [what, begin] of [
    ['is gone', ({ fake }: FakeStage) => fake.kill(0)],
    [
      'is silent',
      ({ fake, backend, entriesOf, slotOf }: FakeStage) => {
        fake.silent.add(0)
        const key = Array.from({ length: 100 }, (_, index) => `key ${index}`).find((one) => slotOf(one) < 8_192)
        void backend.renew(entriesOf(key as string))
      },
    ],
  ] as const) {
    it(`${what} is connected, and asked, before it takes over`, () =>
      withFakes(
        3,
        async (stage) => {
          const { fake, told, routing } = stage
          expect(count(fake, 'info'), 'without a reason').to.equal(0)
          begin(stage)
          await until('the replica is asked again and again', () => count(fake, 'cluster') > 2)
          expect(count(fake, 'info'), 'connections').to.equal(1)
          const replica = fake.port(1)
          const ranges = halves(fake, 1)
          fake.ranges = () => ranges
          await until('it has taken over', () => told.some(({ name }) => name === 'onSuspect'))
          expect(routing.views().some(({ name, usable }) => name === `127.0.0.1:${replica}` && usable)).to.equal(true)
          expect(count(fake, 'info'), 'connections').to.equal(1)
        },
        (fake) => {
          const ranges = halves(fake, 0, 1)
          fake.ranges = () => ranges
        },
      ))
  }
})

describe('a slot on the move', () => {
  it('is renewed, released and verified key by key, and locks there wait', () =>
    withFakes(2, async ({ fake, backend, entriesOf, slotOf }) => {
      const keys = ['{tag}:a', '{tag}:b', '{tag}:c']
      const slot = slotOf('{tag}:a')
      fake.onScript = (node, { keys: declared, asking }) => {
        if (declared.length > 1) return '-TRYAGAIN Multiple keys request during rehashing of slot'
        if (declared[0] !== '{tag}:b') return node === 0 ? undefined : '-ERR not here'
        return node === 0 ? `-ASK ${slot} ${fake.address(1)}` : asking ? undefined : '-ERR not asked'
      }
      const done = keys.map(() => ({ type: 'done' }))
      for (const ask of ['renew', 'release', 'verify'] as const) {
        expect(await backend[ask](entriesOf(...keys)), ask).to.deep.equal(done)
      }
      // Three requests each: the whole, three keys, and one of them once more.
      expect(fake.calls).to.have.length(15)
      for (const outcome of await backend.acquire(entriesOf(...keys))) {
        expect(unknownOf(outcome).message).to.match(
          new RegExp(`^Node 127.0.0.1:\\d+ is moving slot ${slot} to another node, key by key`),
        )
      }
      expect(fake.calls).to.have.length(16)
    }))
})

describe('the map', () => {
  it('may have endpoints without a name: they are where it was asked', () =>
    withFakes(
      1,
      async ({ fake, backend, routing, entriesOf }) => {
        expect(routing.views().map(({ name }) => name)).to.deep.equal([fake.address(0)])
        expect(await backend.renew(entriesOf('k'))).to.deep.equal([{ type: 'done' }])
      },
      (fake) => {
        fake.ranges = () => all(fake.port(0), null)
      },
    ))

  it('may have holes: their keys have no route, and others are served', () =>
    withFakes(
      1,
      async ({ fake, backend, routing, entriesOf, slotOf }) => {
        const entries = entriesOf('foo', 'bar', 'hello')
        const low = entries.filter(({ key }) => slotOf(key) < 8_192)
        const high = entries.filter(({ key }) => slotOf(key) >= 8_192)
        expect([low.length, high.length]).to.not.include(0)
        for (const { key } of high) expect(routing.routeOf(slotOf(key))).to.equal(-1)
        const outcomes = await backend.renew(entries)
        expect(outcomes.slice(0, low.length)).to.deep.equal(low.map(() => ({ type: 'done' })))
        for (const outcome of outcomes.slice(low.length)) {
          expect(unknownOf(outcome).message).to.match(/^No node serves slot \d+/)
        }
        expect(fake.calls).to.have.length(low.length)
        // Whoever waits for a route is told when there is one.
        fake.ranges = () => all(fake.port(0))
        while (routing.routeOf(16_000) === -1) await backend.ready(-1)
        expect(await backend.renew(entries)).to.deep.equal(entries.map(() => ({ type: 'done' })))
      },
      (fake) => {
        fake.ranges = () => [{ first: 0, last: 8_191, host: '127.0.0.1', port: fake.port(0) }]
      },
    ))

  it('is asked for again after MOVED, once for many', () =>
    withFakes(2, async ({ fake, backend, routing, entriesOf, slotOf }) => {
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      fake.ranges = () => all(fake.port(1))
      fake.onScript = (node, { keys: [key] }) =>
        node === 0 ? `-MOVED ${slotOf(key as string)} ${fake.address(1)}` : undefined
      const asked = (): number => fake.journal.filter(({ words }) => words[0]?.toLowerCase() === 'cluster').length
      const before = asked()
      const outcomes = await backend.renew(entriesOf(...keys))
      expect(outcomes).to.deep.equal(keys.map(() => ({ type: 'done' })))
      await until(
        'all slots have another route',
        () => routing.views().length === 1 && !routing.views()[0]?.name.endsWith(String(fake.port(0))),
      )
      expect(asked() - before).to.be.within(1, 2)
    }))
})

describe('a node that answers every script with', () => {
  for (const reply of [
    'ERR Attempted to access a non local key in a cluster node',
    'CLUSTERDOWN The cluster is down',
    'LOADING Redis is loading the dataset in memory',
    'MASTERDOWN Link with MASTER is down',
  ]) {
    it(`${reply.split(' ', 2).join(' ')} costs one call for each slot, and no lease`, () =>
      withFakes(1, async ({ fake, backend, errors, entriesOf }) => {
        fake.onScript = () => `-${reply}`
        const keys = Array.from({ length: 30 }, (_, index) => `k${index}`)
        const entries = entriesOf(...keys, '{k0}:a', '{k0}:b')
        for (const outcome of await backend.renew(entries)) {
          expect(unknownOf(outcome).message).to.include(`Node ${fake.address(0)}: ${reply}`)
        }
        // The first call sends the script whole.
        expect(fake.calls.length).to.be.within(30, 31)
        expect(errors.map(({ message }) => message)).to.have.length(1)
        expect(errors[0]?.message).to.match(/^Node .*: The server refuses requests: /)
      }))
  }

  it('an error that nobody knows costs a few more calls, and no lease', () =>
    withFakes(1, async ({ fake, backend, entriesOf }) => {
      const keys = Array.from({ length: 30 }, (_, index) => `k${index}`)
      await backend.renew(entriesOf('first'))
      fake.onScript = () => '-ERR something else'
      const before = fake.calls.length
      for (const outcome of await backend.renew(entriesOf(...keys))) unknownOf(outcome)
      expect(fake.calls.length - before).to.be.within(30, 31)
    }))
})
