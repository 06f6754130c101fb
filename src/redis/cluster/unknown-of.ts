/** What is told of a request that a node did not carry out, or did not answer. */
import type { LockEntry, Unknown } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { codeOf, isReply, kindOf } from '../reply-fault.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { Part } from './slot-plan.ts'

export function unknownOf(
  map: ClusterMap,
  what: string,
  slot: number,
  node: ClusterNode | undefined,
  thrown: unknown,
  key?: string,
): Unknown {
  if (node === undefined) return { type: 'unknown', error: thrown as Error }
  let error = node.explain(thrown, key)
  if (!isReply(thrown)) return { type: 'unknown', error }
  if (codeOf(thrown) === 'TRYAGAIN') {
    const message = `Node ${node.name} is moving slot ${slot} to another node, key by key: its locks can be acquired once the move is over, because a lock and its fence counter must be on one node`
    error = new UnavailableError(message, key, { cause: thrown })
  } else {
    if (kindOf(thrown) === 'passing') map.wish()
    // The report names the node itself.
    node.faults.onRefused(what, thrown, error.cause as Error)
  }
  return { type: 'unknown', error }
}

/** The same for each entry of a part. */
export function unknownsOf<E extends LockEntry>(
  map: ClusterMap,
  what: string,
  part: Part<E>,
  node: ClusterNode,
  error: Error,
): Unknown[] {
  const { slot, entries } = part
  return entries.map(({ key }) => unknownOf(map, what, slot, node, error, entries.length === 1 ? key : undefined))
}
