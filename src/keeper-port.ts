/** The part of the port that starts keepers. */

/** What a keeper needs: another thread that renews leases while the event loop of their manager is blocked. */
export interface KeeperSettings {
  /** The memory that it shares with its manager (`LedgerReader`). */
  readonly head: SharedArrayBuffer
  readonly parts: readonly LedgerPart[]
  /** After so many ms without a beat it renews nothing any more. */
  readonly maxBlocked: number
  readonly batchSize: number
  readonly driftFactor: number
  /** The file of its thread. Default: that of this package. */
  readonly worker: URL | undefined
}

/** Some of the memory that a keeper shares with its manager. */
export interface LedgerPart {
  readonly kind: 'slots' | 'cohorts'
  readonly buffer: SharedArrayBuffer
  /** Bytes for the key and the token of a lease. */
  readonly stride: number
}

/** A keeper that has been started. */
export interface StartedKeeper {
  /** Takes more of the shared memory, before any lease is in it. */
  add(part: LedgerPart): void
  /** Ends the thread and its connection. Idempotent. */
  close(): Promise<void>
}
