/** A metric as a register of prom-client takes it: an object that it asks for its values. */
import type { Figure } from '../figures/figures.ts'

export interface MetricValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  /** Default: the name of the metric. */
  readonly metricName?: string
}

export interface Metric {
  /** The register changes it if it writes OpenMetrics. */
  name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** How the figures of the workers of a cluster become one. */
  readonly aggregator: 'sum' | 'max' | 'min'
  get(): Promise<object>
}

type Described = Pick<Figure, 'name' | 'help'> & { readonly kind: Metric['type']; readonly unit?: Figure['unit'] }

/** @param read the values now. @param read.name the name of the metric at that moment. */
export function metricOf(figure: Described, read: (name: string) => readonly MetricValue[]): Metric {
  const { help, kind: type } = figure
  return {
    name: nameOf(figure),
    help,
    type,
    aggregator: aggregatorOf(figure),
    // A rejection would fail the whole scrape, that of all other metrics included; reading a manager cannot fail.
    async get() {
      const { name, aggregator } = this
      return { name, help, type, aggregator, values: read(name) }
    },
  }
}

/** By the conventions of Prometheus. */
function nameOf({ name, kind, unit }: Described): string {
  const suffixes = { counter: '_total', gauge: unit === '1' ? '_ratio' : '', histogram: '_seconds' }
  return `leasewheel_${name.replaceAll('.', '_')}${suffixes[kind]}`
}

function aggregatorOf({ name, unit }: Described): Metric['aggregator'] {
  if (name === 'overloaded' || unit === '1') return 'max'
  return unit === 'flag' ? 'min' : 'sum'
}
