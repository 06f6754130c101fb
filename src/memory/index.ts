/** The public names of `leasewheel/memory`: locks without a server, and time that is moved by hand. */
export { ManualClock } from './manual-clock.ts'
export { MemoryBackend, type MemoryBackendOptions, type Operation } from './memory-backend.ts'
export { MemoryStore, type MemoryStoreOptions, type StoreWatcher } from './memory-store.ts'
