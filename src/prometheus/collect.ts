/**
 * Lets a register of prom-client export the figures of managers.
 *
 * The register asks our metrics for their values at each scrape, and the manager has them ready: nothing is counted twice, no promise is made, and
 * a scrape that overlaps another asks for nothing that could get mixed up.
 */
import { type Figure, onceForEach, type Reading, type Tell } from '../figures/figure.ts'
import { DURATIONS, FIGURES, isLabelled } from '../figures/figures.ts'
import { LabelCounts, type Labeller } from '../figures/label-counts.ts'
import type { ObservableLeases } from '../figures/observable-leases.ts'
import { HISTOGRAM_BOUNDS, type HistogramSummary } from '../structures/histogram.ts'
import { type Labels, type Metric, metricOf, type TellPrometheus } from './metric.ts'

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
  readonly counts: LabelCounts | undefined
  /** All labels of a value, made once: a register remembers how it writes them. */
  readonly labelsOf: (own: Labels) => Labels
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
const OURS = new Set(['le', 'lock', 'reason', 'cause', 'server'])

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
    const labelsOf = onceForEach((own: Labels): Labels => ({ ...labels, ...own }))
    const source = { leases, counts, labelsOf }
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
        this.#add(
          metricOf(figure, (_name, tell) => {
            for (const source of this.#sources.values()) this.#read(source, figure, tell)
          }),
        )
      }
      for (const duration of DURATIONS) {
        this.#add(
          metricOf({ ...duration, kind: 'histogram' }, (name, tell) => {
            for (const source of this.#sources.values()) {
              tellHistogram(name, this.#readingOf(source).stats[duration.of], source, tell)
            }
          }),
        )
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

  #read(source: Source, { name, read }: Figure, tell: TellPrometheus): void {
    const take: Tell = (value, attributes) => tell(value, source.labelsOf(attributes))
    if (source.counts && isLabelled(name)) source.counts.read(name, take)
    else read(this.#readingOf(source), take)
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

/** The labels of buckets: in seconds, as the conventions of Prometheus want it. */
const BUCKETS: readonly Labels[] = HISTOGRAM_BOUNDS.map((bound) => ({ le: bound / 1_000 }))
const LAST_BUCKET: Labels = { le: '+Inf' }
const NONE: Labels = {}

function tellHistogram(
  name: string,
  { buckets, count, sum }: HistogramSummary,
  { labelsOf }: Source,
  tell: TellPrometheus,
): void {
  const bucketName = `${name}_bucket`
  for (const [index, labels] of BUCKETS.entries()) tell(buckets[index] as number, labelsOf(labels), bucketName)
  tell(count, labelsOf(LAST_BUCKET), bucketName)
  tell(sum / 1_000, labelsOf(NONE), `${name}_sum`)
  tell(count, labelsOf(NONE), `${name}_count`)
}
