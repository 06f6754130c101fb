/**
 * Renewals if there are several servers: leases of one place are due together, a place is asked for in few batches, and a server that is silent
 * delays no other. The cost of a cluster is a call for each place of a request, so these tests count places.
 */
import { expect } from 'chai'
import type { Lease } from 'leasewheel'
import { grantAll, heldFor, randomFrom, watch } from '../support/manager.ts'
import { callsOf } from '../support/routed-backend.ts'
import { keysOf, type Scene, TTL, withServers } from '../support/several-servers.ts'

/** Renewals of a lease are this far apart, in ms. */
const PERIOD = TTL / 3

/** Acquires the keys in groups of random sizes, a random time apart. */
async function acquireInGroups({ manager, clock }: Scene, keys: readonly string[], random: () => number) {
  const leases: Lease[] = []
  for (let start = 0; start < keys.length; ) {
    const end = start + 1 + Math.floor(random() * 300)
    leases.push(...(await grantAll(manager.acquireMany(keys.slice(start, end)))))
    await clock.advance(random() * 40)
    start = end
  }
  return leases
}

/** The calls of one period. */
async function callsOfAPeriod({ clock, backend }: Scene): Promise<number> {
  const before = backend.requests.length
  await clock.advance(PERIOD)
  return callsOf(backend.requests.slice(before))
}

function occupied({ cluster, manager }: Scene): number {
  return new Set([...manager].map(({ key }) => cluster.placeOf(`lease:${key}`))).size
}

