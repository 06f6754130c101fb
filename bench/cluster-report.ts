/** Promises the columns of `cluster`, and how its rows compare. Pure. */
import type { ClusterFigures } from './cluster-figures.ts'
import type { Column, Line } from './comparison-report.ts'
import { formatNumber } from './table.ts'

/** Who takes part, by the names of `--only`, and how each is called in the table. */
export const CONTENDERS = {
  'one-server': 'leasewheel, one server',
  leasewheel: 'leasewheel',
  watched: 'leasewheel, watching the keys',
  pipelined: 'pipelined EVALSHA per key',
  redlock: 'redlock',
  'redis-semaphore': 'redis-semaphore',
} as const

export type Contender = keyof typeof CONTENDERS

export const columns: readonly Column<ClusterFigures>[] = [
  { heading: 'locks', cell: ({ locks }) => formatNumber(locks) },
  { heading: 'renewals/s', cell: ({ renewalsPerSecond }) => formatNumber(renewalsPerSecond) },
  { heading: 'of those due', cell: ({ kept }) => formatNumber(kept, 2) },
  { heading: 'scripts/s', cell: ({ callsPerSecond }) => formatNumber(callsPerSecond) },
  { heading: 'servers µs/renewal', cell: ({ serverCpu }) => formatNumber(serverCpu, 2) },
  { heading: 'Node µs/renewal', cell: ({ nodeCpu }) => formatNumber(nodeCpu, 2) },
  { heading: 'servers % of a core', cell: ({ serverLoad }) => formatNumber(serverLoad, 1) },
  { heading: 'Node % of a core', cell: ({ nodeLoad }) => formatNumber(nodeLoad, 1) },
  { heading: 'alive', cell: ({ alive }) => formatNumber(alive) },
  { heading: 'lost', cell: ({ lost }) => formatNumber(lost) },
]

/** A line for each pair that can be compared: what leasewheel costs on the cluster over what the other costs. */
export function formatRatios(rows: readonly Line<ClusterFigures>[]): string {
  const ours = rows.find(({ label }) => label === CONTENDERS.leasewheel)?.figures
  const others = rows.filter(({ label }) => label !== CONTENDERS.leasewheel)
  if (ours === undefined || others.length === 0) return 'No ratio: that takes leasewheel on the cluster and another.'
  return others
    .map(({ label, figures }) => {
      const servers = formatNumber(ours.serverCpu / figures.serverCpu, 2)
      const node = formatNumber(ours.nodeCpu / figures.nodeCpu, 2)
      return `leasewheel on the cluster to ${label}: servers ${servers}, Node ${node}`
    })
    .join('\n')
}
