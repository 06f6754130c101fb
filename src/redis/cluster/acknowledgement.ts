/** Holds back what a node has granted or renewed until its replicas have acknowledged it. Refusals go through at once. */
import type { LockEntry, Unknown } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { CONFIRMED, isAnythingWritten, type Outcome, unacknowledged } from '../unacknowledged.ts'
import type { ClusterNode } from './cluster-node.ts'
import { fenceKeyOf } from './fence-floors.ts'
import type { Kind } from './request-kinds.ts'
import type { Part } from './slot-plan.ts'

/** The answers of calls that were sent together. */
export interface Answers<E extends LockEntry, O extends Outcome> {
  readonly replies: readonly unknown[]
  readonly watched: boolean
  /** Given if replicas have to acknowledge what the node did. */
  readonly acknowledgement: Acknowledgement<E, O> | undefined
}

/** More slots than these are not named to the node: one of them has a fence counter there. */
const NAMED_SLOTS = 3

type Put<E, O> = (part: Part<E>, outcomes: readonly (O | Unknown)[]) => void

export class Acknowledgement<E extends LockEntry, O extends Outcome> {
  readonly #node: ClusterNode
  readonly #server: string | undefined
  readonly #put: Put<E, O>
  readonly #held: [part: Part<E>, outcomes: readonly (O | Unknown)[]][] = []

  /** A request is about to be sent to the node. @param put takes outcomes that count. @returns undefined if no replicas are asked. */
  static of<E extends LockEntry, O extends Outcome>(
    kind: Kind<E, O>,
    node: ClusterNode,
    put: Put<E, O>,
  ): Acknowledgement<E, O> | undefined {
    return node.pair.replicas && CONFIRMED.has(kind.what) ? new Acknowledgement(node, put) : undefined
  }

  private constructor(node: ClusterNode, put: Put<E, O>) {
    this.#node = node
    this.#server = node.pair.replicas?.server
    this.#put = put
  }

  /** The node has answered so. */
  readonly take: Put<E, O> = (part, outcomes) => {
    if (isAnythingWritten(outcomes)) this.#held.push([part, outcomes])
    else this.#put(part, outcomes)
  }

  /** Waits for the replicas, and lets go what was held back. @param slots of which the node serves one at least. */
  async settle(slots: readonly number[] = this.#held.map(([{ slot }]) => slot)): Promise<void> {
    if (this.#held.length === 0) return
    const keys = slots.slice(0, NAMED_SLOTS).map(fenceKeyOf)
    const cause = await this.#node.pair.replicas?.faultSince(this.#server, keys)
    const fault = cause && new UnavailableError(`Node ${this.#node.name}: ${cause.message}`, undefined, { cause })
    for (const [part, outcomes] of this.#held.splice(0)) {
      this.#put(part, fault ? outcomes.map((outcome) => unacknowledged(outcome, fault)) : outcomes)
    }
  }
}
