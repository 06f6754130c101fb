import { type Lease, LeaseManager, LockNotAcquiredError, UnavailableError } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'

/** Types only, without those of Node.js: what a browser's `lib` has must be enough. */
export async function holdALease(): Promise<unknown> {
  const leases = new LeaseManager(new MemoryBackend())
  const lease: Lease = await leases.acquire('consumer')
  await lease[Symbol.asyncDispose]()
  await leases[Symbol.asyncDispose]()
  const error: LockNotAcquiredError | UnavailableError = new UnavailableError('away', lease.key, {
    cause: lease.signal,
  })
  return error.cause
}
