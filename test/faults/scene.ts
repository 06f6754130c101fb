/**
 * What faults happen to: a server, a network before it, and two managers behind that network, of which one is told of
 * changes and the other is not.
 */
import { expect } from 'chai'
import type { AcquireOptions, Lease } from 'leasewheel'
import { exists, IMPATIENT, type Session, until, untilRenewed, untilWatching, withManager } from '../redis/support.ts'
import { type Proxy, withProxy } from '../support/proxy.ts'
import { type RedisServer, type ServerOptions, withRedis } from '../support/redis-server.ts'

/** How long the managers wait for an answer where a test does not say, in ms. */
const TIMEOUT = 200
/** Of leases that do not outlast an outage: long enough for a renewal to fail before. ms. */
export const BRIEF_TTL = 600

/** What a manager begins its connections with: a network that knows it can tell them apart. */
export const COMMANDS = 'leasewheel@'
export const CHANGES = 'leasewheel:watch@'

export interface Holder extends Session {
  /** `watched` or `unwatched`: whether the server tells it of changes. */
  readonly name: string
  /** They outlast every test, and nothing renews them by the wheel while it lasts. */
  readonly lasting: readonly Lease[]
  /** Held on demand. */
  readonly brief: readonly Lease[]
}

export interface Scene {
  readonly server: RedisServer
  readonly proxy: Proxy
  readonly holders: readonly [Holder, Holder]
}

export interface SceneOptions {
  readonly server?: ServerOptions
  /** Whether there are to be leases that end soon. */
  readonly brief?: boolean
  /** How long the managers wait for an answer, in ms. */
  readonly timeout?: number
}

/** Runs `work` with such a scene. */
export function withScene(options: SceneOptions, work: (scene: Scene) => Promise<void>): Promise<void> {
  const { server: serverOptions = {}, brief = false, timeout = TIMEOUT } = options
  return withRedis(
    (server) =>
      withProxy(server.port, (proxy) => {
        const url = server.url.replace(String(server.port), String(proxy.port))
        const settings = { ...IMPATIENT, timeout }
        return withManager(url, settings, (watched) =>
          withManager(url, { ...settings, watch: false }, async (unwatched) => {
            await untilWatching(watched.manager)
            const holders = [await hold('watched', watched, brief), await hold('unwatched', unwatched, brief)] as const
            await work({ server, proxy, holders })
          }),
        )
      }),
    serverOptions,
  )
}

async function hold(name: string, session: Session, isBriefWanted: boolean): Promise<Holder> {
  const lasting = await acquireEach(session, `${name} lasting`)
  const brief = isBriefWanted ? await acquireEach(session, `${name} brief`, { ttl: BRIEF_TTL }) : []
  return { ...session, name, lasting, brief }
}

/** Acquires five locks in one go, and each again where this machine was too slow to hear of it in time. */
export async function acquireEach({ manager }: Session, name: string, options: AcquireOptions = {}): Promise<Lease[]> {
  return Promise.all([0, 1, 2, 3, 4].map(async (index) => manager.acquire(`${name} ${index}`, options)))
}

/** Does the same with both managers at the same time. */
export async function withEach(holders: readonly Holder[], work: (holder: Holder) => Promise<unknown>): Promise<void> {
  await together(holders.map((holder) => [holder.name, async () => work(holder)] as const))
}

/** Does several things at the same time, waits for all of them, and says which of them failed. */
export async function together(
  works: readonly (readonly [name: string, work: () => Promise<unknown>])[],
): Promise<void> {
  const outcomes = await Promise.allSettled(works.map(([, work]) => work()))
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') continue
    const cause = outcome.reason as Error
    throw new Error(`${works[index]?.[0]}: ${cause.message}`, { cause })
  }
}

/**
 * Whatever happened before: what was to last is held, out of jeopardy, and its key carries its token; the manager is told of changes if it was; and it
 * acquires, renews and releases.
 */
export async function expectRecovered({ name, manager, journal, lasting }: Holder, server: RedisServer): Promise<void> {
  await until('nothing is in jeopardy', () => manager.stats().jeopardy === 0)
  for (const lease of lasting) {
    expect(lease.held).to.equal(true)
    expect(journal.story(lease).join(' ')).to.match(/^acquired( renewed| jeopardy safe)*$/)
    expect(await server.command('GET', `lease:${lease.key}`)).to.equal(lease.token)
  }
  if (name === 'watched') await untilWatching(manager)
  const another = await manager.acquire(`${name} another`)
  await untilRenewed(another)
  await another.release()
  await until('it is released', async () => !(await exists(server, `lease:${another.key}`)))
}
