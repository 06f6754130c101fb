/** The options of a manager and of its calls, as users write them. settings.ts has their defaults, and checks them. */
import type { Credentials } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { RetryStrategy } from './retry.ts'

/** What holds for one lease; each may be given to the manager as a default and to a call for that lease. */
export interface LeaseOptions {
  /**
   * Time to live of the key in ms: an integer from 100 to 2,147,483,647. Default 30,000. When a process dies its locks are
   * free after this time; when Redis cannot be reached its leases are lost after this time less a margin. Renewals are
   * sent at a third of it.
   */
  readonly ttl?: number | undefined
  /**
   * How long one question to the backend may stay unanswered, in ms: an integer from 10 to `ttl`. Default: a sixth of the ttl,
   * between 50 and 2,000. `release()` takes no longer than this.
   */
  readonly timeout?: number | undefined
  /** The longest a lease may be held, in ms, however often it is renewed: a number >= 1. Then it is lost (`maxHold`). Default: no limit. */
  readonly maxHold?: number | undefined
  /** Whether the wheel renews the lease. Default `true`; with `false` it ends at its deadline unless `lease.renew()` is called. */
  readonly autoRenew?: boolean | undefined
}

/** Options of `tryAcquire`. */
export interface TryAcquireOptions extends LeaseOptions {
  /** Aborts the call: it rejects with the signal's reason, and what it may have acquired is given back. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `adopt`. */
export type AdoptOptions = Omit<TryAcquireOptions, 'ttl'>

/** Options of `acquire`, `acquireMany`, `acquireAll` and `using`. */
export interface AcquireOptions extends TryAcquireOptions {
  /** How long to wait for a lock that is held by another, in ms: a number >= 0, or Infinity. 0 means one attempt. Default 10,000. */
  readonly wait?: number | undefined
  /**
   * How often to ask meanwhile. A caller that is told of changes of the key (see the manager's option `watch`) asks at once when there is one, whatever the
   * strategy. Default: apart from that it asks again when the holder's ttl is over, or after a minute; where changes are not told, as
   * `exponentialBackoff()` says.
   */
  readonly retry?: RetryStrategy | undefined
}

/** How far long work has come. */
export interface Progress {
  /** Keys or leases that are settled, one way or another. */
  readonly done: number
  readonly total: number
}

/** Options of `acquireMany`. */
export interface AcquireManyOptions extends AcquireOptions {
  /** Is told each time that some of the keys have been settled: after each batch. What it throws comes out as `error`. Default: nobody. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `close`. */
export interface CloseOptions {
  /**
   * How long the work of `using` may go on, in ms: a number >= 0, or Infinity. Default 10,000. Meanwhile every lease is renewed and nothing is
   * granted. Work that still runs when this is over is told by its `lease.signal`; a turn of the event loop later its lock is given back.
   */
  readonly drain?: number | undefined
  /** How long releasing may take after that, in ms: a number >= 0. Default 10,000. What is not answered by then is left to expire. */
  readonly timeout?: number | undefined
  /** Is told each time that some of the leases have been settled: after each batch. What it throws comes out as `error`. Default: nobody. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Options of `new LeaseManager`. */
export interface LeaseManagerOptions extends LeaseOptions {
  /** The default of `acquire`'s option of that name. */
  readonly wait?: number | undefined
  /** The default of `acquire`'s option of that name. */
  readonly retry?: RetryStrategy | undefined
  /**
   * Whether the server is to tell of changes: callers that wait for a lock hear within milliseconds that it is free, and holders that somebody
   * else has deleted or overwritten their key. Default `true`. Takes a second connection. Where the server does not support it, or the user's ACL does not
   * permit `CLIENT` and the channel `__redis__:invalidate`, one `error` event says so, waiting callers poll, and losses are noticed at the next renewal; so with `false`.
   */
  readonly watch?: boolean | undefined
  /**
   * Up to how many held leases are watched: a number >= 0, or Infinity. Default 50,000. While there are more, losses are noticed at the next renewal;
   * callers that wait are told all the same. Watching costs the server about 130 bytes for each key and 1 µs more for each renewal.
   */
  readonly watchLimit?: number | undefined
  /**
   * Who holds the locks, for people to read: a string of at most 128 characters, which stands before the unguessable part of each token, where `inspect`
   * and refusals find it. Default: the name of the host, a colon, and the process id. With `''` there is none.
   */
  readonly owner?: string | undefined
  /**
   * Asked for a user name and a password before each connection to Redis: for tokens that expire, as with IAM or Entra ID. If it rejects, the ones
   * before are tried, and an `error` event says so. Default: what the client has at that moment, so that `client.options.password` may be
   * changed; or what the URL says.
   */
  readonly credentials?: (() => Promise<Credentials>) | undefined
  /** Stands before every key in Redis. Default `lease:`. With `''` a lock is the plain key that other libraries use. */
  readonly prefix?: string | undefined
  /** How many keys one request carries at most: an integer from 1 to 1,000. Default 256. More is cheaper, and stalls the server for longer: about 1 µs each. */
  readonly batchSize?: number | undefined
  /**
   * How much faster than this machine's the server's clock may run, as a fraction of the ttl: a number from 0 to 0.5. Default
   * 0.01. The deadline of a lease comes `ttl · driftFactor + 2` ms before the end of its ttl.
   */
  readonly driftFactor?: number | undefined
  /** Where the time comes from. Default: the machine's clock, suspends counted. */
  readonly clock?: Clock | undefined
  /** Where jitter comes from: a function that returns a number in [0, 1). Default `Math.random`. Tokens never come from here. */
  readonly random?: (() => number) | undefined
}
