/** What a backend reports of one of several servers concerns the keys of that server, and no others. */
import { expect } from 'chai'
import { grant, grantAll, watch } from '../support/manager.ts'
import { keysOf, TTL, withServers } from '../support/several-servers.ts'

/** Keys whose places belong to servers 0, 1 and 2. */
const [HERE, THERE, BEYOND] = ['1:a', '25:b', '60:c']

describe('a report about one of several servers', () => {
  for (const [name, report] of [
    ['onSuspect', 'onSuspect'],
    ['onMissed', 'onMissed'],
    ['onUnwatched', 'onUnwatched'],
    ['onForgotten', 'onForgotten'],
  ] as const) {
    it(`lets the waiters for its keys ask again, and no others: ${name}`, () =>
      withServers({}, async ({ manager, open, backend, clock }) => {
        const other = open()
        const held = await grantAll(other.acquireMany([HERE, THERE, BEYOND]))
        const waiters = [HERE, THERE, BEYOND].map((key) => watch(manager.acquire(key, { wait: 60_000 })))
        await clock.settle()
        backend.takeRequests()
        backend.listener[report](1)
        await clock.settle()
        expect(backend.takeRequests().map(({ operation, keys }) => [operation, keys])).to.deep.equal([
          ['acquire', [THERE]],
        ])
        await Promise.all(held.map((lease) => lease.release()))
        await clock.advance(100)
        for (const waiter of waiters) await waiter.value.release()
      }))
  }

  it('onMissed has its leases looked at, and no others', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      const keys = keysOf(90)
      await grantAll(manager.acquireMany(keys))
      backend.takeRequests()
      backend.listener.onMissed(2)
      await clock.advance(20)
      const looked = backend.takeRequests().flatMap((request) => (request.operation === 'verify' ? request.keys : []))
      const own = keys.filter((key) => cluster.storeOf(`lease:${key}`) === cluster.stores[2])
      expect([...looked].sort()).to.deep.equal(own.sort())
    }))

  it('onSuspect has leases verified that are not renewed', () =>
    withServers({}, async ({ manager, backend, clock }) => {
      for (const key of [HERE, THERE]) await manager.acquire(key, { autoRenew: false })
      backend.takeRequests()
      backend.listener.onSuspect(0)
      await clock.settle()
      expect(backend.takeRequests().map(({ operation, keys }) => [operation, keys])).to.deep.equal([['verify', [HERE]]])
    }))

  it('onForgotten lets waiters poll for the keys of that server, and rely on notifications of others', () =>
    withServers({}, async ({ manager, open, backend, clock }) => {
      const held = await grantAll(open().acquireMany([HERE, THERE]))
      const seen = new Map<string, boolean>()
      const retry = {
        next: ({ key, watched }: { readonly key: string; readonly watched: boolean }) => {
          seen.set(key, watched)
          return 1_000
        },
      }
      const waiters = [HERE, THERE].map((key) => watch(manager.acquire(key, { wait: 60_000, retry })))
      await clock.settle()
      backend.listener.onForgotten(1)
      await clock.advance(1_100)
      expect([...seen]).to.deep.equal([
        [HERE, true],
        [THERE, false],
      ])
      await Promise.all(held.map((lease) => lease.release()))
      await clock.advance(100)
      for (const waiter of waiters) await waiter.value.release()
    }))
})

