/** The options of a manager and of its calls, as users write them. settings.ts checks them and has their defaults. */
import type { Credentials } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import type { RetryStrategy } from './retry.ts'

/** Options of one lease. The manager takes each as a default, and a call takes it for its own lease. */
export interface LeaseOptions {
  /**
   * Time to live of the key, in ms: an integer from 100 to 2,147,483,647. Default 30,000. If a process dies, its locks are
   * free after this time. If Redis cannot be reached, its leases are lost after this time less a margin. The manager sends
   * renewals at a third of it.
   */
  readonly ttl?: number | undefined
  /**
   * How long a request to the backend may stay unanswered, in ms: an integer from 10 to `ttl`. Default: a sixth of the ttl,
   * but at least 50 and at most 2,000. `release()` takes no longer than this.
   */
  readonly timeout?: number | undefined
  /** How long a lease may be held at most, in ms, however often it is renewed: a number >= 1. Then it is lost (`maxHold`). Default: no limit. */
  readonly maxHold?: number | undefined
  /** Whether the manager renews the lease. Default `true`. With `false` the lease ends at its deadline unless you call `lease.renew()`. */
  readonly autoRenew?: boolean | undefined
}

/** Options of a key that several may hold. Without them a lock is for one. */
export interface JointOptions {
  /**
   * How many permits the key has: an integer from 1 to 1,000,000. A lease takes `weight` of them. All callers should say the same: each keeps to its own
   * number, and leases that are held count, whatever their owners said.
   */
  readonly permits?: number | undefined
  /** How many permits the lease takes: an integer from 1 to `permits`. Default 1. */
  readonly weight?: number | undefined
  /** `read`: beside other readers, but no writer. `write`: alone. Not together with `permits`. */
  readonly mode?: 'read' | 'write' | undefined
}

