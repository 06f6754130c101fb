/** Lets a meter and a tracer of OpenTelemetry observe a manager. */
import type { Attributes, Meter, Tracer } from '@opentelemetry/api'
import { LabelCounts, type Labeller } from '../figures/label-counts.ts'
import type { ObservableLeases } from '../figures/observable-leases.ts'
import { Metrics } from './metrics.ts'
import { followCalls } from './spans.ts'

export interface ObserveOptions {
  /** Takes the figures of the manager. Default: none. */
  readonly meter?: Meter | undefined
  /** Makes a span of each call of `acquire` and the like, `using` and `release`. Default: none. */
  readonly tracer?: Tracer | undefined
  /**
   * Makes a label of a key. If given, leases are counted by the attribute `lock`, from now on, and spans have it. It must not return more than
   * some dozen different labels; from the 200th on leases count as `others`. Default: no label.
   */
  readonly label?: Labeller | undefined
  /** Attributes of all metrics and spans. Managers that share a meter must differ in them. Default: none. */
  readonly attributes?: Attributes | undefined
}

/**
 * Observes a manager.
 *
 * @returns a function that ends that. From then on the meter exports 0 for what was a level, such as the leases held; what was counted stays.
 * @throws Error if the meter observes another manager with the same `attributes`.
 */
export function observe(
  leases: ObservableLeases,
  { meter, tracer, label, attributes = {} }: ObserveOptions,
): () => void {
  const stops: (() => void)[] = []
  if (meter) {
    const metrics = Metrics.of(meter)
    const source = metrics.add(leases, attributes)
    if (label) {
      const counts = new LabelCounts(leases, label)
      source.counts = counts
      stops.push(() => counts.stop())
    }
    stops.push(() => metrics.remove(source))
  }
  if (tracer) stops.push(followCalls(leases, tracer, label, attributes))
  return () => {
    for (const stop of stops.splice(0)) stop()
  }
}
