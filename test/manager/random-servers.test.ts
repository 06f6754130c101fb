/** Two managers on three servers: places move, servers fail and are replaced at random, and what must hold of locks holds after every step. */
import { expect } from 'chai'
import type { LeaseManager } from 'leasewheel'
import { randomFrom } from '../support/manager.ts'
import { callsOf } from '../support/routed-backend.ts'
import { type Scene, TTL, withServers } from '../support/several-servers.ts'

const KEYS = Array.from({ length: 60 }, (_, index) => `key ${index}`)
const STEPS = 60

/** Fails a server for some time, in one of several ways. */
async function disturb({ backend, clock }: Scene, random: () => number): Promise<void> {
  const route = Math.floor(random() * 3)
  const kind = Math.floor(random() * 3)
  if (kind === 0) backend.fail(route, new Error('LOADING'))
  else if (kind === 1) backend.disconnect(route, new Error('gone'))
  else backend.nodes[route]?.dropAnswers(true)
  await clock.advance((random() * TTL) / 3)
  backend.nodes[route]?.dropAnswers(false)
  backend.reconnect(route)
}

async function step(scene: Scene, managers: readonly LeaseManager[], random: () => number): Promise<void> {
  const { cluster, backend, clock } = scene
  const manager = managers[Math.floor(random() * 2)] as LeaseManager
  const some = KEYS.filter(() => random() < 0.15)
  const action = random()
  if (action < 0.35) {
    void manager.acquireMany(some).catch(() => undefined)
  } else if (action < 0.5) {
    void manager.acquireAll(some, { wait: random() * TTL }).catch(() => undefined)
  } else if (action < 0.65) {
    for (const lease of manager) if (random() < 0.3) void lease.release()
  } else if (action < 0.85) {
    const [place, route] = [Math.floor(random() * cluster.places), Math.floor(random() * 3)]
    cluster.move(place, route)
    if (random() < 0.3) backend.listener.onSuspect(route)
  } else {
    await disturb(scene, random)
  }
  await clock.advance(random() * 300)
}

function check({ cluster }: Scene, managers: readonly LeaseManager[]): void {
  const holders = new Set<string>()
  for (const lease of managers.flatMap((manager) => [...manager])) {
    if (!lease.held) continue
    expect(holders.has(lease.key), `P7: \`${lease.key}\` is held twice`).to.equal(false)
    holders.add(lease.key)
    const name = `lease:${lease.key}`
    expect(cluster.storeOf(name).get(name), `the token on \`${lease.key}\``).to.equal(lease.token)
  }
}

describe('random operations on several servers', () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    it(`P7 P36 hold after every step, and a period costs a call for each place at the end: seed ${seed}`, () =>
      withServers({ places: 30, batchSize: 4, timeout: 500 }, async (scene) => {
        const { manager, open, clock, backend } = scene
        const random = randomFrom(seed)
        const managers = [manager, open()]
        for (let count = 0; count < STEPS; count += 1) {
          await step(scene, managers, random)
          check(scene, managers)
        }
        // All is well again. Whoever waits still acquires, or gives up.
        await clock.advance(3 * TTL)
        check(scene, managers)
        await manager.acquireMany(KEYS)
        await clock.advance(TTL)
        const before = backend.requests.length
        await clock.advance(TTL / 3)
        const own = new Map<number, number>()
        for (const { key } of manager) {
          const place = backend.routing.placeOf(key)
          own.set(place, (own.get(place) ?? 0) + 1)
        }
        // A place with more leases than a batch needs more calls than one.
        const least = [...own.values()].reduce((sum, count) => sum + Math.ceil(count / 4), 0)
        expect(callsOf(backend.requests.slice(before))).to.be.within(own.size, least + 2)
      }))
  }
})
