/**
 * What happens in the demo: many leases are acquired and held; another party deletes some of their keys, replaces some,
 * and keeps the backend from answering for a while; then everything is given back. Each step waits for what should come
 * of it rather than for a time, so a slow machine takes longer and fails no expectation.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseManager, type Progress } from 'leasewheel'
import type { DemoArguments } from './arguments.ts'
import type { DemoBackend } from './backend.ts'
import { Expectations } from './expectations.ts'
import { count, seconds } from './format.ts'
import { Ledger } from './ledger.ts'
import { openPage } from './live-page.ts'
import { OTHER_TOKEN } from './other-party.ts'
import type { Screen } from './screen.ts'
import { Watch } from './watch.ts'

/** One in so many keys is deleted, and one in so many replaced. */
const ONE_IN = 50
/** How long the backend is blocked, as a multiple of the time that a request may stay unanswered. */
const BLOCK = 1.75
/** How often at most: each block hits upon another part of the time between two renewals, and so many upon all of it. */
const BLOCKS = 8
/** How long acquiring and releasing may take on the slowest of machines, in ms. */
const PATIENCE = 60_000

export interface StoryParts {
  readonly settings: DemoArguments
  readonly backend: DemoBackend
  /** Stands before every key of this demo, and of no other program. */
  readonly prefix: string
  readonly screen: Screen
  /** Ends the story early, in good order. */
  readonly signal: AbortSignal
}

/** @throws the signal's reason, or what the backend failed with; everything has been given back by then, if that is possible. */
export async function tellStory(parts: StoryParts): Promise<Expectations> {
  const { settings, backend, prefix } = parts
  const timeout = timeoutFor(settings.ttl)
  const leases = new LeaseManager(backend.connection, { ttl: settings.ttl, timeout, prefix })
  const live = settings.page ? await openPage(leases) : undefined
  if (live) parts.screen.line(`The live page is at ${live.url}`)
  const story = new Story(parts, leases)
  // Closing also ends whatever is being waited for.
  parts.signal.addEventListener('abort', () => void leases.close())
  try {
    return await story.run()
  } finally {
    story.watch.stop()
    await leases.close()
    await live?.close()
    // Of a backend that does not answer any more nothing can be said; its keys expire.
    await takeAway(parts).catch(() => {})
  }
}

/** The other party goes too, and it is told whether anything else is left. */
async function takeAway({ backend, prefix, screen, signal }: StoryParts): Promise<void> {
  const { otherParty } = backend
  const found = [...(await otherParty.find(prefix))]
  const theirs = found.filter(([, token]) => token === OTHER_TOKEN).map(([key]) => key)
  if (signal.aborted) screen.line(`Closed; ${count(found.length - theirs.length)} of our keys are left in the backend`)
  if (theirs.length > 0) screen.line(`The other party deletes its own ${count(await otherParty.delete(theirs))} keys`)
}

class Story {
  readonly watch: Watch
  readonly #parts: StoryParts
  readonly #leases: LeaseManager
  readonly #ledger: Ledger
  readonly #expectations = new Expectations()
  /** How long to wait for what should come of something, in ms. Only a failure takes so long. */
  readonly #limit: number

