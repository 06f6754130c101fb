/**
 * The keeper of a process: the library's own, in a thread of the simulated process. It may be slow, stopped or dead on its own. The checks know what it
 * may do: P34.
 */
import type { BackendSettings, KeeperSettings, StartedKeeper } from 'leasewheel'
import { Keeper } from '#src/keeper/keeper.js'
import { LedgerReader } from '#src/keeper/ledger.js'
import { isManual, type LeaseInspector } from './lease-inspector.ts'
import type { MemberParts, Way } from './member.ts'
import { type BackendObserver, type Sent, SimulatedBackend } from './simulated-backend.ts'
import { type ProcessTraits, SimulatedProcess } from './simulated-process.ts'
import type { SimulatedServer } from './simulated-server.ts'

/** What an event loop that is free may be late with a beat, in ms: it beats each half second at least. */
const LATE_BEAT = 700

export interface SimulatedKeeperParts
  extends Pick<
    MemberParts,
    'name' | 'scenario' | 'timeline' | 'chronicle' | 'random' | 'servers' | 'nodes' | 'verdict' | 'onStep'
  > {
  /** The process that it belongs to, and what is known of its leases. */
  readonly process: SimulatedProcess
  readonly traits: ProcessTraits
  readonly inspector: LeaseInspector
  readonly server: SimulatedServer
  readonly way: Way
}

export class SimulatedKeeper {
  readonly process: SimulatedProcess
  readonly #parts: SimulatedKeeperParts
  #backend: SimulatedBackend | undefined
  #keeper: Keeper | undefined

  constructor(parts: SimulatedKeeperParts) {
    const { name, timeline, random, traits, onStep, process } = parts
    this.#parts = parts
    this.process = new SimulatedProcess(`keeper of ${name}`, timeline, random.fork(), traits, onStep, process)
  }

