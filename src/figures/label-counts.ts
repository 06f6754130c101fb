/**
 * Counts leases by label. The user's function makes a label of a key. Few labels are meant to come of many keys; if too many come, the rest count
 * under one label, so that a mistake does not flood a monitoring system.
 */
import type { LossReason } from '../rules/lease-state.ts'
import type { FigureAttributes, Tell } from './figure.ts'
import type { LabelledName } from './figures.ts'
import type { ObservableLeases } from './observable-leases.ts'

/** The name of the attribute. */
const ATTRIBUTE = 'lock'
/** Labels of one manager. */
const MOST_LABELS = 200
const LONGEST_LABEL = 100
const OTHERS = 'others'

interface Counts {
  held: number
  acquired: number
  released: number
  readonly lost: Record<LossReason, number>
  readonly attributes: FigureAttributes
  readonly lostAttributes: Readonly<Record<LossReason, FigureAttributes>>
}

/** Makes a label of a key. */
export type Labeller = (key: string) => string

export class LabelCounts {
  readonly #labeller: Labeller
  readonly #counts = new Map<string, Counts>()
  readonly #stop: () => void

  /** Counts from now on, and leases that are held already as held. */
  constructor(leases: ObservableLeases, labeller: Labeller) {
    this.#labeller = labeller
    for (const { key } of leases) this.#of(key).held += 1
    const onAcquired: Parameters<typeof leases.on<'acquired'>>[1] = ({ lease }) => {
      const counts = this.#of(lease.key)
      counts.acquired += 1
      counts.held += 1
    }
    const onReleased: Parameters<typeof leases.on<'released'>>[1] = ({ lease }) => {
      const counts = this.#of(lease.key)
      counts.released += 1
      counts.held -= 1
    }
    const onLost: Parameters<typeof leases.on<'lost'>>[1] = ({ lease, reason }) => {
      const counts = this.#of(lease.key)
      counts.lost[reason] += 1
      counts.held -= 1
    }
    leases.on('acquired', onAcquired).on('released', onReleased).on('lost', onLost)
    this.#stop = () => leases.off('acquired', onAcquired).off('released', onReleased).off('lost', onLost)
  }

  /** Tells each of the numbers. */
  read(name: LabelledName, tell: Tell): void {
    for (const counts of this.#counts.values()) {
      if (name !== 'lost') tell(counts[name], counts.attributes)
      else for (const reason of LOSS_REASONS) tell(counts.lost[reason], counts.lostAttributes[reason])
    }
  }

  stop(): void {
    this.#stop()
  }

  #of(key: string): Counts {
    const label = labelOf(key, this.#labeller)
    const known = this.#counts.get(label)
    if (known) return known
    const name = this.#counts.size < MOST_LABELS ? label : OTHERS
    let counts = this.#counts.get(name)
    if (counts === undefined) {
      counts = newCounts(name)
      this.#counts.set(name, counts)
    }
    return counts
  }
}

const LOSS_REASONS = ['expired', 'taken', 'missing', 'maxHold'] as const satisfies readonly LossReason[]

function newCounts(label: string): Counts {
  const of = (reason: LossReason): FigureAttributes => ({ [ATTRIBUTE]: label, reason })
  return {
    held: 0,
    acquired: 0,
    released: 0,
    lost: { expired: 0, taken: 0, missing: 0, maxHold: 0 },
    attributes: { [ATTRIBUTE]: label },
    lostAttributes: { expired: of('expired'), taken: of('taken'), missing: of('missing'), maxHold: of('maxHold') },
  }
}

/** The label of a key, fit for any monitoring system: short, well-formed and printable. If the function fails, the lease counts under `others`. */
export function labelOf(key: string, labeller: Labeller): string {
  try {
    const label: unknown = labeller(key)
    return String(label)
      .slice(0, LONGEST_LABEL)
      .toWellFormed()
      .replaceAll(/[\p{Cc}\u2028\u2029]/gu, '?')
  } catch {
    return OTHERS
  }
}
