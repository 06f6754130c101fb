/**
 * A backend over several independent backends, its members. What a majority of all members confirms counts. A question is answered as soon as the
 * majority is decided, so one member that is away or hangs slows nobody.
 */
import { asError } from '../as-error.ts'
import type {
  AcquireOutcome,
  Backend,
  BackendListener,
  BackendSettings,
  ChangeOutcome,
  LockEntry,
  LockView,
  QuorumMemberStats,
  ReleaseEntry,
  ServerIdentity,
} from '../backend.ts'
import type { Catalogue } from '../catalogue.ts'
import { UnavailableError } from '../errors.ts'
import { SystemClock } from '../time/clock.ts'
import { Acquiring } from './acquiring.ts'
import { Council } from './council.ts'
import { heal } from './healing.ts'
import { inspectAll, releaseByForce } from './inspection.ts'
import { listenTo } from './member-listener.ts'
import { QuorumCatalogue } from './quorum-catalogue.ts'
import type { QuorumMember } from './quorum-member.ts'
import { type Answer, ChangeVotes, majorityOf } from './votes.ts'

const DEFAULT_TTL = 30_000

interface QuorumSettings {
  readonly restartDelay: number | undefined
  readonly random: () => number
}

interface Opened {
  readonly council: Council
  readonly acquiring: Acquiring
  readonly catalogue: Catalogue
}

export class QuorumBackend implements Backend {
  /** The majority of a set of holders would be no set of holders. */
  readonly joints = false
  readonly #members: readonly QuorumMember[]
  readonly #settings: QuorumSettings
  #opened: Opened | undefined
  #readiness: Promise<void> | undefined

  constructor(members: readonly QuorumMember[], settings: QuorumSettings) {
    this.#members = members
    this.#settings = settings
  }

  get watching(): boolean {
    return this.#isMajority(({ backend }) => backend.watching)
  }

  get connected(): boolean {
    return this.#isMajority(({ usable }) => usable)
  }

  get stays(): boolean {
    return this.#members.every(({ backend }) => backend.stays)
  }

  get fault(): Error | undefined {
    return this.#members.map(({ backend }) => backend.fault).find((fault) => fault !== undefined)
  }

  get name(): string {
    return `the quorum of ${this.#members.map(({ name }) => name).join(', ')}`
  }

  get servers(): readonly ServerIdentity[] {
    return this.#members.flatMap(({ backend }) => backend.servers ?? [])
  }

  get members(): readonly QuorumMemberStats[] {
    const { council } = this.#open
    const now = council.clock.now()
    return this.#members.map((member) => member.stats(now, council.undoing.count(member)))
  }

  /** None if no majority has one. */
  get catalogue(): Catalogue | undefined {
    return this.#isMajority(({ backend }) => backend.catalogue !== undefined) ? this.#opened?.catalogue : undefined
  }

  get reservedKey(): string | undefined {
    return this.#members.map(({ backend }) => backend.reservedKey).find((key) => key !== undefined)
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const { clock = new SystemClock(), timeout, ttl = DEFAULT_TTL } = settings
    const { restartDelay, random } = this.#settings
    const council = new Council({ members: this.#members, clock, listener, timeout, ttl, restartDelay, random })
    this.#opened = { council, acquiring: new Acquiring(council), catalogue: new QuorumCatalogue(council) }
    const isConnected = (): boolean => this.connected
    const listeners = listenTo(council, listener, isConnected)
    for (const member of this.#members) {
      member.backend.open({ ...settings, clock }, listeners[member.index] as BackendListener)
    }
  }

  ready(): Promise<void> | undefined {
    const waits = this.#members.map((member) => member.ready())
    const missing = majorityOf(waits.length) - waits.filter((wait) => wait === undefined).length
    const pending = waits.filter((wait) => wait !== undefined)
    for (const wait of pending) wait.catch(ignore)
    if (missing <= 0) return undefined
    this.#readiness ??= whenSome(pending, missing).finally(() => {
      this.#readiness = undefined
    })
    return this.#readiness
  }

  async acquire(entries: readonly LockEntry[], watch = false): Promise<readonly AcquireOutcome[]> {
    return this.#open.acquiring.acquire(entries, watch)
  }

