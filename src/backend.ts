/**
 * The port between the manager and the store of the locks. An implementation keeps no timers and decides nothing about
 * leases: it asks the store, and reports one outcome for each entry.
 */
import type { Catalogue } from './catalogue.ts'
import type { KeeperSettings, StartedKeeper } from './keeper-port.ts'
import type { Joint, JointMode } from './rules/sharing.ts'
import type { HistogramSummary } from './structures/histogram.ts'
import type { Clock } from './time/clock.ts'

export type { KeeperSettings, LedgerPart, StartedKeeper } from './keeper-port.ts'

/**
 * The key of the fence counter: one for all locks of a database, outside every prefix. So fences keep growing after a change of prefix,
 * and managers with different prefixes share it.
 */
export const FENCE_KEY = 'leasewheel:fence'

/** One acquisition of one key: what the backend writes, compares and deletes. */
export interface LockEntry {
  readonly key: string
  /** Unguessable, one per acquisition. */
  readonly token: string
  /** ms, an integer. */
  readonly ttl: number
  /** Given if others may hold the key as well. Default: the lock is for one. */
  readonly joint?: Joint | undefined
  /** For an acquisition with a joint lease: the `turn` of its first refusal, if it was refused. */
  readonly turn?: number | undefined
}

/** The answer to a request that was not carried out, or perhaps not. */
export interface NotDone {
  /**
   * For an acquire: the backend has begun to delete, by itself, whatever this token has on a server or may still get there. The next attempt needs
   * another token: a deletion that arrives late would end its lease. Default: no.
   */
  readonly givenBack?: boolean
}

/**
 * Not known: the server may have carried out the request, or may do so later. An `UnavailableError` that is `final` says that another attempt
 * would fail in the same way.
 */
export interface Unknown extends NotDone {
  readonly type: 'unknown'
  readonly error: Error
  /** Whether the server has carried out an acquire that does not count all the same: nothing of it is on its way any more. Default: no. */
  readonly landed?: boolean
}

export type AcquireOutcome = Granted | Refusal | Unknown

/** The key holds our token for a whole ttl. Another request with the same token is granted again. */
export interface Granted {
  readonly type: 'granted'
  /** At least the store's time at the grant, in µs since some fixed moment. */
  readonly fence: number
}

/** Another token holds the key. */
export interface Refusal extends NotDone {
  readonly type: 'refused'
  /** What is left of its ttl, in ms; Infinity if it has none. */
  readonly remaining: number
  /** The other token; empty if the key holds no text. */
  readonly holder: string
  /** Whether the backend will report the next change of the key to the listener. */
  readonly watched: boolean
  /** For a joint lease: another number after each change of the key. */
  readonly version?: number
  /** For a joint lease: another number after the end of each writer. */
  readonly turn?: number
}

/** The outcome of a renewal, a release or a verification. */
export type ChangeOutcome =
  /** The key held our token and was extended by a whole ttl (renew), deleted (release), or left alone (verify). */
  | { readonly type: 'done' }
  /** The key did not hold our token and was left alone. Final. */
  | { readonly type: 'refused'; readonly reason: 'taken' | 'missing' }
  | Unknown

/** What a backend reports to its manager on its own. A report with a `route` concerns the keys of that route only. */
export interface BackendListener {
  /** The backend can be asked again, after a time in which it could not. */
  onRecovered(route?: number): void
  /** The backend can be asked from now on: at least one of its servers. A backend that calls this has the property `connected`. */
  onConnected?(): void
  /** The backend cannot be asked any more. @param error why, if that is known. */
  onDisconnected?(error?: Error): void
  /** Another server answers from now on. It may lack what the previous one confirmed, so the manager asks about everything at once (P26). */
  onSuspect(route?: number): void
  /** Notifications may have been missed for a time. Watched keys are still watched. */
  onMissed(route?: number): void
  /**
   * Another may have changed or deleted these watched keys, or they have expired; without `keys`, any of them may have. This is a hint: the keys
   * are not watched any more, and the manager asks again if it needs to.
   */
  onChange(keys?: readonly string[], route?: number): void
  /** No key is watched any more: the backend reports no changes until the next `onChange()`. */
  onUnwatched(route?: number): void
  /** The server may have forgotten some watched keys, with or without a notification. */
  onForgotten(route?: number): void
  /** A fault that belongs to no request. */
  onError(error: Error): void
}

/** A password, or a token that stands for one. */
export interface Credentials {
  /** Default: the server's default user. */
  readonly username?: string | undefined
  readonly password: string
}

