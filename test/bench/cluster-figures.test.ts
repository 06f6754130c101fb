import { expect } from 'chai'
import { type ClusterFigures, computeFigures } from '../../bench/cluster-figures.ts'
import type { ClusterMeasurement } from '../../bench/cluster-measurement.ts'
import { formatRatios } from '../../bench/cluster-report.ts'

const server = (renewals: number, cpu: number): ClusterMeasurement['servers'][number] => ({
  cpu,
  received: 0,
  calls: { evalsha: 10, pexpire: renewals, info: 3 },
})

const measurement: ClusterMeasurement = {
  locks: 1_000,
  ttl: 3_000,
  seconds: 2,
  nodeCpu: 4_000,
  servers: [server(1_000, 3_000), server(600, 2_000), server(400, 1_000)],
  lost: 1,
  alive: 999,
}

describe('The figures of the cluster bench', () => {
  it('are those of all servers together', () => {
    expect(computeFigures(measurement)).to.deep.equal({
      locks: 1_000,
      renewalsPerSecond: 1_000,
      nodeCpu: 2,
      serverCpu: 3,
      nodeLoad: 0.2,
      serverLoad: 0.3,
      callsPerSecond: 15,
      kept: 1,
      alive: 999,
      lost: 1,
    })
  })

  it('show that renewals do not keep up', () => {
    const { kept } = computeFigures({ ...measurement, servers: [server(500, 1_000)] })
    expect(kept).to.equal(0.25)
  })

  it('compare the cluster with one server and with each of the others', () => {
    const figures: ClusterFigures = computeFigures(measurement)
    const rows = [
      { label: 'leasewheel, one server', figures: { ...figures, serverCpu: 2, nodeCpu: 1.25 } },
      { label: 'leasewheel', figures },
      { label: 'redlock', figures: { ...figures, serverCpu: 30, nodeCpu: 40 } },
    ]
    expect(formatRatios(rows).split('\n')).to.deep.equal([
      'leasewheel on the cluster to leasewheel, one server: servers 1.50, Node 1.60',
      'leasewheel on the cluster to redlock: servers 0.10, Node 0.05',
    ])
    expect(formatRatios(rows.slice(0, 1))).to.match(/^No ratio/)
  })
})
