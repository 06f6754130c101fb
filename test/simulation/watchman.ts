/**
 * Looks at the whole: all processes at one moment, and what the server has compared with what they have. P7, P11, P13,
 * P17, P23, P24.
 */
import type { Lease } from 'leasewheel'
import type { Call } from './calls.ts'
import type { Member } from './member.ts'
import { isOffice } from './offices.ts'
import type { ServerInspector } from './server-inspector.ts'
import { hasPermits, PERMITS } from './joint-workload.ts'
import type { SimulatedNodes } from './simulated-nodes.ts'
import { holdsKey, tokensOn } from './simulated-redis.ts'
import type { Timeline } from './timeline.ts'
import { type Evidence, SETTLING } from './token-ledger.ts'
import type { Verdict } from './violation.ts'
import type { Workload } from './workload.ts'

/** How often it makes its round, in ms. */
const ROUND = 500
/** What asking again may be late, in ms: hints that were often for nothing are followed after a second at most. */
const PROMPT = 1_000 + 300
/** What a waiting caller may be late, in ms: one poll, at most a second, the hand-over that is left to others, and some steps. */
const POLL = 1_500 + 500

/** What it may take until a caller is told, or the next one asks, in ms. */
const AT_ONCE = 100

/** What a manager may be late with what is due, in ms, while its process runs. */
const LATE = 50

export interface WatchmanParts {
  readonly timeline: Timeline
  readonly verdict: Verdict
  readonly nodes: SimulatedNodes
  readonly servers: ServerInspector
  readonly workload: Workload
  /** The longest ttl that is used, in ms. */
  readonly longestTtl: number
  /** Whoever waits is told of every change, as long as nothing is wrong. */
  readonly telling: boolean
}

export class Watchman {
  readonly #parts: WatchmanParts
  /** Since when a key has been free, and since when it has had this token; in true time. */
  readonly #seen = new Map<string, { readonly token: string | undefined; readonly since: number }>()

  constructor(parts: WatchmanParts) {
    this.#parts = parts
  }

  /** P7, and what it stands on: a lease that is held has its key. */
  read(members: Iterable<Member>): void {
    const { verdict, nodes, servers } = this.#parts
    const holders = new Map<string, string>()
    const joints = new Map<string, Lease[]>()
    for (const member of members) {
      const { process, inspector } = member
      if (!process.readable || process.blind) continue
      for (const known of inspector.live) {
        if (!inspector.read(known)) continue
        const { key, token } = known.lease
        if (servers.isRobbed(token)) continue
        // What was taken, or adopted, from a server that had been replaced may be lost.
        const misled = servers.isMisled(token)
        if (misled && (known.acquiredAt > servers.replacedAt(key) || !isSound(member, key, servers))) continue
        if (known.lease.mode) {
          joints.set(key, [...(joints.get(key) ?? []), known.lease])
        } else {
          const other = holders.get(key)
          verdict.expect(other === undefined, 'P7', () => `${key} is held by ${other} and by ${process.name}`)
          holders.set(key, process.name)
        }
        const present = nodes.redisOf(key).peek(key)
        verdict.expect(holdsKey(present, token), 'P7', () => `${process.name} holds ${key} without its key`)
      }
    }
    for (const [key, leases] of joints) this.#checkJoints(key, leases)
  }