/** Options of `tryAcquire`. */
export interface TryAcquireOptions extends LeaseOptions, JointOptions {
  /** Aborts the call: it rejects with the signal's reason, and the manager releases what the call may have acquired. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `adopt`. */
export type AdoptOptions = Omit<TryAcquireOptions, 'ttl' | keyof JointOptions>

/** Options of `acquire`. */
export interface AcquireOptions extends TryAcquireOptions {
  /** How long to wait for a lock that another holds, in ms: a number >= 0, or Infinity. 0 means one attempt. Default 10,000; 0 for `acquireMany`. */
  readonly wait?: number | undefined
  /**
   * How often to ask meanwhile. If the server notifies the manager of changes (see the manager's option `watch`), a waiter asks at once on a change,
   * whatever the strategy. Default: besides that, a waiter asks when the holder's ttl is over, or after a minute. Without notifications it follows
   * `exponentialBackoff()`.
   */
  readonly retry?: RetryStrategy | undefined
}

/** Options of `acquireAll`. */
export type AcquireAllOptions = Omit<AcquireOptions, keyof JointOptions>

/** Options of `using`. */
export interface UsingOptions extends AcquireOptions {
  /**
   * How long the key stays at least after the lock was acquired, in ms by the server's clock: an integer from 1 to 2,147,483,647. So a job that has
   * ended early, or failed, is not run again meanwhile. The lease has at least this ttl. If the process dies, the key stays for this time after its
   * last renewal. Default: the key is deleted when the work ends.
   */
  readonly atLeast?: number | undefined
}

/** The progress of a call for many keys. */
export interface Progress {
  /** Keys or leases that are settled, whatever the outcome. */
  readonly done: number
  readonly total: number
}

/** Options of `acquireMany`. */
export interface AcquireManyOptions extends AcquireAllOptions {
  /** Called each time some keys are settled, after each batch. The manager emits what it throws as `error`. Default: none. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Options that `elect`, `claim` and `share` have in common. The manager always renews their leases. */
export interface StandingOptions extends Omit<LeaseOptions, 'autoRenew'> {
  /**
   * How long the work under a lock may go on after its signal has aborted, before the lock is given back all the same, in ms: a number >= 0, or
   * Infinity. Default 10,000.
   */
  readonly drain?: number | undefined
}

/** Options of `list`. */
export interface ListOptions {
  /** Which keys: a pattern as that of the command `KEYS` of Redis, without the prefix. Default `*`. */
  readonly match?: string | undefined
  /** Only locks of managers with this `owner`. Default: all. */
  readonly owner?: string | undefined
  /** Only these keys, without the prefix: the list then asks for each, and needs not go through all. Bytes name a key that is no text. */
  readonly keys?: Iterable<string | Uint8Array> | undefined
  /** Begins with the page of this cursor, which `onPage` of another list with the same `match` has reported. Default: the first page. */
  readonly cursor?: string | undefined
  /**
   * Called behind each page, also if no lock on it matches, with the cursor of the next one; with undefined behind the last. So a caller may stop
   * there, and go on later. What it throws ends the list.
   */
  readonly onPage?: ((cursor: string | undefined) => void) | undefined
  /** Ends the list: its next step rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `close`. */
export interface CloseOptions {
  /**
   * How long the work of `using` may go on, in ms: a number >= 0, or Infinity. Default 10,000. Meanwhile the manager renews every lease and grants
   * none. If work still runs after this time, its `lease.signal` aborts; a turn of the event loop later the manager releases its lock.
   */
  readonly drain?: number | undefined
  /** How long the releases may take after that, in ms: a number >= 0. Default 10,000. Keys without an answer by then expire. */
  readonly timeout?: number | undefined
  /** Called each time some leases are settled, after each batch. The manager emits what it throws as `error`. Default: none. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** The option `keeper` of `new LeaseManager`. */
export interface KeeperOptions {
  /**
   * For how long the event loop may be blocked, in ms: an integer from 1,000 to 3,600,000. Default 60,000. After that the keeper renews nothing, so
   * that a process that hangs loses its locks, at most a ttl later.
   */
  readonly maxBlocked?: number | undefined
  /** The file of the thread, if a bundler has moved the code of this package: a copy of `leasewheel/keeper-worker`. Default: the one beside that code. */
  readonly worker?: URL | undefined
}

/** Options of `new LeaseManager`. */
export interface LeaseManagerOptions extends LeaseOptions {
  /** The default of the option `wait` of `acquire`, `acquireAll` and `using`. */
  readonly wait?: number | undefined
  /** The default of the option `retry` of the acquiring calls. */
  readonly retry?: RetryStrategy | undefined
  /**
   * Whether the server notifies the manager of changes. Waiters then learn within milliseconds that a lock is free, and holders that another has
   * deleted or overwritten their key. Default `true`. Takes a second connection. With `false`, waiters poll, and holders notice losses at the next
   * renewal. The same happens, after one `error` event, if the server does not support it, or if the user's ACL denies `CLIENT` or the channel
   * `__redis__:invalidate`.
   */
  readonly watch?: boolean | undefined
  /**
   * How many held leases the server watches at most: a number >= 0, or Infinity. Default 50,000. While there are more, holders notice losses at the
   * next renewal; waiters are notified all the same. Watching costs the server about 130 bytes for each key, and 1 µs more for each renewal.
   */
  readonly watchLimit?: number | undefined
  /**
   * Who holds the locks, for people to read: a string of at most 128 characters. It precedes the unguessable part of each token; `inspect` and
   * refusals report it. Default: the name of the host, a colon, and the process id. With `''` there is none.
   */
  readonly owner?: string | undefined
  /**
   * Whether the manager announces itself to others with the same prefix, so that `members()` shows it there. With a number, an integer from 100 to
   * 3,600,000, it does so each time that many ms are over; `true` means 2,000. The manager then emits `joined` and `left`, too. Default `false`.
   */
  readonly announce?: boolean | number | undefined
  /**
   * Called before each connection to Redis, for a user name and a password: for tokens that expire, as with IAM or Entra ID. If it rejects, the
   * manager emits `error` and tries the previous credentials. Default: what the URL says, or what `client.options` contains at that moment, so that
   * you may change `client.options.password`.
   */
  readonly credentials?: (() => Promise<Credentials>) | undefined
  /**
   * Starts a thread with a connection of its own, which renews the leases while the event loop is blocked. Default: none. It needs a connection to one
   * server, by a URL or a client with plain options, and the machine's clock. It does not work with `credentials`, Sentinels or a cluster.
   */
  readonly keeper?: KeeperOptions | undefined
  /**
   * How many replicas of the server have to acknowledge a grant or a renewal before it counts: an integer >= 0. Default 0. With 1, a failover to that
   * replica loses no lock. With fewer replicas in a quarter of the manager's `timeout`, an acquire fails and is undone, and a renewal is repeated, so
   * that the lease is in jeopardy. It needs one server, Sentinels or a cluster, and does not work with `keeper`.
   */
  readonly replicas?: number | undefined
  /** Precedes every key in Redis. Default `lease:`. With `''` a lock is the plain key that other libraries use. */
  readonly prefix?: string | undefined
  /** How many keys a batch carries at most: an integer from 1 to 1,000. Default 256. Larger batches are cheaper, but block the server for longer: about 1 µs a key. */
  readonly batchSize?: number | undefined
  /**
   * How much faster the server's clock may run than this machine's, as a fraction of the ttl: a number from 0 to 0.5. Default
   * 0.01. The deadline of a lease comes `ttl · driftFactor + 2` ms before the end of its ttl.
   */
  readonly driftFactor?: number | undefined
  /** The source of time. Default: the machine's clock, suspends counted. */
  readonly clock?: Clock | undefined
  /** The source of jitter: a function that returns a number in [0, 1). Default `Math.random`. Tokens never use it. */
  readonly random?: (() => number) | undefined
}
