/** How many leases are watched: of all if there is one server, and of each if there are several, because each pays for its own. */
import { expect } from 'chai'
import type { LockEntry } from 'leasewheel'
import { grantAll } from '../support/manager.ts'
import { TTL, withServers, type Scene } from '../support/several-servers.ts'

/** Notes with each request for keys whether they are to be watched, by server. */
function noteWatched({ backend }: Scene, operation: 'acquire' | 'renew'): Map<number, boolean[]> {
  const watched = new Map<number, boolean[]>()
  for (const [route, node] of backend.nodes.entries()) {
    const ask = node[operation].bind(node) as (entries: readonly LockEntry[], watch?: boolean) => Promise<never>
    node[operation] = (entries: readonly LockEntry[], watch?: boolean) => {
      watched.set(route, [...(watched.get(route) ?? []), watch === true])
      return ask(entries, watch)
    }
  }
  return watched
}

describe('watchLimit with several servers', () => {
  it('counts the leases of each server by themselves', () =>
    withServers({ watchLimit: 3 }, async (scene) => {
      const { manager, clock } = scene
      const acquired = noteWatched(scene, 'acquire')
      await grantAll(manager.acquireMany(['1:a', '2:b', '25:c', '26:d', '27:e', '28:f', '60:g', '61:h', '62:i']))
      expect([0, 1, 2].map((route) => acquired.get(route))).to.deep.equal([[true], [false], [true]])
      const renewed = noteWatched(scene, 'renew')
      await clock.advance(TTL / 3)
      expect([0, 1, 2].map((route) => [...new Set(renewed.get(route))])).to.deep.equal([[true], [false], [true]])
    }))

  it('has the leases of a server looked at after missed notifications, however many others have', () =>
    withServers({ watchLimit: 3 }, async ({ manager, backend, clock }) => {
      await grantAll(manager.acquireMany(['1:a', '2:b', '25:c', '26:d', '27:e', '28:f']))
      backend.takeRequests()
      for (const route of [0, 1]) backend.listener.onMissed(route)
      await clock.advance(20)
      const looked = backend.takeRequests().filter(({ operation }) => operation === 'verify')
      expect(looked.map(({ keys }) => keys)).to.deep.equal([['1:a', '2:b']])
    }))
})
