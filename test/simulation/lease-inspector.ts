/**
 * Looks at what one manager says of its leases, by events and when they are read, and compares it with the evidence:
 * P1 to P3, P9, P10, P14 to P18, P20 to P22.
 */
import { type Lease, type LeaseManager, ManagerClosedError } from 'leasewheel'
import type { ServerInspector } from './server-inspector.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import { type Evidence, timeoutOf, TokenLedger } from './token-ledger.ts'
import type { Verdict } from './violation.ts'

/** How late an alarm of the manager may come while the event loop is free: a slot of its wheel, and what its steps take. ms. */
const LATE = 15

/** The events of a lease. */
export const EVENTS = ['acquired', 'renewed', 'jeopardy', 'safe', 'lost', 'released'] as const

/** What is known of one lease. */
export interface Known {
  readonly lease: Lease
  readonly evidence: Evidence
  jeopardy: boolean
  /** It has had its last event. */
  ended: boolean
  /** It was found not held. */
  over: boolean
  /** Its owner gave it back, or away. */
  letGo: boolean
  /** When that was, in true time. */
  letGoAt: number
  /** Its caller has it. */
  given: boolean
  /** True time. */
  readonly acquiredAt: number
}

/** Work that `using` runs under a lease. */
export interface Work {
  readonly lease: Lease
  readonly signal: AbortSignal
  /** Its lock was given back under it because the manager was closed: `using` must not say that all is well. */
  undone: boolean
}

/** ms. */
export type LeaseTerms = Pick<Evidence, 'ttl' | 'timeout'>

export interface LeaseInspectorParts {
  readonly process: SimulatedProcess
  readonly verdict: Verdict
  readonly servers: ServerInspector
  readonly describe: (lease: Lease) => string
  /** Since when nothing has been wrong that concerns a key, in true time. */
  readonly healthySince: (key: string) => number
  /** The same, but for what is wrong with the server. */
  readonly soundSince: (key: string) => number
  /** How long it may take to mend what was wrong, in ms of true time, for leases on these terms. */
  readonly recovery: (terms: LeaseTerms) => number
  /** Requests fail by themselves. */
  readonly failing: boolean
  /** How long a question may stay unanswered if its caller says nothing, in ms. */
  readonly usualTimeout: number
}

export class LeaseInspector {
  readonly ledger: TokenLedger
  /** Leases that have not had their last event. */
  readonly live: Set<Known> = new Set()
  /** Faults that came out as `error`. */
  errors = 0
  closing = false
  closed = false
  readonly #parts: LeaseInspectorParts
  readonly #known = new Map<Lease, Known>()
  /** By token. */
  readonly #works = new Map<string, Work>()
  #manager: LeaseManager | undefined
  /** Something is being read. */
  #reading = false

  constructor(parts: LeaseInspectorParts) {
    this.#parts = parts
    this.ledger = new TokenLedger(parts.process, parts.verdict, (token) => this.onGivingBack(token))
  }

