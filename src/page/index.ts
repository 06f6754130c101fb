/**
 * A live page about the locks, for people.
 *
 * @module leasewheel/page
 */
export type { ObservableLeases } from '../figures/observable-leases.ts'
export type { PageOptions } from './options.ts'
export type { PageLeases } from './page-leases.ts'
export { page, type PageHandler } from './page.ts'
