/**
 * Metrics and spans of managers for OpenTelemetry.
 *
 * @module leasewheel/opentelemetry
 */
export { observe, type ObserveOptions } from './observe.ts'
export type { Labeller } from '../figures/label-counts.ts'
export type { ObservableLeases } from '../figures/observable-leases.ts'