export interface BackendSettings {
  /** Precedes every key. */
  readonly prefix: string
  /** How long one request may stay unanswered, in ms. It also bounds how long a silent connection is kept. */
  readonly timeout: number
  /** Whether to watch keys at all, if the server is able to. */
  readonly watch: boolean
  /** The ttl of a lease whose caller names none, in ms. Default: not known. */
  readonly ttl?: number | undefined
  /** The source of time. Default: the machine's clock. */
  readonly clock?: Clock | undefined
  /** Called before each connection, for a name and a password. Default: those of the client or the URL. */
  readonly credentials?: (() => Promise<Credentials>) | undefined
  /**
   * How many replicas have to acknowledge a grant, a renewal or a hand-over: fewer in time, and its outcome is unknown. Default: 0. Only a backend
   * with `awaitsReplicas` is given more.
   */
  readonly replicas?: number | undefined
  /** Who holds the locks, for people to read: it may be part of the name of a connection. Default: none. */
  readonly owner?: string | undefined
}

/** How long a key stays at least, by the store's own clock. */
export interface Stay {
  /** The fence of the lock, which says when it was acquired: see `Granted`. */
  readonly since: number
  /** ms from then on. */
  readonly duration: number
}

/** A lock to release. */
export interface ReleaseEntry extends LockEntry {
  /** If true, watch the key from its deletion on: a waiter here wants it next. Default: false. */
  readonly watch?: boolean
  /** If given, the key stays until that time is over, instead of being deleted now. Default: it is deleted. */
  readonly stay?: Stay | undefined
}

/** A lock that goes from one token to another: from a holder of this manager to the next one. `token` and `ttl` are those of the next. */
export interface HandOverEntry extends LockEntry {
  /** The token that the key holds until now. */
  readonly from: string
}

/** The outcomes of a hand-over: the same as those of a release of `from` and of an acquire with `token` right behind it. */
export interface Exchange {
  readonly type: 'exchanged'
  readonly released: ChangeOutcome
  readonly acquired: AcquireOutcome
}

export type HandOverOutcome = Exchange | Unknown

/** What is on a key at this moment. */
export interface LockView {
  readonly token: string
  /** What is left of its ttl, in ms; Infinity if it has none. */
  readonly remaining: number
  /** How many members of a quorum have this token, if the backend is a quorum. */
  readonly votes?: number
  /** What each member of a quorum has on the key, if the backend is a quorum. */
  readonly members?: readonly MemberLockView[]
  /** Given if several may hold the key: then `token` is empty. */
  readonly joint?: JointView
}

/** Who holds a key that several may hold. */
export interface JointView {
  /** Undefined if nobody holds the key, but some wait for it. */
  readonly mode: JointMode | undefined
  readonly holders: readonly HolderView[]
}

export interface HolderView {
  readonly token: string
  /** How many permits it takes; 1 for readers and writers. */
  readonly weight: number
  /** What is left of its ttl, in ms. */
  readonly remaining: number
}

/** What one member of a quorum has on a key. */
export interface MemberLockView {
  /** The name of the member. */
  readonly name: string
  /** The token on the key; null if there is none, undefined if the member did not answer. */
  readonly token: string | null | undefined
  /** What is left of its ttl, in ms; 0 if there is none. */
  readonly remaining: number
}

/** A server process behind a backend. */
export interface ServerIdentity {
  /** Another one for each start of a server. Two connections that report the same id lead to the same process. */
  readonly id: string
  /** When the server started, in ms on the clock of the settings; undefined if it does not say. */
  readonly startedAt: number | undefined
}

/** One member of a quorum. */
export interface QuorumMemberStats {
  /** What operators call it, such as its host and port. */
  readonly name: string
  /** Whether requests can be sent there now. */
  readonly usable: boolean
  /** Whether it notifies the manager of changes now. */
  readonly watching: boolean
  /** For how long it has no vote on new locks, in ms, because it was restarted; 0 if it has one. */
  readonly quarantined: number
  /** How many locks it has granted, and how many it has refused. */
  readonly granted: number
  readonly refused: number
  /** How many lost keys of leases were written to it again. */
  readonly healed: number
  /** Keys that are to be deleted from it, because nobody holds their locks any more. */
  readonly undoing: number
  /** How long its answers came after the majority was decided, in ms: a smoothed mean. 0 for a member that is part of the majority. */
  readonly lag: number
  /** Time from the sending of a request to its answer. */
  readonly roundTrip: HistogramSummary
}

/** One of the servers of a backend. */
export interface RouteView {
  readonly route: number
  /** What operators call it: host and port. */
  readonly name: string
  /** Whether requests can be sent there now. */
  readonly usable: boolean
  /** Whether it reports changes of keys now. */
  readonly watching: boolean
}

/**
 * What a backend over several servers adds. Each key has a place that never changes, and each place has a route: the server that serves it now.
 * In a Redis cluster a place is a hash slot, and a route is a node. The manager puts keys of one route into a request, and keys of neighbouring
 * places where it can, because a backend needs one call for each place. A backend without these has one place and one route, 0.
 */
export interface Routing {
  /** The number of places. */
  readonly places: number
  /** The place of a key: an integer from 0 to `places` - 1. */
  placeOf(key: string): number
  /** The route of a place now, a small integer; -1 if no server is known for it. It may change at any time. */
  routeOf(place: number): number
  /** Asked about a request without an answer: why there is none, if that is known. It should name the server. */
  faultOf(route: number): Error | undefined
  /** The servers that serve any place now. */
  views(): readonly RouteView[]
}