  async renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    const { council } = this.#open
    const { clock, ended, hints } = council
    const sentAt = clock.now()
    const votes = new ChangeVotes(council.size)
    const question = ended.open()
    if (hints.size > 0) {
      const watching = watch ? council.maskOf(({ backend }) => backend.watching) : 0
      for (const { key } of entries) hints.onAsked(key, watching)
    }
    const answers = new Map<QuorumMember, Answer<ChangeOutcome>>()
    const standing = { entries, watch, sentAt, isConfirmed: (index: number) => votes.isConfirmed(index) }
    const healFrom = (member: QuorumMember): void => {
      const answer = answers.get(member)
      if (answer?.some(isMissing)) void heal(council, member, standing, (index) => isMissing(answer[index]))
    }
    const round = council.ask<ChangeOutcome>({
      ask: (member) => askIfUsable(member, () => member.backend.renew(entries, watch)),
      onAnswer: (member, answer, late) => {
        answers.set(member, answer)
        votes.add(answer)
        if (late) healFrom(member)
      },
      isDecided: () => votes.isDecided(entries.length),
    })
    void round.over.then(() => ended.close(question))
    await round.decided
    const outcomes = votes.outcomes(entries.length, () => council.why('confirmed', answers.size, faultOf(answers)))
    for (const member of answers.keys()) healFrom(member)
    this.#giveUp(entries, outcomes, answers)
    return outcomes
  }

  async release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    const { council, acquiring } = this.#open
    const { undoing, hints, ended } = council
    for (const { key, token } of entries) {
      acquiring.onEnded(token)
      ended.add(token)
      hints.forget(key)
    }
    const votes = new ChangeVotes(council.size)
    const answers = new Map<QuorumMember, Answer<ChangeOutcome>>()
    const round = council.ask<ChangeOutcome>({
      ask: (member) => askIfUsable(member, () => member.backend.release(entries)),
      onAnswer: (member, answer, late) => {
        answers.set(member, answer)
        if (!late) votes.add(answer)
        entries.forEach((entry, index) => undoing.onReleased(member, entry, answer?.[index]?.type ?? 'unknown'))
      },
      isDecided: () => votes.isDecided(entries.length),
    })
    await round.decided
    return votes.outcomes(entries.length, () => council.why('have deleted the key', answers.size, faultOf(answers)))
  }

  async verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const { council } = this.#open
    const { hints } = council
    if (hints.size > 0) for (const { key } of entries) hints.onAsked(key, 0)
    const votes = new ChangeVotes(council.size)
    const answers = new Map<QuorumMember, Answer<ChangeOutcome>>()
    const round = council.ask<ChangeOutcome>({
      ask: (member) => askIfUsable(member, () => member.backend.verify(entries)),
      onAnswer: (member, answer, late) => {
        answers.set(member, answer)
        if (!late) votes.add(answer)
      },
      isDecided: () => votes.isDecided(entries.length),
    })
    await round.decided
    const outcomes = votes.outcomes(entries.length, () => council.why('confirmed', answers.size, faultOf(answers)))
    this.#giveUp(entries, outcomes, answers)
    return outcomes
  }

  inspect(key: string): Promise<LockView | null> {
    return inspectAll(this.#open.council, key)
  }

  forceRelease(key: string): Promise<boolean> {
    return releaseByForce(this.#open.council, key)
  }

  unref(): void {
    for (const { backend } of this.#members) backend.unref?.()
  }

  async close(): Promise<void> {
    this.#opened?.council.close()
    await Promise.all(this.#members.map(({ backend }) => backend.close()))
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new UnavailableError('This backend has not been opened')
    return this.#opened
  }

  #isMajority(has: (member: QuorumMember) => boolean): boolean {
    return this.#members.filter(has).length >= majorityOf(this.#members.length)
  }

  /** A lease has lost its majority: its key is deleted from the members that still have it. */
  #giveUp(
    entries: readonly LockEntry[],
    outcomes: readonly ChangeOutcome[],
    answers: ReadonlyMap<QuorumMember, Answer<ChangeOutcome>>,
  ): void {
    if (outcomes.every(({ type }) => type !== 'refused')) return
    const { ended, undoing, hints } = this.#open.council
    const lost = entries.flatMap((entry, index) => (outcomes[index]?.type === 'refused' ? [index] : []))
    for (const index of lost) {
      const { key, token } = entries[index] as LockEntry
      ended.add(token)
      hints.forget(key)
    }
    for (const member of this.#members) {
      const answer = answers.get(member)
      const left = lost.filter((index) => answer?.[index]?.type !== 'refused')
      if (member.usable) {
        const some = left.map((index) => entries[index] as LockEntry)
        void undoing.giveBack(member, some, () => false)
      } else {
        for (const index of left) undoing.add(member, entries[index] as LockEntry)
      }
    }
  }
}

function askIfUsable<O>(member: QuorumMember, ask: () => Promise<readonly O[]>): Promise<readonly O[]> | undefined {
  if (member.usable) return ask()
  // Some backends try again only if they are asked.
  member.ready()?.catch(ignore)
  return undefined
}

function isMissing(outcome: ChangeOutcome | undefined): boolean {
  return outcome?.type === 'refused' && outcome.reason === 'missing'
}

function faultOf(answers: ReadonlyMap<QuorumMember, Answer<ChangeOutcome>>): Error | undefined {
  for (const answer of answers.values()) {
    for (const outcome of answer ?? []) if (outcome.type === 'unknown') return outcome.error
  }
  return undefined
}

/** Resolves once so many of the promises have resolved; rejects once that cannot happen any more. */
function whenSome(promises: readonly Promise<void>[], count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = count
    let spare = promises.length - count
    for (const promise of promises) {
      promise.then(
        () => {
          missing -= 1
          if (missing <= 0) resolve()
        },
        (error: unknown) => {
          spare -= 1
          if (spare < 0) reject(asError(error))
        },
      )
    }
  })
}

function ignore(): void {}
