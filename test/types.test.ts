/**
 * What the compiler promises to users. Everything here is checked by `tsc`; that the tests also run proves only that the
 * names exist.
 */
import { expectTypeOf } from 'expect-type'
import type { Cluster, Redis } from 'ioredis'
import {
  type AcquiredEvent,
  type ConnectedEvent,
  type DisconnectedEvent,
  type Health,
  type Measurement,
  type AcquireManyOptions,
  type AcquireOptions,
  type AdoptOptions,
  type Backend,
  type ClaimEnd,
  type Clock,
  type CloseOptions,
  type Connectable,
  type DetachedLease,
  type exponentialBackoff,
  type ExponentialBackoffOptions,
  type fixedInterval,
  type HistogramSummary,
  type JeopardyEvent,
  type Lease,
  type LeaseEnd,
  type LeaseError,
  type LeaseErrorCode,
  type LeaseEventName,
  type LeaseEvents,
  type LeaseListener,
  type LeaseLostError,
  type LeaseManager,
  type LeaseManagerOptions,
  type LeaseManagerStats,
  type LeaseOptions,
  type LeaseState,
  type LockInspection,
  type LockNotAcquiredError,
  type LockNotHeldError,
  type LossReason,
  type LostEvent,
  type MemberEvent,
  type ManagerClosedError,
  type ReleasedEvent,
  type RenewedEvent,
  type RetryContext,
  type RetryStrategy,
  type RouteStats,
  type RouteView,
  type Routing,
  type SafeEvent,
  type Joint,
  type OverloadEvent,
  SystemClock,
  type Term,
  type TermEnd,
  type TryAcquireOptions,
  type UnavailableError,
  type WakeUpCause,
} from 'leasewheel'
import type {
  ManualClock,
  MemoryBackend,
  MemoryBackendOptions,
  MemoryStore,
  MemoryStoreOptions,
} from 'leasewheel/memory'

declare const leases: LeaseManager

/** What a listener of an event is called with. */
type Heard<E extends keyof LeaseEvents> = Parameters<Parameters<typeof leases.on<E>>[1]>

