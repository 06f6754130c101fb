/** What `npm run fairness` and its processes say to each other. */
import type { JointOptions } from 'leasewheel'

/** Some callers that do the same: each acquires the key, holds it, releases it, rests, and begins again. */
export interface Kind {
  readonly name: string
  readonly callers: number
  readonly options: JointOptions
}

export interface Task {
  readonly url: string
  readonly key: string
  readonly kinds: readonly Kind[]
  /** All in ms. */
  readonly duration: number
  readonly hold: number
  readonly rest: number
}

/** What became of a caller. */
export interface Told {
  readonly kind: string
  /** How long it waited for each of its leases, in ms. */
  readonly waits: readonly number[]
  /** How long it had waited for the next one at the end, in ms; 0 if it did not wait. */
  readonly pending: number
}

export type Message = { readonly type: 'ready' } | { readonly type: 'over'; readonly callers: readonly Told[] }
