/** A metric as a register of prom-client takes it: an object that it asks for its values. */
import type { Figure } from '../figures/figure.ts'

export type Labels = Readonly<Record<string, string | number>>

/** Takes a value. @param name default: the name of the metric. */
export type TellPrometheus = (value: number, labels: Labels, name?: string) => void

export interface Metric {
  /** The register changes it if it writes OpenMetrics. */
  name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** How the figures of the workers of a cluster become one. */
  readonly aggregator: 'sum' | 'max' | 'min'
  get(): Promise<object>
  /** A register that writes text asks for this instead, if it knows it. */
  getForPromString(): Promise<object>
}

type Described = Pick<Figure, 'name' | 'help'> & { readonly kind: Metric['type']; readonly unit?: Figure['unit'] }

/** @param read tells the values now. @param read.name the name of the metric at that moment. */
export function metricOf(figure: Described, read: (name: string, tell: TellPrometheus) => void): Metric {
  const { help, kind: type } = figure
  // A rejection would fail the whole scrape, that of all other metrics included; reading a manager cannot fail.
  return {
    name: nameOf(figure),
    help,
    type,
    aggregator: aggregatorOf(figure),
    async get() {
      const { name, aggregator } = this
      const values: object[] = []
      read(name, (value, labels, metricName = name) => values.push({ value, labels, metricName }))
      return { name, help, type, aggregator, values }
    },
    async getForPromString() {
      const { name, aggregator } = this
      const values: object[] = []
      // The register remembers how it has written labels of this name.
      read(name, (value, sharedLabels, metricName = name) => values.push({ value, sharedLabels, metricName }))
      return { name, help, type, aggregator, values }
    },
  }
}

/** By the conventions of Prometheus. */
function nameOf({ name, kind, unit }: Described): string {
  const ofGauge = unit === '1' ? '_ratio' : unit === 's' ? '_seconds' : ''
  const suffixes = { counter: '_total', gauge: ofGauge, histogram: '_seconds' }
  return `leasewheel_${name.replaceAll('.', '_')}${suffixes[kind]}`
}

function aggregatorOf({ name, unit }: Described): Metric['aggregator'] {
  if (name === 'overloaded' || unit === '1' || unit === 's') return 'max'
  return unit === 'flag' ? 'min' : 'sum'
}
