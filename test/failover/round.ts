/**
 * One failover and what it did, seen from outside: by what the servers have, by what the processes held when, and by a plain client. May
 * import ioredis, what tests share, and the parts of the measurement.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis, type RedisOptions } from 'ioredis'
import { machineTime } from '../soak/machine-clock.ts'
import { type SentinelGroup, withSentinelGroup } from '../support/sentinel-group.ts'
import type { FailoverArguments, Fault } from './arguments.ts'
import { keyOf, type MessageFromChild, type MessageToChild, type Outcome, type Task } from './messages.ts'

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))
/** ms after which a Sentinel takes a master for dead, and in which a failover must be over. */
const DOWN_AFTER = 2_000
const FAILOVER_TIMEOUT = 20_000
/** Locks of the holder's that somebody waits for. */
const WAITERS = 100
/** What passes between the acquisitions and the fault, in ms: more than a third of the default ttl, so that all are renewed by then. */
const SETTLING = 4_000
/** How long ago a lease must have been seen to be held to count as held when the fault came, in ms. */
const SEEN = 1_000
/** From the switch until a stopped master goes on, in ms. */
const CONTINUE_AFTER = 300
/** How long fresh locks are taken after the switch, in ms. */
const FRESH_AFTER = 1_500
/** What a lease is given to be found lost after its ttl, in ms. */
const AFTERMATH = 2_000
/** From one look at what a replica is to the next, and from one write of the plain client to the next, in ms. */
const LOOK = 5
/** From one attempt to take all that is free to the next, and from one look at the keys' expiry to the next, in ms. */
const SWEEP = 100
const EXPIRY_LOOK = 25
/** What anything may take, in ms. */
const PATIENCE = 60_000

/** Of the fresh locks that were acknowledged in some stretch of time. */
export interface FreshFigures {
  readonly acknowledged: number
  readonly lost: number
  /** How many had a second holder, and for how long at most, in ms. */
  readonly doubled: number
  readonly longest: number
}

/** Times are in ms. */
export interface Round {
  readonly fault: Fault
  /** From the fault to the moment at which a replica is a master, and from there to `+switch-master`. */
  readonly promotedAfter: number
  readonly window: number
  /** Of the leases that were held before. */
  readonly held: number
  readonly lost: number
  /** How many of their locks had a second holder, and for how long at most. */
  readonly doubled: number
  readonly longest: number
  /** From `+switch-master` to the first write of the plain client on the new master. */
  readonly reference: number
  /** From that write to the first renewal on the new master. Negative: the renewal came first. Infinity: none came. */
  readonly resumed: number
  /** Fresh locks acknowledged after the fault and before the promotion, after it and before the switch, and after the switch. */
  readonly fresh: { readonly before: FreshFigures; readonly window: FreshFigures; readonly after: FreshFigures }
}

export async function runRound(fault: Fault, options: FailoverArguments): Promise<Round> {
  const { minReplicas } = options
  const args = minReplicas > 0 ? ['--min-replicas-to-write', String(minReplicas)] : []
  return withSentinelGroup(
    async (group) => {
      const measurement = new Measurement(group, fault, options)
      try {
        return await measurement.run()
      } finally {
        await measurement.end()
      }
    },
    { downAfter: DOWN_AFTER, failoverTimeout: FAILOVER_TIMEOUT, args },
  )
}

/** A lock taken by somebody who is neither the holder nor the rival's own process: the second holder, if the first is still there. */
interface Taken {
  readonly key: string
  readonly at: number
}

class Measurement {
  readonly #group: SentinelGroup
  readonly #fault: Fault
  readonly #options: FailoverArguments
  readonly #children: Child[] = []
  readonly #clients: Redis[] = []
  readonly #taken: Taken[] = []
  readonly #fresh: number[] = []
  readonly #over = new AbortController()
  readonly #works: Promise<void>[] = []
  /** When, by port, the plain client first wrote there, and a replica was first seen to be a master. */
  readonly #wrote = new Map<number, number>()
  readonly #promoted = new Map<number, number>()
  #switched: { readonly port: number; readonly at: number } | undefined
  #renewedAt: number | undefined

  constructor(group: SentinelGroup, fault: Fault, options: FailoverArguments) {
    this.#group = group
    this.#fault = fault
    this.#options = options
  }

