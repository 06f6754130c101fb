/** Arrays in the order of ranks. Items of equal rank stay in the order of their arrival. Pure. */
export interface Ranked {
  readonly rank: number
}

/** O(1) at the end, which is the usual case. */
export function insertByRank<T extends Ranked>(items: T[], item: T): void {
  let start = 0
  let end = items.length
  if (end === 0 || (items[end - 1] as T).rank <= item.rank) {
    items.push(item)
    return
  }
  while (start < end) {
    const middle = (start + end) >>> 1
    if ((items[middle] as T).rank <= item.rank) start = middle + 1
    else end = middle
  }
  items.splice(start, 0, item)
}

/** Both are in order. @returns a new array. */
export function mergeByRank<T extends Ranked>(some: readonly T[], others: readonly T[]): T[] {
  const merged: T[] = []
  let index = 0
  for (const item of some) {
    for (; index < others.length && (others[index] as T).rank < item.rank; index += 1) merged.push(others[index] as T)
    merged.push(item)
  }
  for (; index < others.length; index += 1) merged.push(others[index] as T)
  return merged
}

/** @returns the ends of the runs of equal rank: each is the index after its last item. */
export function endsOfRuns(items: readonly Ranked[]): number[] {
  const ends: number[] = []
  for (let end = 1; end <= items.length; end += 1) {
    if (items[end]?.rank !== (items[end - 1] as Ranked).rank) ends.push(end)
  }
  return ends
}
