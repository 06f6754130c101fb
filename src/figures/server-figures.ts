/** The figures of each server, if the backend has several: the nodes of a cluster, or the members of a quorum. */
import type { QuorumMemberStats } from '../backend.ts'
import type { RouteStats } from '../stats.ts'
import { attributesBy, type Figure, type FigureUnit } from './figure.ts'

/** Servers that are exported. A label must not have any number of values; the cluster with the most nodes has a thousand. */
const MOST_SERVERS = 100

const attributesOf = attributesBy('server')

export const SERVER_FIGURES: readonly Figure[] = [
  ofAny('usable', 'flag', 'Whether requests can be sent to the server', ({ usable }) => Number(usable)),
  ofAny('watching', 'flag', 'Whether the server notifies the manager of changed keys', ({ watching }) =>
    Number(watching),
  ),
  ofAny(
    'round_trip.p99',
    's',
    'Time from the sending of a request to the answer of the server: percentile 99 of the last minute',
    ({ roundTrip }) => roundTrip.minute.p99 / 1_000,
  ),
  ofRoutes('leases', '{lease}', 'Leases on keys of the server', ({ leases }) => leases),
  ofRoutes('lag', '1', 'The longest wait of a renewal for the server, as a part of its ttl', ({ lag }) => lag),
  ofMembers(
    'late',
    's',
    'How long answers of the member came after the majority was decided',
    ({ lag }) => lag / 1_000,
  ),
  ofMembers(
    'quarantined',
    's',
    'How long the member has no vote on new locks, because it was restarted',
    ({ quarantined }) => quarantined / 1_000,
  ),
  ofMembers('undoing', '{key}', 'Keys that are to be deleted from the member', ({ undoing }) => undoing),
  { ...ofMembers('granted', '{key}', 'Locks that the member granted', ({ granted }) => granted), kind: 'counter' },
  { ...ofMembers('refused', '{key}', 'Locks that the member refused', ({ refused }) => refused), kind: 'counter' },
  {
    ...ofMembers('healed', '{key}', 'Lost keys that were written to the member again', ({ healed }) => healed),
    kind: 'counter',
  },
]

type AnyServer = RouteStats | QuorumMemberStats

function ofAny(name: string, unit: FigureUnit, help: string, read: (server: AnyServer) => number): Figure {
  return figure(name, unit, help, ({ routes, members }) => (routes.length > 0 ? routes : members), read)
}

function ofRoutes(name: string, unit: FigureUnit, help: string, read: (route: RouteStats) => number): Figure {
  return figure(name, unit, help, ({ routes }) => routes, read)
}

function ofMembers(name: string, unit: FigureUnit, help: string, read: (member: QuorumMemberStats) => number): Figure {
  return figure(name, unit, help, ({ members }) => members, read)
}

function figure<S extends AnyServer>(
  name: string,
  unit: FigureUnit,
  help: string,
  of: (stats: {
    readonly routes: readonly RouteStats[]
    readonly members: readonly QuorumMemberStats[]
  }) => readonly S[],
  read: (server: S) => number,
): Figure {
  return {
    name: `server.${name}`,
    kind: 'gauge',
    unit,
    help,
    read: ({ stats }, tell) => {
      for (const server of of(stats).slice(0, MOST_SERVERS)) tell(read(server), attributesOf(server.name))
    },
  }
}
