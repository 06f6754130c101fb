/**
 * Requests for many keys, slot by slot. What a node answers at once costs one write and one promise. Everything else is dealt with part by part:
 * redirections, slots on the move, and keys because of which a node refuses a call.
 */
import {
  type AcquireOutcome,
  type BackendListener,
  type ChangeOutcome,
  FENCE_KEY,
  type HandOverEntry,
  type HandOverOutcome,
  type LockEntry,
  type ReleaseEntry,
  type Unknown,
} from '../../backend.ts'
import { apart } from '../apart.ts'
import { cutUp } from '../cut-up.ts'
import type { Heads } from '../encoded-command.ts'
import { codeOf, isReply } from '../reply-fault.ts'
import type { Outcome } from '../unacknowledged.ts'
import { Acknowledgement, type Answers } from './acknowledgement.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterNode } from './cluster-node.ts'
import { believed } from './belief.ts'
import { FenceFloors, isFenceKey, reserved } from './fence-floors.ts'
import type { SlotFinder } from './hash-slot.ts'
import { type Kinds, kindsOf } from './kinds.ts'
import type { FirstAnswer, Redirects, Trail } from './redirects.ts'
import { acquireKind, counts, type Kind, raiseKind } from './request-kinds.ts'
import { isAboutScript, isUnclear } from './refusals.ts'
import { countOf, divide, groupBy, type Part, shareFault } from './slot-plan.ts'
import { encodeCalls, type Plan } from './slot-wire.ts'
import { unknownOf, unknownsOf } from './unknown-of.ts'
import { WatchingAgain } from './watching-again.ts'

export interface SlotRequestsParts {
  readonly map: ClusterMap
  readonly redirects: Redirects
  readonly slots: SlotFinder
  readonly heads: Heads
  /** Precedes every key. */
  readonly prefix: string
  readonly listener: BackendListener
}

export class SlotRequests {
  readonly #parts: SlotRequestsParts
  readonly #floors = new FenceFloors()
  readonly #unwatched: WatchingAgain
  readonly #plans = new WeakMap<readonly LockEntry[], Plan>()
  readonly #kinds: Kinds