  /** P33: never more than the permits, and never a writer beside anybody. */
  #checkJoints(key: string, leases: readonly Lease[]): void {
    const { verdict } = this.#parts
    if (hasPermits(key)) {
      const taken = leases.reduce((sum, { joint }) => sum + (joint?.weight ?? 0), 0)
      verdict.expect(taken <= PERMITS, 'P33', () => `${taken} of ${PERMITS} permits of ${key} are held`)
      return
    }
    const writers = leases.filter(({ mode }) => mode === 'write').length
    const alone = writers === 0 || leases.length === 1
    verdict.expect(alone, 'P33', () => `${writers} write ${key}, beside ${leases.length - writers} readers`)
  }

  /** From time to time. */
  round(members: readonly Member[], keys: readonly string[]): void {
    const { timeline } = this.#parts
    for (const key of keys) {
      const token = this.#parts.nodes.redisOf(key).peek(key)?.token
      const seen = this.#seen.get(key)
      if (seen === undefined || seen.token !== token) this.#seen.set(key, { token, since: timeline.now })
      else if (token !== undefined) this.#checkOrphan(members, key, token, seen.since)
    }
    const { calls } = this.#parts.workload
    calls.checkTimes()
    for (const call of calls.pending) this.#checkCall(call)
    for (const member of members) {
      this.#checkThrown(member)
      member.faults.check()
      this.#checkOwners(member)
    }
  }

  get interval(): number {
    return ROUND
  }

  /** Everything is well, nobody has asked for anything for long, and all that was held has been let go. */
  checkQuiet(members: readonly Member[]): void {
    const { timeline, verdict, nodes, workload } = this.#parts
    for (const call of workload.calls.pending) {
      if (isAlive(call)) verdict.fail('P24', `${call.what} in ${call.member.process.name} has never come to an end`)
    }
    for (const key of nodes.keys()) {
      const held = members.some(({ inspector }) => [...inspector.live].some(({ lease }) => lease.key === key))
      for (const token of tokensOn(nodes.redisOf(key).peek(key))) {
        // What a process that died has asked for may have arrived late.
        const known = members.some(({ inspector }) => inspector.ledger.get(token))
        const excused = !known || workload.isGivenAway(token) || this.#parts.servers.isProlonged(token)
        verdict.expect(held || excused, 'P11', () => `${key} is left behind`)
      }
    }
    for (const member of members) {
      const { process, manager } = member
      const { held, jeopardy, waiting, queues, undoing, timers } = manager.stats()
      // It may have been stopped while it read its clock, just now: what comes of that takes its time.
      const upset = timeline.now - member.healthySince < member.recovery()
      const busy = waiting + queues + undoing + jeopardy
      verdict.expect(busy + held > 0 || timers === 0, 'P22', () => `${process.name} has a timer for nothing`)
      verdict.expect(
        busy === 0 || upset,
        'P24',
        () => `${process.name} is still busy: ${JSON.stringify(manager.stats())}`,
      )
    }
  }

  /** P24: a manager is closed within its budget, whatever does not answer, if its process runs. */
  expectClosed({ process, inspector }: Member, budget: number): void {
    const { verdict } = this.#parts
    const onOver = (): void => {
      // After a stop all that is due comes at once, in any order.
      const free = process.time - process.freeSince
      if (inspector.closed) return
      if (free > LATE) verdict.fail('P24', `${process.name} is not closed after ${budget} ms`)
      else process.sleep(onOver, 2 * LATE)
    }
    process.sleep(onOver, budget + LATE)
  }

  /** P24: a manager says that it is closed. */
  checkClosed({ process, manager, inspector, ways }: Member): void {
    const { verdict, workload } = this.#parts
    inspector.closed = true
    verdict.expect(
      inspector.live.size === 0,
      'P24',
      () => `${process.name} is closed, and has leases that have not ended`,
    )
    const { held, jeopardy, waiting, queues, undoing } = manager.stats()
    const left = manager.size + held + jeopardy + waiting + queues + undoing
    verdict.expect(left === 0, 'P24', () => `${process.name} is closed, and has not forgotten everything`)
    verdict.expect(process.managerTimers.size === 0, 'P24', () => `${process.name} is closed, and has a timer`)
    const connected = ways.some(({ link }) => link.connections.size > 0)
    verdict.expect(!connected, 'P24', () => `${process.name} is closed, and has a connection`)
    for (const call of workload.calls.pending) {
      if (call.member.process !== process || call.working) continue
      const { what } = call
      // It is settled already, and its caller hears of it in this very step.
      process.post(this, () => {
        verdict.expect(
          !workload.calls.pending.has(call),
          'P24',
          () => `${process.name} is closed, and ${what} is not over`,
        )
      })
    }
  }

  /** Whoever is to come next finds nothing of those who are gone: every key has been deleted, or has expired. */
  checkEmpty(): void {
    const { verdict, nodes, servers } = this.#parts
    const isLate = (key: string): boolean => {
      const tokens = nodes.redisOf(key).holding(key)
      // Without a holder, only those who waited are noted there.
      return tokens.length === 0 ? servers.setBack : tokens.some((token) => servers.isProlonged(token))
    }
    const key = nodes.keys().find((name) => !isLate(name))
    verdict.expect(key === undefined, 'P11', () => `${key} is left when everybody is gone`)
  }

  /** P11: a key belongs to a lease, to a call, or to somebody who deletes it; or it ends with its ttl. */
  #checkOrphan(members: readonly Member[], key: string, token: string, since: number): void {
    const { timeline, verdict, workload, servers } = this.#parts
    const owner = members.find(({ inspector }) => inspector.ledger.get(token))
    if (owner === undefined || workload.isGivenAway(token) || servers.isRobbed(token) || servers.isProlonged(token))
      return
    const { inspector, manager } = owner
    const evidence = inspector.ledger.get(token)
    if (evidence === undefined || evidence.underWay > 0) return
    const held = [...inspector.live].some(({ lease }) => lease.token === token)
    if (!held) this.#checkForgotten(owner, evidence)
    // What failed by itself may be tried again as late as a tenth of the ttl later.
    const patience = owner.recovery(evidence) + evidence.ttl / 2
    const permitted = servers.permittedSince(key)
    const healthy = timeline.now - Math.max(owner.healthySince, since, evidence.endedAt, permitted)
    if (held || healthy < patience) return
    verdict.fail('P11', `${key} has been nobody's for ${healthy} ms, while ${manager.stats().undoing} are undone`)
  }

  /** P11: what was asked for and never answered may land at any time until its ttl is over: as long as that somebody is to look for it. */
  #checkForgotten({ process, manager, inspector }: Member, evidence: Evidence): void {
    const { key, ttl, claimed, confirmedAt, deleted, doubtedAt, timeout } = evidence
    if (this.#parts.servers.permittedSince(key) > 0) return
    const answered = claimed || deleted || confirmedAt !== Number.NEGATIVE_INFINITY
    const age = process.clock.now() - doubtedAt
    if (answered || inspector.closed || !process.observable || age > 0.9 * ttl) return
    // A question whose connection broke may still be waiting for the next one.
    if (age < timeout + SETTLING) return
    const { waiting, undoing } = manager.stats()
    const wanted = waiting > 0 || undoing > 0
    this.#parts.verdict.expect(wanted, 'P11', () => `${key} was never answered for, and nobody deletes it`)
  }

  /** P23: who waits for a key that is free gets it soon. */
  #checkCall(call: Call): void {
    const { timeline, verdict, longestTtl, telling, nodes } = this.#parts
    const { member, key, startedAt, working } = call
    if (working) return
    if (key === undefined) return
    this.#checkRefusal(call, key)
    this.#checkAsking(call, key)
    const possibleSince = Math.max(this.#parts.servers.permittedSince(key), nodes.acquirableSince(key))
    const healthy = timeline.now - Math.max(member.healthySince, startedAt, possibleSince)
    const seen = this.#seen.get(key)
    if (seen === undefined || seen.token !== undefined) return
    // Who is not told asks when the ttl of its last holder is over.
    const toldSince = member.backend.toldSince(key)
    const told = telling && toldSince < timeline.now
    const bound = (told ? 0 : longestTtl) + POLL
    const waited = Math.min(
      timeline.now - startedAt,
      healthy - member.recovery(),
      told ? timeline.now - toldSince : healthy,
    )
    const free = Math.min(waited, timeline.now - seen.since) - bound
    verdict.expect(free < 0, 'P23', () => `${key} is free, and is waited for, since ${free} ms longer than it may`)
  }

  /** P24: who is told that an answer is final does not wait for another one. */
  #checkRefusal({ member, what, startedAt }: Call, key: string): void {
    const { timeline, verdict } = this.#parts
    const since = member.inspector.ledger.refusedForGoodAt(key)
    if (since === undefined || since < startedAt || !member.process.observable) return
    // A question that had waited for a connection, or for its process to go on, was given up earlier than its timeout after it was sent.
    const delayed = Math.max(member.backend.connectedSince(key), member.process.wentOnAt)
    if (since < delayed + this.#parts.longestTtl) return
    // Who came by a lease in another way is waited for like anybody.
    if ([...member.inspector.live].some(({ lease }) => lease.key === key)) return
    const late = timeline.now - Math.max(since, member.process.freeSince) - AT_ONCE
    verdict.expect(late < 0, 'P24', () => `${what} waits for ${key} for ${late} ms after a final answer`)
  }

  /** P23: where a lock is not told of any more, it is asked for again once its holder's ttl must be over. */
  #checkAsking({ member, startedAt, what }: Call, key: string): void {
    const { timeline, verdict } = this.#parts
    const { inspector } = member
    if ([...inspector.live].some(({ lease }) => lease.key === key)) return
    const healthy = member.healthySince + member.recovery()
    const since = Math.max(startedAt, inspector.ledger.askAgain(key), healthy)
    const late = timeline.now - since - PROMPT
    verdict.expect(late < 0, 'P23', () => `${what} waits for ${key}, and has not asked for it for ${late} ms too long`)
  }

  /** P31: what is held was told of, and somebody has it. */
  #checkOwners({ process, inspector, manager, faults }: Member): void {
    if (!process.observable || process.lag > 0) return
    const { verdict, workload, longestTtl } = this.#parts
    const wanted = new Set<string>()
    for (const { member, keys } of workload.calls.pending) {
      if (member.process === process) for (const key of keys) wanted.add(key)
    }
    for (const { lease, acquiredAt, given, letGo } of inspector.live) {
      // A claim or a share gets its leases once all batches of an attempt are answered, or have timed out.
      const patience = isOffice(lease.key) ? longestTtl : AT_ONCE
      const since = process.time - Math.max(acquiredAt, process.freeSince) - patience
      if (given || letGo || wanted.has(lease.key) || since < 0) continue
      if (inspector.reading(() => lease.state) === 'releasing') continue
      verdict.fail('P31', `${lease.key} is held, and nobody was given it`)
    }
    if (!faults.some) return
    for (const lease of inspector.reading(() => [...manager])) {
      verdict.expect(inspector.knows(lease), 'P31', () => `${lease.key} is held, and was never told of`)
    }
  }

  /** P17: what a listener throws comes out as \`error\`, and the others hear of the event all the same. */
  #checkThrown({ process, thrown, inspector }: Member): void {
    const { verdict } = this.#parts
    const silent = process.observable && inspector.errors < thrown
    verdict.expect(!silent, 'P17', () => `${thrown} faults of listeners came out as ${inspector.errors} errors`)
  }
}

function isAlive({ member }: Call): boolean {
  return member.process.condition !== 'dead'
}

/** Whether a process could do all that it was to do when the server was replaced, and before that. */
function isSound(member: Member, key: string, servers: ServerInspector): boolean {
  return member.soundSince < servers.replacedAt(key) - member.recovery()
}
