/** Promises that a library is loaded only in the process that measures it. */
import type { Library } from './library.ts'
import { BARE, KEPT, type LibraryName, OBSERVED, PIPELINED, UNWATCHED } from './library-name.ts'

export async function loadLibrary(name: LibraryName): Promise<Library> {
  switch (name) {
    case BARE:
      return (await import('./libraries/bare-ioredis.ts')).bareIoredis
    case PIPELINED:
      return (await import('./libraries/pipelined-evalsha.ts')).pipelinedEvalsha
    case OBSERVED:
      return (await import('./libraries/leasewheel-observed.ts')).leasewheelObserved
    case UNWATCHED:
      return (await import('./libraries/leasewheel.ts')).leasewheelUnwatched
    case KEPT:
      return (await import('./libraries/leasewheel.ts')).leasewheelKept
    case 'leasewheel':
      return (await import('./libraries/leasewheel.ts')).leasewheel
    case 'redis-semaphore':
      return (await import('./libraries/redis-semaphore.ts')).redisSemaphore
    case 'redlock':
      return (await import('./libraries/redlock.ts')).redlock
    case 'redlock-universal':
      return (await import('./libraries/redlock-universal.ts')).redlockUniversal
    default:
      return name satisfies never
  }
}

/** The permits of a library that has them. */
export async function loadPermits(name: LibraryName): Promise<Library> {
  if (name === 'leasewheel') return (await import('./libraries/leasewheel-permits.ts')).leasewheelPermits
  if (name === 'redis-semaphore') return (await import('./libraries/redis-semaphore-permits.ts')).redisSemaphorePermits
  throw new Error(`${name} has no permits`)
}
