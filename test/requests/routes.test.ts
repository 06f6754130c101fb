/** Requests if there are several servers: each has keys of one, waits for that one only, and goes where its keys are by then. */
import { expect } from 'chai'
import { LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { grant, grantAll, rejectionOf, watch } from '../support/manager.ts'
import type { Asked, RoutedRequest } from '../support/routed-backend.ts'
import { keysOf, TTL, withServers } from '../support/several-servers.ts'

const GONE = new Error('node-1:6379 is gone')
const TIMEOUT = TTL / 6

function keysIn(requests: readonly RoutedRequest[], operation: Asked): (readonly string[])[] {
  return requests.filter((request) => request.operation === operation).map(({ keys }) => keys)
}

describe('requests to several servers', () => {
  it('P36 leave together, one for each server, in the order of the places', () =>
    withServers({}, async ({ manager, backend }) => {
      const keys = ['60:a', '3:b', '25:c', '1:d', '61:e', '3:f']
      await Promise.all(keys.map((key) => manager.acquire(key)))
      expect(keysIn(backend.takeRequests(), 'acquire')).to.deep.equal([
        ['60:a', '61:e'],
        ['1:d', '3:b', '3:f'],
        ['25:c'],
      ])
      await Promise.all([...manager].map((lease) => lease.release()))
      expect(
        keysIn(backend.takeRequests(), 'release')
          .map(({ length }) => length)
          .sort((a, b) => a - b),
      ).to.deep.equal([1, 2, 3])
    }))

  for (const [how, begin] of [
    ['hangs', 'block'],
    ['is gone', 'disconnect'],
  ] as const) {
    it(`P37 are not delayed by another server that ${how}`, () =>
      withServers({}, async ({ manager, backend, clock }) => {
        if (begin === 'block') backend.nodes[1]?.block()
        else backend.disconnect(1, GONE)
        const away = watch(manager.acquire('25:a', { wait: 0 }))
        const elsewhere = await Promise.all([manager.acquire('1:b'), manager.acquire('60:c')])
        expect(elsewhere.map(({ held }) => held)).to.deep.equal([true, true])
        await Promise.all(elsewhere.map((lease) => lease.release()))
        expect(away.state).to.equal('pending')
        await clock.advance(TIMEOUT + 20)
        expect(away.error).to.be.instanceOf(UnavailableError)
      }))
  }

  it('name the server that did not answer', () =>
    withServers({}, async ({ manager, backend, clock }) => {
      backend.disconnect(1, GONE)
      const failures = [
        watch(manager.tryAcquire('25:a')),
        watch(manager.acquire('25:b', { wait: 300 })),
        watch(manager.acquireMany(['25:c'])),
        watch(manager.inspect('25:d')),
        watch(manager.forceRelease('25:e')),
      ]
      await clock.advance(TIMEOUT + 20)
      for (const { error } of failures) expect((error as Error).message).to.match(/node-1:6379 is gone/)
    }))

  it('go to the server that has the key when the wait is over', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      backend.disconnect(1, GONE)
      const lease = watch(manager.acquire('25:a'))
      await clock.advance(TIMEOUT / 2)
      expect(lease.state).to.equal('pending')
      cluster.move(25, 2)
      await clock.settle()
      expect(lease.value.held).to.equal(true)
      expect(backend.requests.map(({ routes }) => routes)).to.deep.equal([[2]])
    }))

  it('wait for the next server if the key belongs to another that is gone too', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      backend.disconnect(1, GONE)
      backend.disconnect(2, GONE)
      const lease = watch(manager.acquire('25:a'))
      await clock.settle()
      cluster.move(25, 2)
      await clock.settle()
      expect(lease.state).to.equal('pending')
      expect(backend.requests).to.deep.equal([])
      backend.reconnect(2)
      await clock.settle()
      expect(lease.value.held).to.equal(true)
    }))

  it('are divided if some of their keys have moved while they waited', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      backend.disconnect(1, GONE)
      const leases = watch(grantAll(manager.acquireMany(['25:a', '26:b', '27:c', '28:d'])))
      await clock.settle()
      cluster.map[26] = 2
      cluster.map[28] = 0
      backend.reconnect(1)
      await clock.settle()
      expect(leases.value.map(({ key, held }) => [key, held])).to.deep.equal([
        ['25:a', true],
        ['26:b', true],
        ['27:c', true],
        ['28:d', true],
      ])
      expect(keysIn(backend.requests, 'acquire')).to.deep.equal([['25:a', '27:c'], ['26:b'], ['28:d']])
    }))

  it('keep the answers of one server if they were divided and another hangs', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      backend.disconnect(1, GONE)
      const leases = watch(Promise.allSettled(['25:a', '26:b'].map((key) => manager.tryAcquire(key))))
      await clock.settle()
      cluster.map[26] = 2
      backend.nodes[2]?.block()
      backend.reconnect(1)
      await clock.advance(TIMEOUT + 20)
      expect(leases.value.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected'])
      expect(manager.get('25:a')?.held).to.equal(true)
    }))

  it('P11 are sent once more, to the server that has the key by then, if the connection breaks', () =>
    withServers({}, async ({ manager, backend, cluster }) => {
      const acquire = backend.acquire.bind(backend)
      let broken = false
      backend.acquire = async (entries, isWatched) => {
        const outcomes = await acquire(entries, isWatched)
        if (broken) return outcomes
        broken = true
        cluster.move(25, 2)
        return outcomes.map(() => ({ type: 'unknown', error: new UnavailableError('The connection broke') }))
      }
      const lease = await grant(manager.tryAcquire('25:a'))
      expect(lease.held).to.equal(true)
      const acquires = backend.requests.filter(({ operation }) => operation === 'acquire')
      expect(acquires.map(({ routes }) => routes)).to.deep.equal([[1], [2]])
    }))

  it('for keys that no server is known for travel by themselves, and are refused with a reason', () =>
    withServers({}, async ({ manager, backend, cluster }) => {
      cluster.map[25] = -1
      const lost = watch(manager.tryAcquire('25:a'))
      const lease = await grant(manager.tryAcquire('26:b'))
      expect(lease.held).to.equal(true)
      expect((lost.error as Error).message).to.match(/No server is known for this key/)
      expect(keysIn(backend.requests, 'acquire')).to.deep.equal([['25:a'], ['26:b']])
      cluster.map[25] = 1
    }))
})

