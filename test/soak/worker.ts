/**
 * One process of a soak: takes locks in every way a manager offers, works under them, writes to the store while it
 * does, and keeps a history of what it held. It looks at nothing but the library's public face.
 */
import { setTimeout } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import {
  type AcquireOptions,
  type Connectable,
  type JointOptions,
  type Lease,
  LeaseError,
  LeaseManager,
} from 'leasewheel'
import { quorum } from 'leasewheel/quorum'
import { Random } from '../simulation/random.ts'
import { Holds } from './holds.ts'
import { machineTime } from './machine-clock.ts'
import type { MessageFromWorker, MessageToWorker, Route, WorkerTask } from './messages.ts'

/** From one thing that a worker begins to do to the next, on average, in ms. It does many at a time. */
const PACE = 12

/** How many permits each key of permits has. */
const PERMITS = 3
/** Of so many plain locks there is one key of permits, and one for readers and writers. */
const LOCKS_PER_JOINT = 20

class Worker {
  readonly #task: WorkerTask
  readonly #random: Random
  readonly #manager: LeaseManager
  readonly #holds: Holds
  readonly #finish = new AbortController()
  readonly #works = new Set<Promise<void>>()
  /** Those who wait for the store's answer. */
  readonly #writes = new Map<number, (isAccepted: boolean) => void>()
  #written = 0

  constructor(task: WorkerTask) {
    this.#task = task
    this.#random = new Random(task.seed)
    this.#manager = new LeaseManager(connectionTo(task.route), { ttl: task.ttl })
    // Connections break all the time here.
    this.#manager.on('error', () => undefined)
    this.#holds = new Holds(this.#manager, task.history, task.lie, task.standing?.count)
  }

