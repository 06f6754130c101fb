/**
 * The instruments of one meter, and the managers that it observes.
 *
 * An SDK goes on exporting the last value of a callback that was removed, for ever. So the callback stays: it reports 0 for the levels of a manager
 * that is not observed any more. OpenTelemetry has no instrument for a histogram that is counted elsewhere: durations are recorded one by one, as
 * the manager measures them. That would cost too much for renewals, which come by the thousand; their lag is reported as percentiles of the last
 * minute.
 */
import type { Attributes, BatchObservableResult, Histogram, Meter, Observable } from '@opentelemetry/api'
import { DURATIONS, FIGURES, type Figure, isLabelled } from '../figures/figures.ts'
import type { LabelCounts } from '../figures/label-counts.ts'
import type { ObservableLeases } from '../figures/observable-leases.ts'
import type { DurationSummary } from '../structures/histogram.ts'
import { HISTOGRAM_BOUNDS } from '../structures/histogram.ts'
import type { Measurement, MeasurementName } from '../stats.ts'

/** A value of a level, and where it was reported. */
interface Level {
  readonly instrument: Observable
  readonly attributes: Attributes
}

/** One manager. */
export interface Source {
  readonly id: string
  readonly leases: ObservableLeases
  readonly attributes: Attributes
  counts: LabelCounts | undefined
  readonly onMeasured: (measurement: Measurement) => void
  /** What was reported of it, by instrument and attributes. */
  readonly levels: Map<string, Level>
}

const QUANTILES: readonly (readonly [attribute: string, read: (minute: DurationSummary) => number])[] = [
  ['0.5', ({ p50 }) => p50],
  ['0.9', ({ p90 }) => p90],
  ['0.99', ({ p99 }) => p99],
  ['1', ({ max }) => max],
]

const METRICS = new WeakMap<Meter, Metrics>()

export class Metrics {
  readonly #observables: (readonly [figure: Figure, instrument: Observable])[]
  readonly #lag: Observable
  readonly #histograms: ReadonlyMap<MeasurementName, Histogram>
  readonly #sources = new Map<string, Source>()
  /** Levels of managers that are not observed any more. */
  readonly #retired = new Map<string, Level>()

  /** The instruments of a meter: one for each name. */
  static of(meter: Meter): Metrics {
    let metrics = METRICS.get(meter)
    if (metrics === undefined) {
      metrics = new Metrics(meter)
      METRICS.set(meter, metrics)
    }
    return metrics
  }

  constructor(meter: Meter) {
    this.#observables = FIGURES.map((figure) => [figure, instrumentOf(meter, figure)])
    this.#lag = meter.createObservableGauge('leasewheel.renewal.lag', {
      unit: 's',
      description: 'How late renewals were sent after they fell due: quantiles of the last minute',
    })
    const histograms = DURATIONS.filter(({ of }) => of !== 'renewalLag').map(({ name, of, help }) => {
      const advice = { explicitBucketBoundaries: HISTOGRAM_BOUNDS.map((bound) => bound / 1_000) }
      return [of, meter.createHistogram(`leasewheel.${name}`, { unit: 's', description: help, advice })] as const
    })
    this.#histograms = new Map(histograms)
    const instruments = [...this.#observables.map(([, instrument]) => instrument), this.#lag]
    meter.addBatchObservableCallback((result) => this.#report(result), instruments)
  }

  /** @throws Error if there is a source with the same attributes. */
  add(leases: ObservableLeases, attributes: Attributes): Source {
    const id = JSON.stringify(Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1)))
    if (this.#sources.has(id)) {
      throw new Error('Expected `attributes` to differ from those of the other LeaseManagers that this meter observes')
    }
    const onMeasured = ({ name, duration, count }: Measurement): void => {
      const histogram = this.#histograms.get(name)
      if (histogram === undefined) return
      for (let times = 0; times < count; times += 1) histogram.record(duration / 1_000, attributes)
    }
    const source: Source = { id, leases, attributes, counts: undefined, onMeasured, levels: new Map() }
    leases.on('measured', onMeasured)
    this.#sources.set(id, source)
    return source
  }

  remove(source: Source): void {
    source.leases.off('measured', source.onMeasured)
    this.#sources.delete(source.id)
    for (const [id, level] of source.levels) this.#retired.set(id, level)
  }

  #report(result: BatchObservableResult): void {
    // If a manager with the same attributes is observed by now, its values come later and count.
    for (const { instrument, attributes } of this.#retired.values()) result.observe(instrument, 0, attributes)
    for (const source of this.#sources.values()) this.#reportSource(source, result)
  }

  #reportSource(source: Source, result: BatchObservableResult): void {
    const stats = source.leases.stats()
    const health = source.leases.health()
    const level = (name: string, instrument: Observable, value: number, own: Attributes): void => {
      const attributes = { ...source.attributes, ...own }
      const id = `${name} ${JSON.stringify(attributes)}`
      if (!source.levels.has(id)) source.levels.set(id, { instrument, attributes })
      result.observe(instrument, value, attributes)
    }
    for (const [figure, instrument] of this.#observables) {
      const { name, kind } = figure
      const labelled = source.counts && isLabelled(name) ? source.counts.read(name) : undefined
      for (const { value, attributes } of labelled ?? figure.read(stats, health)) {
        if (kind === 'gauge') level(name, instrument, value, attributes)
        else result.observe(instrument, value, { ...source.attributes, ...attributes })
      }
    }
    for (const [quantile, read] of QUANTILES) {
      level('renewal.lag', this.#lag, read(stats.renewalLag.minute) / 1_000, { quantile })
    }
  }
}

function instrumentOf(meter: Meter, { name, kind, unit, help }: Figure): Observable {
  const options = { unit: unit === 'flag' ? '1' : unit, description: help }
  return kind === 'gauge'
    ? meter.createObservableGauge(`leasewheel.${name}`, options)
    : meter.createObservableCounter(`leasewheel.${name}`, options)
}
