/** What a soak and its workers say to each other. May import types. */
import type { DetachedLease } from 'leasewheel'

/** How a worker may be made to break the rules, to show that the checker finds out. */
export type Lie =
  /** It believes in its leases until its work is done, whatever they say. */
  | 'overstay'
  /** All its leases have the same fence. */
  | 'constant fence'

/** What a worker is told when it is started. */
export interface WorkerTask {
  /** Of its own; a worker that replaces another has another one. */
  readonly worker: number
  /** Of the server, as this worker reaches it. */
  readonly url: string
  readonly keys: number
  /** ms. */
  readonly ttl: number
  readonly seed: number
  /** The file that its history goes to. */
  readonly history: string
  readonly lie: Lie | undefined
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