describe('the types of', () => {
  it('events: one payload each', () => {
    expectTypeOf<keyof LeaseEvents>().toEqualTypeOf<
      | 'acquired'
      | 'renewed'
      | 'jeopardy'
      | 'safe'
      | 'lost'
      | 'released'
      | 'overload'
      | 'joined'
      | 'left'
      | 'connected'
      | 'disconnected'
      | 'measured'
      | 'error'
    >()
    expectTypeOf<Heard<'acquired'>>().toEqualTypeOf<[event: AcquiredEvent]>()
    expectTypeOf<Heard<'renewed'>>().toEqualTypeOf<[event: RenewedEvent]>()
    expectTypeOf<Heard<'jeopardy'>>().toEqualTypeOf<[event: JeopardyEvent]>()
    expectTypeOf<Heard<'safe'>>().toEqualTypeOf<[event: SafeEvent]>()
    expectTypeOf<Heard<'lost'>>().toEqualTypeOf<[event: LostEvent]>()
    expectTypeOf<Heard<'released'>>().toEqualTypeOf<[event: ReleasedEvent]>()
    expectTypeOf<Heard<'overload'>>().toEqualTypeOf<[event: OverloadEvent]>()
    expectTypeOf<Heard<'joined' | 'left'>>().toEqualTypeOf<[event: MemberEvent]>()
    expectTypeOf<Heard<'connected'>>().toEqualTypeOf<[event: ConnectedEvent]>()
    expectTypeOf<Heard<'disconnected'>>().toEqualTypeOf<[event: DisconnectedEvent]>()
    expectTypeOf<Heard<'measured'>>().toEqualTypeOf<[event: Measurement]>()
    expectTypeOf<Heard<'error'>>().toEqualTypeOf<[error: Error]>()
  })

  it('elections, claims and shares: what their callbacks get', () => {
    // Never called: `leases` does not exist.
    const stand = (): void => {
      const election = leases.elect('a', {
        elected: (term) => expectTypeOf(term).toEqualTypeOf<Term>(),
        deposed: (reason) => expectTypeOf(reason).toEqualTypeOf<TermEnd>(),
      })
      expectTypeOf(election.leader()).resolves.toEqualTypeOf<LockInspection | null>()
      leases.claim(['a']).on('lost', ({ reason }) => expectTypeOf(reason).toEqualTypeOf<ClaimEnd>())
      const share = leases.share(new Set(['a']), { group: 'g' })
      share.on('gained', ({ lease, signal }) => {
        expectTypeOf(lease).toEqualTypeOf<Lease>()
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
      })
      share.on('settled', ({ members, held }) => expectTypeOf([members, held]).toEqualTypeOf<number[]>())
      // @ts-expect-error a claim never settles
      leases.claim(['a']).on('settled', () => undefined)
      // @ts-expect-error a share needs a group
      leases.share(['a'])
      // @ts-expect-error only `using` keeps a key
      void leases.acquire('a', { atLeast: 5 })
    }
    expectTypeOf(stand).toBeFunction()
    expectTypeOf<TermEnd>().toEqualTypeOf<LossReason | 'resigned' | 'failed' | 'closed'>()
    expectTypeOf<ClaimEnd>().toEqualTypeOf<LossReason | 'released' | 'moved' | 'closed'>()
  })

  it('payloads: the lease and the data of the event, all of it readonly', () => {
    expectTypeOf<AcquiredEvent>().toEqualTypeOf<{ readonly lease: Lease }>()
    expectTypeOf<RenewedEvent>().toEqualTypeOf<{ readonly lease: Lease }>()
    expectTypeOf<SafeEvent>().toEqualTypeOf<{ readonly lease: Lease }>()
    expectTypeOf<JeopardyEvent>().toEqualTypeOf<{
      readonly lease: Lease
      readonly error: Error
      readonly remaining: number
    }>()
    expectTypeOf<LostEvent>().toEqualTypeOf<{
      readonly lease: Lease
      readonly reason: LossReason
      readonly error: LeaseLostError
    }>()
    expectTypeOf<ReleasedEvent>().toEqualTypeOf<{
      readonly lease: Lease
      readonly confirmed: boolean
      readonly detached: boolean
    }>()
    expectTypeOf<LossReason>().toEqualTypeOf<'expired' | 'taken' | 'missing' | 'maxHold'>()
  })

  it('listeners: inferred from the name of the event', () => {
    // Never called: `leases` does not exist.
    const subscribe = (): void => {
      leases.on('lost', (event) => expectTypeOf(event).toEqualTypeOf<LostEvent>())
      leases.once('acquired', ({ lease }) => expectTypeOf(lease).toEqualTypeOf<Lease>())
      leases.addListener('jeopardy', ({ remaining }) => expectTypeOf(remaining).toEqualTypeOf<number>())
      leases.on('error', (error) => expectTypeOf(error).toEqualTypeOf<Error>())
      expectTypeOf(leases.on('safe', () => undefined)).toEqualTypeOf<LeaseManager>()
    }
    expectTypeOf(subscribe).toBeFunction()
    expectTypeOf<LeaseManager['on']>().parameter(0).toEqualTypeOf<keyof LeaseEvents>()
    expectTypeOf<LeaseEventName>().toEqualTypeOf<keyof LeaseEvents>()
    expectTypeOf<LeaseListener<'lost'>>().toEqualTypeOf<(event: LostEvent) => void>()
    expectTypeOf<'expired'>().not.toExtend<Parameters<LeaseManager['on']>[0]>()
  })

  it('acquiring: a refusal is `null` if the method says so, otherwise an error', () => {
    expectTypeOf<LeaseManager['tryAcquire']>().returns.toEqualTypeOf<Promise<Lease | null>>()
    expectTypeOf<LeaseManager['acquire']>().returns.toEqualTypeOf<Promise<Lease>>()
    expectTypeOf<LeaseManager['acquireMany']>().returns.toEqualTypeOf<Promise<(Lease | null)[]>>()
    expectTypeOf<LeaseManager['acquireAll']>().returns.toEqualTypeOf<Promise<Lease[]>>()
    expectTypeOf<LeaseManager['tryAcquire']>().parameters.toEqualTypeOf<
      [key: string, options?: TryAcquireOptions | undefined]
    >()
    expectTypeOf<LeaseManager['acquire']>().parameters.toEqualTypeOf<
      [key: string, options?: AcquireOptions | undefined]
    >()
    expectTypeOf<LeaseManager['acquireMany']>().parameter(0).toEqualTypeOf<Iterable<string>>()
    expectTypeOf<LeaseManager['acquireAll']>().parameter(0).toEqualTypeOf<Iterable<string>>()
  })

  it('using: returns what the work returns, awaited', () => {
    const use = async (): Promise<void> => {
      expectTypeOf(await leases.using('a', () => 5)).toEqualTypeOf<number>()
      expectTypeOf(await leases.using('a', async ({ fence }) => String(fence))).toEqualTypeOf<string>()
      expectTypeOf(await leases.using('a', (lease) => expectTypeOf(lease).toEqualTypeOf<Lease>())).toEqualTypeOf<true>()
    }
    expectTypeOf(use).toBeFunction()
  })

  it('the manager: what is held, and how it ends', () => {
    expectTypeOf<LeaseManager['get']>().toEqualTypeOf<(key: string) => Lease | undefined>()
    expectTypeOf<LeaseManager['inspect']>().returns.toEqualTypeOf<Promise<LockInspection | null>>()
    expectTypeOf<LeaseManager['size']>().toEqualTypeOf<number>()
    expectTypeOf<LeaseManager['stats']>().returns.toEqualTypeOf<LeaseManagerStats>()
    expectTypeOf<LeaseManager['health']>().returns.toEqualTypeOf<Health>()
    expectTypeOf<LeaseManager['close']>().toEqualTypeOf<(options?: CloseOptions) => Promise<void>>()
    expectTypeOf<LeaseManager>().toExtend<Iterable<Lease>>()
    expectTypeOf<LeaseManager>().toExtend<AsyncDisposable>()
    expectTypeOf<LeaseManagerStats['roundTrip']>().toEqualTypeOf<HistogramSummary>()
    expectTypeOf<LeaseManagerStats['lost']>().toEqualTypeOf<Readonly<Record<LossReason, number>>>()
    expectTypeOf<LockInspection['lease']>().toEqualTypeOf<Lease | undefined>()
  })

  it('the manager: made over an ioredis client or cluster, a URL or a backend', () => {
    type Connection = ConstructorParameters<typeof LeaseManager>[0]
    expectTypeOf<Connection>().toEqualTypeOf<Connectable>()
    expectTypeOf<Redis>().toExtend<Connection>()
    expectTypeOf<Cluster>().toExtend<Connection>()
    expectTypeOf<string>().toExtend<Connection>()
    expectTypeOf<Backend>().toExtend<Connection>()
    expectTypeOf<MemoryBackend>().toExtend<Connection>()
    expectTypeOf<MemoryStore>().not.toExtend<Connection>()
    expectTypeOf<{ host: string; port: number }>().not.toExtend<Connection>()
    expectTypeOf<ConstructorParameters<typeof LeaseManager>[1]>().toEqualTypeOf<LeaseManagerOptions | undefined>()
  })

  it('a backend over several servers: says where keys are, and `stats` shows it', () => {
    expectTypeOf<Backend['routing']>().toEqualTypeOf<Routing | undefined>()
    expectTypeOf<Routing['views']>().returns.toEqualTypeOf<readonly RouteView[]>()
    expectTypeOf<RouteView['name']>().toEqualTypeOf<RouteStats['name']>()
    expectTypeOf<LeaseManagerStats['routes']>().toEqualTypeOf<readonly RouteStats[]>()
  })

  it('a lease: readable, and readonly', () => {
    expectTypeOf<
      Pick<Lease, 'key' | 'token' | 'fence' | 'ttl' | 'held' | 'remaining' | 'state' | 'signal'>
    >().toEqualTypeOf<{
      readonly key: string
      readonly token: string
      readonly fence: number
      readonly ttl: number
      readonly held: boolean
      readonly remaining: number
      readonly state: LeaseState
      readonly signal: AbortSignal
    }>()
    expectTypeOf<Lease['ended']>().toEqualTypeOf<Promise<LeaseEnd>>()
    expectTypeOf<LeaseEnd>().toEqualTypeOf<'released' | 'lost' | 'closed'>()
    expectTypeOf<LeaseState>().toEqualTypeOf<'held' | 'jeopardy' | 'releasing' | 'released' | 'lost'>()
    expectTypeOf<Lease['renew']>().toEqualTypeOf<() => Promise<void>>()
    expectTypeOf<Lease['release']>().toEqualTypeOf<() => Promise<boolean>>()
    expectTypeOf<Lease>().toExtend<AsyncDisposable>()
  })

  it('hand-over: a detached lease is plain data, and can be adopted', () => {
    expectTypeOf<DetachedLease>().toEqualTypeOf<{
      readonly key: string
      readonly token: string
      readonly fence: number
      readonly ttl: number
      readonly joint?: Joint | undefined
    }>()
    expectTypeOf<Lease['detach']>().toEqualTypeOf<() => DetachedLease>()
    expectTypeOf<LeaseManager['adopt']>().toEqualTypeOf<
      (lease: DetachedLease, options?: AdoptOptions) => Promise<Lease>
    >()
    expectTypeOf<LeaseManager['forceRelease']>().toEqualTypeOf<(key: string | Uint8Array) => Promise<boolean>>()
    expectTypeOf<keyof AdoptOptions>().toEqualTypeOf<'timeout' | 'maxHold' | 'autoRenew' | 'signal'>()
    expectTypeOf<Lease>().toExtend<DetachedLease>()
    expectTypeOf<LockInspection['since']>().toEqualTypeOf<Date | undefined>()
    expectTypeOf<LockInspection['owner']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<LockNotAcquiredError['owner']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<WakeUpCause>().toEqualTypeOf<'handOver' | 'change' | 'reconnect' | 'timeout'>()
    expectTypeOf<LeaseManagerStats['wakeUps']>().toEqualTypeOf<Readonly<Record<WakeUpCause, number>>>()
    expectTypeOf<RetryContext['watched']>().toEqualTypeOf<boolean>()
  })

  it('options: durations are numbers, every option is optional and readonly', () => {
    expectTypeOf<LeaseOptions>().toEqualTypeOf<{
      readonly ttl?: number | undefined
      readonly timeout?: number | undefined
      readonly maxHold?: number | undefined
      readonly autoRenew?: boolean | undefined
    }>()
    expectTypeOf<{ [Name in keyof LeaseManagerOptions]-?: undefined }>().toExtend<LeaseManagerOptions>()
    expectTypeOf<{ [Name in keyof AcquireManyOptions]-?: undefined }>().toExtend<AcquireManyOptions>()
    expectTypeOf<{ [Name in keyof CloseOptions]-?: undefined }>().toExtend<CloseOptions>()
    expectTypeOf<{ [Name in keyof ExponentialBackoffOptions]-?: undefined }>().toExtend<ExponentialBackoffOptions>()
    expectTypeOf<{ store: undefined; watch: undefined }>().toExtend<MemoryBackendOptions>()
    expectTypeOf<{ clock: undefined }>().toExtend<MemoryStoreOptions>()
    expectTypeOf<AcquireOptions>().toExtend<TryAcquireOptions>()
    expectTypeOf<TryAcquireOptions>().toExtend<LeaseOptions>()
    expectTypeOf<LeaseManagerOptions>().toExtend<LeaseOptions>()
    expectTypeOf<{}>().toExtend<LeaseManagerOptions>()
    expectTypeOf<'wait'>().not.toExtend<keyof TryAcquireOptions>()
    expectTypeOf<{ signal: AbortSignal | undefined }>().toExtend<TryAcquireOptions>()
    expectTypeOf<{ ttl: string }>().not.toExtend<LeaseOptions>()
  })

  it('strategies: one of your own is a method', () => {
    expectTypeOf<RetryStrategy['next']>().toEqualTypeOf<(context: RetryContext) => number | null>()
    expectTypeOf<typeof fixedInterval>().returns.toEqualTypeOf<RetryStrategy>()
    expectTypeOf<typeof exponentialBackoff>().returns.toEqualTypeOf<RetryStrategy>()
    expectTypeOf<Parameters<typeof fixedInterval>>().not.toExtend<[]>()
    expectTypeOf<[]>().toExtend<Parameters<typeof exponentialBackoff>>()
    expectTypeOf<{ next: () => null }>().toExtend<RetryStrategy>()
  })

  it('errors: told apart by their class or by their code', () => {
    expectTypeOf<LeaseErrorCode>().toEqualTypeOf<
      'ERR_NOT_ACQUIRED' | 'ERR_NOT_HELD' | 'ERR_LEASE_LOST' | 'ERR_UPGRADE' | 'ERR_UNAVAILABLE' | 'ERR_CLOSED'
    >()
    expectTypeOf<LockNotAcquiredError['code']>().toEqualTypeOf<'ERR_NOT_ACQUIRED'>()
    expectTypeOf<LockNotHeldError['code']>().toEqualTypeOf<'ERR_NOT_HELD'>()
    expectTypeOf<LeaseLostError['code']>().toEqualTypeOf<'ERR_LEASE_LOST'>()
    expectTypeOf<UnavailableError['code']>().toEqualTypeOf<'ERR_UNAVAILABLE'>()
    expectTypeOf<ManagerClosedError['code']>().toEqualTypeOf<'ERR_CLOSED'>()
    expectTypeOf<LeaseLostError>().toExtend<LeaseError>()
    expectTypeOf<LeaseError>().toExtend<Error>()
    expectTypeOf<LeaseError['cause']>().toEqualTypeOf<unknown>()
    expectTypeOf<LeaseLostError['reason']>().toEqualTypeOf<LossReason>()
    expectTypeOf<LockNotAcquiredError['remaining']>().toEqualTypeOf<number | undefined>()
    const narrow = (error: LockNotHeldError | LeaseLostError): void => {
      if (error.code === 'ERR_LEASE_LOST') expectTypeOf(error).toEqualTypeOf<LeaseLostError>()
      else expectTypeOf(error).toEqualTypeOf<LockNotHeldError>()
    }
    expectTypeOf(narrow).toBeFunction()
  })

  it('clocks: both included clocks have the type', () => {
    expectTypeOf<SystemClock>().toExtend<Clock>()
    expectTypeOf<ManualClock>().toExtend<Clock>()
    expectTypeOf(SystemClock).toBeConstructibleWith({ monotonic: () => 0, wall: () => 0, boot: () => 0 })
    expectTypeOf(SystemClock).toBeConstructibleWith()
  })
})
