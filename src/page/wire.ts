/**
 * What the server of the page and the page tell each other. Times are in ms since 1970, durations in ms; what is unknown or infinite is null. The
 * types only: the page's own code imports this file as well.
 */

/** The figures of one second. They are null if all managers are to be shown, and could not be asked for. */
export interface Point {
  readonly at: number
  /** Whether the page's server has looked for the first time after a pause: the curves have a gap before it. */
  readonly gap: boolean
  readonly held: number | null
  readonly waiting: number | null
  readonly jeopardy: number | null
  /** The longest wait of a renewal, as a part of its ttl. */
  readonly lag: number | null
  /** Leases lost since the last point. */
  readonly lost: number
  /** Mean time from the sending of a request to its answer; null if there was none. */
  readonly roundTrip: number | null
}

/** How things are now. */
export interface Facts {
  /** Null if the figures are those of several managers. */
  readonly own: OwnFacts | null
  /** Leases lost in all. */
  readonly lost: number
  /** Managers that announce themselves, those with the most leases first; null if they could not be asked for. */
  readonly members: readonly MemberRow[] | null
  /** How many there are in all. */
  readonly memberCount: number
}

export interface OwnFacts {
  readonly connection: string
  /** Why `health()` is not ok. */
  readonly reasons: readonly string[]
  readonly watching: boolean
  readonly acquired: number
  readonly released: number
  readonly renewals: number
  readonly failures: number
  /** Percentiles of the last minute. */
  readonly roundTrip: { readonly p50: number; readonly p99: number }
  readonly renewalLag: { readonly p50: number; readonly p99: number }
  readonly routes: readonly RouteRow[]
}

export interface RouteRow {
  readonly name: string
  readonly leases: number
  readonly usable: boolean
  readonly watching: boolean
  readonly lag: number
  readonly p99: number
}

export interface MemberRow {
  readonly owner: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly startedAt: number
  readonly held: number
  readonly waiting: number
  readonly jeopardy: number
  readonly lost: number
  readonly lag: number
}

/** Leases that were lost. */
export interface LossRow {
  readonly at: number
  /** The key of one lease; null if a manager announced only how many it lost. */
  readonly key: string | null
  /** Who held it, if another manager lost it. */
  readonly owner: string | null
  readonly reason: string | null
  readonly fence: number | null
  readonly since: number | null
  /** What the last renewal failed with. */
  readonly cause: string | null
  readonly count: number
}

/** What a viewer gets first, and again if it has missed something. */
export interface Hello {
  readonly version: string
  readonly title: string
  readonly readOnly: boolean
  /** Whose figures the curves show. */
  readonly view: 'process' | 'members'
  readonly points: readonly Point[]
  readonly facts: Facts
  /** The last ones, the latest first. */
  readonly losses: readonly LossRow[]
}

/** What a viewer gets each second. */
export interface Tick {
  readonly point: Point
  readonly facts: Facts
  /** Losses since the last tick, the latest first. There may have been more. */
  readonly losses: readonly LossRow[]
}

export interface LockRow {
  readonly key: string
  /** The key in base64 if it is no text. */
  readonly bytes: string | null
  readonly kind: string
  readonly owner: string | null
  readonly since: number | null
  readonly remaining: number | null
  readonly holders: number
  readonly fence: number | null
  /** Callers of the page's own process. */
  readonly waiters: number
}

export interface LockPage {
  readonly rows: readonly LockRow[]
  /** Where the next page begins; null if this was the last one. */
  readonly cursor: string | null
  readonly at: number
  /** How long it took. */
  readonly took: number
}

/** Names one lock. */
export interface LockName {
  readonly key: string
  readonly bytes: string | null
}

/** Everything that is known of one lock. */
export interface LockStory {
  readonly at: number
  /** Null if nobody holds it. */
  readonly lock: LockRow | null
  /** The lease of the page's own process on it. */
  readonly lease: { readonly state: string; readonly ttl: number; readonly remaining: number } | null
  /** Its last losses here. */
  readonly losses: readonly LossRow[]
}

/** Asks for the release of a lock that looked like this. */
export interface ReleaseRequest extends LockName {
  readonly owner: string | null
  readonly since: number | null
}

export interface ReleaseAnswer {
  /** False if nobody held it. */
  readonly released: boolean
}

export interface Failure {
  readonly error: string
}