describe('renewals of leases on several servers', () => {
  it('P36 cost a call for each place that has leases, also after acquires, releases and failures', () =>
    withServers({ places: 400, batchSize: 32 }, async (scene) => {
      const { manager, clock, backend } = scene
      const random = randomFrom(7)
      const leases = await acquireInGroups(scene, keysOf(2_400), random)
      await clock.advance(2 * PERIOD)
      expect(await callsOfAPeriod(scene), 'after the acquires').to.be.within(390, occupied(scene) * 1.05)

      for (const lease of leases) if (random() < 0.3) void lease.release()
      await acquireInGroups(scene, keysOf(800, 10_000), random)
      await clock.advance(2 * PERIOD)
      expect(await callsOfAPeriod(scene), 'after releases and more acquires').to.be.below(occupied(scene) * 1.05)

      backend.fail(1, new Error('LOADING'))
      await clock.advance(PERIOD)
      backend.fail(1, undefined)
      await clock.advance(2 * PERIOD)
      expect(manager.stats()).to.deep.include({ jeopardy: 0, lost: { expired: 0, taken: 0, missing: 0, maxHold: 0 } })
      expect(await callsOfAPeriod(scene), 'after an outage of one server').to.be.below(occupied(scene) * 1.05)
    }))

  it('P36 spread over the period, whenever the leases were acquired', () =>
    withServers({ places: 1_024, batchSize: 64 }, async (scene) => {
      const { manager, clock, backend } = scene
      await grantAll(manager.acquireMany(keysOf(4_096)))
      await clock.advance(PERIOD)
      backend.takeRequests()
      await clock.advance(PERIOD)
      const tenths = Array.from({ length: 10 }, () => 0)
      for (const { at, keys } of backend.requests) {
        const tenth = Math.floor(((at % PERIOD) / PERIOD) * 10)
        tenths[tenth] = (tenths[tenth] ?? 0) + keys.length
      }
      for (const share of tenths) expect(share).to.be.within(300, 520)
    }))

  it('P36 ask every server all the time, not each in its turn', () =>
    withServers({ places: 1_024, batchSize: 64 }, async (scene) => {
      const { manager, clock, backend } = scene
      await grantAll(manager.acquireMany(keysOf(4_096)))
      await clock.advance(PERIOD)
      backend.takeRequests()
      const start = clock.now()
      await clock.advance(PERIOD)
      for (const route of [0, 1, 2]) {
        const times = backend.requests.filter(({ routes }) => routes[0] === route).map(({ at }) => at)
        const gaps = [...times, clock.now()].map((at, index) => at - (times[index - 1] ?? start))
        expect(Math.max(...gaps), `server ${route}`).to.be.at.most(PERIOD / 8)
      }
    }))

  it('P36 of one crowded place are no burst, and travel in full batches', () =>
    withServers({ batchSize: 64 }, async (scene) => {
      const { manager, clock, backend } = scene
      const keys = Array.from({ length: 6_400 }, (_, index) => `5:${index}`)
      await grantAll(manager.acquireMany(keys))
      await clock.advance(2 * PERIOD)
      backend.takeRequests()
      await clock.advance(PERIOD)
      const beats = new Map<number, number>()
      for (const { at, keys: renewed } of backend.requests) beats.set(at, (beats.get(at) ?? 0) + renewed.length)
      expect(Math.max(...beats.values())).to.be.below(6_400 / 8)
      expect(backend.requests.length).to.be.below(160)
    }))

  it('P36 of a place that is crowded little by little spread too, and come together when the crowd has gone', () =>
    withServers({ batchSize: 16 }, async (scene) => {
      const { manager, clock, backend } = scene
      const leases: Lease[] = []
      for (let index = 0; index < 320; index += 1) {
        leases.push(...(await grantAll(manager.acquireMany([`5:${index}`]))))
        await clock.advance(20)
      }
      await clock.advance(3 * PERIOD)
      backend.takeRequests()
      await clock.advance(PERIOD)
      const beats = new Map<number, number>()
      for (const { at, keys } of backend.requests) beats.set(at, (beats.get(at) ?? 0) + keys.length)
      expect(Math.max(...beats.values())).to.be.below(320 / 3)
      expect(backend.requests.length).to.be.below(320 / 4)

      await Promise.all(leases.slice(12).map((lease) => lease.release()))
      await clock.advance(3 * PERIOD)
      expect(await callsOfAPeriod(scene)).to.equal(1)
    }))

  it('P36 of a place beside a crowded one are due at their own time', () =>
    withServers({ places: 1_024, batchSize: 16 }, async ({ manager, clock, backend }) => {
      const crowd = Array.from({ length: 40 }, (_, index) => `5:${index}`)
      await grantAll(manager.acquireMany([...crowd, '6:a']))
      await clock.advance(PERIOD)
      backend.takeRequests()
      await clock.advance(PERIOD)
      const times = backend.requests.filter(({ keys }) => keys.includes('6:a')).map(({ at }) => at % PERIOD)
      expect(times).to.deep.equal([0])
    }))

  it('P10 join no cohort that has expired unnoticed', () =>
    withServers({}, async ({ manager, clock, backend }) => {
      const first = await manager.acquire('5:a')
      await clock.advance(30)
      backend.nodes[0]?.block()
      const second = watch(manager.acquire('5:b'))
      await clock.settle()
      // The event loop is blocked until the first lease is over, and nobody has noticed yet.
      clock.jump(heldFor(TTL) - 20)
      backend.nodes[0]?.unblock()
      await Promise.resolve()
      await clock.settle()
      expect(first.held).to.equal(false)
      expect(second.value.held).to.equal(true)
    }))

  it('P36 of neighbouring places share batches, in the order of the places', () =>
    withServers({ batchSize: 64 }, async (scene) => {
      const { manager, clock, backend } = scene
      await acquireInGroups(scene, keysOf(200), randomFrom(3))
      await clock.advance(2 * PERIOD)
      backend.takeRequests()
      await clock.advance(PERIOD)
      expect(backend.requests.reduce((sum, { keys }) => sum + keys.length, 0)).to.equal(200)
      // A beat of ttl / 100 divides the period into 33, and each is of two servers.
      expect(backend.requests.length).to.be.at.most(70)
      expect(manager.size).to.equal(200)
    }))
})

