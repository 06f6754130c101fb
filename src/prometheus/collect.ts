/**
 * Lets a register of prom-client export the figures of managers.
 *
 * The register asks our metrics for their values at each scrape, and the manager has them ready: nothing is counted twice, no promise is made, and
 * a scrape that overlaps another asks for nothing that could get mixed up.
 */
import { DURATIONS, FIGURES, type Figure, type FigureValue, isLabelled } from '../figures/figures.ts'
import { LabelCounts, type Labeller } from '../figures/label-counts.ts'
import type { ObservableLeases } from '../figures/observable-leases.ts'
import type { Health, LeaseManagerStats } from '../stats.ts'
import { type Metric, type MetricValue, metricOf } from './metric.ts'

/** What we need of a `Registry` of prom-client. */
export interface PrometheusRegister {
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

export interface CollectOptions {
  /** A `Registry` of prom-client: `client.register` is the one that it uses by default. */
  readonly register: PrometheusRegister
  /**
   * Makes a label of a key. If given, the leases held, acquired, released and lost are counted by this label, from now on. It must not return
   * more than some dozen different labels; from the 200th on they count as `others`. Default: no label.
   */
  readonly label?: Labeller | undefined
  /**
   * Labels of everything that this manager exports, with names of letters, digits and underscores. Managers that share a register must differ in
   * them. Default: none.
   */
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/** One manager. */
interface Source {
  readonly leases: ObservableLeases
  readonly labels: Readonly<Record<string, string>>
  readonly counts: LabelCounts | undefined
}

interface Reading {
  readonly stats: LeaseManagerStats
  readonly health: Health
}

/**
 * Exports the figures of a manager.
 *
 * @returns a function that ends that.
 * @throws RangeError for a label that Prometheus does not take. Error if the register has the figures of another manager with the same `labels`.
 */
export function collect(leases: ObservableLeases, { register, label, labels = {} }: CollectOptions): () => void {
  for (const name of Object.keys(labels)) {
    if (NAME.test(name) && !OURS.has(name)) continue
    throw new RangeError(
      `Expected the names in \`labels\` to be of letters, digits and underscores, and none of ours, got \`${name}\``,
    )
  }
  let exposition = EXPOSITIONS.get(register)
  if (exposition === undefined) {
    exposition = new Exposition(register)
    EXPOSITIONS.set(register, exposition)
  }
  return exposition.add(leases, labels, label)
}

/** Prometheus refuses the whole scrape for one other name. */
const NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/
const OURS = new Set(['le', 'lock', 'reason', 'cause'])

const EXPOSITIONS = new WeakMap<PrometheusRegister, Exposition>()

/** The metrics of one register, which all its managers share. */
class Exposition {
  readonly #register: PrometheusRegister
  readonly #sources = new Map<string, Source>()
  readonly #names: string[] = []
  /** What the managers reported in this scrape: all metrics of a scrape show the same moment. */
  readonly #readings = new Map<Source, Reading>()

  constructor(register: PrometheusRegister) {
    this.#register = register
  }

  add(leases: ObservableLeases, labels: Readonly<Record<string, string>>, label: Labeller | undefined): () => void {
    const id = JSON.stringify(Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1)))
    if (this.#sources.has(id)) {
      throw new Error('Expected `labels` to differ from those of the other LeaseManagers that this register has')
    }
    if (this.#sources.size === 0) this.#begin()
    const counts = label && new LabelCounts(leases, label)
    const source = { leases, labels, counts }
    this.#sources.set(id, source)
    return () => {
      if (this.#sources.get(id) !== source) return
      counts?.stop()
      this.#sources.delete(id)
      if (this.#sources.size === 0) this.#end()
    }
  }

  #begin(): void {
    try {
      for (const figure of FIGURES) {
        this.#add(metricOf(figure, () => this.#valuesOf((source) => this.#read(source, figure))))
      }
      for (const duration of DURATIONS) {
        const metric = metricOf({ ...duration, kind: 'histogram' }, (name) =>
          this.#valuesOf((source) => histogramValues(name, this.#readingOf(source).stats[duration.of])),
        )
        this.#add(metric)
      }
    } catch (error) {
      // Another metric of the register has one of the names.
      this.#end()
      throw error
    }
  }

  #add(metric: Metric): void {
    this.#register.registerMetric(metric as never)
    // The register may change the name of a metric that it has.
    this.#names.push(metric.name)
  }

  #end(): void {
    for (const name of this.#names.splice(0)) this.#register.removeSingleMetric(name)
  }

  #valuesOf(read: (source: Source) => readonly MetricValue[]): MetricValue[] {
    return [...this.#sources.values()].flatMap((source) =>
      read(source).map((value) => ({ ...value, labels: { ...source.labels, ...value.labels } })),
    )
  }

  #read(source: Source, figure: Figure): MetricValue[] {
    const labelled = source.counts && isLabelled(figure.name) ? source.counts.read(figure.name) : undefined
    const { stats, health } = this.#readingOf(source)
    return (labelled ?? figure.read(stats, health)).map(({ value, attributes }: FigureValue) => ({
      value,
      labels: attributes,
    }))
  }

  #readingOf(source: Source): Reading {
    let reading = this.#readings.get(source)
    if (reading === undefined) {
      if (this.#readings.size === 0) queueMicrotask(() => this.#readings.clear())
      reading = { stats: source.leases.stats(), health: source.leases.health() }
      this.#readings.set(source, reading)
    }
    return reading
  }
}

/** In seconds, as the conventions of Prometheus want it. */
function histogramValues(name: string, { bounds, buckets, count, sum }: LeaseManagerStats['wait']): MetricValue[] {
  const bucket = (bound: number | string, value: number): MetricValue => ({
    metricName: `${name}_bucket`,
    value,
    labels: { le: bound },
  })
  return [
    ...bounds.map((bound, index) => bucket(bound / 1_000, buckets[index] as number)),
    bucket('+Inf', count),
    { metricName: `${name}_sum`, value: sum / 1_000, labels: {} },
    { metricName: `${name}_count`, value: count, labels: {} },
  ]
}
