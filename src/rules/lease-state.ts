/**
 * The life of one lease as data: its states, its inputs, and the transitions. Pure.
 *
 *                     confirmed                     confirmed
 *                      ┌─────┐   unanswered   ┌────────────────┐
 *     granted ───▶   held ◀──┘ ─────────────▶ jeopardy ──▶ (held again: `safe`)
 *                      │                          │
 *                      │  released by its owner   │
 *                      ├──────────▶ releasing ◀───┤
 *                      │               │          │   refused, the deadline, maxHold
 *                      └───────────────┼──────────┴──▶ lost       (terminal)
 *                                      └─────────────▶ released   (terminal; or lost, if the key was gone)
 *
 *     held, jeopardy ── detached: given away with its key ──▶ released
 *
 * `transition` is the only place that decides. It returns one of a fixed set of answers, so a renewal allocates nothing.
 * The lease table applies an answer: it sets the new state first, and emits the event afterwards.
 */

/** Why a lease was lost. `expired`: its deadline passed. `taken`: another token is on the key. `missing`: the key is gone. `maxHold`: it reached its owner's limit. */
export type LossReason = 'expired' | 'taken' | 'missing' | 'maxHold'

/** In `held` and `jeopardy` work may go on until the deadline. `released` and `lost` are final. */
export type LeaseState = 'held' | 'jeopardy' | 'releasing' | 'released' | 'lost'

/** What may happen to a lease. Times are ms on the manager's clock. */
export type LeaseInput =
  /** Time passed, or a caller asked whether the lease is still held. */
  | { readonly type: 'observed'; readonly now: number }
  /** The backend extended the key by a request sent at `sentAt`; `now` is the moment its answer is applied. */
  | { readonly type: 'confirmed'; readonly now: number; readonly sentAt: number }
  /** A renewal failed or is overdue: the state of the key is unknown. */
  | { readonly type: 'unanswered'; readonly now: number; readonly error: Error }
  /** The backend found the key gone, or another token on it. */
  | { readonly type: 'refused'; readonly now: number; readonly reason: 'taken' | 'missing' }
  /** The owner gives the lease back. */
  | { readonly type: 'release'; readonly now: number }
  /** The owner detaches the lease: the key stays, for another process to adopt. */
  | { readonly type: 'detach'; readonly now: number }
  /** The outcome of a release: the key was deleted, was not ours any more, or is unknown. */
  | { readonly type: 'deleted' }
  | { readonly type: 'gone'; readonly reason: 'taken' | 'missing' }
  | { readonly type: 'undecided' }

/** The two times that bound a lease, in ms on the manager's clock. */
export interface LeaseLimits {
  readonly deadline: number
  /** When `maxHold` ends the lease; undefined without one. */
  readonly retireAt?: number | undefined
}

type LeaseNotice = 'renewed' | 'jeopardy' | 'safe' | 'released' | 'lost'

export interface Transition {
  readonly to: LeaseState
  /** The event to emit, if there is one. */
  readonly notice?: LeaseNotice
  /** The deadline now counts from the send time of the request that was confirmed. */
  readonly extends?: true
  readonly reason?: LossReason
}

const STAYS = {
  held: { to: 'held' },
  jeopardy: { to: 'jeopardy' },
  releasing: { to: 'releasing' },
  released: { to: 'released' },
  lost: { to: 'lost' },
} as const satisfies Record<LeaseState, Transition>

const RENEWED = { to: 'held', notice: 'renewed', extends: true } as const satisfies Transition
const SAFE = { to: 'held', notice: 'safe', extends: true } as const satisfies Transition
const ENDANGERED = { to: 'jeopardy', notice: 'jeopardy' } as const satisfies Transition
const RELEASED = { to: 'released', notice: 'released' } as const satisfies Transition

const LOST = {
  expired: { to: 'lost', notice: 'lost', reason: 'expired' },
  taken: { to: 'lost', notice: 'lost', reason: 'taken' },
  missing: { to: 'lost', notice: 'lost', reason: 'missing' },
  maxHold: { to: 'lost', notice: 'lost', reason: 'maxHold' },
} as const satisfies Record<LossReason, Transition>

/** Whether work under the lease may go on until its deadline. */
export function isActive(state: LeaseState): boolean {
  return state === 'held' || state === 'jeopardy'
}

export function transition(state: LeaseState, limits: LeaseLimits, input: LeaseInput): Transition {
  switch (state) {
    case 'held':
    case 'jeopardy':
      return whileActive(state, limits, input)
    case 'releasing':
      return whileReleasing(input)
    case 'released':
    case 'lost':
      return STAYS[state]
    default:
      return state satisfies never
  }
}

function whileActive(state: 'held' | 'jeopardy', limits: LeaseLimits, input: LeaseInput): Transition {
  switch (input.type) {
    case 'observed':
      return endedByTime(limits, input.now) ?? STAYS[state]
    case 'confirmed':
      return endedByTime(limits, input.now) ?? (state === 'jeopardy' ? SAFE : RENEWED)
    case 'unanswered':
      return endedByTime(limits, input.now) ?? (state === 'held' ? ENDANGERED : STAYS.jeopardy)
    case 'refused':
      return endedByTime(limits, input.now) ?? LOST[input.reason]
    case 'release':
      return endedByTime(limits, input.now) ?? STAYS.releasing
    case 'detach':
      return endedByTime(limits, input.now) ?? RELEASED
    // A release outcome without a release changes nothing.
    case 'deleted':
    case 'gone':
    case 'undecided':
      return STAYS[state]
    default:
      return input satisfies never
  }
}

/** The owner has let go: renewals on their way do not matter any more (P16), nor does the deadline. */
function whileReleasing(input: LeaseInput): Transition {
  switch (input.type) {
    case 'deleted':
    // Unknown is not lost: the owner released a held lock, and the key ends by deletion or expiry.
    case 'undecided':
      return RELEASED
    case 'gone':
      return LOST[input.reason]
    case 'observed':
    case 'confirmed':
    case 'unanswered':
    case 'refused':
    case 'release':
    case 'detach':
      return STAYS.releasing
    default:
      return input satisfies never
  }
}

function endedByTime(limits: LeaseLimits, now: number): Transition | undefined {
  const { deadline, retireAt = Number.POSITIVE_INFINITY } = limits
  if (now < deadline && now < retireAt) return undefined
  return deadline <= retireAt ? LOST.expired : LOST.maxHold
}
