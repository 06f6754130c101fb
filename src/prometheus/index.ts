/**
 * The figures of managers for prom-client.
 *
 * @module leasewheel/prometheus
 */
export { collect, type CollectOptions, type PrometheusRegister } from './collect.ts'
export type { Labeller } from '../figures/label-counts.ts'
export type { ObservableLeases } from '../figures/observable-leases.ts'
