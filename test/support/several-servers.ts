/** A manager over several servers in memory. Every request must have keys of one server, in the order of their places (P36). */
import { expect } from 'chai'
import { LeaseManager, type LeaseManagerOptions } from 'leasewheel'
import { ManualClock } from 'leasewheel/memory'
import { MemoryCluster, RoutedBackend, type RoutedRequest } from './routed-backend.ts'

/** ttl of the leases, in ms; their `timeout` is a sixth of it. */
export const TTL = 6_000

export interface Scene {
  readonly clock: ManualClock
  readonly cluster: MemoryCluster
  readonly backend: RoutedBackend
  readonly manager: LeaseManager
  /** Another manager on the same servers and clock. */
  readonly open: () => LeaseManager
}

/** Runs `work` with a manager over several servers in memory, and holds every request to its side of the port. */
export async function withServers(
  options: LeaseManagerOptions & { readonly places?: number; readonly servers?: number },
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  const { places = 64, servers = 3, ...managerOptions } = options
  const clock = new ManualClock()
  const cluster = new MemoryCluster({ places, servers, clock })
  const managers: LeaseManager[] = []
  const requests: (readonly RoutedRequest[])[] = []
  const openOn = (backend: RoutedBackend): LeaseManager => {
    const manager = new LeaseManager(backend, { ttl: TTL, clock, ...managerOptions })
    managers.push(manager)
    requests.push(backend.all)
    return manager
  }
  const backend = new RoutedBackend(cluster)
  const manager = openOn(backend)
  try {
    await work({ clock, cluster, backend, manager, open: () => openOn(new RoutedBackend(cluster)) })
  } finally {
    for (const [route, node] of backend.nodes.entries()) {
      node.unblock()
      backend.reconnect(route)
    }
    const closed = Promise.all(managers.map((one) => one.close({ drain: 0, timeout: 2_000 })))
    await clock.advance(3_000)
    await closed
  }
  expect(clock.timers, 'timers left').to.equal(0)
  for (const { operation, routes, places: asked } of requests.flat()) {
    expect(routes.length, `servers of one ${operation}`).to.equal(1)
    expect(asked, `places of one ${operation}`).to.deep.equal([...asked].sort((a, b) => a - b))
  }
}

export function keysOf(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, index) => `key ${first + index}`)
}