describe('a server that does not answer', () => {
  for (const [how, begin] of [
    ['hangs', ({ backend }: Scene) => backend.nodes[1]?.block()],
    ['refuses everything', ({ backend }: Scene) => backend.fail(1, new Error('CLUSTERDOWN'))],
  ] as const) {
    it(`P37 delays no renewal of another one if it ${how}`, () =>
      withServers({}, async (scene) => {
        const { manager, clock, cluster, backend } = scene
        const leases = await grantAll(manager.acquireMany(keysOf(3_000)))
        const own = new Set(leases.filter(({ key }) => cluster.storeOf(`lease:${key}`) === cluster.stores[1]))
        const troubled = new Set<Lease>()
        manager.on('jeopardy', ({ lease }) => troubled.add(lease))
        manager.on('lost', ({ lease }) => troubled.add(lease))
        await clock.advance(PERIOD)
        begin(scene)
        backend.takeRequests()
        await clock.advance(2 * TTL)
        expect([...troubled].every((lease) => own.has(lease))).to.equal(true)
        expect(troubled.size).to.equal(own.size)
        const last = new Map<string, number>()
        for (const { operation, routes, keys, at } of backend.takeRequests()) {
          if (operation !== 'renew' || routes.includes(1)) continue
          for (const key of keys) {
            expect(at - (last.get(key) ?? at)).to.be.at.most(PERIOD + 50)
            last.set(key, at)
          }
        }
        expect(last.size).to.equal(leases.length - own.size)
      }))
  }

  it('P37 sends the renewals of one tick to all others at that very tick', async () => {
    /** When each lease of servers 0 and 2 was renewed, if server 1 hangs or not. All places are due at the same ticks. */
    const timesOf = async (hangs: boolean): Promise<string[]> => {
      const times: string[] = []
      await withServers({ places: 3, batchSize: 1, random: () => 0 }, async ({ manager, clock, backend }) => {
        const keys = Array.from({ length: 60 }, (_, index) => `${index % 3}:${index}`)
        await grantAll(manager.acquireMany(keys))
        if (hangs) backend.nodes[1]?.block()
        for (let tick = 0; tick < 3; tick += 1) {
          // All of them at once, and the one that hangs is not the last.
          for (const route of [1, 0, 2]) backend.listener.onSuspect(route)
          await clock.settle()
          const now = clock.now()
          for (const { operation, routes, keys: asked } of backend.takeRequests()) {
            if (operation === 'renew' && !routes.includes(1)) times.push(`${now} ${asked.join()}`)
          }
          await clock.advance(70)
        }
      })
      return times.sort()
    }
    const times = await timesOf(false)
    expect(times.length).to.be.at.least(120)
    expect(await timesOf(true)).to.deep.equal(times)
  })

  it('P37 is named by the failures of its renewals', () =>
    withServers({}, async ({ manager, clock, backend }) => {
      await grantAll(manager.acquireMany(['25:a', '45:b']))
      const errors: string[] = []
      manager.on('jeopardy', ({ lease, error }) => errors.push(`${lease.key}: ${error.message}`))
      backend.nodes[1]?.block()
      backend.routing.faultOf = (route) => (route === 1 ? new Error('node-1:6379 is silent') : undefined)
      await clock.advance(PERIOD + 1_500)
      expect(errors).to.deep.equal(['25:a: A renewal was not answered within 1000 ms: node-1:6379 is silent'])
    }))
})

