/**
 * What the tests of this folder share: managers on real servers, with a journal of what they told. Each is closed after its
 * test, whatever happened, and then must have told whole stories (P14), in silence.
 *
 * Nothing here depends on speed: a test waits for what must come, for as long as that takes, and leases that must
 * not be lost have ttls that no machine outlasts by mere slowness.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import { Redis, type RedisOptions } from 'ioredis'
import sinon from 'sinon'
import {
  type Lease,
  LeaseManager,
  type LeaseManagerOptions,
  type LossReason,
  type RetryContext,
  type RetryStrategy,
  SystemClock,
} from 'leasewheel'
import type { RedisServer } from '../support/redis-server.ts'

/** What a test may wait for in vain, in ms. Where a bug is put back on purpose, waiting in vain is what is expected. */
const PATIENCE = Number(process.env.LEASEWHEEL_TEST_PATIENCE ?? 15_000)

/** For leases that must survive whatever a test does, on a machine however slow: a ttl that outlasts it, and patience with each request. ms. */
export const LASTING: LeaseManagerOptions = { ttl: 60_000, timeout: PATIENCE, wait: PATIENCE, random: () => 0 }

/** The same where some questions are never answered, and that is to show soon. */
export const IMPATIENT: LeaseManagerOptions = { ...LASTING, timeout: 500 }

/** The clock of these tests and their managers: one, so that they can be compared. */
export const clock: SystemClock = new SystemClock()

/** How long a lease counts as held after its request was sent: the ttl less the margin, `ttl * driftFactor + 2` (ms). See docs/guarantees.md. */
export function heldFor(ttl: number, driftFactor = 0.01): number {
  return ttl - (ttl * driftFactor + 2)
}

type Told =
  | { readonly name: 'acquired' | 'renewed' | 'jeopardy' | 'safe' | 'released' }
  | { readonly name: 'lost'; readonly reason: LossReason }

type Entry = Told & { readonly lease: Lease; readonly at: number }

/** What a manager told, in order. Reading it reads no lease. */
export class Journal {
  readonly entries: Entry[] = []
  readonly errors: Error[] = []

  constructor(manager: LeaseManager) {
    const tell = (lease: Lease, told: Told): void => {
      this.entries.push({ ...told, lease, at: clock.now() })
    }
    for (const name of ['acquired', 'renewed', 'jeopardy', 'safe', 'released'] as const) {
      manager.on(name, ({ lease }) => tell(lease, { name }))
    }
    manager.on('lost', ({ lease, reason }) => tell(lease, { name: 'lost', reason }))
    manager.on('error', (error) => {
      this.errors.push(error)
    })
  }

  /** `acquired`, `lost: expired` and so on, of one lease or of all. */
  story(lease?: Lease): string[] {
    const entries = this.entries.filter((entry) => lease === undefined || entry.lease === lease)
    return entries.map((entry) => (entry.name === 'lost' ? `lost: ${entry.reason}` : entry.name))
  }

  count(name: Told['name']): number {
    return this.entries.filter((entry) => entry.name === name).length
  }

  /** Resolves once the lease has had this event, with the time of its first one. */
  async until(name: Told['name'], lease: Lease): Promise<number> {
    const find = () => this.entries.find((entry) => entry.name === name && entry.lease === lease)
    await until(`\`${lease.key}\` is told to be ${name}`, () => find() !== undefined)
    return find()?.at as number
  }

  /** P14. */
  checkStories(): void {
    const stories = new Map<Lease, string>()
    for (const { lease, name } of this.entries) stories.set(lease, `${stories.get(lease) ?? ''} ${name}`)
    for (const [lease, story] of stories) {
      if (!/^ acquired( renewed| jeopardy safe)*( jeopardy)? (released|lost)$/.test(story)) {
        expect.fail(`P14: the story of \`${lease.key}\` is:${story}`)
      }
    }
  }
}

export interface Session {
  readonly manager: LeaseManager
  readonly journal: Journal
}

/** What a manager can be made of. */
export type Connectable = ConstructorParameters<typeof LeaseManager>[0]

/** How long a manager may take to be told of changes, or to find out that it will not be, in ms. */
const SETTLING = 3_000