  /** See `Backend.startKeeper`. */
  readonly start = ({ prefix, timeout }: BackendSettings, settings: KeeperSettings): StartedKeeper => {
    const { timeline, random, server, way, scenario, verdict } = this.#parts
    const { process } = this
    const { errors, follows } = scenario
    const reader = new LedgerReader(settings.head, settings.parts)
    const parts = { timeline, random: random.fork(), process, server, link: way.link, observer: this.#observer }
    const backend = new SimulatedBackend({ ...parts, errors, follows })
    const { next } = random.fork()
    const keeper = new Keeper({
      ...settings,
      ledger: reader,
      clock: process.clock,
      random: next,
      ready: () => backend.ready(),
      renew: (entries) => backend.renew(entries),
      mayBeOneKey: () => true,
      onFault: (fault) => verdict.fail('P34', `a keeper has thrown ${String(fault)}`),
    })
    this.#keeper = keeper
    this.#backend = backend
    process.post(this, () => {
      backend.open(
        { prefix, timeout, watch: false },
        {
          onRecovered: () => undefined,
          onSuspect: () => keeper.doubt(),
          onMissed: () => undefined,
          onChange: () => undefined,
          onUnwatched: () => undefined,
          onForgotten: () => undefined,
          onError: () => undefined,
        },
      )
      keeper.start()
    })
    return { add: (part) => reader.add(part), close: async () => this.kill() }
  }

  /** Its thread has died. */
  kill(): void {
    this.#keeper?.close()
    void this.#backend?.close()
    this.process.kill()
  }

  /**
   * The event loop is blocked for so long from now on.
   *
   * @returns what looks, right before it goes on, whether the leases are still held that should be.
   */
  onBlocked(duration: number): () => void {
    const { inspector, scenario, timeline, way, verdict, nodes, servers, process } = this.#parts
    const begun = timeline.now
    const isWell = (since: number): boolean =>
      this.process.observable &&
      this.process.freeSince <= since &&
      way.health.since <= since &&
      this.#serverSince <= since
    const age = (confirmedAt: number): number => process.clock.now() - confirmedAt
    const kept = [...inspector.live].filter(
      ({ evidence, lease, letGo }) =>
        !letGo &&
        !isManual(lease.key) &&
        lease.held &&
        lease.ttl >= 1_000 &&
        age(Math.max(evidence.confirmedAt, evidence.keptAt)) < lease.ttl / 2,
    )
    const longest = Math.max(...scenario.ttls)
    // A connection may be broken, and nobody has noticed yet.
    const sound = begun - 3 * longest - 5_000
    const isExpected = scenario.errors === 0 && isWell(sound) && this.#backend?.connectedSince() !== undefined
    return () => {
      const connected = (this.#backend?.connectedSince() ?? Number.POSITIVE_INFINITY) <= begun
      const limit = (scenario.keeper ?? 0) - 2 * LATE_BEAT
      if (!isExpected || !connected || !isWell(sound) || duration > limit || process.condition !== 'blocked') return
      for (const { lease, evidence, acquiredAt } of kept) {
        const { key, token } = lease
        const excused =
          servers.permittedSince(key) > 0 || servers.isRobbed(token) || nodes.redisOf(key).peek(key)?.token !== token
        const isLimited = (lease.signal.reason as { reason?: unknown } | undefined)?.reason === 'maxHold'
        if (excused || isLimited || acquiredAt > begun) continue
        const late = Math.round(age(Math.max(evidence.confirmedAt, evidence.keptAt)))
        verdict.expect(
          lease.held,
          'P34',
          () => `${key} was not kept, and its keeper was well: confirmed ${late} ms ago`,
        )
      }
    }
  }

  get #serverSince(): number {
    return Math.max(...this.#parts.nodes.all.map(({ health }) => health.since))
  }

  /** The time of the keeper, on the clock of its manager, as far as that knows of sleeps of the machine. */
  #now(): number {
    return this.process.clock.steady() + this.#parts.process.clock.ahead
  }

  readonly #observer: BackendObserver = {
    onSent: (operation, entries) => {
      const { chronicle, name, verdict, inspector } = this.#parts
      chronicle.note(
        name,
        () => `  its keeper asks to ${operation} ${entries.map((entry) => chronicle.nameOf(entry)).join(', ')}`,
      )
      const sent: Sent = { operation, at: this.#now(), verifying: false }
      this.#checkTime()
      for (const { key, token } of entries) {
        const evidence = inspector.ledger.get(token)
        verdict.expect(
          evidence?.claimed === true && !evidence.ended,
          'P34',
          () => `${key} was renewed by a keeper after its end`,
        )
      }
      return sent
    },
    onOutcome: ({ at }, { token }, outcome) => {
      const { inspector, chronicle, name } = this.#parts
      const evidence = inspector.ledger.get(token)
      chronicle.note(name, () => `  its keeper is told ${chronicle.outcome(outcome)}`)
      if (evidence === undefined) return
      if (outcome.type === 'refused' && 'reason' in outcome) evidence.refusal = outcome.reason
      // As in the ledger: an answer that comes after the deadline confirms nothing any more (P2).
      if (outcome.type !== 'done' || this.#now() >= inspector.ledger.boundOf(evidence)) return
      evidence.keptAt = Math.max(evidence.keptAt, at)
    },
    onAnswered: () => undefined,
    onSuspect: () => undefined,
    onRedirected: () => undefined,
    onTold: () => undefined,
    onArrived: (operation, entries, redis, work) => this.#parts.servers.onArrived(operation, entries, redis, work),
    onNever: () => undefined,
  }

  /** It renews only while the event loop is silent, and not for longer than it may. */
  #checkTime(): void {
    const { process, verdict, scenario, timeline } = this.#parts
    const free = timeline.now - Math.max(process.freeSince, process.ranSince)
    const isFree =
      process.observable && process.lag === 0 && free > LATE_BEAT && !process.interrupted && !this.process.interrupted
    verdict.expect(!isFree, 'P34', () => `a keeper renews although the event loop has been free for ${free} ms`)
    const blocked = process.condition === 'blocked' ? timeline.now - process.blockedAt : 0
    const late = blocked - (scenario.keeper ?? 0) * (1 + scenario.rateError) - 1
    verdict.expect(late < 0 || this.process.interrupted, 'P34', () => `a keeper renews ${late} ms after it had to stop`)
    verdict.expect(process.condition !== 'dead', 'P34', () => 'a keeper has survived its process')
  }
}