  async run(): Promise<void> {
    process.on('message', (message: MessageToWorker) => this.#onMessage(message))
    const { first = 0, count = 0 } = this.#task.standing ?? {}
    if (count > 0) this.#manager.claim(Array.from({ length: count }, (_, index) => `standing ${first + index}`))
    send({ type: 'ready' })
    while (!this.#finish.signal.aborted) {
      this.#do(() => this.#takeTurn())
      await setTimeout(this.#random.between(0, 2 * PACE))
    }
    while (this.#works.size > 0) await Promise.all(this.#works)
    await this.#manager.close()
    this.#holds.close()
  }

  #onMessage(message: MessageToWorker): void {
    switch (message.type) {
      case 'answer': {
        const answer = this.#writes.get(message.write)
        this.#writes.delete(message.write)
        answer?.(message.isAccepted)
        break
      }
      case 'adopt':
        if (this.#finish.signal.aborted) break
        this.#do(async () => this.#keep(await this.#manager.adopt(message.lease)))
        break
      case 'finish':
        this.#finish.abort(new Error('The soak is over'))
        break
      default:
        message satisfies never
    }
  }

  /** A call may fail in the ways that are documented, and in no other: anything else ends the process, and with it the soak. */
  #do(work: () => Promise<void>): void {
    const working = work()
      .catch((error: unknown) => {
        if (!(error instanceof LeaseError) && error !== this.#finish.signal.reason) throw error
      })
      .finally(() => this.#works.delete(working))
    this.#works.add(working)
  }

  async #takeTurn(): Promise<void> {
    const random = this.#random
    const manager = this.#manager
    const options = this.#options()
    if (this.#task.joints && random.chance(0.4)) return this.#takeJoint(options)
    const action = random.weighted({ using: 4, acquire: 4, tryAcquire: 3, acquireMany: 1, acquireAll: 1 })
    switch (action) {
      case 'using':
        await manager.using(this.#key(), (lease) => this.#work(lease), options)
        break
      case 'acquire':
        await this.#keep(await manager.acquire(this.#key(), options))
        break
      case 'tryAcquire': {
        const { wait: _wait, ...rest } = options
        await this.#keep(await manager.tryAcquire(this.#key(), rest))
        break
      }
      case 'acquireMany':
      case 'acquireAll': {
        const leases = await manager[action](this.#someKeys(), options)
        await Promise.all(leases.map((lease) => this.#keep(lease)))
        break
      }
      default:
        action satisfies never
    }
  }

  /** A permit, or a lock for a reader or a writer. */
  async #takeJoint(options: AcquireOptions): Promise<void> {
    const random = this.#random
    const manager = this.#manager
    const isPermit = random.chance(0.5)
    const key = `${isPermit ? 'permits' : 'document'} ${random.integer(1, Math.ceil(this.#task.keys / LOCKS_PER_JOINT))}`
    const joint: JointOptions = isPermit
      ? { permits: PERMITS, weight: random.pick([1, 1, 1, 2]) }
      : { mode: random.pick(['read', 'read', 'read', 'write']) }
    const askedAt = machineTime()
    switch (random.pick(['using', 'acquire', 'tryAcquire'] as const)) {
      case 'using':
        await manager.using(key, (lease) => this.#work(lease, askedAt), { ...options, ...joint })
        break
      case 'acquire':
        await this.#keep(await manager.acquire(key, { ...options, ...joint }), askedAt)
        break
      case 'tryAcquire': {
        const { wait: _wait, ...rest } = options
        await this.#keep(await manager.tryAcquire(key, { ...rest, ...joint }), askedAt)
        break
      }
    }
  }

  async #keep(lease: Lease | null, askedAt?: number): Promise<void> {
    if (lease === null) return
    await this.#work(lease, askedAt)
    if (lease.held && this.#random.chance(0.1)) send({ type: 'detached', lease: lease.detach() })
    else await lease.release()
  }

  /** Some of the work is done by those who look whether they still hold the lock, and some by those who leave that to the store. */
  async #work(lease: Lease, askedAt?: number): Promise<void> {
    const { ttl } = this.#task
    const random = this.#random
    const hold = this.#holds.numberOf(lease)
    // Lost before anybody could work.
    if (hold === undefined) return
    if (askedAt !== undefined) this.#holds.onAsked(lease, askedAt)
    // Who shares a key with others does not write: their fences would refuse each other's writes.
    const writes = lease.mode === undefined || lease.mode === 'write'
    const isCareful = !writes || random.chance(0.5)
    const duration = random.between(0, random.pick([0.02, 0.02, 0.5, 2.5]) * ttl)
    const endAt = machineTime() + duration
    for (;;) {
      if (isCareful && !this.#holds.prove(lease)) break
      if (writes && !(await this.#write(hold, lease))) {
        this.#holds.onRefused(lease)
        break
      }
      if (lease.held && random.chance(0.1)) await lease.renew().catch(expectLeaseError)
      const left = endAt - machineTime()
      if (left <= 0 || this.#finish.signal.aborted) break
      await setTimeout(Math.min(left, random.between(5, ttl / 2)))
    }
    if (lease.mode === 'write' && lease.held && random.chance(0.3)) await this.#readOn(lease)
    this.#holds.onDone(lease)
  }

  /** A writer becomes a reader. */
  async #readOn(lease: Lease): Promise<void> {
    this.#holds.onDowngrade(lease)
    await lease.downgrade().catch(expectLeaseError)
    const endAt = machineTime() + this.#random.between(0, this.#task.ttl / 2)
    while (machineTime() < endAt && this.#holds.prove(lease)) await setTimeout(this.#random.between(5, 50))
  }

  /** @returns whether the store accepted it. */
  #write(hold: number, lease: Lease): Promise<boolean> {
    return new Promise((resolve) => {
      this.#written += 1
      this.#writes.set(this.#written, resolve)
      send({ type: 'write', write: this.#written, hold, key: lease.key, fence: this.#holds.fenceOf(lease) })
    })
  }

  #options(): AcquireOptions {
    const random = this.#random
    const { ttl, isSteady = false } = this.#task
    return {
      ttl: random.pick([1, 1, 1, 2]) * ttl,
      wait: random.pick([0, 0.5, 3]) * ttl,
      signal: this.#finish.signal,
      ...(!isSteady && random.chance(0.1) ? { autoRenew: false } : {}),
      ...(!isSteady && random.chance(0.05) ? { maxHold: random.between(ttl / 10, 2 * ttl) } : {}),
    }
  }

  #key(): string {
    return `key ${this.#random.integer(1, this.#task.keys)}`
  }

  #someKeys(): string[] {
    return [...new Set(Array.from({ length: this.#random.integer(1, 6) }, () => this.#key()))]
  }
}

/** For Sentinels and clusters a client, as applications have one; the manager makes its own connections after its example. */
function connectionTo(route: Route): Connectable {
  if ('url' in route) return route.url
  if ('members' in route) return quorum(route.members, { restartDelay: route.restartDelay })
  if ('nodes' in route) {
    const cluster = new Cluster([...route.nodes], { lazyConnect: true })
    cluster.on('error', () => undefined)
    return cluster
  }
  const { name, sentinels, natMap } = route
  const client = new Redis({ name, sentinels: [...sentinels], natMap: { ...natMap }, lazyConnect: true })
  client.on('error', () => undefined)
  return client
}

function expectLeaseError(error: unknown): void {
  if (!(error instanceof LeaseError)) throw error
}

function send(message: MessageFromWorker): void {
  process.send?.(message)
}

// The soak ends its workers itself. When it is gone there is nobody left to work for.
const abandon = (): void => process.exit(1)
process.on('SIGINT', () => undefined)
process.once('disconnect', abandon)
await new Worker(JSON.parse(process.argv[2] ?? '') as WorkerTask).run()
process.off('disconnect', abandon)
process.disconnect()
