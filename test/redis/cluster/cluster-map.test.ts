import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { Cluster } from 'ioredis'
import { type Clock, SystemClock } from '#src/time/clock.js'
import { type FakeRange, withFakeCluster } from '../../support/fake-cluster.ts'
import { until } from '../../support/until.ts'
import { Stage, typesOf, withStage } from './stage.ts'

describe('the map of a cluster', () => {
  it('is renewed while a name of the application cannot be looked up', () =>
    withFakeCluster(2, async (fake) => {
      for (const fail of [() => undefined, () => expect.fail('the resolver is broken')]) {
        fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: fake.port(0) }]
        let works = true
        const client = new Cluster([{ host: 'config.example', port: fake.port(0) }], {
          lazyConnect: true,
          dnsLookup: (_name, callback) => (works ? callback(null, '127.0.0.1', 4) : fail()),
        })
        await withStage(client, {}, async (stage) => {
          works = false
          const slot = stage.slotOf('k')
          fake.onScript = (node) => (node === 0 ? `-MOVED ${slot} ${fake.address(1)}` : undefined)
          // A map that was asked for while the resolver worked has come by the end of this call.
          await stage.backend.acquire(stage.entriesOf('k'))
          fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: fake.port(1) }]
          await until('the map has the other slots, too', async () => {
            // A map without news leads to the first node, which makes the backend ask for another.
            await stage.backend.acquire(stage.entriesOf('k'))
            return stage.nodeOf('another') === fake.address(1)
          })
        })
      }
    }))

  it('is asked for at the nodes that the application named if all others are gone, however many', () =>
    withFakeCluster(1, async (fake) => {
      // Nobody listens at these ports.
      const gone = Array.from({ length: 12 }, (_, index) => index + 1)
      fake.ranges = () => gone.map((port) => ({ first: port, last: port, host: '127.0.0.1', port }))
      const stage = new Stage(new Cluster([fake.port(0)], { lazyConnect: true }), {})
      try {
        await until('the map has the nodes that are gone', () => stage.routing.views().length === gone.length)
        fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: fake.port(0) }]
        await until('the map has the node that is there', () => stage.nodeOf('k') === fake.address(0))
      } finally {
        await stage.backend.close()
      }
    }))

  it('is asked for at the node that sent a call to another: that one knows it', () =>
    withFakeCluster(3, async (fake) => {
      const halves = (first: number): FakeRange[] => [
        { first: 0, last: 8_191, host: '127.0.0.1', port: fake.port(first) },
        { first: 8_192, last: 16_383, host: '127.0.0.1', port: fake.port(2) },
      ]
      fake.ranges = () => halves(0)
      // The third node is asked first of all, because it has been there for longest.
      let greet = (): void => undefined
      const greeted = new Promise<void>((resolve) => {
        greet = resolve
      })
      fake.onGreeting = (node) => (node === 0 ? greeted : undefined)
      const stage = new Stage(new Cluster([fake.port(2)], { lazyConnect: true }), {})
      try {
        await until('one node can be asked', () => stage.routing.views().some(({ usable }) => usable))
        greet()
        await stage.untilReady()
        fake.ranges = (node) => halves(node === 2 ? 0 : 1)
        const key = Array.from({ length: 100 }, (_, index) => `key ${index}`).find((one) => stage.slotOf(one) < 8_192)
        const slot = stage.slotOf(key as string)
        fake.onScript = (node) => (node === 0 ? `-MOVED ${slot} ${fake.address(1)}` : undefined)
        // While the first node was away maps were asked for all the time.
        let asks = -1
        await until('no more maps are asked for', async () => {
          const before = asks
          asks = fake.journal.filter(({ words }) => words[0]?.toLowerCase() === 'cluster').length
          if (asks !== before) await setTimeout(300)
          return asks === before
        })
        fake.journal.length = 0
        expect(typesOf(await stage.backend.renew(stage.entriesOf(key as string)))).to.deep.equal(['done'])
        const asked = () => fake.journal.find(({ words }) => words[0]?.toLowerCase() === 'cluster')?.node
        await until('a map is asked for', () => asked() !== undefined)
        expect(asked()).to.equal(0)
      } finally {
        await stage.backend.close()
      }
    }))

  it('is not asked for any more once the backend is closed', () =>
    withFakeCluster(3, async (fake) => {
      // The second node is asked because the first one has failed, and not because it is slow.
      const clock = new SystemClock()
      const slow: Clock = {
        now: () => clock.now(),
        soon: (callback) => clock.soon(callback),
        setTimer: (callback, delay) => clock.setTimer(callback, 1_000 * delay),
      }
      const client = new Cluster([fake.port(0), fake.port(1)], { lazyConnect: true })
      const stage = new Stage(client, { clock: slow })
      await new Promise<void>((resolve) => {
        fake.onGreeting = () => {
          resolve()
          return new Promise(() => undefined)
        }
      })
      await stage.backend.close()
      // What the first backend has sent is read before this one is ready.
      fake.onGreeting = () => undefined
      fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: fake.port(2) }]
      await withStage(new Cluster([fake.port(2)], { lazyConnect: true }), {}, async () => {
        expect(fake.namesAt(1)).to.deep.equal([])
      })
    }))
})

