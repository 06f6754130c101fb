/** What exporters export, with names, units and meanings: the one list that Prometheus and OpenTelemetry share. */
import type { Health, LeaseManagerStats, MeasurementName } from '../stats.ts'
import { attributesBy, type Figure, type FigureAttributes, type FigureUnit } from './figure.ts'
import { SERVER_FIGURES } from './server-figures.ts'

/** A histogram of durations. */
export interface DurationFigure {
  readonly name: string
  readonly help: string
  readonly of: MeasurementName
}

/** Leases that are counted by label, if the user wants labels. */
export type LabelledName = 'held' | 'acquired' | 'released' | 'lost'

export function isLabelled(name: string): name is LabelledName {
  return name === 'held' || name === 'acquired' || name === 'released' || name === 'lost'
}

export const FIGURES: readonly Figure[] = [
  gauge('held', '{lease}', 'Leases held now', (stats) => stats.held),
  gauge('jeopardy', '{lease}', 'Held leases whose last renewal failed', (stats) => stats.jeopardy),
  gauge('waiting', '{caller}', 'Callers that have asked for a lock and have no answer yet', (stats) => stats.waiting),
  gauge('queues', '{key}', 'Keys that waiting callers have asked for', (stats) => stats.queues),
  gauge('undoing', '{key}', 'Keys whose deletion is not confirmed yet', (stats) => stats.undoing),
  gauge('healthy', 'flag', 'Whether health() finds nothing wrong', (_stats, { ok }) => Number(ok)),
  gauge('connected', 'flag', 'Whether Redis can be asked', ({ connection }) => Number(connection === 'connected')),
  gauge('watching', 'flag', 'Whether Redis notifies the manager of changed keys', (stats) => Number(stats.watching)),
  gauge(
    'load.lag',
    '1',
    'The longest wait of a renewal in the last second, as a part of its ttl',
    ({ load }) => load.lag,
  ),
  gauge('load.behind', '{lease}', 'Leases whose renewal waits to be sent', ({ load }) => load.behind),
  gauge(
    'load.capacity',
    '{renewal}/s',
    'Renewals that Redis confirmed while others waited',
    ({ load }) => load.capacity,
  ),
  gauge('load.demand', '{renewal}/s', 'Renewals that the leases need', ({ load }) => load.demand),
  gauge('overloaded', 'flag', 'Whether renewals do not keep up', ({ load }) => Number(load.overloaded)),
  counter('acquired', '{lease}', 'Leases acquired or adopted', (stats) => stats.acquired),
  counters('unacquired', '{key}', 'Locks that callers asked for and did not get', 'cause', (stats) => stats.unacquired),
  counter('released', '{lease}', 'Leases released or detached', (stats) => stats.released),
  counters('lost', '{lease}', 'Leases lost', 'reason', (stats) => stats.lost),
  counter('renewals', '{renewal}', 'Renewals confirmed, one for each lease', (stats) => stats.renewals),
  counter('renewal.failures', '{renewal}', 'Renewals that failed or were overdue', (stats) => stats.failures),
  counter('requests', '{request}', 'Requests sent to Redis, each for a batch of keys', (stats) => stats.requests),
  counter('asks', '{key}', 'How often Redis was asked for a lock', (stats) => stats.asks),
  counters('wake_ups', '{wake_up}', 'Causes for waiters to ask again', 'cause', (stats) => stats.wakeUps),
  counter('disconnections', '{disconnection}', 'How often the connection was lost', (stats) => stats.disconnections),
  ...SERVER_FIGURES,
]

export const DURATIONS: readonly DurationFigure[] = [
  { name: 'wait', of: 'wait', help: 'How long callers waited for the locks that they got' },
  { name: 'hold', of: 'hold', help: 'How long leases were held that have ended' },
  { name: 'renewal.lag', of: 'renewalLag', help: 'How late renewals were sent after they fell due' },
  { name: 'round_trip', of: 'roundTrip', help: 'Time from the sending of a request to its answer' },
]

type Read<T> = (stats: LeaseManagerStats, health: Health) => T

const NONE: FigureAttributes = {}

function gauge(name: string, unit: FigureUnit, help: string, read: Read<number>): Figure {
  return single('gauge', name, unit, help, read)
}

function counter(name: string, unit: FigureUnit, help: string, read: Read<number>): Figure {
  return single('counter', name, unit, help, read)
}

function single(kind: Figure['kind'], name: string, unit: FigureUnit, help: string, read: Read<number>): Figure {
  return { name, kind, unit, help, read: ({ stats, health }, tell) => tell(read(stats, health), NONE) }
}

/** Counters of one name, told apart by an attribute. */
function counters(
  name: string,
  unit: FigureUnit,
  help: string,
  attribute: string,
  of: Read<Readonly<Record<string, number>>>,
): Figure {
  const attributesOf = attributesBy(attribute)
  const read: Figure['read'] = ({ stats, health }, tell) => {
    for (const [key, count] of Object.entries(of(stats, health))) tell(count, attributesOf(key))
  }
  return { name, kind: 'counter', unit, help, read }
}