  constructor(parts: SlotRequestsParts) {
    const { heads, map, listener } = parts
    this.#parts = parts
    this.#kinds = kindsOf(heads, this.#floors)
    this.#unwatched = new WatchingAgain({
      listener,
      watch: (entries) => this.#ask(this.#kinds.watches, entries),
      onUnsettled: () => map.wish(),
    })
  }

  async acquire(entries: readonly LockEntry[], watch: boolean, floor: number): Promise<readonly AcquireOutcome[]> {
    const { heads, prefix } = this.#parts
    const kind = acquireKind(heads, this.#floors, watch, floor)
    const ask = (some: readonly LockEntry[]): Promise<readonly AcquireOutcome[]> =>
      this.#askApart(kind, this.#kinds.joints.acquires[watch ? 1 : 0], some)
    if (!prefix.startsWith(FENCE_KEY) && !FENCE_KEY.startsWith(prefix)) return ask(entries)
    const isOurs = ({ key }: LockEntry): boolean => isFenceKey(prefix + key, this.#parts.slots.of(key))
    const outcomes = (await ask(entries.filter((entry) => !isOurs(entry)))).values()
    return entries.map((entry) => (isOurs(entry) ? reserved(entry.key) : (outcomes.next().value as AcquireOutcome)))
  }

  raiseFences(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]> {
    return this.#ask(raiseKind(fence), entries)
  }

  handOver(entries: readonly HandOverEntry[], watch: boolean): Promise<readonly HandOverOutcome[]> {
    return this.#ask(this.#kinds.handOvers[watch ? 1 : 0], entries)
  }

  renew(entries: readonly LockEntry[], watch: boolean): Promise<readonly ChangeOutcome[]> {
    return this.#askApart(this.#kinds.renewals[watch ? 1 : 0], this.#kinds.joints.renewals[watch ? 1 : 0], entries)
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#askApart(this.#kinds.releases, this.#kinds.joints.releases, entries)
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#askApart(this.#kinds.questions, this.#kinds.joints.questions, entries)
  }

  /** The slots have another owner. */
  onMoved(slots: readonly number[], route: number): void {
    this.onOtherServer(slots)
    if (route >= 0) this.#unwatched.onMoved(slots, route)
  }

  /** Whether the end of a slot's move is awaited. */
  get unsettled(): boolean {
    return this.#unwatched.pending
  }

  /** The servers of these slots may lack the last fences. */
  onOtherServer(slots: readonly number[]): void {
    for (const slot of slots) this.#floors.doubt(slot)
  }

  #askApart<E extends LockEntry, O extends Outcome>(
    plain: Kind<E, O>,
    joints: Kind<E, O>,
    entries: readonly E[],
  ): Promise<readonly (O | Unknown)[]> {
    return apart<E, O | Unknown>(
      entries,
      (some) => this.#ask(plain, some),
      (some) => this.#ask(joints, some),
    )
  }

  async #ask<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    entries: readonly E[],
  ): Promise<readonly (O | Unknown)[]> {
    const { map, slots } = this.#parts
    let plan = kind.returns ? this.#plans.get(entries) : undefined
    if (plan === undefined) {
      plan = { parts: divide(entries, ({ key }) => slots.of(key)) }
      if (kind.returns) this.#plans.set(entries, plan)
    }
    const parts = plan.parts as readonly Part<E>[]
    const outcomes: (O | Unknown)[] = Array.from({ length: entries.length })
    const put = (part: Part<E>, some: readonly (O | Unknown)[]): void => {
      for (let i = 0; i < some.length; i += 1) outcomes[part.start + i] = some[i] as O | Unknown
    }
    const groups = groupBy(parts, (slot) => map.nodeOf(slot))
    const asked = [...groups].map(([node, some]) =>
      this.#askNode(kind, node, some, put, groups.size === 1 ? plan : undefined),
    )
    await Promise.all(asked)
    return outcomes
  }

  /** @param put takes the outcomes of each part. @param plan given if these are all parts of a request. @param redirected by MOVED. */
  async #askNode<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    node: ClusterNode | undefined,
    parts: readonly Part<E>[],
    put: (part: Part<E>, outcomes: readonly (O | Unknown)[]) => void,
    plan: Plan | undefined,
    redirected = false,
  ): Promise<void> {
    const alone = async (part: Part<E>, first?: FirstAnswer): Promise<void> =>
      put(part, await this.#askAlone(kind, part, first))
    if (node === undefined) {
      await Promise.all(parts.map((part) => alone(part)))
      return
    }
    if (!node.pair.commands.usable) {
      const fault = await this.#parts.redirects.connect(node)
      if (fault) {
        shareFault(parts, node.explain(fault), put)
        return
      }
    }
    const choice = kind.choose(node.tracking?.active ?? false, parts)
    const others: Promise<void>[] = []
    let together = parts
    if (!node.knows(choice.script)) {
      // The first call teaches the node the script.
      others.push(alone(parts[0] as Part<E>))
      together = parts.slice(1)
      if (!node.knows(choice.script)) {
        others.push(...together.map((part) => alone(part)))
        together = []
      }
    }
    if (together.length > 0) {
      const wire = encodeCalls(kind, choice, together, together === parts ? plan : undefined)
      const period = node.tracking?.period
      const acknowledgement = Acknowledgement.of(kind, node, put)
      const replies = await node.runAll(wire, together.length, choice.watched)
      const watched = choice.watched && period !== undefined && period === node.tracking?.period
      if (choice.watched) node.tracking?.onWatched(countOf(together))
      others.push(this.#sort(kind, node, together, { replies, watched, acknowledgement }, put, alone, redirected))
    }
    await Promise.all(others)
  }

  /** Takes the answers of calls that were sent together. */
  async #sort<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    node: ClusterNode,
    parts: readonly Part<E>[],
    { replies, watched, acknowledgement }: Answers<E, O>,
    put: (part: Part<E>, outcomes: readonly (O | Unknown)[]) => void,
    alone: (part: Part<E>, first?: FirstAnswer) => Promise<void>,
    redirected: boolean,
  ): Promise<void> {
    const take = acknowledgement?.take ?? put
    const failed: [part: Part<E>, error: Error][] = []
    /** Calls that were under way when the connection broke. */
    const lost: Part<E>[] = []
    let fault: Error | undefined
    const doubtful: Promise<void>[] = []
    for (let index = 0; index < parts.length; index += 1) {
      const part = parts[index] as Part<E>
      const reply = replies[index]
      if (reply instanceof Error) {
        if (isReply(reply)) failed.push([part, reply])
        else lost.push(part)
        fault ??= isReply(reply) ? undefined : node.explain(reply)
        continue
      }
      const outcomes = kind.read(reply, part.slot, part.entries.length, watched)
      this.#onAsked(kind, part.slot, part.entries, watched)
      // An empty list says that nothing was refused.
      if (Array.isArray(reply) && reply.length > 0 && outcomes.some((outcome) => kind.ends(outcome))) {
        doubtful.push(believed(this.#parts.map, kind, part.slot, outcomes, node).then((some) => take(part, some)))
      } else {
        take(part, outcomes)
      }
    }
    if (fault) shareFault(lost, fault, put)
    if (failed.length + lost.length < parts.length) this.#onAnswered(kind.what, node)
    await Promise.all(doubtful)
    const settled = Promise.resolve(acknowledgement?.settle())
    const [sample] = failed
    if (sample === undefined) return settled
    if (failed.length === parts.length && parts.length > 1 && failed.every(([, error]) => isUnclear(error))) {
      // The node rather than a key may be to blame. If the first slot has no good key, nothing more is asked.
      const [part, error] = sample
      const outcomes = await this.#askAlone(kind, part, { node, error })
      put(part, outcomes)
      const isNode = outcomes.every((outcome) => (outcome as Unknown).type === 'unknown')
      for (const [other, reason] of failed.slice(1)) {
        if (isNode) put(other, unknownsOf(this.#parts.map, kind.what, other, node, reason))
        else doubtful.push(alone(other, { node, error: reason }))
      }
      await Promise.all([settled, ...doubtful])
      return
    }
    const following = [settled]
    for (const [target, some] of redirected
      ? [[undefined, failed] as const]
      : this.#parts.redirects.moved(failed, node)) {
      // After a failover thousands of calls are redirected to one node. They go on together, once.
      if (target && some.length > 1)
        following.push(
          this.#askNode(
            kind,
            target,
            some.map(([part]) => part),
            put,
            undefined,
            true,
          ),
        )
      else following.push(...some.map(([part, error]) => alone(part, { node, error })))
    }
    await Promise.all(following)
  }

  /** The outcomes of one slot, whatever that takes. @param first its answer when it was sent with others. */
  async #askAlone<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    part: Part<E>,
    first?: FirstAnswer,
  ): Promise<readonly (O | Unknown)[]> {
    const { slot, entries } = part
    let node = first?.node
    const ask = async (some: readonly E[], before?: FirstAnswer): Promise<readonly (O | Unknown)[]> => {
      const trail: Trail = { redirected: false, asking: false, node: undefined }
      try {
        return await this.#follow(kind, slot, some, trail, before)
      } finally {
        node = trail.node ?? node
      }
    }
    try {
      // A node that does not know the script is asked again, with all of it.
      return await ask(entries, first && isReply(first.error) && isAboutScript(first.error) ? undefined : first)
    } catch (thrown) {
      if (isReply(thrown) && codeOf(thrown) === 'TRYAGAIN' && entries.length > 1 && !counts(kind.what)) {
        const alone = entries.map((entry) => this.#askAlone(kind, { slot, start: 0, entries: [entry] }))
        return (await Promise.all(alone)).flat()
      }
      return cutUp(entries, thrown, ask, (error, entry) =>
        unknownOf(this.#parts.map, kind.what, slot, node, error, entry?.key),
      )
    }
  }

  async #follow<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    slot: number,
    entries: readonly E[],
    trail: Trail,
    first?: FirstAnswer,
  ): Promise<readonly (O | Unknown)[]> {
    let outcomes: readonly (O | Unknown)[] = []
    let acknowledgement: Acknowledgement<E, O> | undefined
    let watched = false
    let isToBeWatched = false
    const send = async (node: ClusterNode, asking: boolean): Promise<unknown> => {
      const { tracking } = node
      const choice = kind.choose(tracking?.active ?? false, [{ slot, start: 0, entries }])
      const period = tracking?.period
      const call = kind.call(choice.script, slot, entries)
      acknowledgement = Acknowledgement.of(kind, node, (_, some) => {
        outcomes = some
      })
      const reply = await node.run(choice.script, call, asking ? 'asking' : choice.watched ? 'watch' : 'nothing')
      watched = choice.watched && !asking && period !== undefined && period === tracking?.period
      isToBeWatched = choice.watched || (kind.what === 'verify' && tracking?.active === true)
      if (choice.watched) tracking?.onWatched(entries.length)
      return reply
    }
    const reply = await this.#parts.redirects.follow(slot, send, trail, first)
    const node = trail.node as ClusterNode
    this.#onAnswered(kind.what, node)
    outcomes = kind.read(reply, slot, entries.length, watched)
    if (!trail.asking) this.#onAsked(kind, slot, entries, watched)
    else if (isToBeWatched) this.#unwatched.add(slot, entries, outcomes)
    if (acknowledgement) {
      acknowledgement.take({ slot, start: 0, entries }, outcomes)
      // The counter of a slot that is on its way here may not have come yet.
      await acknowledgement.settle(trail.asking ? this.#parts.map.slotsOf(node.route) : [slot])
    }
    return trail.asking ? outcomes : believed(this.#parts.map, kind, slot, outcomes, node)
  }

  /** A node was asked without ASKING. */
  #onAsked<E extends LockEntry>(kind: Kind<E, unknown>, slot: number, entries: readonly E[], watched: boolean): void {
    if (watched || kind.what === 'release') this.#unwatched.remove(slot, entries)
  }

  #onAnswered(what: string, node: ClusterNode): void {
    node.pair.commands.onAnswered()
    node.faults.onAnswered(what)
  }
}
