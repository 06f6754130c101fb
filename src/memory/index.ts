/**
 * The public names of `leasewheel/memory`: locks without a server, and a clock that tests move.
 *
 * @module leasewheel/memory
 */
export { ManualClock } from './manual-clock.ts'
export { MemoryBackend, type MemoryBackendOptions, type Operation } from './memory-backend.ts'
export { MemoryStore, type MemoryStoreOptions, type StoreWatcher } from './memory-store.ts'
