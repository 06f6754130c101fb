/** Whom to believe that a lease has ended. */
import type { LockEntry, Unknown } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterNode } from './cluster-node.ts'
import type { Kind } from './request-kinds.ts'

/**
 * A refusal ends a lease, so only the node that serves the slot may pronounce it: the one that the map names, or the one that this node names by ASK.
 * If MOVED alone has named it, a new map has to confirm that.
 *
 * @param node the node that answered, without ASKING. @returns the outcomes; a refusal that does not count is unknown.
 */
export async function believed<E extends LockEntry, O>(
  map: ClusterMap,
  kind: Kind<E, O>,
  slot: number,
  outcomes: readonly O[],
  node: ClusterNode,
): Promise<readonly (O | Unknown)[]> {
  if (!outcomes.some((outcome) => kind.ends(outcome)) || map.confirms(slot, node)) return outcomes
  if ((await map.fresh()) && map.confirms(slot, node)) return outcomes
  const message = `Node ${node.name} does not hold the key, but the map does not confirm that it serves slot ${slot}`
  const unknown: Unknown = { type: 'unknown', error: new UnavailableError(message) }
  return outcomes.map((outcome) => (kind.ends(outcome) ? kind.doubted(outcome, unknown) : outcome))
}
