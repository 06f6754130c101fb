/** What a soak and its workers say to each other. */
import type { DetachedLease } from 'leasewheel'

/** How a worker may be made to break the rules, to show that the checker finds out. */
export type Lie =
  /** It believes in its leases until its work is done, whatever they say. */
  | 'overstay'
  /** All its leases have the same fence. */
  | 'constant fence'

/**
 * How a worker reaches the server: by its address; by asking Sentinels, and then through a proxy before the one they name; by asking the
 * nodes of a cluster; or as a quorum of several.
 */
export type Route =
  | { readonly url: string }
  | { readonly members: readonly string[]; readonly restartDelay: number }
  | { readonly nodes: readonly { readonly host: string; readonly port: number }[] }
  | {
      readonly name: string
      readonly sentinels: readonly { readonly host: string; readonly port: number }[]
      readonly natMap: Readonly<Record<string, { readonly host: string; readonly port: number }>>
    }

/** What a worker is told when it is started. */
export interface WorkerTask {
  /** Of its own; a worker that replaces another has another one. */
  readonly worker: number
  readonly route: Route
  readonly keys: number
  /** ms. */
  readonly ttl: number
  readonly seed: number
  /** The file that its history goes to. */
  readonly history: string
  readonly lie: Lie | undefined
  /** Whether it takes permits, and locks for readers and writers, too. */
  readonly joints?: boolean
  /** Locks that it claims for as long as it lives, beside all else: `standing N` from the first one on. Default: none. */
  readonly standing?: { readonly first: number; readonly count: number }
  /** Whether each lease is renewed until it is released, so that a lost one is a fault. */
  readonly isSteady?: boolean
}

export type MessageToWorker =
  | { readonly type: 'answer'; readonly write: number; readonly isAccepted: boolean }
  /** A lease that another worker has detached. */
  | { readonly type: 'adopt'; readonly lease: DetachedLease }
  /** To begin nothing new, and to end when all is given back. */
  | { readonly type: 'finish' }

export type MessageFromWorker =
  | { readonly type: 'ready' }
  | {
      readonly type: 'write'
      /** The answer has the same number. */
      readonly write: number
      readonly hold: number
      readonly key: string
      readonly fence: number
    }
  | { readonly type: 'detached'; readonly lease: DetachedLease }
