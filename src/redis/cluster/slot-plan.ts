/** How a request is divided: one part for each slot, in the order of the entries. Pure. */

export interface Part<E> {
  readonly slot: number
  /** The index of its first entry in the request. */
  readonly start: number
  readonly entries: readonly E[]
}

/** @param entries those of one slot are adjacent. If not, they become more parts than needed. */
export function divide<E>(entries: readonly E[], slotOf: (entry: E) => number): readonly Part<E>[] {
  const parts: Part<E>[] = []
  let start = 0
  let slot = -1
  for (let end = 0; end <= entries.length; end += 1) {
    const next = end < entries.length ? slotOf(entries[end] as E) : -1
    if (next === slot) continue
    if (end > start)
      parts.push({ slot, start, entries: start === 0 && end === entries.length ? entries : entries.slice(start, end) })
    start = end
    slot = next
  }
  return parts
}

/** Parts by who serves them. Usually that is one for all. */
export function groupBy<E, N>(parts: readonly Part<E>[], ownerOf: (slot: number) => N): Map<N, readonly Part<E>[]> {
  const [first] = parts
  if (first === undefined) return new Map()
  const owner = ownerOf(first.slot)
  if (parts.every(({ slot }) => ownerOf(slot) === owner)) return new Map([[owner, parts]])
  const groups = new Map<N, Part<E>[]>()
  for (const part of parts) {
    const own = ownerOf(part.slot)
    const group = groups.get(own)
    if (group === undefined) groups.set(own, [part])
    else group.push(part)
  }
  return groups
}
