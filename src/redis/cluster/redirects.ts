/**
 * Sends a call for one slot to the node that serves it, and follows MOVED and ASK: the first at once, later ones after 2, 4, 8 … ms, because two
 * nodes may send a call to and fro while they disagree. So a call takes at most about log₂(timeout in ms) requests.
 */
import { UnavailableError } from '../../errors.ts'
import type { Clock } from '../../time/clock.ts'
import { isReply } from '../reply-fault.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterNode } from './cluster-node.ts'
import { type Redirection, readRedirection } from './redirection.ts'

/** Sends a call to a node. @param asking whether ASKING has to come before. @throws the error reply, or the error of a broken connection. */
export type Send<T> = (node: ClusterNode, asking: boolean) => Promise<T>

/** How a call was sent, for its caller; kept up to date, and right even if the call fails. */
export interface Trail {
  /** The node that was asked last. */
  node?: ClusterNode | undefined
  /** The node was named by MOVED, and not by a map. */
  redirected: boolean
  asking: boolean
}

/** The first answer of a call that was sent with others. */
export interface FirstAnswer {
  readonly node: ClusterNode
  readonly error: unknown
}

export class Redirects {
  readonly #map: ClusterMap
  readonly #clock: Clock
  /** ms that redirections may take. What is left of a request's timeout is for the answers that travel with this one. */
  readonly #patience: number

  constructor(map: ClusterMap, clock: Clock, timeout: number) {
    this.#map = map
    this.#clock = clock
    this.#patience = timeout / 2
  }

  /** Sends a call that stands for itself. @param key that of a lock, for the error. @throws an error that names the node. */
  async ask<T>(slot: number, send: Send<T>, key?: string): Promise<T> {
    const trail: Trail = { redirected: false, asking: false }
    try {
      await this.#map.ready(this.#map.routeOf(slot))
      return await this.follow(slot, send, trail)
    } catch (error) {
      throw trail.node ? trail.node.explain(error, key) : error
    }
  }

  /** @throws the last error. `trail.node` says whose. */
  async follow<T>(slot: number, send: Send<T>, trail: Trail, first?: FirstAnswer): Promise<T> {
    const deadline = this.#clock.now() + this.#patience
    let failed: FirstAnswer | undefined = first
    for (let requests = first ? 1 : 0; ; requests += 1) {
      if (failed !== undefined) {
        trail.node = failed.node
        await this.#redirect(slot, failed, trail, requests, deadline)
      } else {
        trail.node = this.#map.nodeOf(slot)
      }
      const { node } = trail
      if (node === undefined) throw new UnavailableError(`No node serves slot ${slot}`)
      const connected = node.connected()
      if (connected) await this.#within(connected, deadline, node)
      try {
        return await send(node, trail.asking)
      } catch (error) {
        failed = { node, error }
      }
    }
  }

  /** Waits for a connection to the node, as long as redirections may take. @returns why there is none. */
  async connect(node: ClusterNode): Promise<Error | undefined> {
    const connected = node.connected()
    try {
      if (connected) await this.#within(connected, this.#clock.now() + this.#patience, node)
      return undefined
    } catch (error) {
      return error as Error
    }
  }

  /** What one node has answered with MOVED, by the node that it names; undefined: everything else. */
  moved<A extends readonly [{ readonly slot: number }, Error]>(
    answers: readonly A[],
    from: ClusterNode,
  ): Map<ClusterNode | undefined, A[]> {
    const byTarget = new Map<ClusterNode | undefined, A[]>()
    for (const answer of answers) {
      const [{ slot }, error] = answer
      const redirection = readRedirection(error.message, from.host)
      const isMoved = redirection?.type === 'MOVED' && redirection.slot === slot
      const target = isMoved ? this.#map.onMoved(slot, redirection, from) : undefined
      const some = byTarget.get(target === from ? undefined : target)
      if (some) some.push(answer)
      else byTarget.set(target === from ? undefined : target, [answer])
    }
    return byTarget
  }

  /** Turns the trail to the node that the error names. @throws the error if it names none. */
  async #redirect(slot: number, { node, error }: FirstAnswer, trail: Trail, requests: number, deadline: number) {
    const redirection = isReply(error) ? readRedirection(error.message, node.host) : undefined
    if (redirection === undefined) throw error
    const { type } = redirection
    const named = `${redirection.host}:${redirection.port}`
    if (redirection.slot !== slot) {
      this.#map.wish()
      throw new UnavailableError(`Asked about slot ${slot}, it answered with ${type} for slot ${redirection.slot}`)
    }
    const next = this.#nodeOf(redirection, node)
    const pause = requests > 1 ? 2 ** (requests - 1) : 0
    if (this.#clock.now() + pause > deadline) {
      throw new UnavailableError(
        `Slot ${slot} is not settled: after ${requests} requests the answer is still ${type} to ${named}`,
      )
    }
    if (pause > 0) await new Promise<void>((resolve) => this.#clock.setTimer(resolve, pause))
    trail.node = next
    trail.asking = type === 'ASK'
    if (type === 'MOVED') trail.redirected = true
  }

  #nodeOf(redirection: Redirection, from: ClusterNode): ClusterNode {
    return redirection.type === 'MOVED'
      ? this.#map.onMoved(redirection.slot, redirection, from)
      : this.#map.nodeAt(redirection)
  }

  /** A node that cannot be reached must not delay the answers of others. */
  async #within(ready: Promise<void>, deadline: number, { name }: ClusterNode): Promise<void> {
    let give: (() => void) | undefined
    const over = new Promise<never>((_, reject) => {
      give = () => reject(new UnavailableError(`No connection to ${name} in time`))
    })
    const timer = this.#clock.setTimer(() => give?.(), Math.max(deadline - this.#clock.now(), 0))
    try {
      await Promise.race([ready, over])
    } finally {
      timer.cancel()
    }
  }
}
