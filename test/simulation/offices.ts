/**
 * What stands in some of the worlds: each process is a candidate for one office, claims a few keys, and has a part of some items. P35: no two lead or
 * own a key at once, and none works twice at once; a signal aborts with its lease; and once all is well, every office and every key has somebody.
 */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import type { Claim, Election, Lease, Share } from 'leasewheel'
import type { Member } from './member.ts'
import type { Random } from './random.ts'
import type { ServerInspector } from './server-inspector.ts'
import type { SimulatedNodes } from './simulated-nodes.ts'
import type { Timeline } from './timeline.ts'
import type { Verdict } from './violation.ts'

const OFFICE = 'office'
const CLAIMED: readonly string[] = ['claim 1', 'claim 2', 'claim 3']
const ITEMS: readonly string[] = Array.from({ length: 8 }, (_, index) => `item ${index}`)
const ALL: readonly string[] = [OFFICE, ...CLAIMED, ...ITEMS]

/** Whether the key is one of these. */
export function isOffice(key: string): boolean {
  return ALL.includes(key)
}

/** Mean time between two resignations, or two thefts, in ms. */
const TROUBLE_EVERY = 2_500
/** What work takes to stop, in ms: mostly less than a drain. */
const STOPPING = [0, 50, 2_000] as const
const DRAIN = 1_000

/** What one process has under way, by key. */
interface Post {
  readonly election: Election
  readonly claim: Claim
  /** None if keys are on several servers: the simulated ones keep no announcements. */
  readonly share: Share | undefined
  readonly works: Map<string, { readonly lease: Lease; readonly signal: AbortSignal }>
}

export interface OfficesParts {
  readonly timeline: Timeline
  readonly random: Random
  readonly verdict: Verdict
  readonly nodes: SimulatedNodes
  readonly servers: ServerInspector
  /** Those who are not dead. */
  readonly members: () => readonly Member[]
}

export class Offices {
  readonly #parts: OfficesParts
  readonly #posts = new Map<Member, Post>()

  constructor(parts: OfficesParts) {
    this.#parts = parts
  }

  get keys(): readonly string[] {
    return ALL
  }

  enter(member: Member): void {
    member.process.post(this, () => this.#enter(member))
  }

  /** Somebody resigns, or a key is stolen, until `end`. */
  trouble(end: number): void {
    const { timeline, random } = this.#parts
    timeline.after(random.exponential(TROUBLE_EVERY), () => {
      if (timeline.now > end) return
      if (random.chance(0.5)) this.#steal(random.pick(this.keys))
      else for (const [{ process }, { election }] of this.#posts) process.post(this, () => void election.resign())
      this.trouble(end)
    })
  }

  /** After each step of a process. */
  check(member: Member): void {
    const { verdict } = this.#parts
    const { process, inspector } = member
    for (const [key, { lease, signal }] of this.#posts.get(member)?.works ?? []) {
      if (signal.aborted) continue
      const isTold = ![...inspector.live].some((known) => known.lease === lease)
      verdict.expect(!isTold, 'P35', () => `${process.name} works under ${key}, and its end was told`)
    }
  }

  /** All has been well for long. */
  checkQuiet(): void {
    const { verdict, timeline, members, nodes, servers } = this.#parts
    const living = members()
    const isWell = (member: Member): boolean => timeline.now - member.healthySince > 2 * member.recovery()
    if (!living.every(isWell)) return
    for (const key of this.keys) {
      if (ITEMS.includes(key) && (servers.setBack || !this.#posts.get(living[0] as Member)?.share)) continue
      // The server's clock was set back: what nobody deleted meanwhile stays for long.
      if (servers.isProlonged(nodes.redisOf(key).peek(key)?.token ?? '')) continue
      const owners = living.filter((member) => this.#posts.get(member)?.works.get(key)?.signal.aborted === false)
      verdict.expect(
        owners.length === 1,
        'P35',
        () => `${key} has ${owners.length} owners, and all has been well for long`,
      )
    }
    // Members that are gone are known for as long as their announcements are there.
    if (servers.setBack) return
    for (const member of living) {
      const share = this.#posts.get(member)?.share
      verdict.expect(share?.settled ?? true, 'P35', () => `the share of ${member.process.name} has not settled`)
      const count = share?.members ?? living.length
      verdict.expect(
        count === living.length,
        'P35',
        () => `${member.process.name} knows ${count} of ${living.length} members`,
      )
    }
  }

  leaveAll(): void {
    for (const [{ process }, { election, claim, share }] of this.#posts) {
      process.post(this, () => {
        void election.close()
        void claim.close()
        void share?.close()
      })
    }
  }

  #enter(member: Member): void {
    const { manager, inspector } = member
    // Somebody may have closed it already.
    if (inspector.closing) return
    const { nodes } = this.#parts
    const works: Post['works'] = new Map()
    const work = (lease: Lease, signal: AbortSignal): Promise<void> => this.#work(member, works, lease, signal)
    const election = manager.elect(OFFICE, { elected: ({ lease, signal }) => work(lease, signal), drain: DRAIN })
    const claim = manager.claim(CLAIMED, { drain: DRAIN })
    const share =
      nodes.all.length === 1
        ? withIds(this.#parts.random, () => manager.share(ITEMS, { group: 'items', drain: DRAIN }))
        : undefined
    claim.on('gained', ({ lease, signal }) => work(lease, signal))
    share?.on('gained', ({ lease, signal }) => work(lease, signal))
    this.#posts.set(member, { election, claim, share, works })
  }

  #work(member: Member, works: Post['works'], lease: Lease, signal: AbortSignal): Promise<void> {
    const { verdict, random } = this.#parts
    const { process, inspector } = member
    const { key } = lease
    verdict.expect(!works.has(key), 'P35', () => `${process.name} works twice at once under ${key}`)
    inspector.onGiven(lease, false)
    works.set(key, { lease, signal })
    return new Promise((resolve) => {
      const stop = (): void => {
        const end = (): void => {
          // What follows is the release, unless the lease was lost, or the drain was over before.
          inspector.onLetGo(lease)
          works.delete(key)
          resolve()
        }
        const duration = random.pick(STOPPING)
        if (duration === 0) end()
        else process.sleep(end, duration)
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }

  #steal(key: string): void {
    const { nodes, servers, random } = this.#parts
    const server = nodes.serverOf(key)
    server.act((redis) =>
      servers.robbing(redis, () => {
        if (random.chance(0.5)) redis.delete(key)
        else redis.write(key, { token: 'somebody else', expiresAt: server.wall + random.between(1, 2_000) })
      }),
    )
  }
}

/** The id of a member of a share decides on its part. A world repeats only if that comes from its seed, too. */
function withIds<T>(random: Random, work: () => T): T {
  const { randomUUID } = crypto
  const digits = (count: number): string => Array.from({ length: count }, () => random.integer(0, 9)).join('')
  crypto.randomUUID = () => `${digits(8)}-${digits(4)}-${digits(4)}-${digits(4)}-${digits(12)}`
  syncBuiltinESMExports()
  try {
    return work()
  } finally {
    crypto.randomUUID = randomUUID
    syncBuiltinESMExports()
  }
}