/**
 * Runs `work` with a manager that is told of changes, if it is going to be: what it holds at that moment is renewed, which nobody would
 * expect. It is closed afterwards. A server must answer by then, or its releases are not waited for.
 */
export async function withManager<T>(
  connection: Connectable,
  options: LeaseManagerOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  return withNewManager(connection, options, async (session) => {
    const giveUpAt = clock.now() + (options.watch === false ? 0 : SETTLING)
    const isSettled = (): boolean => session.manager.stats().watching || session.journal.errors.length > 0
    await until('the manager is settled', () => isSettled() || clock.now() >= giveUpAt)
    return work(session)
  })
}

/** Runs `work` with a manager at once. */
export async function withNewManager<T>(
  connection: Connectable,
  options: LeaseManagerOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  return inSilence(async () => {
    const manager = new LeaseManager(connection, { clock, ...options })
    const journal = new Journal(manager)
    let result: T
    try {
      result = await work({ manager, journal })
    } finally {
      await manager.close({ timeout: 2_000 })
    }
    journal.checkStories()
    expect(manager.size, 'leases left').to.equal(0)
    expect(manager.stats(), 'P24: work left').to.include({ held: 0, jeopardy: 0, waiting: 0, undoing: 0, timers: 0 })
    return result
  })
}

/** Runs `work` with a client such as applications have, which ends afterwards. */
export async function withClient<T>(
  options: Omit<RedisOptions, 'replyMapping'>,
  work: (client: Redis) => Promise<T>,
): Promise<T> {
  const client = new Redis({ host: '127.0.0.1', ...options })
  client.on('error', () => undefined)
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}

/** What each `inSilence` under way has heard. */
const listeners = new Set<string[]>()

function hear(noise: string): boolean {
  for (const heard of listeners) heard.push(noise)
  return true
}

/** Fails if anything is written to stderr while `work` is done, or any warning given. */
export async function inSilence<T>(work: () => Promise<T>): Promise<T> {
  if (listeners.size === 0) {
    sinon.replace(process.stderr, 'write', (chunk: string | Uint8Array) => hear(String(chunk)))
    process.on('warning', hearWarning)
  }
  const heard: string[] = []
  listeners.add(heard)
  let result: T
  try {
    result = await work()
  } finally {
    listeners.delete(heard)
    if (listeners.size === 0) {
      sinon.restore()
      process.off('warning', hearWarning)
    }
  }
  expect(heard, 'printed to stderr').to.deep.equal([])
  return result
}

function hearWarning(warning: Error): void {
  hear(String(warning))
}

/** Waits until the condition holds. Slowness is no failure; this gives up only when hope does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = clock.now() + PATIENCE
  while (!(await condition())) {
    if (clock.now() > giveUpAt) expect.fail(`waited in vain until ${what}`)
    await setTimeout(5)
  }
}

/** Waits until the server tells the manager of changes. */
export async function untilWatching(manager: LeaseManager): Promise<void> {
  await until('changes are told', () => manager.stats().watching)
}

/**
 * Would ask again only after an hour: whoever waits by it and gets the lock was woken, or the holder's ttl was over. A question that was not
 * answered is repeated.
 */
export class Hourly implements RetryStrategy {
  /** One for each refusal. */
  readonly contexts: RetryContext[] = []

  next(context: RetryContext): number {
    if (context.remaining === undefined) return 20
    this.contexts.push(context)
    return 3_600_000
  }

  /** Resolves once refusals of so many keys say that their next change will be told. */
  async untilTold(keys = 1): Promise<void> {
    const told = (): number => new Set(this.contexts.filter(({ watched }) => watched).map(({ key }) => key)).size
    await until(`changes of ${keys} keys will be told`, () => told() >= keys)
  }
}

/** Asks for renewals until one is confirmed. */
export async function untilRenewed(lease: Lease): Promise<void> {
  await until(`\`${lease.key}\` is renewed`, () =>
    lease.renew().then(
      () => true,
      () => {
        if (lease.held) return false
        expect.fail(`\`${lease.key}\` was lost`)
      },
    ),
  )
}

/** What the promise is rejected with; fails the test where it is fulfilled. */
export async function rejectionOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    expect(error).to.be.instanceOf(Error)
    return error as Error
  }
  expect.fail('expected a rejection')
}

