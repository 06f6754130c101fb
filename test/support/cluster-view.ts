/** What one node of a cluster knows of all of them: its `CLUSTER NODES`, read. */

/** The slots of a cluster. */
export const SLOTS = 16_384

/** From the first to the last slot, both included. */
export type SlotRange = readonly [first: number, last: number]

export interface NodeView {
  readonly id: string
  readonly port: number
  /** `myself`, `master`, `slave`, `fail?`, `fail`, `handshake` and so on. */
  readonly flags: ReadonlySet<string>
  /** The node that it follows; undefined: it is a master. */
  readonly masterId: string | undefined
  /** The configuration's epoch: of two who claim a slot, the one with the larger epoch is right. */
  readonly epoch: number
  readonly isConnected: boolean
  readonly slots: readonly SlotRange[]
}

/** @param text the answer to `CLUSTER NODES`. A slot that is half moved counts as its old owner's. */
export function readView(text: string): NodeView[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line) => {
    const [id = '', address = '', flags = '', master, , , epoch, link, ...slots] = line.trim().split(' ')
    return {
      id,
      port: Number(/:(\d+)/.exec(address)?.[1]),
      flags: new Set(flags.split(',')),
      masterId: master === '-' ? undefined : master,
      epoch: Number(epoch),
      isConnected: link === 'connected',
      // In brackets: slots that are half moved.
      slots: slots.filter((range) => !range.startsWith('[')).map(readRange),
    }
  })
}

/** Of the nodes that serve this slot, by all these views, the one with the largest epoch. */
export function ownerOf(slot: number, views: readonly NodeView[]): NodeView | undefined {
  return views
    .filter(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
    .toSorted((one, other) => other.epoch - one.epoch)[0]
}

/** Ranges without gaps. @param slots in whatever order, each once. */
export function rangesOf(slots: Iterable<number>): SlotRange[] {
  const ranges: [number, number][] = []
  for (const slot of [...slots].toSorted((one, other) => one - other)) {
    const last = ranges.at(-1)
    if (last !== undefined && slot === last[1] + 1) last[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges
}

export function slotsIn(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index))
}

function readRange(text: string): SlotRange {
  const [first = Number.NaN, last = first] = text.split('-').map(Number)
  return [first, last]
}
