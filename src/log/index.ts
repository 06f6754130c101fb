/**
 * The events of managers for loggers.
 *
 * @module leasewheel/log
 */
export { log, type ConsoleLogger, type Logger, type LogOptions } from './log.ts'
export type { ObservableLeases } from '../figures/observable-leases.ts'