/** All that the messages of an error and its causes say. */
export function messagesOf(error: unknown): string {
  return error instanceof Error ? `${error.message}; ${messagesOf(error.cause)}` : ''
}

export async function exists(server: RedisServer, key: string): Promise<boolean> {
  return (await server.command('EXISTS', key)) === 1
}

/** How many keys the server has expired: 0 where all that are gone were deleted. */
export async function expiredKeys(server: RedisServer): Promise<number> {
  return Number((await server.info('stats')).get('expired_keys'))
}

/** What keeps this process alive or would come back to it, sorted: sockets, timers, name lookups. */
export async function openHandles(): Promise<string[]> {
  // A timer that has just called back still counts.
  await setImmediate()
  return process
    .getActiveResourcesInfo()
    .filter((resource) => /TCP|Pipe|TLS|Timeout|GetAddrInfo/.test(resource))
    .toSorted()
}

/** Waits until there is nothing open that was not open before: for faults in which both ends are in this process, or ioredis takes a moment. */
export async function untilNoMoreHandles(before: readonly string[]): Promise<void> {
  await until(`no more is open than ${before.join(', ')}`, async () => {
    const left = [...before]
    return (await openHandles()).every((handle) => left.includes(handle) && left.splice(left.indexOf(handle), 1))
  })
}

/** How many scripts the server has run, or refused to run. */
export async function scriptCalls(server: RedisServer): Promise<number> {
  const statistics = await server.commandStats()
  const counts = ['evalsha', 'eval'].map((name) => statistics.get(name) ?? { calls: 0, rejected: 0 })
  return counts.reduce((sum, { calls, rejected }) => sum + calls + rejected, 0)
}

/** The connections that the server has under this name. */
export async function connectionsNamed(server: RedisServer, name: string): Promise<number> {
  return (await connectionIds(server, name)).length
}

/** The server's numbers for the connections that it has under this name, whoever owns them. */
export async function connectionIds(server: RedisServer, name: string): Promise<string[]> {
  const list = (await server.command('CLIENT', 'LIST')) as string
  const fields = list.split('\n').map((line) => line.split(' '))
  const isNamed = (field: string): boolean => field.split('@')[0] === `name=${name}`
  return fields.filter((line) => line.some(isNamed)).map(([id = '']) => id.slice('id='.length))
}

/** Runs a module in a process of its own, as this one runs its own: its `REDIS_URL` leads to the server, its output comes back. */
export function startProcess(code: string, server: RedisServer): ChildProcessByStdio<Writable, Readable, Readable> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, '--import', 'tsx', '--input-type=module', '--eval', code],
    { env: { ...process.env, REDIS_URL: server.url }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8')
  return child
}

/** Such a process, and the lines that it has printed. */
export class Worker {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly closed: Promise<unknown>
  #output = ''

  constructor(code: string, server: RedisServer) {
    this.child = startProcess(code, server)
    this.closed = once(this.child, 'close')
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (text: string) => {
        this.#output += text
      })
    }
  }

  /** What has been printed, to stdout and stderr, whole lines only. */
  get lines(): string[] {
    return this.#output.split('\n').slice(0, -1)
  }

  /** Writes a line to its stdin. */
  tell(line: string): void {
    this.child.stdin.write(`${line}\n`)
  }

  /** Resolves with the first line that begins so, once it has been printed. */
  async until(beginning: string): Promise<string> {
    const find = () => this.lines.find((line) => line.startsWith(beginning))
    await until(`a process prints \`${beginning}\` after ${this.#output.slice(-1_000)}`, () => find() !== undefined)
    return find() as string
  }
}

/** Runs `work` with processes that run these modules, and kills them afterwards. */
export async function withWorkers<T>(
  codes: readonly string[],
  server: RedisServer,
  work: (workers: readonly Worker[]) => Promise<T>,
): Promise<T> {
  const workers = codes.map((code) => new Worker(code, server))
  try {
    return await work(workers)
  } finally {
    for (const { child } of workers) child.kill('SIGKILL')
    await Promise.all(workers.map(async ({ closed }) => closed))
  }
}

/** The one element of a list; fails the test where there are none or several. */
export function only<T>(list: readonly T[]): T {
  expect(list).to.have.length(1)
  return list[0] as T
}