  attach(manager: LeaseManager): void {
    this.#manager = manager
    for (const event of EVENTS) manager.on(event, ({ lease }) => this.#checkTelling(event, lease))
    manager.on('acquired', ({ lease }) => this.#onAcquired(lease))
    manager.on('renewed', ({ lease }) => this.#onConfirmed(lease, 'renewed'))
    manager.on('safe', ({ lease }) => this.#onConfirmed(lease, 'safe'))
    manager.on('jeopardy', ({ lease, remaining }) => this.#onJeopardy(lease, remaining))
    manager.on('lost', ({ lease, reason }) => this.#onLost(lease, reason))
    manager.on('released', ({ lease, confirmed, detached }) => this.#onReleased(lease, confirmed, detached))
    manager.on('error', () => {
      this.errors += 1
    })
  }

  /** Does nothing but read: P30. */
  reading<T>(read: () => T): T {
    const before = this.#reading
    this.#reading = true
    try {
      return read()
    } finally {
      this.#reading = before
    }
  }

  /** P30: what is noticed by a read is told later. */
  #checkTelling(event: string, { key }: Lease): void {
    this.#parts.verdict.expect(!this.#reading, 'P30', () => `${key} was told to be ${event} from inside a read`)
  }

  /** Whether it was told that this was acquired. */
  knows(lease: Lease): boolean {
    return this.#known.has(lease)
  }

  /** A caller has been given a lease: P10. @param atOnce as soon as it was acquired. */
  onGiven(lease: Lease, atOnce: boolean): void {
    const { verdict, process } = this.#parts
    const known = this.#known.get(lease)
    verdict.expect(known !== undefined, 'P14', () => `${lease.key} was given to its caller before it was acquired`)
    const held = this.reading(() => lease.held)
    if (known) known.given = true
    // Others who know of it may have let go of it, and the process may have been stopped at this very point.
    const excused = !atOnce || process.interrupted || known?.letGo === true
    verdict.expect(held || excused, 'P10', () => `${lease.key} was not held when its caller got it`)
  }

  get usualTimeout(): number {
    return this.#parts.usualTimeout
  }

  /** How long a question about a lease may stay unanswered, in ms. */
  timeoutOf({ token, ttl }: Lease): number {
    return this.ledger.get(token)?.timeout ?? timeoutOf(ttl)
  }

  /** Its owner lets go. */
  onLetGo(lease: Lease): void {
    const known = this.#known.get(lease)
    if (known === undefined || !this.read(known)) return
    known.letGo = true
    known.letGoAt = this.#parts.process.time
  }

  /** The manager is about to be closed: sooner or later it lets go of everything. */
  onClosing(): void {
    this.closing = true
  }

  onWork(lease: Lease): Work {
    const work = { lease, signal: lease.signal, undone: false }
    this.#works.set(lease.token, work)
    return work
  }

  onWorkDone({ lease }: Work): void {
    this.#works.delete(lease.token)
  }

  /** P29: a key is about to be deleted, or was given away. */
  onGivingBack(token: string): void {
    const work = this.#works.get(token)
    if (work === undefined) return
    const { lease, signal } = work
    // What is over by time is deleted as soon as that is noticed, and told later.
    if (this.reading(() => lease.state) === 'lost') return
    this.#parts.verdict.expect(signal.aborted, 'P29', () => `${lease.key} is given back while work runs under it`)
    if (signal.reason instanceof ManagerClosedError) work.undone = true
  }

  /** Whether the lease is held: P1, P3. */
  read(known: Known): boolean {
    const { verdict, process } = this.#parts
    const { lease, evidence } = known
    const now = process.clock.now()
    const held = this.reading(() => lease.held)
    if (!held) {
      known.over = true
      return false
    }
    verdict.expect(!known.over, 'P3', () => `${lease.key} is held again`)
    verdict.expect(!known.ended, 'P14', () => `${lease.key} is held after its last event`)
    const late = now - this.ledger.boundOf(evidence)
    verdict.expect(late < 0, 'P1', () => `${this.#parts.describe(lease)} is held ${late} ms after its deadline`)
    return true
  }

  /** After each step of the process. */
  check(): void {
    const { verdict, process } = this.#parts
    this.#checkRefusals()
    const neglected = this.ledger.inTheWay
    this.ledger.inTheWay = undefined
    const permitted = neglected && this.#parts.servers.permittedSince(neglected.key) < 0
    if (permitted && this.#manager?.stats().undoing === 0) {
      verdict.fail('P11', `${neglected.key} was refused because of an earlier question, which nobody looks after`)
    }
    const { size } = process.managerTimers
    const expected = this.closed ? size === 0 : size === 1 || (size === 0 && this.#manager?.size === 0)
    verdict.expect(expected, this.closed ? 'P24' : 'P22', () => `${size} timers are armed`)
    if (!process.observable) return
    const now = process.clock.now()
    for (const known of this.live) this.#checkDeadline(known, now)
  }

  /** P18: a definite refusal is final at once. */
  #checkRefusals(): void {
    for (const refused of this.ledger.takeRefused()) {
      for (const { lease, evidence, letGo } of this.live) {
        // The manager releases by itself what it has acquired in vain.
        if (evidence !== refused || letGo || lease.state === 'releasing') continue
        this.#parts.verdict.fail('P18', `the server said that ${lease.key} is not ours, and it was not lost`)
      }
    }
  }

  /** P15: the event loop was free, and nobody asked. P19: renewed before half of the ttl. */
  #checkDeadline({ lease, evidence, letGo }: Known, now: number): void {
    const { verdict, process, healthySince, failing, servers, describe } = this.#parts
    if (letGo) return
    const free = process.time - process.freeSince
    const late = Math.min(now - this.ledger.boundOf(evidence), free)
    // Reading the lease is how its end would be noticed, so that comes last.
    if (late >= LATE && lease.state !== 'releasing') {
      verdict.fail('P15', `the loss of ${describe(lease)} was not told ${late} ms after its deadline`)
    }
    const { ttl } = lease
    if (isManual(lease.key)) return
    // A failed renewal is repeated after a tenth of the ttl at most, unless it has to wait for its turn.
    // It may have been repeated at the very moment at which it failed.
    const failed = evidence.renewalFailedAt >= evidence.askedAt && evidence.renewalFailedAt > evidence.confirmedAt
    // One that is over is renewed no more, whether anybody has noticed it or not.
    const idle = evidence.underWay === 0 && failed && late < 0
    const silence = Math.min(now - evidence.renewalFailedAt, free) - ttl / 10 - LATE
    if (idle && silence > 0 && lease.state !== 'releasing' && this.#manager?.stats().load.behind === 0) {
      verdict.fail('P21', `the renewal of ${describe(lease)} failed, and was not repeated ${silence} ms after its time`)
    }
    if (failing || lease.state === 'releasing' || process.time - servers.permittedSince(lease.key) < ttl) return
    const overdue = now - evidence.confirmedAt - ttl / 2
    if (overdue < 0 || ttl < 1_000 || process.time - healthySince(lease.key) < ttl + this.#parts.recovery(evidence))
      return
    verdict.fail('P19', `${lease.key} was not renewed ${overdue} ms after half of its ttl`)
  }

  #onAcquired(lease: Lease): void {
    const { verdict } = this.#parts
    const { key, token, fence } = lease
    const evidence = this.ledger.get(token)
    verdict.expect(!this.#known.has(lease), 'P14', () => `${key} was acquired twice`)
    if (evidence === undefined || evidence.confirmedAt === Number.NEGATIVE_INFINITY) {
      verdict.fail('P9', `${key} was acquired without the server saying so`)
      return
    }
    verdict.expect(!evidence.ended, 'P5', () => `${key} was acquired with the token of a lease that is over`)
    verdict.expect(evidence.fence === 0 || evidence.fence === fence, 'P6', () => `${key} has another fence`)
    evidence.claimed = true
    const known = {
      lease,
      evidence,
      jeopardy: false,
      ended: false,
      over: false,
      letGo: false,
      letGoAt: Number.POSITIVE_INFINITY,
      given: false,
      acquiredAt: this.#parts.process.time,
    }
    this.#known.set(lease, known)
    this.live.add(known)
  }

  #onConfirmed(lease: Lease, name: 'renewed' | 'safe'): void {
    const known = this.#alive(lease, name)
    if (known === undefined) return
    const { verdict } = this.#parts
    verdict.expect(known.jeopardy === (name === 'safe'), 'P14', () => `${lease.key} was told to be ${name}`)
    known.jeopardy = false
    this.read(known)
  }

  #onJeopardy(lease: Lease, remaining: number): void {
    const known = this.#alive(lease, 'jeopardy')
    if (known === undefined) return
    const { verdict, process } = this.#parts
    verdict.expect(!known.jeopardy, 'P14', () => `${lease.key} came into jeopardy twice`)
    known.jeopardy = true
    const { evidence } = known
    const left = this.ledger.boundOf(evidence) - process.clock.now()
    // The reading of the clock for this very comparison may be where it was stopped.
    verdict.expect(
      remaining <= left || process.interrupted,
      'P1',
      () => `${lease.key} was said to have ${remaining} ms left, and has ${left}`,
    )
    const failed = evidence.failedAt >= evidence.confirmedAt
    const unharmed = !failed && this.#isHealthy(evidence)
    // Where a key is refused, its neighbours in a batch are to have nothing of that.
    const property = this.#parts.servers.refusesKeys ? 'P28' : 'P20'
    verdict.expect(!unharmed, property, () => `${lease.key} is in jeopardy, and nothing that concerns it has failed`)
  }

  #onLost(lease: Lease, reason: string): void {
    const known = this.#alive(lease, 'lost')
    if (known === undefined) return
    const { verdict, process, failing, servers } = this.#parts
    const { evidence, letGo } = known
    this.#end(known)
    verdict.expect(lease.signal.aborted, 'P15', () => `the signal of ${lease.key} is not aborted`)
    if (letGo) {
      // It may have been stopped for so long between deciding to release it and doing so.
      const stopped = process.interrupted || process.ranSince >= known.letGoAt
      const late = (reason === 'expired' || reason === 'maxHold') && stopped
      const refused = evidence.refusedRelease !== undefined || late
      verdict.expect(refused, 'P16', () => `${lease.key} was released, and told to be lost`)
      return
    }
    if (reason === 'maxHold' || (this.closing && lease.state === 'releasing')) return
    this.#checkLostInFailover(known, reason)
    if (reason !== 'expired') {
      const known = evidence.refusal ?? evidence.refusedRelease ?? this.#hasSuccessor(evidence)
      verdict.expect(Boolean(known), 'P18', () => `${lease.key} was lost (${reason}), and the server has not said so`)
      return
    }
    const early = this.ledger.ownBoundOf(evidence) - process.clock.now()
    // Where the process was stopped between the reading of the clock and the sending, only the manager knows the deadline.
    verdict.expect(early < LATE || process.disturbed, 'P18', () => `${lease.key} was lost ${early} ms early`)
    const permitted = process.time - servers.permittedSince(lease.key) > lease.ttl + this.#parts.recovery(evidence)
    const excused = isManual(lease.key) || failing || servers.isRobbed(lease.token) || !permitted
    const needless = this.#isHealthy(evidence) && !excused && !this.closing
    verdict.expect(!needless, 'P21', () => `${lease.key} has expired, and nothing had been wrong for long`)
  }

  /** P26: a lease outlives the replacement of its server, if nothing else is wrong and it was held when that began. */
  #checkLostInFailover({ lease, evidence, acquiredAt }: Known, reason: string): void {
    const { process, servers, soundSince, recovery, failing, verdict } = this.#parts
    const { key, token, ttl } = lease
    const replacedAt = servers.replacedAt(key)
    const concerned = acquiredAt < replacedAt && process.time < replacedAt + ttl && !servers.isRobbed(token)
    const sound = soundSince(key) < replacedAt - recovery(evidence) && servers.permittedSince(key) < 0 && !failing
    if (!concerned || !sound || isManual(key) || this.closing) return
    const after = process.time - replacedAt
    verdict.fail(
      'P26',
      `${key} was lost (${reason}) ${after} ms after its server was replaced, and had been held before`,
    )
  }

  #onReleased(lease: Lease, confirmed: boolean, detached: boolean): void {
    const known = this.#alive(lease, 'released')
    if (known === undefined) return
    const { verdict } = this.#parts
    const { evidence } = known
    this.#end(known)
    this.onGivingBack(lease.token)
    if (confirmed) verdict.expect(evidence.deleted, 'P16', () => `${lease.key} is said to be deleted, and is not`)
    if (detached) verdict.expect(!evidence.deleted, 'P16', () => `${lease.key} was deleted, and is said to be detached`)
  }

  #alive(lease: Lease, name: string): Known | undefined {
    const { verdict } = this.#parts
    const known = this.#known.get(lease)
    if (known === undefined) verdict.fail('P14', `${lease.key} was told to be ${name} before it was acquired`)
    else if (known.ended) verdict.fail('P14', `${lease.key} was told to be ${name} after its end`)
    return known
  }

  #end(known: Known): void {
    known.ended = true
    known.over = true
    known.evidence.ended = true
    known.evidence.endedAt = this.#parts.process.time
    this.live.delete(known)
    this.ledger.onVacated(known.evidence)
  }

  #isHealthy(terms: Evidence): boolean {
    const { process, healthySince, recovery } = this.#parts
    return process.time - healthySince(terms.key) > recovery(terms)
  }

  /** The server has given its key to another acquisition of this manager. */
  #hasSuccessor({ key, confirmedAt, token }: Evidence): boolean {
    for (const other of this.ledger.values()) {
      if (other.key === key && other.token !== token && other.confirmedAt >= confirmedAt) return true
    }
    return false
  }
}

/** Leases of these keys are not renewed by the wheel. */
export function isManual(key: string): boolean {
  return key.startsWith('manual')
}
