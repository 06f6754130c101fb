/**
 * The life of one lease as data: what can be the case, what can happen, and what follows. Pure.
 *
 *                     confirmed                     confirmed
 *                      ┌─────┐   unanswered   ┌────────────────┐
 *     granted ───▶   held ◀──┘ ─────────────▶ jeopardy ──▶ (held again: `safe`)
 *                      │                          │
 *                      │  released by its owner   │
 *                      ├──────────▶ releasing ◀───┤
 *                      │               │          │   refused, the deadline, maxHold
 *                      └───────────────┼──────────┴──▶ lost       (terminal)
 *                                      └─────────────▶ released   (terminal; or lost, where the key was gone)
 *
 *     held, jeopardy ── detached: given away with its key ──▶ released
 *
 * `transition` is the only place that decides. It returns one of a fixed set of frozen answers, so a renewal allocates
 * nothing. Whoever applies an answer sets the new state first and tells the world afterwards.
 */

/** Why a lease was lost. `expired`: the deadline came unconfirmed. `taken`: another token is on the key. `missing`: the key is gone. `maxHold`: its owner's own limit. */
export type LossReason = 'expired' | 'taken' | 'missing' | 'maxHold'

/** `held` and `jeopardy` are the states in which work may go on (until the deadline); `released` and `lost` are final. */
export type LeaseState = 'held' | 'jeopardy' | 'releasing' | 'released' | 'lost'

/** What may happen to a lease. Times are ms on the manager's clock. */
export type LeaseInput =
  /** Time passed, or somebody asked: is it still held? */
  | { readonly type: 'observed'; readonly now: number }
  /** The backend extended the key by a request sent at `sentAt`; `now` is the moment its answer is applied. */
  | { readonly type: 'confirmed'; readonly now: number; readonly sentAt: number }
  /** A renewal failed or was not answered in time: nothing is known. */
  | { readonly type: 'unanswered'; readonly now: number; readonly error: Error }
  /** The backend found the key gone, or another token on it. */
  | { readonly type: 'refused'; readonly now: number; readonly reason: 'taken' | 'missing' }
  /** The owner gives the lease back. */
  | { readonly type: 'release'; readonly now: number }
  /** The owner gives the lease away: the key stays, for somebody else to go on with. */
  | { readonly type: 'detach'; readonly now: number }
  /** The answer to that: deleted, not there any more, or never known. */
  | { readonly type: 'deleted' }
  | { readonly type: 'gone'; readonly reason: 'taken' | 'missing' }
  | { readonly type: 'undecided' }

/** The two times that bound a lease, in ms on the manager's clock. */
export interface LeaseLimits {
  readonly deadline: number
  /** When `maxHold` ends it; undefined without one. */
  readonly retireAt?: number | undefined
}

type LeaseNotice = 'renewed' | 'jeopardy' | 'safe' | 'released' | 'lost'

export interface Transition {
  readonly to: LeaseState
  /** The event that tells of it; none when nothing changed for a subscriber. */
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

/** Whether work under the lease may go on, its deadline permitting. */
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
    // Answers to a release that was never asked for change nothing.
    case 'deleted':
    case 'gone':
    case 'undecided':
      return STAYS[state]
    default:
      return input satisfies never
  }
}

/** Renewals still on their way are of no interest any more (P16), nor is the deadline: the owner has let go. */
function whileReleasing(input: LeaseInput): Transition {
  switch (input.type) {
    case 'deleted':
    // Unknown is not lost: the owner let go of what it held, and the key ends by deletion or expiry.
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