  constructor(parts: StoryParts, leases: LeaseManager) {
    this.#parts = parts
    this.#leases = leases
    this.#ledger = new Ledger(leases)
    this.watch = new Watch(leases, this.#ledger, parts.screen)
    this.#limit = 10_000 + 3 * parts.settings.ttl
  }

  async run(): Promise<Expectations> {
    const { backend, settings } = this.#parts
    const { otherParty } = backend
    const keys = Array.from({ length: settings.leases }, (_, index) => `order:${index}`)
    const deleted = keys.filter((_, index) => index % ONE_IN === 0)
    const replaced = keys.filter((_, index) => index % ONE_IN === ONE_IN / 2)
    const replacedFor = settings.seconds * 1_000 + 3 * settings.ttl + PATIENCE

    await this.#acquire(keys)
    const heldSince = performance.now()
    await this.#holdUntil(heldSince, 1 / 6)
    await this.#lose(deleted, 'missing', 'deletes', (names) => otherParty.delete(names))
    await this.#holdUntil(heldSince, 2 / 6)
    await this.#lose(replaced, 'taken', 'puts its own token on', (names) => otherParty.replace(names, replacedFor))
    await this.#holdUntil(heldSince, 3 / 6)
    await this.#survivePause()
    await this.#holdUntil(heldSince, 1)
    await this.#checkHeld(keys.length - deleted.length - replaced.length)
    await this.#close(replaced)
    return this.#expectations
  }

  async #acquire(keys: readonly string[]): Promise<void> {
    const { screen } = this.#parts
    const startedAt = performance.now()
    // A slow server may take several attempts; nobody else wants these keys.
    const leases = await this.#leases.acquireMany(keys, {
      wait: PATIENCE,
      onProgress: everyTenth(({ done, total }) => screen.live(`Acquiring ${count(total)} leases: ${count(done)}`)),
    })
    const acquired = leases.filter((lease) => lease !== null).length
    screen.settle()
    const { requests } = this.#leases.stats()
    screen.line(
      `Acquired ${count(acquired)} leases in ${since(startedAt)}, by ${count(requests)} commands; holding them`,
    )
    this.watch.start()
    this.#expectations.add(`${count(acquired)} of ${count(keys.length)} leases were acquired`, acquired === keys.length)
  }

  /** Another party interferes with these keys, and their leases, no others, are lost by that, for this reason. */
  async #lose(
    keys: readonly string[],
    reason: 'missing' | 'taken',
    deed: string,
    interfere: (keys: readonly string[]) => Promise<unknown>,
  ): Promise<void> {
    const { prefix, screen } = this.#parts
    const startedAt = performance.now()
    screen.line(`Another party ${deed} ${count(keys.length)} keys`)
    await interfere(keys.map((key) => prefix + key))
    await this.#until(() => this.#ledger.count(`lost: ${reason}`) >= keys.length)
    const lost = this.#ledger.keysOf(reason)
    this.watch.tell()
    screen.line(`${count(lost.length)} leases were lost by that, the last of them after ${since(startedAt)}`)
    this.#expectations.add(
      `another party ${deed} ${count(keys.length)} keys, and those ${count(lost.length)} leases were lost as \`${reason}\``,
      isSame(lost, keys),
    )
  }

  /** Longer than a renewal may stay unanswered, and far shorter than what is left of any lease. */
  async #survivePause(): Promise<void> {
    const { backend, screen, settings } = this.#parts
    const duration = Math.round(BLOCK * timeoutFor(settings.ttl))
    const before = this.#ledger.count('jeopardy')
    const safeBefore = this.#ledger.count('safe')
    // Leases that were acquired together are renewed together: of few leases, none may be due during a block.
    for (let attempt = 1; attempt <= BLOCKS && this.#ledger.count('jeopardy') === before; attempt += 1) {
      screen.line(`Another party blocks the backend for ${count(duration)} ms`)
      await backend.otherParty.block(duration)
      await this.#until(() => this.#leases.stats().jeopardy === 0)
    }
    const endangered = this.#ledger.count('jeopardy') - before
    const safe = this.#ledger.count('safe') - safeBefore
    this.watch.tell()
    screen.line(`${count(endangered)} leases were in jeopardy by that, and ${count(safe)} became safe again`)
    this.#expectations.add(
      `the blocked backend put ${count(endangered)} leases in \`jeopardy\`, and ${count(safe)} became \`safe\` again`,
      endangered > 0 && safe === endangered && this.#ledger.endangered === 0,
    )
  }

  async #checkHeld(expected: number): Promise<void> {
    await this.#until(() => this.#ledger.neverRenewed === 0 && this.#leases.stats().jeopardy === 0)
    this.watch.stop()
    const held = this.#leases.size
    const { neverRenewed } = this.#ledger
    const others = this.#ledger.count('lost: expired') + this.#ledger.count('lost: maxHold')
    const { looks, one } = this.watch.timers
    this.#expectations.add(
      `the other ${count(expected)} leases were renewed and held to the end: ${count(held)} held, ${count(neverRenewed)} never renewed, ${count(others)} lost`,
      held === expected && neverRenewed === 0 && others === 0,
    )
    this.#expectations.add(
      `exactly one timer was armed all the time (at ${count(one)} of ${count(looks)} looks)`,
      looks > 0 && one === looks,
    )
  }

  async #close(replaced: readonly string[]): Promise<void> {
    const { backend, prefix, screen } = this.#parts
    const startedAt = performance.now()
    await this.#leases.close({
      timeout: PATIENCE,
      onProgress: everyTenth(({ done, total }) => screen.live(`Releasing ${count(total)} leases: ${count(done)}`)),
    })
    screen.settle()
    this.watch.tell()
    const { timers, renewals, requests } = this.#leases.stats()
    screen.line(`Closed in ${since(startedAt)}`)
    screen.line(`In all: ${count(renewals)} renewals, and ${count(requests)} commands for everything`)
    this.#expectations.add(`no timer is armed after close (${timers})`, timers === 0)

    const { open, surplus } = this.#ledger
    this.#expectations.add(
      `every lease had one end and no event after it: ${count(open)} without an end, ${count(surplus)} events too many`,
      open === 0 && surplus === 0,
    )
    const found = [...(await backend.otherParty.find(prefix))]
    const ours = found.filter(([, token]) => token !== OTHER_TOKEN)
    const theirs = found.filter(([, token]) => token === OTHER_TOKEN).map(([key]) => key.slice(prefix.length))
    this.#expectations.add(`nothing of ours is left in the backend (${count(ours.length)} keys)`, ours.length === 0)
    this.#expectations.add(
      `the ${count(theirs.length)} keys of the other party were left alone`,
      isSame(theirs, replaced),
    )
  }

  /** Until this part of the time asked for has passed; what came before may have taken longer. */
  async #holdUntil(heldSince: number, part: number): Promise<void> {
    const { settings, signal } = this.#parts
    const left = heldSince + part * settings.seconds * 1_000 - performance.now()
    await sleep(Math.max(left, 0), undefined, { signal })
  }

  async #until(isSo: () => boolean): Promise<void> {
    const { signal } = this.#parts
    const end = performance.now() + this.#limit
    signal.throwIfAborted()
    // With no lease left nothing can come any more.
    while (!isSo() && performance.now() < end && this.#leases.size > 0) await sleep(20, undefined, { signal })
  }
}

/** How long a request may stay unanswered, in ms. */
function timeoutFor(ttl: number): number {
  return Math.min(Math.round(ttl / 6), 2_000)
}

/** Tells of progress ten times in all. */
function everyTenth(tell: (progress: Progress) => void): (progress: Progress) => void {
  let told = 0
  return (progress) => {
    const tenths = Math.floor((10 * progress.done) / progress.total)
    if (tenths > told) tell(progress)
    told = tenths
  }
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  const set = new Set(others)
  return some.length === others.length && some.every((key) => set.has(key))
}

function since(time: number): string {
  return seconds(performance.now() - time)
}