/**
 * `acquire`, `renew`, `release` and `verify` each take an array and return outcomes in the same order, one for each entry. Except with joint leases, no key
 * comes twice in one `acquire`; in the others a key may come with two tokens, of which the server has at most one. The backend carries out the calls in
 * order. They should never reject: a failure is an `unknown` outcome. (The manager reads a rejection as `unknown` for all entries.)
 */
export interface Backend {
  /** Whether the backend reports changes of keys now. */
  readonly watching: boolean
  /** Whether the backend can be asked now. Without this property it always can. */
  readonly connected?: boolean | undefined
  /** Why the backend cannot be asked, or last could not be, if that is known. It becomes the `cause` of unanswered requests. */
  readonly fault?: Error | undefined
  /** Given, from the construction on, if keys are spread over several servers. The manager calls it only after `open`. */
  readonly routing?: Routing | undefined
  /** What operators call it, such as its host and port. Default: nothing. */
  readonly name?: string | undefined
  /** The servers it is connected to. A quorum tells by them whether two members are one server, and whether one was restarted. Default: not known. */
  readonly servers?: readonly ServerIdentity[] | undefined
  /** The members, if this is a quorum. */
  readonly members?: readonly QuorumMemberStats[] | undefined
  /** A key that cannot be a lock, because the backend uses it; known once the backend is open. Default: none. */
  readonly reservedKey?: string | undefined
  /** Whether it can wait for replicas: see `BackendSettings.replicas`. Default: no, and a manager that wants that is refused. */
  readonly awaitsReplicas?: boolean | undefined
  /** Whether it knows locks that several may hold: entries with `joint`. Default: no, and the manager sends none. */
  readonly joints?: boolean | undefined
  /** Whether it lets a key stay at its release: see `ReleaseEntry.stay`. Default: no, and the manager asks for that of none. */
  readonly stays?: boolean | undefined
  /** Given, once the backend is open, if operators can list its keys and managers can announce themselves. Default: neither works. */
  readonly catalogue?: Catalogue | undefined
  /** The manager calls this once, before anything else. */
  open(settings: BackendSettings, listener: BackendListener): void
  /**
   * `undefined` if requests can be sent now. Otherwise a promise that settles at the next change; it rejects with the reason if they cannot.
   *
   * @param route the route of the request, if there are several; -1 if no server is known for its keys. Default: 0. If the routes change, all
   * waiting promises should settle: the manager then looks where the keys are.
   */
  ready(route?: number): Promise<void> | undefined
  /**
   * @param watch whether to watch granted keys. Default: no. The backend always watches refused keys, if it can.
   * @param floor what all fences of the call must be larger than. Default: none. A quorum needs it.
   */
  acquire(entries: readonly LockEntry[], watch?: boolean, floor?: number): Promise<readonly AcquireOutcome[]>
  /** Makes all later fences of these keys larger than `fence`, and changes no lock. A member of a quorum needs it. */
  raiseFences?(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]>
  /**
   * Extends a key that holds the entry's token. It never creates a key, and never touches another's. The array never changes, and
   * the same array comes again while the same leases are renewed together: a backend may cache what it derives from it.
   *
   * @param watch whether to watch the keys from now on. Default: no.
   */
  renew(entries: readonly LockEntry[], watch?: boolean): Promise<readonly ChangeOutcome[]>
  /** Deletes a key that holds the entry's token, and no other; or lets it stay, see `ReleaseEntry.stay`. */
  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]>
  /**
   * Releases each key from one token and acquires it for another, in one step: nobody finds the key free in between. If the key holds neither
   * token, that is left alone; if the key is gone, it is acquired. No key comes twice. Without this method the manager sends a release and an
   * acquire.
   *
   * @param watch as for `acquire`.
   */
  handOver?(entries: readonly HandOverEntry[], watch?: boolean): Promise<readonly HandOverOutcome[]>
  /** Checks whether a key holds the entry's token. It changes nothing, not even whether the key is watched. */
  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]>
  /** Who holds the key; `null` if nobody does. Rejects if the backend cannot be asked. */
  inspect(key: string): Promise<LockView | null>
  /** Deletes a key, whoever holds it. @returns whether the key existed. Rejects if the backend cannot be asked. */
  forceRelease(key: string): Promise<boolean>
  /**
   * Starts a keeper for the locks of this backend. The manager calls it before `open`, with the same settings. Without this method there is none.
   *
   * @param onFault called with each fault of the keeper. @throws TypeError if another thread cannot reach the server as this backend does.
   */
  startKeeper?(settings: BackendSettings, keeper: KeeperSettings, onFault: (fault: Error) => void): StartedKeeper
  /** From now on, and for good, its connections do not keep the process alive. Without this method they do, or there are none. */
  unref?(): void
  /** Closes the connections and settles unanswered requests. Idempotent. */
  close(): Promise<void>
}
