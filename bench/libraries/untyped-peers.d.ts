/**
 * The types of what is used of two libraries: redlock's package.json hides its own, and redlock-universal is installed
 * on newer Node versions only.
 */

declare module 'redlock' {
  import type { Cluster, Redis } from 'ioredis'

  interface Settings {
    readonly driftFactor: number
    /** In ms. */
    readonly automaticExtensionThreshold: number
  }

  interface Lock {
    release(): Promise<unknown>
  }

  export default class Redlock {
    constructor(clients: Iterable<Redis | Cluster>, settings?: Settings)
    /** @param duration the ttl in ms */
    acquire(resources: string[], duration: number, settings?: { readonly retryCount?: number }): Promise<Lock>
    /** @param duration the ttl in ms */
    using<Result>(
      resources: string[],
      duration: number,
      routine: (signal: AbortSignal) => Promise<Result>,
    ): Promise<Result>
  }
}

declare module 'redlock-universal' {
  import type { Redis } from 'ioredis'

  interface LockHandle {
    readonly key: string
    readonly value: string
  }

  export interface Lock {
    acquire(): Promise<LockHandle>
    release(handle: LockHandle): Promise<boolean>
  }

  export class IoredisAdapter {
    /** @param options `timeout` of each command in ms */
    constructor(client: Redis, options?: { readonly timeout?: number })
  }

  export function createLock(config: {
    readonly adapter: IoredisAdapter
    readonly key: string
    /** In ms. */
    readonly ttl: number
    readonly performance: 'standard' | 'lean' | 'enterprise'
    readonly retryAttempts?: number
  }): Lock

  export function executeWithAutoExtension<Result>(config: {
    readonly locks: readonly Lock[]
    readonly handles: readonly LockHandle[]
    /** In ms. */
    readonly ttl: number
    readonly routine: (signal: AbortSignal) => Promise<Result>
    /** The part of the ttl that is left when the lock is extended. */
    readonly extensionThresholdRatio: number
    /** In ms. */
    readonly minExtensionInterval: number
  }): Promise<Result>
}