describe('many keys on several servers', () => {
  it('P36 are acquired in requests of one server, and returned in the order of the call', () =>
    withServers({ batchSize: 16 }, async ({ manager, backend }) => {
      const keys = keysOf(500)
      const leases = await grantAll(manager.acquireMany(keys))
      expect(leases.map(({ key }) => key)).to.deep.equal(keys)
      expect(backend.requests.length).to.be.below((500 / 16) * 1.4)
    }))

  it('are null if they stand twice or are held elsewhere', () =>
    withServers({ batchSize: 4 }, async ({ manager, open }) => {
      await grantAll(open().acquireMany(['25:a', '1:x']))
      const leases = await manager.acquireMany(['60:b', '25:a', '60:b', '3:c', '1:x'])
      expect(leases.map((lease) => lease?.key ?? null)).to.deep.equal(['60:b', null, null, '3:c', null])
    }))

  it('P37 are acquired and released on all servers but the one that hangs', () =>
    withServers({ batchSize: 8 }, async ({ manager, backend, cluster, clock }) => {
      backend.nodes[1]?.block()
      const keys = keysOf(3_000)
      const call = watch(manager.acquireMany(keys))
      await clock.settle()
      const elsewhere = keys.filter((key) => cluster.storeOf(`lease:${key}`) !== cluster.stores[1]).length
      expect(manager.size).to.equal(elsewhere)
      await clock.advance(TIMEOUT + 20)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(manager.size).to.equal(0)
    }))

  it('P37 are released by close on all servers but the one that hangs', () =>
    withServers({ batchSize: 8 }, async ({ manager, backend, cluster, clock }) => {
      await grantAll(manager.acquireMany(keysOf(3_000)))
      backend.nodes[1]?.block()
      const closed = manager.close({ timeout: 500 })
      await clock.advance(0)
      expect([0, 2].map((route) => cluster.stores[route]?.keys().length)).to.deep.equal([0, 0])
      await clock.advance(2_000)
      await closed
    }))

  it('P37 are left to expire by close, after three timeouts at most, on a server that hangs', () =>
    withServers({ ttl: 60_000, timeout: 1_000, batchSize: 8 }, async ({ manager, backend, cluster, clock }) => {
      await grantAll(manager.acquireMany(keysOf(3_000)))
      backend.nodes[1]?.block()
      const closed = watch(manager.close())
      await clock.advance(1_900)
      expect(closed.state).to.equal('pending')
      // Each lock there is asked for, however many batches that takes.
      const own = cluster.stores[1]?.keys() ?? []
      const asked = new Set(backend.requests.flatMap(({ operation, keys }) => (operation === 'release' ? keys : [])))
      expect(own.every((name) => asked.has(name.slice('lease:'.length)))).to.equal(true)
      await clock.advance(2_200)
      expect(closed.state).to.equal('fulfilled')
    }))

  it('are released by close on a server that answers again within two timeouts', () =>
    withServers({ ttl: 60_000, timeout: 1_000, batchSize: 8 }, async ({ manager, backend, cluster, clock }) => {
      await grantAll(manager.acquireMany(keysOf(3_000)))
      backend.nodes[1]?.block()
      const closed = watch(manager.close())
      await clock.advance(1_200)
      backend.nodes[1]?.unblock()
      await clock.advance(1_000)
      expect(cluster.stores.map((store) => store.keys().length)).to.deep.equal([0, 0, 0])
      expect(closed.state).to.equal('fulfilled')
    }))

  it('are all acquired or none, without a deadlock of two managers that want them in other orders', () =>
    withServers({ batchSize: 4 }, async ({ manager, open, clock }) => {
      const other = open()
      const keys = ['60:a', '1:b', '25:c', '3:d', '61:e', '26:f', '2:g']
      const winners: string[] = []
      const take = async (one: typeof manager, name: string, order: readonly string[]): Promise<void> => {
        const leases = await one.acquireAll(order, { wait: 60_000 })
        expect(leases.map(({ key }) => key)).to.deep.equal(order)
        winners.push(name)
        await Promise.all(leases.map((lease) => lease.release()))
      }
      const both = watch(
        Promise.all([
          ...Array.from({ length: 5 }, () => take(manager, 'one', keys)),
          ...Array.from({ length: 5 }, () => take(other, 'other', [...keys].reverse())),
        ]),
      )
      await clock.advance(30_000)
      expect(both.state).to.equal('fulfilled')
      expect(winners).to.have.length(10)
    }))

  it('are all given back if one of several servers refuses a key', () =>
    withServers({}, async ({ manager, open, cluster }) => {
      await open().acquire('25:c')
      const error = await rejectionOf(manager.acquireAll(['60:a', '1:b', '25:c'], { wait: 0 }))
      expect(error).to.be.instanceOf(LockNotAcquiredError)
      expect(cluster.stores.flatMap((store) => store.keys())).to.deep.equal(['lease:25:c'])
    }))
})
