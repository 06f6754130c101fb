/** The figures of each server of a cluster, and of each member of a quorum, in both exporters. */
import { AggregationTemporality, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { expect } from 'chai'
import type { LeaseManager, LeaseManagerStats } from 'leasewheel'
import { type ObservableLeases, observe } from 'leasewheel/opentelemetry'
import { collect } from 'leasewheel/prometheus'
import { Registry } from 'prom-client'
import { grantAll, withManager } from '../support/manager.ts'
import { parseScrape, type Scrape } from '../support/prometheus-text.ts'
import { withServers } from '../support/several-servers.ts'
import { withWorld } from '../quorum/world.ts'

class Reader extends MetricReader {
  override selectAggregationTemporality(): AggregationTemporality {
    return AggregationTemporality.CUMULATIVE
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

interface Exported {
  readonly scrape: () => Promise<Scrape>
  /** By name and server. */
  readonly read: () => Promise<Map<string, unknown>>
}

function exportBoth(leases: ObservableLeases): Exported {
  const register = new Registry()
  const reader = new Reader()
  collect(leases, { register })
  observe(leases, { meter: new MeterProvider({ readers: [reader] }).getMeter('test') })
  return {
    scrape: async () => parseScrape(await register.metrics()),
    read: async () => {
      const { scopeMetrics } = (await reader.collect()).resourceMetrics
      return new Map(
        scopeMetrics.flatMap(({ metrics }) =>
          metrics.flatMap(({ descriptor, dataPoints }) =>
            dataPoints.map(({ attributes, value }) => [`${descriptor.name} ${String(attributes['server'])}`, value]),
          ),
        ),
      )
    },
  }
}

/** The same figures, by the names that OpenTelemetry has for them. */
function serversOf(scrape: Scrape): Map<string, number> {
  const samples = [...scrape.families.values()].flatMap((family) => family.samples)
  const named = samples.filter(({ labels: { server } }) => server !== undefined)
  return new Map(named.map(({ name, labels: { server }, value }) => [`${plain(name)} ${server}`, value]))
}

function plain(name: string): string {
  return name.replace(/_(seconds|ratio|total)$/, '').replaceAll('_', '.')
}

/** Of a manager whose `stats()` are changed by hand. */
function withStats(manager: LeaseManager, change: (stats: LeaseManagerStats) => LeaseManagerStats): ObservableLeases {
  return {
    stats: () => change(manager.stats()),
    health: () => manager.health(),
    on() {
      return this
    },
    off() {
      return this
    },
    [Symbol.iterator]: () => manager[Symbol.iterator](),
  }
}

describe('figures of servers', () => {
  it('name each node of a cluster, the same in both exporters', () =>
    withServers({}, async ({ manager }) => {
      const { scrape, read } = exportBoth(manager)
      await grantAll(manager.acquireMany(['1:a', '2:b', '40:c']))
      const figures = serversOf(await scrape())
      const { routes } = manager.stats()
      expect(routes).to.have.length(3)
      for (const { name, leases, usable, watching, lag, roundTrip } of routes) {
        expect(figures.get(`leasewheel.server.leases ${name}`), name).to.equal(leases)
        expect(figures.get(`leasewheel.server.usable ${name}`), name).to.equal(Number(usable))
        expect(figures.get(`leasewheel.server.watching ${name}`), name).to.equal(Number(watching))
        expect(figures.get(`leasewheel.server.lag ${name}`), name).to.equal(lag)
        expect(figures.get(`leasewheel.server.round.trip.p99 ${name}`)).to.equal(roundTrip.minute.p99 / 1_000)
      }
      expect(routes.map(({ leases }) => leases)).to.deep.equal([2, 1, 0])
      expect(figures).to.have.length(15)
      const others = [...(await read())].filter(([name]) => name.startsWith('leasewheel.server.'))
      expect(new Map(others.map(([name, value]) => [name.replace('round_trip', 'round.trip'), value]))).to.deep.equal(
        figures,
      )
    }))

  it('name each member of a quorum, the same in both exporters', () =>
    withWorld({}, async (world) => {
      const { manager } = world.party()
      const { scrape, read } = exportBoth(manager)
      await world.finish(manager.acquireMany(['a', 'b']))
      const figures = serversOf(await scrape())
      const { members } = manager.stats()
      expect(members).to.have.length(3)
      for (const { name, granted, refused, healed, undoing, lag, quarantined } of members) {
        expect(figures.get(`leasewheel.server.granted ${name}`), name).to.equal(granted)
        expect(figures.get(`leasewheel.server.refused ${name}`), name).to.equal(refused)
        expect(figures.get(`leasewheel.server.healed ${name}`), name).to.equal(healed)
        expect(figures.get(`leasewheel.server.undoing ${name}`), name).to.equal(undoing)
        expect(figures.get(`leasewheel.server.late ${name}`), name).to.equal(lag / 1_000)
        expect(figures.get(`leasewheel.server.quarantined ${name}`), name).to.equal(quarantined / 1_000)
        expect(figures.get(`leasewheel.server.usable ${name}`), name).to.equal(1)
        expect(granted).to.equal(2)
      }
      expect(figures).to.have.length(27)
      const others = [...(await read())].filter(([name]) => name.startsWith('leasewheel.server.'))
      expect(new Map(others.map(([name, value]) => [name.replace('round_trip', 'round.trip'), value]))).to.deep.equal(
        figures,
      )
    }))

  it('are those of 100 servers at most', () =>
    withServers({}, async ({ manager }) => {
      const routes = Array.from({ length: 150 }, (_, index) => ({
        ...(manager.stats().routes[0] as LeaseManagerStats['routes'][number]),
        name: `node-${index}:6379`,
      }))
      const { scrape, read } = exportBoth(withStats(manager, (stats) => ({ ...stats, routes })))
      expect((await scrape()).families.get('leasewheel_server_leases')?.samples).to.have.length(100)
      const names = [...(await read()).keys()].filter((name) => name.startsWith('leasewheel.server.leases '))
      expect(names).to.have.length(100)
    }))

  it('are 0 for OpenTelemetry once a server is gone, until it is back', () =>
    withServers({}, async ({ manager }) => {
      let gone = false
      const leases = withStats(manager, (stats) => ({ ...stats, routes: gone ? stats.routes.slice(1) : stats.routes }))
      const { scrape, read } = exportBoth(leases)
      await grantAll(manager.acquireMany(['1:a', '2:b']))
      const [{ name }] = manager.stats().routes as [LeaseManagerStats['routes'][number]]
      expect((await read()).get(`leasewheel.server.leases ${name}`)).to.equal(2)
      gone = true
      await read()
      for (const when of ['first', 'second']) {
        const values = await read()
        expect(values.get(`leasewheel.server.leases ${name}`), when).to.equal(0)
        expect(values.get(`leasewheel.server.usable ${name}`), when).to.equal(0)
      }
      expect(serversOf(await scrape()).has(`leasewheel.server.leases ${name}`)).to.equal(false)
      gone = false
      expect((await read()).get(`leasewheel.server.leases ${name}`)).to.equal(2)
    }))

  it('are none of a single server', () =>
    withManager({}, async ({ manager }) => {
      const { scrape, read } = exportBoth(manager)
      expect(serversOf(await scrape())).to.deep.equal(new Map())
      expect([...(await read()).keys()].filter((name) => name.includes('server'))).to.deep.equal([])
    }))
})