describe('a place that moves to another server', () => {
  it('P36 takes its leases with it, and no request has keys of two servers', () =>
    withServers({ batchSize: 64 }, async (scene) => {
      const { manager, clock, cluster, backend } = scene
      await acquireInGroups(scene, keysOf(1_500), randomFrom(11))
      for (let place = 0; place < cluster.places; place += 3) {
        cluster.move(place, (place * 7) % 3)
        await clock.advance(170)
      }
      await clock.advance(2 * PERIOD)
      const { lost, jeopardy } = manager.stats()
      expect({ lost, jeopardy }).to.deep.equal({ lost: { expired: 0, taken: 0, missing: 0, maxHold: 0 }, jeopardy: 0 })
      expect(await callsOfAPeriod(scene)).to.be.below(occupied(scene) * 1.05)
      expect(backend.requests.every(({ routes }) => routes.length === 1)).to.equal(true)
    }))

  it('P37 delays no renewal of another one by a burst: in each turn of the event loop it is asked for some places', () =>
    withServers({ places: 1_024, batchSize: 64 }, async ({ manager, clock, backend }) => {
      await grantAll(manager.acquireMany(Array.from({ length: 320 }, (_, index) => `${345 + index}:burst`)))
      await grantAll(manager.acquireMany(['2:other']))
      const turns: string[][] = [[]]
      clock.soon = (callback) =>
        void setImmediate(() => {
          turns.push([])
          callback()
        })
      const renew = backend.renew.bind(backend)
      backend.renew = (entries, isWatched) => {
        turns.at(-1)?.push(...entries.map(({ key }) => key))
        return renew(entries, isWatched)
      }
      for (const route of [1, 0]) backend.listener.onSuspect(route)
      while (turns.flat().length < 321) await clock.settle()
      const sent = turns.filter((keys) => keys.length > 0)
      // A batch is begun as long as fewer than 128 places were asked for.
      const most = Math.max(...sent.map((keys) => keys.filter((key) => key.endsWith('burst')).length))
      expect(most).to.be.within(64, 127 + 64)
      expect(sent[0]).to.include('2:other')
    }))

  it('P37 takes along the renewals that wait for a server that hangs', () =>
    withServers({ batchSize: 1 }, async ({ manager, clock, cluster, backend }) => {
      await grantAll(manager.acquireMany(Array.from({ length: 60 }, (_, index) => `25:${index}`)))
      backend.nodes[1]?.block()
      backend.listener.onSuspect(1)
      await clock.settle()
      // No more are on their way to one server at once; the others wait.
      expect(backend.takeRequests().filter(({ operation }) => operation === 'renew')).to.have.length(16)
      cluster.move(25, 2)
      backend.listener.onSuspect(2)
      await clock.settle()
      const renewed = new Set(backend.requests.filter(({ routes }) => routes[0] === 2).flatMap(({ keys }) => keys))
      expect(renewed.size).to.equal(44)
    }))

  it('P37 renews at its new server at once what the old one does not answer, without a pause', () =>
    withServers({}, async ({ manager, clock, cluster, backend }) => {
      await grantAll(manager.acquireMany(['25:a']))
      backend.nodes[1]?.block()
      backend.listener.onSuspect(1)
      await clock.settle()
      cluster.move(25, 2)
      backend.listener.onSuspect(2)
      await clock.settle()
      // One request is under way to the old server until it is overdue.
      const routes = (): (number | undefined)[] => backend.requests.flatMap(({ routes: [route] }) => route)
      backend.takeRequests()
      await clock.advance(TTL / 6 + 30)
      expect(routes()).to.deep.equal([2])
    }))

  it('P36 is noticed just before renewals are sent that have waited', () =>
    withServers({ places: 256, batchSize: 4 }, async ({ manager, clock, cluster, backend }) => {
      const keys = Array.from({ length: 160 }, (_, index) => `${88 + (index % 80)}:${index}`)
      await grantAll(manager.acquireMany(keys))
      let answer = (): void => undefined
      const answered = new Promise<void>((resolve) => {
        answer = resolve
      })
      const renew = backend.renew.bind(backend)
      backend.renew = async (entries, isWatched) => {
        const outcomes = await renew(entries, isWatched)
        await answered
        return outcomes
      }
      backend.takeRequests()
      backend.listener.onSuspect(1)
      await clock.settle()
      expect(backend.requests).to.have.length(16)
      for (let place = 88; place < 168; place += 2) cluster.move(place, 2)
      answer()
      await clock.settle()
      expect(new Set(backend.requests.flatMap(({ keys: asked }) => asked)).size).to.equal(160)
    }))

  it('P37 takes along the renewals that nobody has sent within their timeout', () =>
    withServers({ places: 256, batchSize: 4 }, async ({ manager, clock, cluster, backend }) => {
      const keys = Array.from({ length: 160 }, (_, index) => `${88 + (index % 80)}:${index}`)
      await grantAll(manager.acquireMany(keys))
      backend.nodes[1]?.block()
      backend.listener.onSuspect(1)
      await clock.settle()
      for (let place = 88; place < 168; place += 2) cluster.move(place, 2)
      await clock.advance(TTL / 6 + 20)
      const renewed = new Set(
        backend.requests.filter(({ routes }) => routes[0] === 2).flatMap(({ keys: asked }) => asked),
      )
      expect(renewed.size).to.be.at.least(80 - 16 * 2)
    }))
})

describe('a report about one server', () => {
  it('P26 renews all leases of that server at once, the nearest deadline first, and no others', () =>
    withServers({ batchSize: 8 }, async ({ manager, clock, cluster, backend }) => {
      const keys = keysOf(90)
      for (const key of keys) {
        await grantAll(manager.acquireMany([key]))
        await clock.advance(20)
      }
      const deadlines = new Map([...manager].map(({ key, remaining }) => [key, clock.now() + remaining]))
      backend.takeRequests()
      backend.listener.onSuspect(2)
      await clock.settle()
      const renewed = backend.requests.filter(({ operation }) => operation === 'renew')
      const own = keys.filter((key) => cluster.storeOf(`lease:${key}`) === cluster.stores[2])
      expect(renewed.flatMap((request) => request.keys).sort()).to.deep.equal(own.sort())
      const nearest = renewed.map((request) => Math.min(...request.keys.map((key) => deadlines.get(key) ?? 0)))
      expect(nearest).to.deep.equal([...nearest].sort((a, b) => a - b))
    }))

  it('renews at its recovery what is in jeopardy there, and nothing else', () =>
    withServers({}, async ({ manager, clock, cluster, backend }) => {
      await grantAll(manager.acquireMany(keysOf(300)))
      backend.fail(0, new Error('away'))
      backend.fail(1, new Error('away'))
      await clock.advance(PERIOD)
      backend.takeRequests()
      backend.nodes[0]?.fail(undefined)
      await clock.settle()
      const renewed = backend.requests.filter(({ operation }) => operation === 'renew').flatMap(({ keys }) => keys)
      expect(renewed).to.have.length.above(50)
      expect(renewed.every((key) => cluster.storeOf(`lease:${key}`) === cluster.stores[0])).to.equal(true)
    }))
})