describe('the statistics of several servers', () => {
  it('list each with its name, leases, state, lag and round trips', () =>
    withServers({}, async ({ manager, backend, cluster, clock }) => {
      await grant(manager.tryAcquire(HERE))
      await grantAll(manager.acquireMany([THERE, '26:x', BEYOND]))
      expect(
        manager.stats().routes.map(({ roundTrip, ...rest }) => ({ ...rest, count: roundTrip.count })),
      ).to.deep.equal([
        { name: 'node-0:6379', leases: 1, usable: true, watching: true, lag: 0, count: 1 },
        { name: 'node-1:6379', leases: 2, usable: true, watching: true, lag: 0, count: 1 },
        { name: 'node-2:6379', leases: 1, usable: true, watching: true, lag: 0, count: 1 },
      ])
      cluster.move(26, 0)
      backend.disconnect(2, new Error('gone'))
      // The lease counts for its new server once it is renewed there.
      await clock.advance(TTL / 3)
      expect(manager.stats().routes.map(({ leases, usable }) => [leases, usable])).to.deep.equal([
        [2, true],
        [1, true],
        [1, false],
      ])
    }))

  it('take no look at the leases, or at their places', () =>
    withServers({ places: 16_384 }, async ({ manager, backend }) => {
      await grantAll(manager.acquireMany(keysOf(3_000)))
      let looks = 0
      const routeOf = backend.routing.routeOf.bind(backend.routing)
      backend.routing.routeOf = (place) => {
        looks += 1
        return routeOf(place)
      }
      expect(manager.stats().routes.reduce((sum, { leases }) => sum + leases, 0)).to.equal(3_000)
      expect(looks).to.equal(0)
    }))

  it('forget a server that is gone, once there is another', () =>
    withServers({ servers: 4 }, async ({ manager, backend, cluster, clock }) => {
      // The last server has no place at first.
      for (const place of cluster.map.keys()) if (cluster.map[place] === 3) cluster.map[place] = 2
      await grantAll(manager.acquireMany([HERE, THERE, BEYOND]))
      await clock.advance(TTL)
      const { roundTrip } = manager.stats().routes[2] ?? {}
      expect(roundTrip?.count).to.be.above(0)
      for (const place of cluster.map.keys()) if (cluster.map[place] === 2) cluster.move(place, 3)
      await clock.advance(TTL)
      expect(manager.stats().routes.map(({ name }) => name)).to.deep.equal([
        'node-0:6379',
        'node-1:6379',
        'node-3:6379',
      ])
      // It returns: what was measured at the other one of its name counts no more.
      for (const place of cluster.map.keys()) if (cluster.map[place] === 3) cluster.move(place, 2)
      expect(manager.stats().routes[2]).to.deep.include({ name: 'node-2:6379', leases: 0, lag: 0 })
      expect(manager.stats().routes[2]?.roundTrip.count).to.equal(0)
      expect(backend.watching).to.equal(true)
    }))

  it('P37 let no overload of one keep the keys of others from being deleted', () =>
    withServers({ batchSize: 1 }, async ({ manager, backend, cluster, clock }) => {
      await grantAll(manager.acquireMany(Array.from({ length: 60 }, (_, index) => `25:${index}`)))
      for (const key of [BEYOND, '26:x']) await manager.acquire(key, { maxHold: TTL / 2 })
      backend.nodes[1]?.block()
      await clock.advance(TTL / 2 + 20)
      // Server 1 is behind with its renewals, so a deletion there would cost leases that can still be kept.
      expect(cluster.storeOf(`lease:${BEYOND}`).get(`lease:${BEYOND}`)).to.equal(undefined)
      const released = backend.requests.filter(({ operation }) => operation === 'release')
      expect(released.map(({ keys }) => keys)).to.deep.equal([[BEYOND]])
      backend.nodes[1]?.unblock()
      await clock.advance(TTL)
    }))

  it('P37 report the overload of one, by name, and of no other', () =>
    withServers({ batchSize: 1 }, async ({ manager, backend, clock }) => {
      await grantAll(manager.acquireMany(Array.from({ length: 60 }, (_, index) => `25:${index}`)))
      await grantAll(manager.acquireMany([HERE, BEYOND]))
      const overloads: unknown[] = []
      manager.on('overload', ({ route, overloaded }) => overloads.push([route, overloaded]))
      backend.nodes[1]?.block()
      await clock.advance(TTL * 0.75)
      expect(overloads[0]).to.deep.equal(['node-1:6379', true])
      const { load, routes } = manager.stats()
      expect(load).to.include({ overloaded: true })
      expect(load.behind).to.be.above(0)
      expect(routes.map(({ lag }) => lag > 1 / 6)).to.deep.equal([false, true, false])
      backend.nodes[1]?.unblock()
      await clock.advance(TTL)
      expect(overloads.at(-1)).to.deep.equal(['node-1:6379', false])
      expect(manager.stats().load).to.include({ overloaded: false, behind: 0 })
    }))
})
