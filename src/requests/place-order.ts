/**
 * The order in which many keys are asked for if there are several servers: a request has keys of one server, of neighbouring places, and all keys
 * of a place stand together.
 */
import type { Routing } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { forEachIndex } from '../time/slices.ts'

interface Keyed {
  readonly key: string
  /** ms. */
  readonly timeout: number
}

/** @returns the requests of each server, those of one timeout together, in the order of their places. */
export function byPlace<T extends Keyed>(requests: readonly T[], routing: Routing): T[][] {
  const servers = new Map<number, { readonly request: T; readonly place: number }[]>()
  for (const request of requests) {
    const place = routing.placeOf(request.key)
    const route = routing.routeOf(place)
    const some = servers.get(route)
    if (some) some.push({ request, place })
    else servers.set(route, [{ request, place }])
  }
  return [...servers.values()].map((some) =>
    some.sort((a, b) => a.request.timeout - b.request.timeout || a.place - b.place).map(({ request }) => request),
  )
}

/** The keys of one server, batch by batch. */
export interface PlaceLane {
  /** @returns the indices of the keys of the next batch; none at the end. */
  take(): readonly number[] | undefined
}

/** A lane for each server. A call that works through all at once does not wait for the slowest of them. */
export async function lanesByPlace(
  keys: readonly string[],
  routing: Routing,
  { clock, batchSize }: { readonly clock: Clock; readonly batchSize: number },
): Promise<PlaceLane[]> {
  const indices = new Map<number, number[]>()
  const sorting = forEachIndex(keys.length, clock, (index) => {
    const place = routing.placeOf(keys[index] as string)
    const some = indices.get(place)
    if (some) some.push(index)
    else indices.set(place, [index])
  })
  if (sorting) await sorting
  const servers = new Map<number, number[]>()
  for (const place of [...indices.keys()].sort((a, b) => a - b)) {
    const route = routing.routeOf(place)
    const places = servers.get(route)
    if (places) places.push(place)
    else servers.set(route, [place])
  }
  return [...servers.values()].map((places) =>
    laneOf(
      places.map((place) => indices.get(place) as number[]),
      batchSize,
    ),
  )
}

/** @param groups the keys of each place. A place is cut only if it has more keys than a batch. */
function laneOf(groups: readonly (readonly number[])[], batchSize: number): PlaceLane {
  let next = 0
  /** How many keys of the next place were taken. */
  let taken = 0
  return {
    take: () => {
      const batch: number[] = []
      for (; next < groups.length; next += 1) {
        const group = groups[next] as readonly number[]
        const room = batchSize - batch.length
        if (room === 0 || (batch.length > 0 && group.length - taken > room)) break
        batch.push(...group.slice(taken, taken + room))
        taken += room
        if (taken < group.length) return batch
        taken = 0
      }
      return batch.length > 0 ? batch : undefined
    },
  }
}
