/**
 * The public names of `leasewheel`.
 *
 * @module leasewheel
 */
export type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  Credentials,
  Exchange,
  Granted,
  HolderView,
  HandOverEntry,
  HandOverOutcome,
  KeeperSettings,
  LedgerPart,
  LockEntry,
  NotDone,
  LockView,
  MemberLockView,
  QuorumMemberStats,
  Refusal,
  ReleaseEntry,
  RouteView,
  Routing,
  JointView,
  ServerIdentity,
  Stay,
  StartedKeeper,
  Unknown,
} from './backend.ts'
export type { Announcement, Catalogue, KeyPage, KeyView } from './catalogue.ts'
export type { Announcer, ClaimListener } from './claims/announcer.ts'
export type { Claim, ClaimEvents, GainedEvent, LostClaimEvent } from './claims/claim.ts'
export type { Election, Term, TermEnd } from './claims/election.ts'
export type { ClaimOptions, ElectionOptions, ShareOptions } from './claims/options.ts'
export type { ClaimEnd } from './claims/pursuit.ts'
export type { SettledEvent, Share, ShareEvents } from './claims/share.ts'
export { type Clock, SystemClock, type Timer, type TimerSource, type TimeSources } from './time/clock.ts'
export type { DurationSummary, HistogramSummary } from './structures/histogram.ts'
export type { LeaseState, LossReason } from './rules/lease-state.ts'
export type { Joint, JointMode } from './rules/sharing.ts'
export {
  LeaseError,
  type LeaseErrorCode,
  type LeaseErrorOptions,
  LeaseLostError,
  LeaseUpgradeError,
  LockNotAcquiredError,
  LockNotHeldError,
  ManagerClosedError,
  type RefusalDetails,
  UnavailableError,
  type UnavailableErrorOptions,
} from './errors.ts'
export type {
  AcquiredEvent,
  ConnectedEvent,
  DisconnectedEvent,
  JeopardyEvent,
  LeaseEvents,
  LostEvent,
  MemberEvent,
  OverloadEvent,
  ReleasedEvent,
  RenewedEvent,
  SafeEvent,
} from './lease/events.ts'
export type { DetachedLease, Lease, LeaseEnd, LeaseSummary } from './lease/lease.ts'
export { LeaseManager } from './lease-manager.ts'
export type { HolderInspection, LockInspection, JointInspection } from './lease/lock-inspection.ts'
export type { Member, MemberRoles, MemberStats } from './member.ts'
export type { ListedLock } from './overview/listing.ts'
export type { GuardedEmitter, LeaseEventName, LeaseListener } from './manager/guarded-emitter.ts'
export type {
  AcquireAllOptions,
  AcquireManyOptions,
  AcquireOptions,
  AdoptOptions,
  CloseOptions,
  KeeperOptions,
  LeaseManagerOptions,
  LeaseOptions,
  ListOptions,
  Progress,
  JointOptions,
  StandingOptions,
  TryAcquireOptions,
  UsingOptions,
} from './options/options.ts'
export {
  type ExponentialBackoffOptions,
  exponentialBackoff,
  type FixedIntervalOptions,
  fixedInterval,
  type RetryContext,
  type RetryStrategy,
} from './options/retry.ts'
export type { ClusterClient, Connectable, RedisClient } from './redis/create-backend.ts'
export type {
  ConnectionState,
  Health,
  HealthReason,
  KeeperStats,
  LeaseManagerStats,
  LoadReport,
  Measurement,
  MeasurementName,
  RouteStats,
  UnacquiredCause,
  WakeUpCause,
} from './stats.ts'
export type { AcquireTrace, ReleaseTrace, UsingTrace } from './tracing/channels.ts'

/** The symbol of `await using`. A `lib` older than `esnext.disposable` does not declare it. */
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol
  }
}
