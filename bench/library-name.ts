/** Promises which libraries can be measured, and on which Node. */

export const LIBRARY_NAMES = ['leasewheel', 'redis-semaphore', 'redlock', 'redlock-universal'] as const

/** No library: the commands that a lock takes at least, sent by ioredis. It renews nothing, so it can hold nothing. */
export const BARE = 'bare ioredis'

/** No library either: locks that are renewed by a script for each, all of one node in a pipeline. On a cluster only. */
export const PIPELINED = 'pipelined EVALSHA'

/** leasewheel with everything attached that an operator may want. Only `hold` knows it. */
export const OBSERVED = 'leasewheel-observed'

/** leasewheel that watches no keys. By default it watches up to 50,000 on each server, so more on a cluster than on one server. */
export const UNWATCHED = 'leasewheel-unwatched'

/** leasewheel with a keeper. Only `hold` knows it. */
export const KEPT = 'leasewheel-kept'

export type LibraryName =
  | (typeof LIBRARY_NAMES)[number]
  | typeof BARE
  | typeof PIPELINED
  | typeof OBSERVED
  | typeof UNWATCHED
  | typeof KEPT

/** The lowest major version of Node; a library that is not listed runs on every one that this package runs on. */
const lowestNode: Readonly<Partial<Record<LibraryName, number>>> = { 'redlock-universal': 22 }

/** One sentence, or `undefined` when the library runs here. */
export function reasonToSkip(name: LibraryName): string | undefined {
  const lowest = lowestNode[name]
  const here = Number(process.versions.node.split('.')[0])
  if (lowest === undefined || here >= lowest) return undefined
  return `${name} is left out: it needs Node ${lowest} or newer, this is Node ${process.versions.node}.`
}