  async run(): Promise<Round> {
    const { ttl } = this.#options
    const group = this.#group
    const [master, ...replicas] = group.servers
    const holder = await this.#start('holder')
    const rival = await this.#start('rival')
    const plain = this.#client({ sentinels: group.addresses, name: group.name, failoverDetector: true })
    this.#work(() => this.#write(plain))
    for (const sentinel of group.sentinels) await this.#listen(sentinel.port)
    for (const { port } of replicas) this.#work(() => this.#observe(port))
    await setTimeout(SETTLING)
    rival.tell({ type: 'begin' })
    await setTimeout(SETTLING / 4)

    const faultAt = machineTime()
    await this.#inflict(master.port)
    await until('the Sentinels switch', () => this.#switched !== undefined)
    const switched = this.#switched as unknown as { readonly port: number; readonly at: number }
    await setTimeout(CONTINUE_AFTER)
    if (this.#fault === 'stop-continue') master.resume()
    await setTimeout(Math.max(0, FRESH_AFTER - CONTINUE_AFTER))
    rival.tell({ type: 'pause' })
    await setTimeout(ttl + AFTERMATH)

    const before = await holder.report()
    const fresh = await rival.report()
    this.#over.abort()
    await Promise.all(this.#works)
    const promotedAt = this.#promoted.get(switched.port) ?? switched.at
    const held = before.filter(({ acquiredAt, heldAt }) => acquiredAt < faultAt && heldAt > faultAt - SEEN)
    const ofHeld = this.#figures('held', held)
    const wroteAt = this.#wrote.get(switched.port) ?? Number.POSITIVE_INFINITY
    const between = (begin: number, end: number): FreshFigures =>
      this.#figures(
        'fresh',
        fresh.filter(({ acquiredAt }) => acquiredAt >= begin && acquiredAt < end),
      )
    return {
      fault: this.#fault,
      promotedAfter: promotedAt - faultAt,
      window: switched.at - promotedAt,
      held: held.length,
      lost: ofHeld.lost,
      doubled: ofHeld.doubled,
      longest: ofHeld.longest,
      reference: wroteAt - switched.at,
      resumed: (this.#renewedAt ?? Number.POSITIVE_INFINITY) - wroteAt,
      fresh: {
        before: between(faultAt, promotedAt),
        window: between(promotedAt, switched.at),
        after: between(switched.at, Number.POSITIVE_INFINITY),
      },
    }
  }

  async end(): Promise<void> {
    this.#over.abort()
    for (const client of this.#clients) client.disconnect()
    await Promise.all(this.#children.map((child) => child.kill()))
    await Promise.allSettled(this.#works)
  }

  async #inflict(port: number): Promise<void> {
    const group = this.#group
    switch (this.#fault) {
      case 'planned':
        await group.sentinels[0].command(
          'SENTINEL',
          'FAILOVER',
          group.name,
          ...(this.#options.coordinated ? ['COORDINATED'] : []),
        )
        break
      case 'kill':
        await group.at(port).kill()
        break
      case 'stop':
      case 'stop-continue':
        group.at(port).pause()
        break
      default:
        this.#fault satisfies never
    }
  }

  /** How long two held one lock: from when the second had it until the last moment at which the first is proven to have held it. */
  #figures(set: 'held' | 'fresh', outcomes: readonly Outcome[]): FreshFigures {
    const taken = new Map<string, number>()
    for (const { key, at } of this.#taken) taken.set(key, Math.min(at, taken.get(key) ?? at))
    const overlaps = outcomes
      .map(({ number, heldAt }) => heldAt - (taken.get(keyOf(set, number)) ?? Number.POSITIVE_INFINITY))
      .filter((overlap) => overlap > 0)
    return {
      acknowledged: outcomes.length,
      lost: outcomes.filter(({ lost }) => lost !== undefined).length,
      doubled: overlaps.length,
      longest: Math.max(0, ...overlaps),
    }
  }

  async #start(role: Task['role']): Promise<Child> {
    const { ttl, leases } = this.#options
    const { addresses, name } = this.#group
    const waiters = Math.min(WAITERS, leases)
    const child = new Child({ role, sentinels: addresses, name, ttl, leases, waiters }, (message) => {
      if (message.type === 'acquired') this.#fresh.push(message.number)
      if (message.type === 'granted') this.#taken.push({ key: keyOf('held', message.number), at: message.at })
    })
    this.#children.push(child)
    await child.ready
    return child
  }

  #client(options: Omit<RedisOptions, 'replyMapping'>): Redis {
    const client = new Redis({ host: '127.0.0.1', ...options })
    client.on('error', () => undefined)
    this.#clients.push(client)
    return client
  }

  #work(work: () => Promise<void>): void {
    const working = work()
    working.catch(() => undefined)
    this.#works.push(working)
  }

  /** The plain client: when it could write where. */
  async #write(client: Redis): Promise<void> {
    const over = once(this.#over.signal, 'abort')
    for (let number = 0; !this.#over.signal.aborted; number += 1) {
      const { stream } = client
      const answer = await Promise.race([client.set('plain', number), over]).catch(() => undefined)
      const port = stream?.remotePort
      // The answer came over the connection that the request was sent on.
      if (answer === 'OK' && stream === client.stream && port !== undefined && !this.#wrote.has(port)) {
        this.#wrote.set(port, machineTime())
      }
      await setTimeout(LOOK)
    }
  }

  async #listen(port: number): Promise<void> {
    const client = this.#client({ port, enableReadyCheck: false })
    client.on('message', (_channel, text: string) => {
      const [name, , , , newPort] = text.split(' ')
      if (name === this.#group.name) this.#switched ??= { port: Number(newPort), at: machineTime() }
    })
    await client.subscribe('+switch-master')
  }

  /** A replica: when it is a master, and what is free there then. */
  async #observe(port: number): Promise<void> {
    // A replica that is promoted throws its clients out, and this one must see the promotion.
    const client = this.#client({ port, protocol: 2, enableReadyCheck: false, retryStrategy: () => 2 })
    const isOver = (): boolean => this.#over.signal.aborted
    while (!isOver() && (await roleOf(client)) !== 'master') await setTimeout(LOOK)
    if (isOver()) return
    this.#promoted.set(port, machineTime())
    const renewed = this.#untilRenewed(client)
    while (!isOver()) {
      await this.#sweep(client)
      await setTimeout(SWEEP)
    }
    await renewed
  }

  /** The first renewal on this master: an expiry that is later than all that it has had from its predecessor. */
  async #untilRenewed(client: Redis): Promise<void> {
    const { leases } = this.#options
    const latest = async (): Promise<number> => Number(await client.eval(LATEST_EXPIRY, 0, leases).catch(() => 0))
    const initial = await latest()
    while (!this.#over.signal.aborted) {
      const asked = machineTime()
      if ((await latest()) > initial) {
        this.#renewedAt ??= asked
        return
      }
      await setTimeout(EXPIRY_LOOK)
    }
  }

  /** Takes what is free, for good. */
  async #sweep(client: Redis): Promise<void> {
    const { leases } = this.#options
    const fresh = [...this.#fresh]
    const numbers = (await client.eval(TAKE_FREE, 0, leases, ...fresh).catch(() => [])) as number[]
    const at = machineTime()
    for (const number of numbers) {
      // Negative: a fresh one.
      const key = number >= 0 ? keyOf('held', number) : keyOf('fresh', -number - 1)
      this.#taken.push({ key, at })
    }
  }
}

/** One script for all keys, so that an observer who asks often takes little of the server's time. */
const TAKE_FREE = `
local taken = {}
for i = 0, ARGV[1] - 1 do
  if redis.call('SET', 'lease:held:' .. i, 'observer', 'NX') then taken[#taken + 1] = i end
end
for i = 2, #ARGV do
  if redis.call('SET', 'lease:fresh:' .. ARGV[i], 'observer', 'NX') then taken[#taken + 1] = -ARGV[i] - 1 end
end
return taken`

const LATEST_EXPIRY = `
local latest = 0
for i = 0, ARGV[1] - 1 do
  local at = redis.call('PEXPIRETIME', 'lease:held:' .. i)
  if at > latest then latest = at end
end
return latest`

class Child {
  readonly ready: Promise<unknown>
  readonly #process: ChildProcess
  readonly #gone: Promise<unknown>
  #onReport: ((outcomes: readonly Outcome[]) => void) | undefined

  constructor(task: Task, onMessage: (message: MessageFromChild) => void) {
    this.#process = fork(CHILD, [JSON.stringify(task)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#gone = once(this.#process, 'close')
    const early = this.#gone.then(() => {
      throw new Error(`The ${task.role} ended by itself`)
    })
    const ready = new Promise<void>((resolve) => {
      this.#process.on('message', (message: MessageFromChild) => {
        if (message.type === 'ready') resolve()
        else if (message.type === 'report') this.#onReport?.(message.outcomes)
        else onMessage(message)
      })
    })
    early.catch(() => undefined)
    this.ready = Promise.race([ready, early])
  }

  tell(message: MessageToChild): void {
    this.#process.send(message)
  }

  report(): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      this.#onReport = resolve
      this.tell({ type: 'report' })
    })
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone
  }
}

async function roleOf(client: Redis): Promise<string | undefined> {
  const reply = (await client.call('ROLE').catch(() => undefined)) as [string] | undefined
  return reply?.[0]
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const giveUpAt = machineTime() + PATIENCE
  while (!isTrue()) {
    if (machineTime() > giveUpAt) throw new Error(`Waited in vain until ${what}`)
    await setTimeout(LOOK)
  }
}