describe('a node of a cluster', () => {
  it('whose keys are gone has all leases renewed, unless it drops them because it serves them no more', () =>
    withFakeCluster(2, (fake) =>
      withStage(new Cluster([fake.port(0)], { lazyConnect: true }), { watch: true }, async (stage) => {
        const { told } = stage
        const route = stage.routing.routeOf(stage.slotOf('k'))
        const flushes = () => told.filter((one) => one.name === 'onChange' && !one.keys && one.route === route).length
        await until('the node reports changes', () => stage.backend.watching && flushes() > 0)
        told.length = 0
        fake.tellChange(0)
        await until('the flush is told', () => flushes() === 1)
        fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: fake.port(1) }]
        fake.tellChange(0)
        await until('the other node serves the keys', () => stage.nodeOf('k') === fake.address(1))
        await until('the other node reports changes', () => stage.backend.watching)
        expect(flushes()).to.equal(1)
      }),
    ))

  it('has its name in the reason why it cannot be asked', () =>
    withFakeCluster(1, async (fake) => {
      // Nobody listens at this port.
      fake.ranges = () => [{ first: 0, last: 16_383, host: '127.0.0.1', port: 1 }]
      const stage = new Stage(new Cluster([fake.port(0)], { lazyConnect: true }), {})
      const faultNow = () => stage.routing.faultOf(stage.routing.routeOf(stage.slotOf('k')))
      try {
        await until('the node is known', () => stage.nodeOf('k') === '127.0.0.1:1')
        expect(faultNow()?.message).to.match(/^Node 127\.0\.0\.1:1/)
        await until('there is a reason', () => faultNow()?.message.includes('ECONNREFUSED') ?? false)
        expect(faultNow()?.message).to.match(/^Node 127\.0\.0\.1:1: .*ECONNREFUSED/)
      } finally {
        await stage.backend.close()
      }
    }))

  it('that a replica has replaced names keys in vain; one that gives slots away does not', () =>
    withFakeCluster(3, (fake) => {
      /** The first half of the slots is served by a node that has a replica, but one of them by the third node. */
      const rangesOf = (master: number, replica: number, except: number): FakeRange[] => {
        const own = { host: '127.0.0.1', port: fake.port(master), replicas: [fake.port(replica)] }
        const other = { host: '127.0.0.1', port: fake.port(2) }
        return [
          { first: 0, last: except - 1, ...own },
          { first: except, last: except, ...other },
          { first: except + 1, last: 8_191, ...own },
          { first: 8_192, last: 16_383, ...other },
        ]
      }
      fake.ranges = () => rangesOf(0, 1, 1)
      return withStage(new Cluster([fake.port(0)], { lazyConnect: true }), { watch: true }, async (stage) => {
        await stage.untilWatching()
        const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`)
        const [moved, kept] = keys.filter((key) => stage.slotOf(key) < 8_192) as [string, string]
        const redirect = (key: string, node: number): void => {
          fake.onScript = (asked) => (asked === 0 ? `-MOVED ${stage.slotOf(key)} ${fake.address(node)}` : undefined)
        }
        redirect(moved, 2)
        fake.ranges = () => rangesOf(0, 1, stage.slotOf(moved))
        expect(typesOf(await stage.backend.renew(stage.entriesOf(moved), true))).to.deep.equal(['done'])
        fake.tellChange(0, [moved])
        await until('the key is verified at its new node', () => stage.changed.includes(moved))
        redirect(kept, 1)
        fake.ranges = () => rangesOf(1, 0, stage.slotOf(moved))
        expect(typesOf(await stage.backend.renew(stage.entriesOf(kept), true))).to.deep.equal(['done'])
        fake.tellChange(0, [kept])
        await until('the failover is told', () => stage.told.some(({ name }) => name === 'onSuspect'))
        await until('it is not listened to any more', () => !fake.isListenedTo(0))
        expect(stage.changed).not.to.include(kept)
        redirect(kept, 0)
        fake.ranges = () => rangesOf(0, 1, stage.slotOf(moved))
        expect(typesOf(await stage.backend.renew(stage.entriesOf(kept), true))).to.deep.equal(['done'])
        await until('it serves slots again, and is listened to', () => fake.isListenedTo(0))
        fake.tellChange(0, [kept])
        await until('a change there is told again', () => stage.changed.includes(kept))
      })
    }))

  it('is named once if it refuses requests', () =>
    withFakeCluster(1, (fake) =>
      withStage(new Cluster([fake.port(0)], { lazyConnect: true }), {}, async (stage) => {
        fake.onScript = () => "-NOPERM this user has no permissions to run the 'eval' command"
        expect(typesOf(await stage.backend.acquire(stage.entriesOf('k')))).to.deep.equal(['unknown'])
        expect(stage.errors.map(({ message }) => message.split('Node ').length - 1)).to.deep.equal([1])
      }),
    ))
})

describe('a node that is named while the backend is closed', () => {
  it('is not connected to', () =>
    withFakeCluster(2, async (fake) => {
      const stage = new Stage(new Cluster([fake.port(0)], { lazyConnect: true }), {})
      await stage.untilReady()
      fake.onScript = (node) => (node === 0 ? `-MOVED ${stage.slotOf('k')} ${fake.address(1)}` : undefined)
      const asked = stage.backend.acquire(stage.entriesOf('k'))
      await stage.backend.close()
      expect(typesOf(await asked)).to.deep.equal(['unknown'])
      expect(fake.namesAt(1)).to.deep.equal([])
    }))
})
