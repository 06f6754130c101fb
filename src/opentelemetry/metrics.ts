/**
 * The instruments of one meter, and the managers that it observes.
 *
 * An SDK goes on exporting the last value of a callback that was removed, for ever. So the callback stays: it reports 0 for the levels of a manager
 * that is not observed any more. OpenTelemetry has no instrument for a histogram that is counted elsewhere: durations are recorded one by one, as
 * the manager measures them. That would cost too much for renewals, which come by the thousand; their lag is reported as percentiles of the last
 * minute.
 */
import type { Attributes, BatchObservableResult, Histogram, Meter, Observable } from '@opentelemetry/api'
import { type Figure, type FigureAttributes, onceForEach, type Tell } from '../figures/figure.ts'
import { DURATIONS, FIGURES, isLabelled } from '../figures/figures.ts'
import type { LabelCounts } from '../figures/label-counts.ts'
import type { ObservableLeases } from '../figures/observable-leases.ts'
import type { DurationSummary } from '../structures/histogram.ts'
import { HISTOGRAM_BOUNDS } from '../structures/histogram.ts'
import type { Measurement, MeasurementName } from '../stats.ts'

/** A gauge with some attributes. */
interface Level {
  readonly instrument: Observable
  readonly attributes: Attributes
}

/** A gauge with all attributes that it had in one report. */
interface Levels {
  readonly instrument: Observable
  readonly all: readonly Attributes[]
}

/** One manager. */
export interface Source {
  readonly id: string
  readonly leases: ObservableLeases
  counts: LabelCounts | undefined
  readonly onMeasured: (measurement: Measurement) => void
  /** All attributes of a value, made once. */
  readonly attributesOf: (own: FigureAttributes) => Attributes
  /** Its levels in the last report, by the name of the figure. */
  readonly levels: Map<string, Levels>
}

const QUANTILES: readonly (readonly [attributes: FigureAttributes, read: (minute: DurationSummary) => number])[] = [
  [{ quantile: '0.5' }, ({ p50 }) => p50],
  [{ quantile: '0.9' }, ({ p90 }) => p90],
  [{ quantile: '0.99' }, ({ p99 }) => p99],
  [{ quantile: '1' }, ({ max }) => max],
]

const METRICS = new WeakMap<Meter, Metrics>()

export class Metrics {
  readonly #observables: (readonly [figure: Figure, instrument: Observable])[]
  readonly #lag: Observable
  readonly #histograms: ReadonlyMap<MeasurementName, Histogram>
  readonly #sources = new Map<string, Source>()
  /** Levels that are there no more: those of managers that are not observed any more, and of servers that are gone. */
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
    const attributesOf = onceForEach((own: FigureAttributes): Attributes => ({ ...attributes, ...own }))
    const source: Source = { id, leases, counts: undefined, onMeasured, attributesOf, levels: new Map() }
    leases.on('measured', onMeasured)
    this.#sources.set(id, source)
    return source
  }

  remove(source: Source): void {
    source.leases.off('measured', source.onMeasured)
    this.#sources.delete(source.id)
    for (const name of source.levels.keys()) this.#replaceLevels(source, name, undefined)
  }

  #report(result: BatchObservableResult): void {
    // If one of them is back, its value comes later and counts.
    for (const { instrument, attributes } of this.#retired.values()) result.observe(instrument, 0, attributes)
    for (const source of this.#sources.values()) this.#reportSource(source, result)
  }

  #reportSource(source: Source, result: BatchObservableResult): void {
    const { leases, counts, attributesOf } = source
    const reading = { stats: leases.stats(), health: leases.health() }
    const report = (name: string, instrument: Observable, isLevel: boolean, read: (tell: Tell) => void): void => {
      const all: Attributes[] = []
      read((value, own) => {
        const attributes = attributesOf(own)
        all.push(attributes)
        result.observe(instrument, value, attributes)
      })
      if (isLevel) this.#replaceLevels(source, name, { instrument, all })
    }
    for (const [{ name, kind, read }, instrument] of this.#observables) {
      report(name, instrument, kind === 'gauge', (tell) => {
        if (counts && isLabelled(name)) counts.read(name, tell)
        else read(reading, tell)
      })
    }
    report('renewal.lag', this.#lag, true, (tell) => {
      for (const [own, read] of QUANTILES) tell(read(reading.stats.renewalLag.minute) / 1_000, own)
    })
  }

  /** Retires what the last report had and this one has not. */
  #replaceLevels({ levels }: Source, name: string, now: Levels | undefined): void {
    const before = levels.get(name)
    if (now) levels.set(name, now)
    // As a rule, nothing has changed.
    if (before === undefined || before.all.every((attributes, index) => attributes === now?.all[index])) return
    for (const attributes of before.all) {
      if (now?.all.includes(attributes)) continue
      this.#retired.set(`${name} ${JSON.stringify(attributes)}`, { instrument: before.instrument, attributes })
    }
  }
}

function instrumentOf(meter: Meter, { name, kind, unit, help }: Figure): Observable {
  const options = { unit: unit === 'flag' ? '1' : unit, description: help }
  return kind === 'gauge'
    ? meter.createObservableGauge(`leasewheel.${name}`, options)
    : meter.createObservableCounter(`leasewheel.${name}`, options)
}
